//! The parts of a credential that must never be shown, and their removal from a text.

use super::denial;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use url::{Position, Url};

/// The shortest part, in bytes, that is hidden in a text that is judged. A shorter part is hidden
/// only in what is shown, because replies consist of words and numbers that are as short.
const LONG: usize = 5;

/// Values of a query that are no secrets, because they are what addresses ask for and replies
/// answer: see [`is_word`].
const WORDS: [&str; 16] = [
    "all", "false", "html", "json", "markdown", "no", "null", "off", "on", "plain", "text", "true",
    "utf-8", "utf8", "xml", "yes",
];

/// The parts of a credential that must not be shown, the longest first.
///
/// They are the whole credential, and the parts of an address that may be credentials by
/// themselves, because a reply or a proxy may repeat such a part; each also in the encodings of
/// JSON, HTML and URLs. A part of one character is not hidden, because it occurs in every sentence.
pub struct Parts {
    /// The parts that are hidden before a reply is judged.
    pub telling: Vec<String>,
    /// The parts that [`without`] hides in what is shown: those of two to four characters, and
    /// users and passwords by which a reply could be judged.
    pub brief: Vec<String>,
}

impl Parts {
    pub fn of(secret: &str) -> Self {
        let (brief, telling) = written(secret).into_iter().partition(|part| is_brief(part));
        Self { telling, brief }
    }
}

fn is_brief(part: &str) -> bool {
    part.len() < LONG || is_word(part)
}

/// Whether a query's value is a word rather than a secret: a switch (`true`, `off`), a format
/// (`json`, `utf8`), a version (`v1`), or what replies are judged by (`ok`, `error`, `status`).
fn is_word(value: &str) -> bool {
    let lower = value.to_ascii_lowercase();
    let is_version = lower.strip_prefix('v').is_some_and(|number| {
        !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
    });

    is_version || WORDS.contains(&lower.as_str()) || denial::reads(&lower)
}

fn written(secret: &str) -> Vec<String> {
    let mut parts = vec![secret.to_owned()];
    if let Some((scheme, rest)) = secret.split_once("://") {
        parts.extend(of_address(rest));
        // Clients show an address without user and password, and with its host in lower case.
        parts.extend(
            Url::parse(secret)
                .ok()
                .map(|url| format!("{scheme}://{}", &url[Position::BeforeHost..])),
        );
    } else if let Some((_, word)) = secret.split_once(' ') {
        // The word after the scheme, as in `Basic dXNlcjpwYXNz`.
        parts.push(word.to_owned());
    }

    let mut written: Vec<String> = parts
        .iter()
        .filter(|part| part.chars().nth(1).is_some())
        .flat_map(|part| ways(part))
        .collect();

    written.sort_unstable_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
    written.dedup();

    written
}

/// Returns the parts of an address without its scheme: user and password with their Base64, the
/// path and its long segments, and the values of the query that are not words.
fn of_address(rest: &str) -> Vec<String> {
    /// The shortest segment of a path that may be a secret; a shorter one is a word.
    const LONG_SEGMENT: usize = 12;

    let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let mut parts = vec![path.to_owned()];

    if let Some((userinfo, _)) = authority.rsplit_once('@') {
        let (user, password) = userinfo.split_once(':').unwrap_or((userinfo, ""));
        let plain = format!("{}:{}", decoded(user), decoded(password));
        parts.extend([
            BASE64_STANDARD.encode(&plain),
            plain,
            userinfo.to_owned(),
            password.to_owned(),
            decoded(password),
            user.to_owned(),
            decoded(user),
        ]);
    }

    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    parts.push(path.to_owned());
    parts.extend(
        path.split(['/', '='])
            .filter(|part| part.len() >= LONG_SEGMENT)
            .map(ToOwned::to_owned),
    );

    for pair in query.split(['&', '#']).filter(|pair| !pair.is_empty()) {
        let value = pair.split_once('=').map_or(pair, |(_, value)| value);
        if !is_word(value) {
            parts.extend([pair.to_owned(), value.to_owned(), decoded(value)]);
        }
    }

    parts
}

/// Returns the text without a telling part, whichever of the part's characters are escaped.
/// Otherwise half of the part could be left once the text is decoded and cut.
pub fn without_escaped(text: &str, part: &str) -> String {
    let Some(first) = part.chars().next() else {
        return text.to_owned();
    };

    let (mut kept, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(at) = rest.find([first, '\\', '%', '&']) {
        kept.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some(behind) = part.chars().try_fold(rest, behind) {
            kept.push_str("<secret>");
            rest = behind;
        } else if let Some(other) = rest.chars().next() {
            kept.push(other);
            rest = &rest[other.len_utf8()..];
        }
    }
    kept.push_str(rest);
    kept
}

/// Returns what follows a character at the beginning of a text. The character may stand as it is,
/// or escaped as in JSON (`\u0041`, `\/`, even in a string within a string), in a URL (`%41`) or in
/// HTML (`&#65;`, `&#x41;`).
fn behind(text: &str, wanted: char) -> Option<&str> {
    let number = |digits: &str, radix| u32::from_str_radix(digits, radix).ok();
    if let Some(rest) = text.strip_prefix(wanted) {
        return Some(rest);
    }

    let (code, rest) = match text.as_bytes().first()? {
        b'\\' => {
            let escaped = text.trim_start_matches('\\');
            match escaped.strip_prefix('u') {
                Some(digits) => (number(digits.get(..4)?, 16)?, digits.get(4..)?),
                None => return escaped.strip_prefix(wanted),
            }
        }
        b'%' => (number(text.get(1..3)?, 16)?, text.get(3..)?),
        b'&' => {
            let (digits, rest) = text.strip_prefix("&#")?.split_once(';')?;
            let code = match digits.strip_prefix(['x', 'X']) {
                Some(digits) => number(digits, 16),
                None => number(digits, 10),
            };
            (code?, rest)
        }
        _ => return None,
    };
    (code == u32::from(wanted)).then_some(rest)
}

/// Returns the text without a brief part wherever the part stands as a word of its own. Within a
/// longer word it is something else, and half of that word would be left. A status that is quoted
/// (`HTTP 400`) stays.
pub fn without(text: &str, part: &str) -> String {
    let is_of_word = |c: char| c.is_ascii_alphanumeric();
    let mut shown = String::with_capacity(text.len());
    let mut after = 0;

    for (at, _) in text.match_indices(part) {
        let (before, behind) = (&text[..at], &text[at + part.len()..]);
        let begins = !part.starts_with(is_of_word)
            || !before.ends_with(is_of_word)
            || ends_in_escape(before);
        let ends = !part.ends_with(is_of_word) || !behind.starts_with(is_of_word);
        let is_status = before.ends_with("HTTP ") && part.parse().is_ok_and(is_status);
        if begins && ends && !is_status {
            shown.push_str(&text[after..at]);
            shown.push_str("<secret>");
            after = at + part.len();
        }
    }

    shown.push_str(&text[after..]);
    shown
}

fn is_status(number: u16) -> bool {
    (100..600).contains(&number)
}

/// Whether a text ends in the characters of an escape: `\n`, `\u0026`, `%3D`.
fn ends_in_escape(text: &str) -> bool {
    [("\\", 1), ("%", 2), ("\\u", 4)]
        .iter()
        .any(|(mark, digits)| {
            let is_escape = |at: usize| {
                let (before, digits) = text.as_bytes().split_at(at);
                let is_digit =
                    |byte: &u8| mark.len() + digits.len() == 2 || byte.is_ascii_hexdigit();
                before.ends_with(mark.as_bytes()) && digits.iter().all(is_digit)
            };
            text.len().checked_sub(*digits).is_some_and(is_escape)
        })
}

/// Returns a text verbatim and in the encodings of JSON, HTML and URLs.
fn ways(text: &str) -> Vec<String> {
    let mut ways = vec![text.to_owned()];
    if text.bytes().any(|byte| !byte.is_ascii_alphanumeric()) {
        ways.extend([
            text.replace('/', "\\/"),
            text.replace('&', "&amp;"),
            text.replace('&', "\\u0026"),
            utf8_percent_encode(text, NON_ALPHANUMERIC).to_string(),
        ]);
    }

    ways
}

#[cfg(test)]
mod tests {
    use super::{Parts, denial, is_word, without, without_escaped};
    use base64::{Engine as _, prelude::BASE64_STANDARD};
    use proptest::prelude::*;

    #[test]
    fn a_secret_is_hidden_whichever_of_its_characters_are_escaped() {
        const SECRET: &str = "Zq9XkLmP4/rTv7WbN2cD8";
        let ways: [fn(char) -> String; 9] = [
            |c| c.to_string(),
            |c| format!("\\u{:04x}", u32::from(c)),
            |c| format!("\\u{:04X}", u32::from(c)),
            |c| format!("\\\\u{:04x}", u32::from(c)),
            |c| format!("%{:02X}", u32::from(c)),
            |c| format!("%{:02x}", u32::from(c)),
            |c| format!("&#{};", u32::from(c)),
            |c| format!("&#x{:X};", u32::from(c)),
            |c| c.to_string().replace('/', "\\/"),
        ];
        for first in ways {
            for second in ways {
                for every in 1..=SECRET.len() {
                    let escaped: String = SECRET
                        .chars()
                        .enumerate()
                        .map(|(at, c)| if at % every == 0 { first(c) } else { second(c) })
                        .collect();
                    assert_eq!(
                        without_escaped(&format!("é\\ {escaped}%{escaped}&#"), SECRET),
                        "é\\ <secret>%<secret>&#",
                        "{escaped}"
                    );
                }
            }
        }
        for other in ["", "Zq9X", "\\u005", "%Z", "&#90", "é"] {
            assert_eq!(without_escaped(other, SECRET), other);
        }
    }

    #[test]
    fn of_an_address_user_password_and_query_are_secrets_however_they_are_written() {
        let parts = Parts::of(
            "https://robot:s3cr%2Ft@Hooks.example/services/T0/abcdefghijklmnop\
             ?token=hunter2&wait=true",
        )
        .telling;
        for secret in [
            "robot",
            "s3cr%2Ft",
            "s3cr/t",
            "cm9ib3Q6czNjci90",
            "hunter2",
            "token=hunter2",
            "abcdefghijklmnop",
            "https://hooks.example/services/T0/abcdefghijklmnop?token=hunter2&wait=true",
        ] {
            assert!(
                parts.iter().any(|part| part == secret),
                "{secret}: {parts:#?}"
            );
        }
        for word in ["true", "T0", "services", "hooks.example"] {
            assert!(parts.iter().all(|part| part != word), "{word}: {parts:#?}");
        }
        assert!(
            Parts::of("https://a.example/x/y")
                .telling
                .contains(&"https:\\/\\/a.example\\/x\\/y".to_owned())
        );
    }

    /// Returns the text as it is judged, and as it is shown.
    fn hidden(secret: &str, text: &str) -> (String, String) {
        let parts = Parts::of(secret);
        let judged = parts
            .telling
            .iter()
            .fold(text.to_owned(), |text, part| text.replace(part, "<secret>"));
        let shown = parts
            .brief
            .iter()
            .fold(judged.clone(), |text, part| without(&text, part));
        (judged, shown)
    }

    /// Whether a word stands in a text as a word of its own.
    fn stands(text: &str, word: &str) -> bool {
        let of_word = |c: char| c.is_ascii_alphanumeric();
        text.match_indices(word).any(|(at, _)| {
            !text[..at].ends_with(of_word) && !text[at + word.len()..].starts_with(of_word)
        })
    }

    /// Generates secrets of one to twelve characters, of digits, letters or both.
    fn secret() -> impl Strategy<Value = String> {
        prop_oneof![
            "[0-9]{1,12}",
            "[a-z]{1,12}",
            "[A-Za-z]{1,12}",
            "[a-z0-9]{1,12}",
            "[A-Za-z0-9_-]{1,12}",
        ]
    }

    proptest! {
        #[test]
        fn a_secret_of_any_length_is_shown_nowhere_and_no_reply_is_judged_otherwise(
            (user, password, value) in (secret(), secret(), secret())
        ) {
            let address = format!("https://{user}:{password}@hooks.example/x?k={value}&wait=true");
            let basic = BASE64_STANDARD.encode(format!("{user}:{password}"));
            let parts = [&user, &password, &value, &basic];
            for (part, is_value) in parts.iter().zip([false, false, true, false]) {
                if part.len() == 1 || is_value && is_word(part) {
                    continue;
                }
                for echo in [
                    format!("no {part} here"),
                    format!("HTTP 400: {part}"),
                    (*part).clone(),
                    format!("{{\"value\":\"{part}\"}}"),
                    format!("?k={part}&wait=true"),
                    format!("<b>{part}</b>, ({part}), '{part}'; {part}/{part}."),
                    format!("line\\n{part}\\tand \\u0026{part}, k%3D{part}%26"),
                    address.clone(),
                ] {
                    // Even the word `<secret>` may contain the secret.
                    let (_, shown) = hidden(&address, &echo);
                    let shown = shown.replace("<secret>", "");
                    prop_assert!(!stands(&shown, part), "{part} of {address}: {shown}");
                }
            }
            for reply in ["ok", "1", "true", "{\"success\":true}", "{\"ok\":false}", "error", "no",
                "{\"status\":\"success\"}", "{\"error\":\"denied\"}", "accepted", "failed"] {
                prop_assert_eq!(hidden(&address, reply).0, reply, "{}", address);
            }
        }

        #[test]
        fn what_is_brief_is_no_part_of_a_longer_word(
            (brief, before, after) in ("[a-z0-9]{2,4}", "[a-z0-9]{0,9}", "[a-z0-9]{0,9}")
        ) {
            let longer = format!("{before}{brief}{after}");
            prop_assume!(longer.len() > brief.len());
            prop_assert_eq!(&without(&longer, &brief), &longer);
        }
    }

    #[test]
    fn words_that_replies_are_judged_by_are_secrets_as_users_alone() {
        let address = "https://success:ok@a.example/?format=json&wait=true&v=v2&of=status&ok";
        for word in ["success", "ok"] {
            assert!(denial::reads(word));
            let (judged, shown) = hidden(address, word);
            assert_eq!((judged.as_str(), shown.as_str()), (word, "<secret>"));
        }
        for word in ["json", "true", "v2", "status"] {
            assert_eq!(hidden(address, word).1, word);
        }
        let (_, shown) = hidden("https://a.example/?v=400", "HTTP 400: 400 is not HTTP 4000");
        assert_eq!(shown, "HTTP 400: <secret> is not HTTP 4000");
    }
}

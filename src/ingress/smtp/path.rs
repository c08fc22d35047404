//! Rewrites MAIL and RCPT, as devices and old programs write them, into the form of RFC 5321. Pure.
//!
//! Such a client takes a permanent refusal for the end of its mail. Nothing here changes what the
//! mail is, or whom it is for: an address may lack its brackets, and a sender its domain.
//! Parameters that only ask for reports, or vouch for the sender, are left out, since they are
//! answered to nobody.

use std::borrow::Cow;

/// The parameters of DSN (RFC 3461), AUTH (RFC 4954) and MT-PRIORITY (RFC 6710).
const HARMLESS: [&str; 6] = ["AUTH", "RET", "ENVID", "NOTIFY", "ORCPT", "MT-PRIORITY"];

/// The domain that a sender without one gets: it is a user of the client's own host.
const OWN_HOST: &str = "localhost";

/// Returns the line as it should have been, and any other line as it is.
pub(super) fn plain(line: &[u8]) -> Cow<'_, [u8]> {
    let written = std::str::from_utf8(line).ok().and_then(rewritten);
    written.map_or(Cow::Borrowed(line), |written| Cow::Owned(written.into()))
}

fn rewritten(line: &str) -> Option<String> {
    let rest = line.strip_suffix("\r\n")?;
    if rest.bytes().any(|byte| byte.is_ascii_control()) {
        return None;
    }

    let (verb, rest) = rest.split_at_checked(rest.find(':')? + 1)?;
    let is_sender = verb.eq_ignore_ascii_case("MAIL FROM:");
    if !is_sender && !verb.eq_ignore_ascii_case("RCPT TO:") {
        return None;
    }

    let (path, parameters) = split(rest.trim_start_matches(' '))?;
    let domain = if is_sender && is_name(path) {
        format!("@{OWN_HOST}")
    } else {
        String::new()
    };
    let kept: String = parameters
        .split(' ')
        .filter(|parameter| !parameter.is_empty() && !is_harmless(parameter))
        .map(|parameter| format!(" {parameter}"))
        .collect();

    Some(format!("{verb}<{path}{domain}>{kept}\r\n"))
}

/// Returns the address without its brackets, and the parameters behind it; `None` if it is unclear
/// which is which.
fn split(rest: &str) -> Option<(&str, &str)> {
    let Some(bracketed) = rest.strip_prefix('<') else {
        let (path, parameters) = rest.split_once(' ').unwrap_or((rest, ""));
        let is_bare = !path.is_empty() && !path.contains(['<', '>', '"', '\\', ':', ',']);
        return is_bare.then_some((path, parameters));
    };

    let mut is_quoted = false;
    let mut is_escaped = false;
    let end = bracketed.find(|c| {
        let ends = c == '>' && !is_quoted;
        is_quoted ^= c == '"' && !is_escaped;
        is_escaped = c == '\\' && !is_escaped;
        ends
    })?;
    let (path, parameters) = (&bracketed[..end], &bracketed[end + 1..]);
    (parameters.is_empty() || parameters.starts_with(' ')).then_some((path, parameters))
}

/// Returns whether a path is the name of a user, as cron and init scripts give it.
fn is_name(path: &str) -> bool {
    let is_of_name = |byte: u8| byte.is_ascii_alphanumeric() || b"._+-".contains(&byte);
    !path.is_empty() && path.bytes().all(is_of_name) && !path.eq_ignore_ascii_case("postmaster")
}

fn is_harmless(parameter: &str) -> bool {
    let (key, _) = parameter.split_once('=').unwrap_or((parameter, ""));
    HARMLESS.iter().any(|name| key.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_old_clients_write_is_put_into_form_and_the_rest_left_alone() {
        for (written, expected) in [
            ("MAIL FROM:<root>", "MAIL FROM:<root@localhost>"),
            ("MAIL FROM:root", "MAIL FROM:<root@localhost>"),
            ("mail from: a@b.test SIZE=9", "mail from:<a@b.test> SIZE=9"),
            ("MAIL FROM:<> AUTH=<>", "MAIL FROM:<>"),
            ("MAIL FROM:<postmaster>", "MAIL FROM:<postmaster>"),
            (
                "MAIL FROM:<a@b.test> ret=hdrs SIZE=9 ENVID=a+20b  BODY=8BITMIME",
                "MAIL FROM:<a@b.test> SIZE=9 BODY=8BITMIME",
            ),
            (
                "MAIL FROM:<\"a> RET=x\"@b.test> RET=x",
                "MAIL FROM:<\"a> RET=x\"@b.test>",
            ),
            (
                "RCPT TO:a@b.test NOTIFY=SUCCESS,DELAY ORCPT=x400;c",
                "RCPT TO:<a@b.test>",
            ),
            ("RCPT TO:<a>", "RCPT TO:<a>"),
            ("RCPT TO:<a@b.test> RETX=1", "RCPT TO:<a@b.test> RETX=1"),
        ] {
            let line = format!("{written}\r\n");
            assert_eq!(plain(line.as_bytes()), format!("{expected}\r\n").as_bytes());
        }
        for odd in [
            "MAIL FROM:",
            "MAIL FROM:<a@b.test",
            "MAIL FROM:<a@b.test>x",
            "RCPT TO:<a@b.test>,<c@d.test>",
            "RCPT TO:a@b.test,c@d.test",
            "RCPT TO:@b.test:a@d.test",
            "RCPT TO:\"a@b.test",
            "MAIL FROM:<a@b.test> AUTH=\t",
            "NOOP AUTH=<>",
            "",
        ] {
            for line in [odd.to_owned(), format!("{odd}\r\n"), format!("{odd}\n")] {
                assert_eq!(plain(line.as_bytes()), line.as_bytes());
            }
        }
        assert_eq!(
            plain(b"MAIL FROM:\xff\r\n"),
            b"MAIL FROM:\xff\r\n".as_slice()
        );
    }
}

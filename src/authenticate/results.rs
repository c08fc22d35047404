//! Parses Authentication-Results (RFC 8601, 2.2) and what ARC copies of them (RFC 8617, 4.1.1).
//!
//! The parser is tolerant of syntax, as hosts are: of comments, folding, quoted strings, versions,
//! and Microsoft's form without an authserv-id. It is strict in doubt: a result that is not written
//! as one says nothing, and unbalanced quotes or brackets make the whole field say nothing, because
//! what it contains may be a stranger's words (RFC 8601, 7.1).

/// The maximum number of results of one field; real fields have four or five.
const RESULTS: usize = 100;

/// One parsed field.
#[derive(Debug, PartialEq)]
pub struct Results {
    /// The host that wrote the field; Microsoft 365 does not say.
    pub host: Option<String>,
    pub all: Vec<MethodResult>,
}

/// The result of one method: `dkim=pass header.d=example.com`.
///
/// Names are in lower case, values as written.
#[derive(Debug, PartialEq)]
pub struct MethodResult {
    pub method: String,
    pub result: String,
    properties: Vec<(String, String)>,
}

impl MethodResult {
    /// Returns the value of a property such as `header.d`; `None` if it is given twice.
    pub fn property(&self, name: &str) -> Option<&str> {
        let mut values = self
            .properties
            .iter()
            .filter(|(known, _)| known == name)
            .map(|(_, value)| value.as_str());
        values.next().filter(|_| values.next().is_none())
    }

    /// Returns the domain of the signature: `header.d`, or the domain of `header.i`; `None` if the
    /// two disagree.
    pub fn signer(&self) -> Option<&str> {
        let identity = self
            .property("header.i")
            .map(|identity| identity.rsplit_once('@').map_or(identity, |(_, at)| at));
        match (self.property("header.d"), identity) {
            (Some(domain), Some(identity)) => {
                let within = identity.eq_ignore_ascii_case(domain)
                    || super::domain::is_below(identity, domain);
                within.then_some(domain)
            }
            (domain, identity) => domain.or(identity),
        }
    }
}

/// Parses the value of an Authentication-Results.
pub fn read(value: &[u8]) -> Option<Results> {
    from_parts(&parts(&String::from_utf8_lossy(value))?)
}

/// Parses the value of an ARC-Authentication-Results, which begins with its instance (`i=1;`).
pub fn read_arc(value: &[u8]) -> Option<Results> {
    let parts = parts(&String::from_utf8_lossy(value))?;
    let (instance, rest) = parts.split_first()?;
    match instance.as_slice() {
        [Token::Word(name), Token::Equals, Token::Word(_)] if name.eq_ignore_ascii_case("i") => {
            from_parts(rest)
        }
        _ => None,
    }
}

fn from_parts(parts: &[Vec<Token>]) -> Option<Results> {
    if parts.len() > RESULTS {
        return None;
    }

    let host = match parts.first()?.as_slice() {
        [Token::Word(host)] => Some(host.clone()),
        [Token::Word(host), Token::Word(version)] if version == "1" => Some(host.clone()),
        [Token::Word(_), Token::Equals, ..] => None,
        _ => return None,
    };

    let all = parts
        .iter()
        .filter_map(|part| method_result(part))
        .collect();

    Some(Results { host, all })
}

fn method_result(part: &[Token]) -> Option<MethodResult> {
    let mut pairs = part.chunks(3).map(|pair| match pair {
        [Token::Word(name), Token::Equals, Token::Word(value)] => {
            Some((name.to_ascii_lowercase(), value.clone()))
        }
        _ => None,
    });

    let (method, result) = pairs.next()??;

    // `dkim/1` is version 1 of the method.
    let method = method.strip_suffix("/1").unwrap_or(&method).to_owned();
    let properties = pairs.collect::<Option<Vec<_>>>()?;

    Some(MethodResult {
        method,
        result: result.to_ascii_lowercase(),
        properties,
    })
}

#[derive(Debug, PartialEq)]
enum Token {
    Word(String),
    Equals,
}

/// Returns the parts between semicolons, as words and equals signs; `None` if quotes or brackets
/// are not balanced.
fn parts(text: &str) -> Option<Vec<Vec<Token>>> {
    let mut parts = vec![Vec::new()];
    let mut word: Option<String> = None;
    let mut chars = text.chars();

    while let Some(c) = chars.next() {
        if c == '"' {
            word.get_or_insert_default().push_str(&quoted(&mut chars)?);
            continue;
        }
        if !(c.is_ascii_whitespace() || matches!(c, '(' | ')' | ';' | '=')) {
            word.get_or_insert_default().push(c);
            continue;
        }
        let part = parts.last_mut()?;
        part.extend(word.take().map(Token::Word));
        match c {
            '(' => comment(&mut chars)?,
            ')' => return None,
            '=' => part.push(Token::Equals),
            ';' => parts.push(Vec::new()),
            _ => {}
        }
    }

    parts.last_mut()?.extend(word.map(Token::Word));

    Some(parts)
}

/// Reads the rest of a quoted string.
fn quoted(chars: &mut impl Iterator<Item = char>) -> Option<String> {
    let mut text = String::new();
    loop {
        match chars.next()? {
            '"' => return Some(text),
            '\\' => text.push(chars.next()?),
            c => text.push(c),
        }
    }
}

/// Skips the rest of a comment, which may contain others.
fn comment(chars: &mut impl Iterator<Item = char>) -> Option<()> {
    let mut depth = 1;
    while depth > 0 {
        match chars.next()? {
            '(' => depth += 1,
            ')' => depth -= 1,
            '\\' => drop(chars.next()?),
            _ => {}
        }
    }

    Some(())
}

/// A Received field (RFC 5321, 4.4): who accepted the mail, and whether it says from whom.
#[derive(Debug, PartialEq)]
pub struct Received {
    pub by: Option<String>,
    pub has_from: bool,
}

impl Received {
    pub fn read(value: &[u8]) -> Self {
        let parts = parts(&String::from_utf8_lossy(value)).unwrap_or_default();
        let words: Vec<String> = parts.first().map_or_else(Vec::new, |first| {
            let word = |token: &'_ Token| match token {
                Token::Word(word) => Some(word.clone()),
                Token::Equals => None,
            };
            first.iter().filter_map(word).collect()
        });

        let is = |at: usize, clause: &str| {
            words
                .get(at)
                .is_some_and(|word| word.eq_ignore_ascii_case(clause))
        };

        let has_from = is(0, "from");

        // The client chose the word after `from`, so it is skipped.
        let by = (if has_from { 2 } else { 0 }..words.len()).find(|at| is(*at, "by"));
        let by = by
            .and_then(|at| words.get(at + 1))
            .map(|host| host.trim_end_matches('.').to_ascii_lowercase());

        Self { by, has_from }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dkim(value: &str) -> Vec<(String, Option<String>)> {
        let read = read(value.as_bytes()).unwrap();
        let dkim = read.all.iter().filter(|result| result.method == "dkim");
        dkim.map(|result| (result.result.clone(), result.signer().map(str::to_owned)))
            .collect()
    }

    fn pass(domain: &str) -> Vec<(String, Option<String>)> {
        vec![("pass".into(), Some(domain.into()))]
    }

    #[test]
    fn gmails_field_is_read() {
        let value = " mx.google.com;\r\n       dkim=pass header.i=@am.atlassian.com \
                     header.s=sparkpost0223 header.b=D7LB4PXY;\r\n       spf=pass (google.com: \
                     domain of no-reply@am.atlassian.com designates 192.174.81.121 as permitted \
                     sender) smtp.mailfrom=no-reply@am.atlassian.com;\r\n       dmarc=pass (p=NONE \
                     sp=NONE dis=NONE) header.from=atlassian.com\r\n";
        let results = read(value.as_bytes()).unwrap();
        assert_eq!(results.host.as_deref(), Some("mx.google.com"));
        assert_eq!(results.all.len(), 3);
        assert_eq!(results.all[0].property("header.b"), Some("D7LB4PXY"));
        assert_eq!(results.all[0].property("header.s"), Some("sparkpost0223"));
        assert_eq!(dkim(value), pass("am.atlassian.com"));
    }

    #[test]
    fn microsofts_field_is_read_though_it_names_nobody() {
        let value = " spf=pass (sender IP is 192.174.81.121)\r\n smtp.mailfrom=am.atlassian.com; \
                     example.com; dkim=pass (signature was\r\n verified) \
                     header.d=am.atlassian.com;example.com; dmarc=pass action=none\r\n \
                     header.from=am.atlassian.com;compauth=pass reason=100\r\n";
        let results = read(value.as_bytes()).unwrap();
        assert_eq!(results.host, None);
        assert_eq!(dkim(value), pass("am.atlassian.com"));
    }

    #[test]
    fn what_the_grammar_allows_is_read() {
        for value in [
            "mx.example.com 1; dkim=pass header.d=a.example",
            "mx.example.com (a (nested \\) one)) ; DKIM = Pass (c;dkim=fail) HEADER.D = a.example",
            "\"mx.example.com\"; dkim=pass reason=\"good; really\" header.d=\"a.example\"",
            "mx.example.com; dkim/1=pass header.d=a.example;",
            "mx.example.com; none; dkim=pass header.d=a.example",
        ] {
            assert_eq!(
                read(value.as_bytes()).unwrap().host.as_deref(),
                Some("mx.example.com"),
                "{value}"
            );
            assert_eq!(dkim(value), pass("a.example"), "{value}");
        }
        assert!(dkim("mx.example.com; none").is_empty());
    }

    #[test]
    fn what_is_in_doubt_says_nothing() {
        for value in [
            "mx.example.com; dkim=pass (oops header.d=a.example",
            "mx.example.com; dkim=pass \"oops header.d=a.example",
            "mx.example.com; dkim=pass oops) header.d=a.example",
            "mx.example.com 2; dkim=pass header.d=a.example",
            "mx.example.com and more; dkim=pass header.d=a.example",
            "; dkim=pass header.d=a.example",
            &format!(
                "mx.example.com{}",
                "; dkim=pass header.d=a.example".repeat(100)
            ),
            "",
        ] {
            assert_eq!(read(value.as_bytes()), None, "{value}");
        }
        for value in [
            "mx.example.com; dkim=pass header.d",
            "mx.example.com; dkim=pass header.d=",
            "mx.example.com; dkim==pass header.d=a.example",
            "mx.example.com; dkim=pass stray header.d=a.example",
            "mx.example.com; spf=pass smtp.mailfrom=\"x; dkim=pass header.d=a.example\"",
            "mx.example.com; spf=pass (of x; dkim=pass header.d=a.example) smtp.mailfrom=x",
        ] {
            assert!(dkim(value).is_empty(), "{value}");
        }
        assert_eq!(
            dkim("h.example; dkim=pass header.d=a.example header.d=b.example"),
            [("pass".into(), None)]
        );
        assert_eq!(
            dkim("h.example; dkim=pass header.d=a.example header.i=@b.example"),
            [("pass".into(), None)]
        );
        assert_eq!(
            dkim("h.example; dkim=pass header.d=a.example header.i=x@m.a.example"),
            pass("a.example")
        );
    }

    #[test]
    fn arcs_copy_begins_with_its_instance() {
        let results = read_arc(b" i=2; mx.google.com; dkim=pass header.i=@a.example").unwrap();
        assert_eq!(results.host.as_deref(), Some("mx.google.com"));
        assert_eq!(results.all[0].signer(), Some("a.example"));
        assert_eq!(
            read_arc(b"i=1; mx.microsoft.com 1; spf=pass").unwrap().all[0].method,
            "spf"
        );
        assert_eq!(read_arc(b"mx.google.com; dkim=pass"), None);
    }

    #[test]
    fn received_says_who_took_the_mail() {
        let by = |value: &str| Received::read(value.as_bytes());
        let took = |host: &str, has_from| Received {
            by: Some(host.into()),
            has_from,
        };
        let gmail = "from mta.example.com (mta.example.com. [192.0.2.1])\r\n        by \
                     mx.google.com with ESMTPS id x\r\n for <a@b>\r\n        (version=TLS1_3); \
                     Sat, 18 Mar 2023 03:21:57 -0700 (PDT)";
        assert_eq!(by(gmail), took("mx.google.com", true));
        assert_eq!(
            by("by 2002:a05:6102:22c6:0:0:0:0 with SMTP id a6; Tue, 28 Sep 2021"),
            took("2002:a05:6102:22c6:0:0:0:0", false)
        );
        assert_eq!(
            by("from by (by mx.google.com) by evil.example. with SMTP"),
            took("evil.example", true)
        );
        assert_eq!(
            by("nonsense"),
            Received {
                by: None,
                has_from: false
            }
        );
        assert_eq!(
            by("from x (by mx.google.com"),
            Received {
                by: None,
                has_from: false
            }
        );
    }
}

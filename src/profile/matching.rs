//! Decides to which profile a mail belongs, by the header alone.

use std::sync::Arc;

use super::{Profile, settings::Match, trace::Miss};
use crate::{
    authenticate::Read,
    extract::{
        contents::decoded,
        subject::{is_wanted_by, readings, untagged},
    },
    label::{
        Matcher,
        matcher::{self, Operator},
    },
    message::{
        header::{fields, first},
        sender::{self, Sender},
    },
    settings::{Problem, host::is_address},
};

/// The maximum length of a header value that is matched, in characters.
const LONGEST_VALUE: usize = 2_000;

/// What the profiles say about a mail's header.
#[derive(Debug)]
pub enum Taking<'a> {
    /// The profile takes the mail.
    Taken(&'a Arc<Profile>),
    /// Programs would not agree whether the mail is from the profile's sender. It is told as
    /// unparsed.
    Doubtful(&'a Arc<Profile>, String),
    /// The mail is from the profile's sender, but is not mail that the profile takes. It is
    /// ignored.
    Unmatched(&'a Arc<Profile>, String),
    /// The mail is of no profile's sender.
    Nobodys,
}

/// The compiled `match`.
#[derive(Debug)]
pub(super) struct Matching {
    from: Vec<String>,
    matchers: Vec<Matcher>,
    subjects: Subjects,
}

/// The matchers of a profile that apply to the Subject.
#[derive(Debug, Clone)]
pub(super) struct Subjects(Vec<Matcher>);

impl Subjects {
    /// Returns the Subject as the profile reads it.
    ///
    /// Tags of gateways are left out, and as much more of the bracketed prefixes as is needed for
    /// all matchers of the Subject to hold, and for `then` to hold. If they never do, only the tags
    /// are left out.
    pub fn read<'a>(&self, written: &'a str, then: impl Fn(&str) -> bool) -> &'a str {
        let is_wanted = |subject: &&str| {
            let holds = |matcher: &Matcher| holds(matcher, written, subject);
            self.0.iter().all(holds) && then(subject)
        };
        readings(written)
            .find(is_wanted)
            .unwrap_or(untagged(written))
    }
}

/// Returns whether a matcher of the Subject holds for the Subject as it is read.
///
/// A `.+` before the rest must not take a tag and a reply prefix for a Subject, unless the matcher
/// wants a tag.
fn holds(matcher: &Matcher, written: &str, read: &str) -> bool {
    matcher.holds_for(read) || (is_wanted_by(&matcher.to_string()) && matcher.holds_for(written))
}

/// What one profile says about a mail.
enum Answer {
    Takes,
    Doubtful(String),
    /// The sender fits, and the matchers do not hold.
    Unmatched(String),
    /// The mail is from another sender, or any may send and the matchers do not hold.
    Another(String),
}

impl Matching {
    pub fn compile(key: &str, settings: &Match, problems: &mut Vec<Problem>) -> Self {
        for (index, from) in settings.from.iter().enumerate() {
            let bare = from.strip_prefix('@').map(|domain| format!("x@{domain}"));
            // A star is no wildcard here, and no sender's address contains one.
            if !is_address(bare.as_deref().unwrap_or(from)) || from.contains('*') {
                problems.push(Problem::new(
                    format!("{key}.from[{index}]"),
                    format!("`{from}` is neither a mail address nor a domain"),
                    "write the bare address, `no-reply@example.com`, or `@example.com` for every \
                     address of that domain",
                ));
            }
        }

        let matchers = matcher::compile(&format!("{key}.matchers"), &settings.matchers, problems);
        for matcher in &matchers {
            let name = matcher.name();
            let is_field = name.strip_prefix("header_").is_some_and(|field| {
                // A dash is written `_`, so a name with a dash would never be found.
                !field.is_empty() && !field.contains('-')
            });
            if !is_field && !matches!(name, "subject" | "to" | "list_id") {
                problems.push(Problem::new(
                    format!("{key}.matchers"),
                    format!("a mail cannot be matched by `{name}`"),
                    "match `subject`, `to`, `list_id` or `header_NAME` (in lower case, `-` as `_`)",
                ));
            }
        }

        if settings.from.is_empty() && settings.matchers.is_empty() {
            problems.push(Problem::new(
                key,
                "without a match the profile would take every mail",
                "say whose mail it is: `match: { from: [alerts@example.com] }`",
            ));
        }

        let wants = |matcher: &&Matcher| {
            matcher.name() == "subject"
                && matches!(matcher.operator(), Operator::Equal | Operator::Matches)
        };
        Self {
            from: settings.from.clone(),
            subjects: Subjects(matchers.iter().filter(wants).cloned().collect()),
            matchers,
        }
    }

    pub fn subjects(&self) -> Subjects {
        self.subjects.clone()
    }

    fn judge(&self, header: &[u8]) -> Answer {
        let sender = if self.from.is_empty() {
            Sender::Configured
        } else {
            sender::read(header, &self.from)
        };

        match sender {
            // Mail that cannot be read but names the sender is told, whatever the matchers see of
            // it.
            Sender::Unknown(why) if sender::is_hinted_at(header, &self.from) => {
                Answer::Doubtful(of_match(&why))
            }
            Sender::Other(why) | Sender::Unknown(why) => Answer::Another(of_match(&why)),
            Sender::Configured => match self.unfulfilled(header) {
                None => Answer::Takes,
                Some((_, why)) if self.from.is_empty() => Answer::Another(why),
                Some(("subject", _)) if is_broken_off(header) => {
                    Answer::Doubtful("its header breaks off before its Subject and Date".to_owned())
                }
                Some((_, why)) => Answer::Unmatched(why),
            },
            Sender::Doubtful(why) => match self.unfulfilled(header) {
                None => Answer::Doubtful(of_match(&why)),
                Some(("subject", _)) if is_broken_off(header) => Answer::Doubtful(of_match(&why)),
                Some((_, unmatched)) => Answer::Unmatched(unmatched),
            },
        }
    }

    /// Returns the fields of the header that the matchers look at.
    pub fn looks_at(&self) -> impl Iterator<Item = Read> {
        self.matchers.iter().map(|matcher| {
            Read::Field(match matcher.name() {
                "subject" => "Subject".to_owned(),
                "to" => "To".to_owned(),
                "list_id" => "List-Id".to_owned(),
                name => name.trim_start_matches("header_").replace('_', "-"),
            })
        })
    }

    /// Returns why the profile does not certainly take a mail; `None` if it does.
    pub fn miss(&self, header: &[u8]) -> Option<String> {
        match self.judge(header) {
            Answer::Takes => None,
            Answer::Doubtful(why) | Answer::Unmatched(why) | Answer::Another(why) => Some(why),
        }
    }

    /// Returns the name that the first failing matcher looks at, and why it does not hold; `None`
    /// if all hold.
    fn unfulfilled(&self, header: &[u8]) -> Option<(&str, String)> {
        self.matchers.iter().find_map(|matcher| {
            let name = matcher.name();
            let value = value(header, name);
            // A field may be matched in another form as well: the id of a list, or a Subject
            // without its tags.
            let other = match name {
                "list_id" => id(&value),
                "subject" => Some(self.subjects.read(&value, |_| true)),
                _ => None,
            };
            let holds = match (other, matcher.operator()) {
                (Some(other), Operator::NotEqual | Operator::NotMatches) => {
                    matcher.holds_for(&value) && matcher.holds_for(other)
                }
                (Some(other), _) if name == "subject" => holds(matcher, &value, other),
                (Some(other), _) => matcher.holds_for(&value) || matcher.holds_for(other),
                (None, _) => matcher.holds_for(&value),
            };
            (!holds).then(|| {
                let why =
                    format!("`match.matchers` requires {matcher}, but {name} is `{value:.200}`");
                (name, why)
            })
        })
    }
}

/// Returns whether a header ends before the fields that every mail has, so that the Subject is not
/// known.
fn is_broken_off(header: &[u8]) -> bool {
    first(header, b"Subject").is_none() && first(header, b"Date").is_none()
}

/// Returns the id of a List-Id (RFC 2919), which stands in brackets after the list's description.
fn id(list: &str) -> Option<&str> {
    let (_, id) = list.rsplit_once('<')?;
    id.split_once('>').map(|(id, _)| id.trim())
}

/// Returns the value of the header that a matcher sees; empty if there is no such field.
fn value(header: &[u8], name: &str) -> String {
    let field = match name {
        "subject" | "to" => first(header, name.as_bytes()),
        "list_id" => first(header, b"List-Id"),
        _ => {
            let name = name.strip_prefix("header_").unwrap_or(name);
            let is_called = |field: &[u8]| {
                let field = field.trim_ascii_end();
                field.len() == name.len()
                    && field.iter().zip(name.bytes()).all(|(byte, wanted)| {
                        let byte = if *byte == b'-' { b'_' } else { *byte };
                        byte.eq_ignore_ascii_case(&wanted)
                    })
            };
            fields(header)
                .flatten()
                .find(|field| is_called(field.name))
                .map(|field| field.value)
        }
    };

    field.map_or_else(String::new, |value| decoded(value, LONGEST_VALUE))
}

fn of_match(why: &str) -> String {
    why.replace("alerts.from", "`match.from`")
}

/// Returns the first profile that certainly takes a mail, otherwise the first that perhaps does,
/// otherwise the first whose sender it is from.
pub(super) fn taking<'a>(profiles: &'a [Arc<Profile>], header: &[u8]) -> Taking<'a> {
    let mut taking = Taking::Nobodys;
    for profile in profiles {
        match (profile.matching.judge(header), &taking) {
            (Answer::Takes, _) => return Taking::Taken(profile),
            (Answer::Doubtful(why), Taking::Nobodys | Taking::Unmatched(..)) => {
                taking = Taking::Doubtful(profile, why);
            }
            (Answer::Unmatched(why), Taking::Nobodys) => {
                taking = Taking::Unmatched(profile, why);
            }
            _ => {}
        }
    }

    taking
}

/// Returns what those profiles look at in a mail that they only refuse because of their matchers:
/// with other values they might have taken it.
pub(super) fn looked_at(profiles: &[Arc<Profile>], header: &[u8]) -> impl Iterator<Item = Read> {
    profiles
        .iter()
        .filter(|profile| match profile.matching.judge(header) {
            Answer::Unmatched(_) => true,
            // Only the matchers keep the profile from taking the mail.
            Answer::Another(_) => profile.matching.from.is_empty(),
            Answer::Takes | Answer::Doubtful(_) => false,
        })
        .flat_map(|profile| profile.matching.looks_at())
}

/// Returns why each profile does not take a mail.
pub(super) fn misses(profiles: &[Arc<Profile>], header: &[u8]) -> Vec<Miss> {
    profiles
        .iter()
        .filter_map(|profile| {
            let reason = profile.matching.miss(header)?;
            let profile = profile.name.to_string();
            Some(Miss { profile, reason })
        })
        .collect()
}

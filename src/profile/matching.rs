//! Whose mail it is, by the header alone.

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

/// The longest value of the header that is matched, in characters.
const LONGEST_VALUE: usize = 2_000;

/// What the profiles say of a mail's header.
#[derive(Debug)]
pub enum Taking<'a> {
    /// The profile takes it.
    Taken(&'a Arc<Profile>),
    /// Programs would not agree whether it is from the profile's sender: it is told as unparsed.
    Doubtful(&'a Arc<Profile>, String),
    /// It is from the profile's sender, and is none of the mail that the profile takes: ignored.
    Unmatched(&'a Arc<Profile>, String),
    /// It is of no profile's sender.
    Nobodys,
}

/// `match`, compiled.
#[derive(Debug)]
pub(super) struct Matching {
    from: Vec<String>,
    matchers: Vec<Matcher>,
    subjects: Subjects,
}

/// Which Subject a profile wants.
#[derive(Debug, Clone)]
pub(super) struct Subjects(Vec<Matcher>);

impl Subjects {
    /// The Subject as the profile reads it: without tags of gateways, and without as much more of
    /// what stands in brackets in front of it as it takes for all matchers to hold that want
    /// something of it, and for `then`. Where they never do, it is only the tags that are left out.
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

/// Whether a matcher that wants something of the Subject holds for what it is read as. `.+` before
/// the rest must not take a tag and a reply for a Subject, unless a tag is wanted.
fn holds(matcher: &Matcher, written: &str, read: &str) -> bool {
    matcher.holds_for(read) || (is_wanted_by(&matcher.to_string()) && matcher.holds_for(written))
}

/// What one profile says.
enum Answer {
    Takes,
    Doubtful(String),
    /// The matchers do not hold.
    Unmatched(String),
    /// Another sender; or any may send, and the matchers do not hold.
    Another(String),
}

impl Matching {
    pub fn compile(key: &str, settings: &Match, problems: &mut Vec<Problem>) -> Self {
        for (index, from) in settings.from.iter().enumerate() {
            let bare = from.strip_prefix('@').map(|domain| format!("x@{domain}"));
            // A star is no wild card here, and in no sender's address.
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
                // A dash is written `_`, so that a name with one is never found.
                !field.is_empty() && !field.contains('-')
            });
            if !is_field && !matches!(name, "subject" | "to" | "list_id") {
                problems.push(Problem::new(
                    format!("{key}.matchers"),
                    format!("`{name}` is nothing that a mail is matched by"),
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
            // What cannot be read and names the sender is told, whatever the matchers see of it.
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

    /// The fields of the header that the matchers look at.
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

    /// Why the profile does not take a mail for certain; none where it does.
    pub fn miss(&self, header: &[u8]) -> Option<String> {
        match self.judge(header) {
            Answer::Takes => None,
            Answer::Doubtful(why) | Answer::Unmatched(why) | Answer::Another(why) => Some(why),
        }
    }

    /// What the matcher that does not hold looks at, and why it does not, if one does not.
    fn unfulfilled(&self, header: &[u8]) -> Option<(&str, String)> {
        self.matchers.iter().find_map(|matcher| {
            let name = matcher.name();
            let value = value(header, name);
            // What else the field may be taken for: the id of a list, a Subject without its tags.
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
                let why = format!("`match.matchers` wants {matcher}, and {name} is `{value:.200}`");
                (name, why)
            })
        })
    }
}

/// Whether a header ends before the fields that every mail has: what a matcher would see of the
/// Subject is not known.
fn is_broken_off(header: &[u8]) -> bool {
    first(header, b"Subject").is_none() && first(header, b"Date").is_none()
}

/// The id of a List-Id (RFC 2919), which stands in brackets behind what the list is called.
fn id(list: &str) -> Option<&str> {
    let (_, id) = list.rsplit_once('<')?;
    id.split_once('>').map(|(id, _)| id.trim())
}

/// What a matcher sees of the header; empty where there is no such field.
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

/// The first profile that certainly takes a mail; else the first that perhaps does; else the first
/// whose sender it is from.
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

/// What these look at of a mail that is from their sender and that they do not take: without it
/// they might have.
pub(super) fn looked_at(profiles: &[Arc<Profile>], header: &[u8]) -> impl Iterator<Item = Read> {
    profiles
        .iter()
        .filter(|profile| match profile.matching.judge(header) {
            Answer::Unmatched(_) => true,
            // Only the matchers keep it from taking the mail.
            Answer::Another(_) => profile.matching.from.is_empty(),
            Answer::Takes | Answer::Doubtful(_) => false,
        })
        .flat_map(|profile| profile.matching.looks_at())
}

/// Why each of them does not take a mail.
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

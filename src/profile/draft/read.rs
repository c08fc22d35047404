//! How a draft reads the mails that it was made from.

use crate::profile::{Found, Meaning, Profile};

/// How a draft reads its mails, and what is not as it should be.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Tried {
    /// The alert that was read in each mail, the opening one first; `None` if the mail cannot be
    /// read.
    pub read: Vec<Option<Read>>,
    /// What needs manual work; empty if the draft reads its mails as it should.
    pub doubts: Vec<String>,
}

/// An alert as the draft reads it.
#[derive(Debug, Clone, PartialEq)]
pub struct Read {
    pub key: String,
    pub status: String,
    pub meaning: Meaning,
    /// The beginning of the text of a page.
    pub title: Option<String>,
    pub severity: Option<String>,
}

/// Reads the mails with a draft.
pub fn tried(profile: &Profile, opening: &[u8], closing: Option<&[u8]>) -> Tried {
    let mut tried = Tried::default();
    tried.take(profile, opening, "opening", Meaning::Trigger);
    if let Some(closing) = closing {
        tried.take(profile, closing, "closing", Meaning::Resolve);
    }

    if let [Some(on), Some(over)] = tried.read.as_slice()
        && on.key != over.key
    {
        tried.doubts.push(format!(
            "the key is `{}` in the opening mail and `{}` in the closing one: correct `fields.key`",
            on.key, over.key
        ));
    }
    tried
}

impl Tried {
    fn take(&mut self, profile: &Profile, raw: &[u8], which: &str, expected: Meaning) {
        let found = profile.read(raw).into_iter().next();
        let read = match found {
            Some(Found::Alert(alert)) => {
                if alert.meaning != expected {
                    self.doubts.push(format!(
                        "the status of the {which} mail is `{}`, which `status` does not tell \
                         apart: correct `status`",
                        alert.status
                    ));
                }
                let label = |name: &str| alert.labels.get(name).cloned();
                Some(Read {
                    title: label("title"),
                    severity: label("severity"),
                    key: alert.key,
                    status: alert.status,
                    meaning: alert.meaning,
                })
            }
            Some(Found::Unparsed { reason, .. } | Found::Ignored { reason }) => {
                self.doubts
                    .push(format!("the {which} mail cannot be read: {reason}"));
                None
            }
            None => None,
        };
        self.read.push(read);
    }
}

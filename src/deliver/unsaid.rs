//! The verdict on a reply, without the credentials that the reply may echo. Pure.

use super::{Client, next};
use crate::{
    delivery::Verdict,
    receiver::{Keys, Reply, Request, status},
};

/// The texts that a verdict must not repeat.
pub(super) struct Unsaid {
    /// The receiver's credentials, which are neither kept nor shown.
    credentials: Keys,
    /// The same, and the values from the environment in the integration's texts, which are not
    /// shown but kept in receipts. `None` if there are none, so that a reply is searched once.
    ///
    /// Such a value may be a credential, but also a channel or a domain. Then receipts contain it
    /// by right, and a receipt that was altered ends no alert. A text that is known to be a
    /// credential is no part of an alert's name.
    all: Option<Keys>,
}

impl Unsaid {
    /// Collects these texts. `keys` are those of the request, and `given` the values from the
    /// environment.
    pub(super) fn new<'a>(
        keys: Keys,
        client: &Client,
        request: &Request,
        given: impl Iterator<Item = &'a str>,
    ) -> Self {
        let credentials = keys.hiding(client.hidden(request));
        let mut given = given.peekable();
        let are_any = given.peek().is_some();
        let all = are_any.then(|| credentials.clone().hiding(given));
        Self { credentials, all }
    }

    /// Returns the verdict on a reply. Its receipt may be kept, and [`Unsaid::shown`] makes its
    /// detail fit to be shown.
    ///
    /// The reply is judged as it came, because the word that decides may also be a channel of the
    /// environment or a part of the address. What is kept and shown of the reply is taken from
    /// judging it again without such texts: a verdict quotes the reply, and a credential that was
    /// cut in half would no longer be recognised.
    pub(super) fn judged(&self, reply: &Reply, judge: impl Fn(&Reply) -> Verdict) -> Verdict {
        let verdict = judge(reply);
        let kept = scrubbed(reply, &self.credentials);
        let apart = self.all.as_ref().map(|all| scrubbed(reply, all));
        let shown = apart.as_ref().unwrap_or(&kept);
        if kept == *reply && shown == reply {
            return verdict;
        }

        let verdict = match (verdict, judge(&kept)) {
            (Verdict::Delivered { .. }, kept @ Verdict::Delivered { receipt: Some(_) })
            | (Verdict::Accepted { .. }, kept @ Verdict::Accepted { .. }) => kept,
            (Verdict::Delivered { receipt }, _) => Verdict::Delivered {
                receipt: receipt.map(|receipt| self.credentials.scrub(&receipt)),
            },
            (Verdict::Accepted { request_id }, _) => Verdict::Accepted {
                request_id: self.credentials.scrub(&request_id),
            },
            (verdict, _) => verdict,
        };

        let said = judge(shown);
        let is_alike = next::result(&said) == next::result(&verdict);
        worded(verdict, |_| match said {
            Verdict::Retry { detail, .. }
            | Verdict::Permanent { detail, .. }
            | Verdict::Partly { detail, .. }
                if is_alike =>
            {
                detail
            }
            _ => status::detail(shown),
        })
    }

    /// Returns the verdict without any of these texts in its detail, even the briefest.
    pub(super) fn shown(&self, verdict: Verdict) -> Verdict {
        let all = self.all.as_ref().unwrap_or(&self.credentials);
        worded(verdict, |detail| all.shown(&detail))
    }
}

/// Returns the verdict with another detail, if it has one.
fn worded(verdict: Verdict, word: impl FnOnce(String) -> String) -> Verdict {
    match verdict {
        Verdict::Retry {
            reason,
            detail,
            after,
        } => Verdict::Retry {
            reason,
            detail: word(detail),
            after,
        },
        Verdict::Permanent { reason, detail } => Verdict::Permanent {
            reason,
            detail: word(detail),
        },
        Verdict::Partly { next, detail } => Verdict::Partly {
            next,
            detail: word(detail),
        },
        Verdict::Delivered { .. } | Verdict::Accepted { .. } | Verdict::NotYet => verdict,
    }
}

/// Returns the reply without any text that it may echo.
pub(super) fn scrubbed(reply: &Reply, keys: &Keys) -> Reply {
    let headers = reply
        .headers
        .iter()
        .map(|(name, value)| (name.clone(), keys.scrub(value)))
        .collect();

    Reply {
        headers,
        body: keys
            .scrub(&String::from_utf8_lossy(&reply.body))
            .into_bytes(),
        ..*reply
    }
}

#[cfg(test)]
mod tests;

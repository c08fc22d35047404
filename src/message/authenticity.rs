//! What is known about a mail's sender: the verdict, and the evidence for it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The conclusion about a mail's sender when it arrived.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Authenticity {
    pub verdict: Verdict,
    /// The evidence that proved it, if any.
    pub evidence: Option<Evidence>,
    /// The domain that vouches, or whose evidence was refuted.
    pub domain: Option<String>,
    /// The domain's key that signed (RFC 6376, 3.1), if it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<String>,
    /// The SPF result of the SMTP client (RFC 7208, 2.6), in one word. It is recorded, and never
    /// evidence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spf: Option<String>,
    /// A sentence for people: what was examined, and why it passed or failed.
    pub detail: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It is proven to be from the sender.
    Pass,
    /// There is evidence, and it is refuted.
    Fail,
    /// There is no evidence at all.
    None,
    /// DNS did not answer, and nothing else proves the mail.
    TempError,
    /// The check is switched off (`alerts.authenticity.require: []`).
    Off,
}

impl Verdict {
    /// Returns the word used in JSON, labels and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::None => "none",
            Self::TempError => "temperror",
            Self::Off => "off",
        }
    }
}

/// A kind of evidence that can prove the sender of a mail.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    JsonSchema,
    ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Evidence {
    /// The mail's own DKIM signature, verified here.
    Dkim,
    /// The result that the mailbox's host recorded when the mail arrived there (RFC 8601).
    AuthenticationResults,
    /// A chain of seals by forwarders (RFC 8617).
    Arc,
}

impl Evidence {
    /// Returns the word used in JSON and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Dkim => "dkim",
            Self::AuthenticationResults => "authentication_results",
            Self::Arc => "arc",
        }
    }
}

impl Authenticity {
    /// Returns whether anybody may have sent the mail, although the check is on.
    pub fn is_unproven(&self) -> bool {
        !matches!(self.verdict, Verdict::Pass | Verdict::Off)
    }

    /// Returns a verdict without evidence, and its reason.
    pub fn unproven(verdict: Verdict, detail: impl Into<String>) -> Self {
        Self {
            verdict,
            evidence: None,
            domain: None,
            selector: None,
            spf: None,
            detail: Some(detail.into()),
        }
    }

    /// Returns the verdict while `alerts.authenticity.require` is empty.
    pub fn off() -> Self {
        Self::unproven(
            Verdict::Off,
            "authenticity is not checked: alerts.authenticity.require is empty",
        )
    }
}

impl std::fmt::Display for Authenticity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{}: {}",
            self.verdict.as_str(),
            self.detail.as_deref().unwrap_or_default()
        )?;

        self.spf.as_ref().map_or(Ok(()), |spf| {
            write!(f, " (SPF of the client, for the record: {spf})")
        })
    }
}

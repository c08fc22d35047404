//! Mail to people, by SMTP.
//!
//! The mails of an incident form one thread: each replies to its trigger and references a root that
//! is derived from the alias. A Message-ID is the same across retries and unique to one mail,
//! because servers drop a second mail with the same one. `Auto-Submitted` (RFC 3834) keeps
//! automatic responders from answering.

use std::{borrow::Cow, fmt};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};
use serde_json::Value;

use super::{
    Body, Credential, Keys, Mail, Parcel, Receiver, RenderError, Reply, Request,
    escape::Escape,
    options::Options,
    page::Page,
    site::Site,
    smarthost::{self, Smarthost},
    status,
    template::Template,
    text::{cut, one_line},
    transport::Tls,
    wording,
};
use crate::{
    delivery::{Action, FailureReason, Step, Verdict, sha256_hex},
    message::header::first,
    settings::{self, DefaultOn, host::is_address},
};

/// The longest subject, in units. Nobody reads a longer one.
const SUBJECT: usize = 250;
const TEXT: usize = 64 << 10;

/// The number of characters of a hash that precede the `@` in a Message-ID.
const IDENTITY: usize = 32;

/// The largest number of recipients. More should be a mailing list.
const RECIPIENTS: usize = 50;

/// Mails, sent through a mail server (`email_configs[]`).
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The 1 to 50 addresses to which mails are sent, as a list or separated by commas.
    pub to: Addresses,
    /// The address from which mails are sent. It must not be one whose mail is read as an alert.
    pub from: String,
    /// The mail server through which mails are sent. It is required.
    pub smarthost: Option<smarthost::Settings>,
    /// A template of the Subject. The default is the headline.
    pub subject: Option<String>,
    /// A template of the text, in plain text. The default is everything that is known.
    pub text: Option<String>,
    /// Whether the integration is notified when an incident is resolved. The default is `true`.
    pub send_resolved: DefaultOn,
    /// The most mails in a second, minute or hour: `1/s`, `60/m`, `1000/h`. By default mails are
    /// not paced.
    pub rate_limit: Option<String>,
    /// How long one attempt may take, from 1s to 5m. The default is `delivery.timeout`.
    pub timeout: Option<settings::Duration>,
    /// The certificates that are trusted, and the client's own.
    pub tls: Option<Tls>,
}

impl Settings {
    /// Returns the sender's address, without a name.
    pub fn sender(&self) -> &str {
        let address = self.from.rsplit('<').next().unwrap_or_default();
        address.trim().trim_end_matches('>')
    }
}

/// Mail addresses: a list, or one text in which commas separate them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Addresses(Vec<String>);

/// An `email_configs` entry, compiled.
pub struct Email {
    to: Vec<Address>,
    from: Address,
    smarthost: Smarthost,
    subject: Option<Template>,
    text: Option<Template>,
    options: Options,
}

/// A mailbox: `Name <local@domain>`, or the address alone.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Address {
    name: String,
    address: String,
}

impl Email {
    pub(super) fn compile(settings: &Settings, site: &mut Site<'_>) -> Option<Self> {
        let from = Address::compile("from", &settings.from, site);
        let to: Vec<_> = settings.to.0.iter().collect();
        if to.is_empty() || to.len() > RECIPIENTS {
            site.problem(
                "to",
                format!(
                    "there are {} addresses; from 1 to {RECIPIENTS} are allowed",
                    to.len()
                ),
                "list the recipients",
            );
        }
        let to: Vec<_> = to
            .into_iter()
            .filter_map(|text| Address::compile("to", text, site))
            .collect();
        for Address { address, .. } in &to {
            site.leads_to("to", address);
        }

        let smarthost = if let Some(smarthost) = &settings.smarthost {
            Smarthost::compile(smarthost, site.below("smarthost"))
        } else {
            let key = site.at("smarthost");
            site.problems([smarthost::missing(key)]);
            None
        };

        let subject = site.template("subject", settings.subject.as_ref(), Escape::No);
        let text = site.template("text", settings.text.as_ref(), Escape::No);
        let options = Options::compile(
            settings.send_resolved,
            settings.rate_limit.as_ref(),
            settings.timeout,
            None,
            settings.tls.as_ref(),
            site,
        );

        Some(Self {
            to,
            from: from?,
            smarthost: smarthost?,
            subject,
            text,
            options,
        })
    }

    /// Returns the Message-ID of a mail, which stays the same across retries.
    fn message_id(&self, parcel: &Parcel<'_>) -> String {
        let unique = format!(
            "{}\n{}\n{}",
            parcel.alias,
            parcel.notification.action.as_str(),
            parcel.delivery
        );
        self.identified(&unique)
    }

    /// Returns the Message-ID that all mails about an alias reference. No mail has it.
    fn root(&self, parcel: &Parcel<'_>) -> String {
        self.identified(parcel.alias)
    }

    fn identified(&self, text: &str) -> String {
        let (_, domain) = self.from.address.rsplit_once('@').unwrap_or_default();
        format!("<{}@{domain}>", &sha256_hex(text.as_bytes())[..IDENTITY])
    }

    fn body(&self, page: &Page<'_>, subject: &str, parcel: &Parcel<'_>) -> String {
        let mut text = page.text(self.text.as_ref()).unwrap_or_else(|| {
            let link = parcel.incident_url().map(|url| format!("\n\n{url}"));
            wording::body(parcel.notification) + &link.unwrap_or_default()
        });
        let mark = wording::mark(parcel.notification);
        if !text.contains(mark.trim()) {
            text.insert_str(0, &format!("{subject}\n\n"));
        }
        if let Some(notes) = page.notes() {
            text.push_str(&format!("\n\n({notes})"));
        }
        cut(&text, TEXT)
    }
}

impl Receiver for Email {
    fn secrets(&self) -> Vec<&Credential> {
        self.smarthost.credential().into_iter().collect()
    }

    fn request(&self, parcel: &Parcel<'_>, _: &Keys) -> Result<Request, RenderError> {
        let page = Page::new(parcel);
        let subject = page.headline(self.subject.as_ref());
        let subject = subject.unwrap_or_else(|| wording::title(parcel.notification, SUBJECT));
        let subject = cut(&one_line(&subject), SUBJECT);

        let root = self.root(parcel);
        let told = parcel
            .receipt
            .filter(|receipt| is_message_id(receipt))
            .map(ToOwned::to_owned);
        let references = [Some(root.clone()), told.clone()];
        let to: Vec<_> = self.to.iter().map(Address::to_string).collect();

        let headers: [(&'static str, String); 9] = [
            ("From", self.from.to_string()),
            ("To", to.join(", ")),
            ("Subject", subject.clone()),
            ("Date", date(parcel)),
            ("Message-ID", self.message_id(parcel)),
            ("In-Reply-To", told.unwrap_or(root)),
            (
                "References",
                references
                    .into_iter()
                    .flatten()
                    .collect::<Vec<_>>()
                    .join(" "),
            ),
            ("Auto-Submitted", "auto-generated".to_owned()),
            ("X-Auto-Response-Suppress", "All".to_owned()),
        ];

        let recipients = match parcel.step {
            Step::Rest { to } => to.clone(),
            _ => self.to.iter().map(|to| to.address.clone()).collect(),
        };

        Ok(Request {
            method: "SMTP",
            url: self.smarthost.url(),
            headers: headers
                .into_iter()
                .map(|(name, value)| (Cow::Borrowed(name), value))
                .collect(),
            body: Body::Mail(Mail {
                recipients,
                text: self.body(&page, &subject, parcel),
            }),
        })
    }

    /// Judges the reply of SMTP: 4xx asks for another attempt, and 5xx is final. Recipients that
    /// the server refuses, while it accepts the mail for others, are tried separately.
    fn judge(&self, parcel: &Parcel<'_>, reply: &Reply) -> Verdict {
        let detail = quoted(reply.status, &String::from_utf8_lossy(&reply.body));
        match reply.status {
            200..=299 => {
                let refused = refused(reply);
                if refused.is_empty() {
                    return Verdict::Delivered {
                        receipt: Some(self.message_id(parcel)),
                    };
                }
                let whom = refused.join(", ");
                Verdict::Partly {
                    next: Step::Rest { to: refused },
                    detail: format!("the server accepted the mail, but not for {whom}"),
                }
            }
            421 => Verdict::Retry {
                reason: FailureReason::ServerError,
                detail,
                after: None,
            },
            400..=499 => Verdict::Retry {
                reason: FailureReason::RateLimited,
                detail,
                after: None,
            },
            530 | 534 | 535 | 538 => Verdict::Permanent {
                reason: FailureReason::Unauthorized,
                detail,
            },
            500..=599 => Verdict::Permanent {
                reason: FailureReason::Rejected,
                detail,
            },
            _ => Verdict::Retry {
                reason: FailureReason::UnexpectedReply,
                detail,
                after: None,
            },
        }
    }

    fn example_receipt(&self, action: Action) -> Option<&'static str> {
        (action != Action::Trigger).then_some("<trigger@alertbridge.example>")
    }

    fn smarthost(&self) -> Option<&Smarthost> {
        Some(&self.smarthost)
    }

    fn options(&self) -> &Options {
        &self.options
    }
}

/// Formats a reply as `SMTP 550: what it said`.
fn quoted(status: u16, said: &str) -> String {
    status::quoted(status, said).replacen("HTTP", "SMTP", 1)
}

/// Returns the recipients that the server refused, while it accepted the mail for others; see
/// `deliver`.
fn refused(reply: &Reply) -> Vec<String> {
    let json: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
    let refused = json["refused"].as_array().into_iter().flatten();
    refused
        .filter_map(|one| one.as_str().map(ToOwned::to_owned))
        .collect()
}

/// Returns the time of sending, in the format of mail.
fn date(parcel: &Parcel<'_>) -> String {
    let zoned = parcel.now.to_zoned(jiff::tz::TimeZone::UTC);
    jiff::fmt::rfc2822::to_string(&zoned).unwrap_or_default()
}

/// Whether a header is that of a page as this module makes it. This proves nothing, because anybody
/// can write such a header.
pub(super) fn is_page(header: &[u8]) -> bool {
    let value = |name: &[u8]| first(header, name).unwrap_or_default().trim_ascii();
    let root = value(b"In-Reply-To").strip_prefix(b"<").unwrap_or_default();
    let hex = root.iter().take_while(|byte| byte.is_ascii_hexdigit());

    value(b"Auto-Submitted").eq_ignore_ascii_case(b"auto-generated")
        && hex.count() == IDENTITY
        && root.get(IDENTITY) == Some(&b'@')
}

fn is_message_id(text: &str) -> bool {
    text.starts_with('<')
        && text.ends_with('>')
        && text.len() <= 200
        && text.bytes().all(|byte| byte.is_ascii_graphic())
}

impl Address {
    fn compile(field: &'static str, text: &str, site: &mut Site<'_>) -> Option<Self> {
        let text = text.trim();
        let (name, address) = match text.rsplit_once('<') {
            Some((name, rest)) => (name.trim().trim_matches('"'), rest.strip_suffix('>')?),
            None => ("", text),
        };
        let is_plain = name
            .chars()
            .all(|c| !c.is_control() && c != '"' && c != '\\');
        if !is_address(address) || !is_plain {
            site.problem(
                field,
                format!("`{}` is not a valid address", cut(&one_line(text), 80)),
                "write it like oncall@example.com, or On call <oncall@example.com>",
            );
            return None;
        }
        Some(Self {
            name: name.to_owned(),
            address: address.to_owned(),
        })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.name.is_empty() {
            f.write_str(&self.address)
        } else {
            write!(f, "\"{}\" <{}>", self.name, self.address)
        }
    }
}

impl<'de> Deserialize<'de> for Addresses {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Addresses;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an address, or a list of them")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Addresses, E> {
                let each = text.split(',').map(|one| one.trim().to_owned());
                Ok(Addresses(each.filter(|one| !one.is_empty()).collect()))
            }

            fn visit_seq<A: de::SeqAccess<'de>>(self, mut list: A) -> Result<Addresses, A::Error> {
                let mut all = Vec::new();
                while let Some(one) = list.next_element()? {
                    all.push(one);
                }
                Ok(Addresses(all))
            }
        }

        deserializer.deserialize_any(Visitor)
    }
}

impl JsonSchema for Addresses {
    fn schema_name() -> Cow<'static, str> {
        "Addresses".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": ["string", "array"],
            "items": { "type": "string" },
            "description": "Mail addresses: a list, or one string that separates them by commas."
        })
    }
}

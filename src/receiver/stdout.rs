//! Pages printed to standard output, one line each.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    Body, Credential, Keys, Parcel, Receiver, RenderError, Reply, Request, escape::Escape,
    options::Options, page::Page, site::Site, status, template::Template, text::cut, wording,
};
use crate::{delivery::Verdict, settings::DefaultOn};

/// The longest line that is printed, in units.
const LINE: usize = 4096;

/// Lines on standard output (`stdout_configs[]`).
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// A template of the line. The default is the built-in text.
    pub text: Option<String>,
    /// Whether the integration is notified when an incident is resolved. The default is `true`.
    pub send_resolved: DefaultOn,
}

/// A `stdout_configs` entry, compiled.
pub struct Stdout {
    text: Option<Template>,
    options: Options,
}

impl Stdout {
    #[expect(
        clippy::unnecessary_wraps,
        reason = "every integration is compiled by the same signature"
    )]
    pub(super) fn compile(settings: &Settings, site: &mut Site<'_>) -> Option<Self> {
        Some(Self {
            text: site.template("text", settings.text.as_ref(), Escape::No),
            options: Options::local(settings.send_resolved),
        })
    }
}

impl Receiver for Stdout {
    fn secrets(&self) -> Vec<&Credential> {
        Vec::new()
    }

    fn request(&self, parcel: &Parcel<'_>, _: &Keys) -> Result<Request, RenderError> {
        let page = Page::new(parcel);
        let notification = parcel.notification;
        let mut line = page.headline(self.text.as_ref()).unwrap_or_else(|| {
            let severity = wording::one(notification, "severity");
            let severity = if severity.is_empty() {
                severity
            } else {
                format!("[{}] ", cut(&severity, 32))
            };

            // An alias that is a hash means nothing to people.
            let id = wording::one(notification, "incident_id");
            let id = if parcel.alias.contains(&id) {
                String::new()
            } else {
                format!(" ({})", cut(&id, 256))
            };
            format!(
                "{:.0} {} {} {severity}{}{id}",
                notification.time.unwrap_or(notification.arrived_at),
                notification.action.told_as().to_uppercase(),
                parcel.alias,
                wording::title(notification, 1024),
            )
        });

        if let Some(notes) = page.notes() {
            line = format!("{} ({notes})", cut(&line, LINE / 2));
        }

        let body = Body::Text(cut(&line, LINE));

        Ok(Request {
            method: "PRINT",
            url: "stdout:".into(),
            headers: Vec::new(),
            body,
        })
    }

    fn judge(&self, _: &Parcel<'_>, reply: &Reply) -> Verdict {
        status::verdict(reply)
    }

    fn options(&self) -> &Options {
        &self.options
    }
}

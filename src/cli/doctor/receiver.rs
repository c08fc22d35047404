//! Sends every integration a request that notifies nobody, over the transport of its pages.

use jiff::{Timestamp, civil};

use super::{
    Deployment,
    finding::{Checked, Finding},
};
use crate::{
    delivery::Target,
    receiver::{
        Keys, Receiver, Request,
        probe::{self, Shown},
        sample,
    },
};

/// The day after which Opsgenie accepts no alerts.
const OPSGENIE_ENDS: civil::Date = civil::date(2027, 4, 5);

pub async fn check(deployment: &Deployment, target: &Target) -> Checked {
    let mut checked = Checked::default();
    let receivers = &deployment.rules.receivers;
    let about = format!("{} ({})", target.receiver, receivers.place(target));

    if target.kind() == "opsgenie" {
        checked
            .findings
            .push(ending(&about, deployment.clock.now()));
    }

    let Some(receiver) = receivers.integrations.get(target) else {
        return checked;
    };
    let (page, request, keys) = match question(target, receiver.as_ref()) {
        Ok(Some(question)) => question,
        Ok(None) => return checked,
        Err(finding) => {
            checked.findings.push(finding.at(about));
            return checked;
        }
    };

    let keys = keys.hiding(receivers.given(target));
    let host = url::Url::parse(&request.url).ok();
    let host = host
        .as_ref()
        .and_then(url::Url::host_str)
        .unwrap_or_default();

    let finding = match deployment.client.probe(target, request, keys).await {
        Ok((reply, keys)) => {
            checked.hear(host, reply.headers.get("date"), deployment.clock.now());
            let shown = match probe::judge(target.kind(), &page, &reply) {
                Shown::Refused(how) => Shown::Refused(keys.shown(&how)),
                shown => shown,
            };
            judged(target, about, host, shown)
        }
        Err(why) => unreachable(about, host, &why),
    };
    checked.findings.push(finding);

    checked
}

/// Returns the address of a page, the probe for it, and the keys that it holds.
fn question(
    target: &Target,
    receiver: &dyn Receiver,
) -> Result<Option<(String, Request, Keys)>, Unasked> {
    let keys = Keys::read(receiver).map_err(|error| Unasked {
        what: error.to_string(),
        mend: "put the file there, readable by the user alertbridge runs as",
    })?;

    let [(_, page), ..] = sample::notifications();
    let page = sample::parcel(&page, |parcel| receiver.request(parcel, &keys));
    let page = page.map_err(|error| Unasked {
        what: keys.shown(&error.to_string()),
        mend: "correct the template or the secret that it names",
    })?;

    let address = page.url.clone();
    Ok(probe::request(target.kind(), page).map(|request| (address, request, keys)))
}

/// A receiver for which no page can be rendered.
struct Unasked {
    what: String,
    mend: &'static str,
}

impl Unasked {
    fn at(self, about: String) -> Finding {
        Finding::wrong("receiver", about, self.what, self.mend)
    }
}

fn judged(target: &Target, about: String, host: &str, shown: Shown) -> Finding {
    match shown {
        Shown::Known => Finding::ok("receiver", about, format!("{host} accepts the credential")),
        Shown::Answers => {
            let name = &target.receiver;
            let what = format!(
                "{host} answers; only a page shows whether it accepts pages: `alertbridge \
                 receivers test {name}`"
            );
            Finding::ok("receiver", about, what)
        }
        Shown::Refused(how) => {
            let mend = match target.kind() {
                "opsgenie" => {
                    "give the key of an API integration that is switched on; an account of the EU \
                     needs `api_url: https://api.eu.opsgenie.com`"
                }
                "jsm" => "give the key of an API integration of the team in JSM, switched on",
                _ => "give a valid credential, and check whether the service works",
            };
            Finding::wrong(
                "receiver",
                about,
                format!("{host} does not accept pages: {how}"),
                mend,
            )
        }
    }
}

fn unreachable(about: String, host: &str, why: &str) -> Finding {
    let what = format!("{host} cannot be reached: {why}");
    let (check, mend) = if why.contains("TLS") {
        (
            "tls",
            "name the CA that signed its certificate in the integration's `tls: {ca_file}`, or \
             have an expired one renewed",
        )
    } else if why.contains("dns error") || why.contains("lookup") {
        (
            "dns",
            "correct the address, or fix this machine's name resolution (/etc/resolv.conf)",
        )
    } else {
        (
            "receiver",
            "correct the address, let this machine connect there through the firewall, or set \
             `proxy_url`",
        )
    };
    Finding::wrong(check, about, what, mend)
}

fn ending(about: &str, now: Timestamp) -> Finding {
    let today = now.to_zoned(jiff::tz::TimeZone::UTC).date();
    let mend = "move to Jira Service Management, and from `opsgenie_configs` to `jsm_configs`: \
                deploy/guides/opsgenie-to-jsm.md";
    if today >= OPSGENIE_ENDS {
        let what = "Opsgenie ended on 2027-04-05 and accepts no more alerts";
        return Finding::wrong("opsgenie", about, what, mend);
    }

    let days = today.until(OPSGENIE_ENDS).map_or(0, |left| left.get_days());
    let what =
        format!("Opsgenie ends on 2027-04-05, in {days} days, and accepts no alerts after that");
    Finding::warning("opsgenie", about, what, mend)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::doctor::finding::State;

    #[test]
    fn opsgenies_end_is_told_before_it_comes_and_wrong_from_then_on() {
        let at = |time: &str| ending("a", time.parse().unwrap());
        let before = at("2027-04-04T23:59:59Z");
        assert_eq!(before.state, State::Warning);
        assert!(before.what.contains("in 1 days"), "{}", before.what);
        assert_eq!(at("2027-04-05T00:00:00Z").state, State::Wrong);
    }
}

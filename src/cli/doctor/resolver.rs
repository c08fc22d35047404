//! Checks the name servers that authenticity depends on.

use super::{
    Deployment,
    finding::{Checked, Finding},
};

const ABOUT: &str = "alerts.authenticity.dns";
const MEND: &str = "name servers that answer in alerts.authenticity.dns, or fix the system's \
                    (/etc/resolv.conf); until then mail cannot be checked, and its resolves wait";

pub async fn check(deployment: &Deployment) -> Checked {
    let domain = &deployment.config.alerts.authenticity.domain;
    let finding = match deployment.config.authenticator(&deployment.rules.profiles) {
        Err(error) => Some(Finding::wrong("dns", ABOUT, error.to_string(), MEND)),
        Ok(authenticator) => authenticator.is_answered().await.map(|is_answered| {
            if is_answered {
                Finding::ok("dns", ABOUT, format!("a name server answers for {domain}"))
            } else {
                let what = format!("no name server answers for {domain}");
                Finding::wrong("dns", ABOUT, what, MEND)
            }
        }),
    };

    finding.into_iter().collect::<Vec<_>>().into()
}

//! Connects and logs in to the mail server of canaries, and sends nothing.

use super::{
    Deployment,
    finding::{Checked, Finding},
};
use crate::watch::canary::post;

const ABOUT: &str = "canary.send_via";

pub async fn check(deployment: &Deployment) -> Checked {
    let Some(canary) = &deployment.config.canary else {
        let what = "no canary is configured: nobody would notice if mail stopped coming in";
        let mend = "add `canary`, and watch its heartbeat from elsewhere";
        return vec![Finding::warning("canary", "canary", what, mend)].into();
    };

    let via = &canary.send_via;
    let finding = match post::try_out(via).await {
        Ok(()) => Finding::ok("canary", ABOUT, format!("{} accepts the login", via.smtp)),
        Err(why) => Finding::wrong(
            "canary",
            ABOUT,
            why,
            "correct `smtp`, `port`, `tls`, and the login, or have the mail server checked",
        ),
    };

    vec![finding].into()
}

//! Sends the collector of traces an empty export.

use super::{
    Deployment,
    finding::{Checked, Finding},
};

const ABOUT: &str = "telemetry.otlp_endpoint";

pub async fn check(deployment: &Deployment) -> Checked {
    let tried = deployment.config.telemetry.try_out("telemetry").await;
    let finding = match tried {
        Ok(None) => return Checked::default(),
        Ok(Some(endpoint)) => Finding::ok("traces", ABOUT, format!("{endpoint} accepts traces")),
        // This is a warning only, because pages are sent even without traces.
        Err(problem) => Finding::warning("traces", problem.key, problem.what, problem.mend),
    };

    vec![finding].into()
}

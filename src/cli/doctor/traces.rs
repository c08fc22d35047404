//! The collector of traces, sent an export without any.

use super::{
    Deployment,
    finding::{Checked, Finding},
};

const ABOUT: &str = "telemetry.otlp_endpoint";

pub async fn check(deployment: &Deployment) -> Checked {
    let tried = deployment.config.telemetry.try_out("telemetry").await;
    let finding = match tried {
        Ok(None) => return Checked::default(),
        Ok(Some(endpoint)) => Finding::ok("traces", ABOUT, format!("{endpoint} takes traces")),
        // Pages go out all the same.
        Err(problem) => Finding::warning("traces", problem.key, problem.what, problem.mend),
    };

    vec![finding].into()
}

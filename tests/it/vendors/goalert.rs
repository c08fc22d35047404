//! GoAlert's Generic API, as it is documented
//! (web/src/app/documentation/sections/IntegrationKeys.md in target/goalert) and as it answers
//! (genericapi/handler.go, alert/alert.go).

use super::{Answer, Call, Fake, Memory, Vendor, keyed::Keyed, optional, required};

/// `MaxSummaryLength` and `MaxDetailsLength`: what is longer is cut without a word.
const SUMMARY: usize = 1024;
const DETAILS: usize = 6 * 1024;

pub struct GoAlert {
    token: String,
    alerts: Keyed,
}

impl GoAlert {
    pub async fn start() -> Fake<Self> {
        let token = "00000000-0000-0000-0000-00000000beef";
        Fake::serve(Self::new(token), token).await
    }

    pub fn new(token: &str) -> Self {
        Self {
            token: token.to_owned(),
            alerts: Keyed::default(),
        }
    }

    fn checked(&self, call: &Call) -> Result<(String, String, String), (u16, String)> {
        let path = format!("/api/v2/generic/incoming?token={}", self.token);
        if call.method != "POST" || call.target != path {
            return Err((401, format!("{} {}", call.method, call.target)));
        }
        // Of another type nothing in the body is read.
        if call.header("content-type") != "application/json" {
            return Err((400, "the body is not application/json".into()));
        }
        let wrong = |what| (400, what);
        let body = call.json().map_err(wrong)?;
        let summary = required(&body, "summary", SUMMARY).map_err(wrong)?;
        optional(&body, "details", DETAILS).map_err(wrong)?;
        optional(&body, "action", 16).map_err(wrong)?;
        // Without one, summary and details together are the key, which differ at the end.
        let dedup = required(&body, "dedup", 512).map_err(wrong)?;
        let action = match body["action"].as_str() {
            None => "trigger",
            Some("close") => "resolve",
            Some(other) => return Err((400, format!("the action {other}"))),
        };
        Ok((action.to_owned(), dedup.to_owned(), summary.to_owned()))
    }
}

impl Vendor for GoAlert {
    fn answer(&mut self, call: &Call, memory: &mut Memory) -> Answer {
        match self.checked(call) {
            Ok((action, key, summary)) => {
                self.alerts.take(&action, &key, &summary, memory);
                Answer::new(204, "")
            }
            Err((status, what)) => {
                memory.violations.push(what.clone());
                Answer::new(status, what)
            }
        }
    }

    fn open(&self) -> Vec<String> {
        self.alerts.open()
    }
}

impl Fake<GoAlert> {
    pub fn url(&self) -> String {
        format!(
            "{}/api/v2/generic/incoming?token={}",
            self.origin(),
            self.key()
        )
    }
}

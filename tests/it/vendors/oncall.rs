//! Grafana OnCall's formatted webhook: the fields that it recognises, and the default templates,
//! which group by `alert_uid` and resolve by the state `ok`.
//! <https://grafana.com/docs/oncall/latest/configure/integrations/references/webhook/>
//! Its limit: 300 alerts of an integration in 5 minutes.
//! <https://grafana.com/docs/oncall/latest/oncall-api-reference/#rate-limits>

use super::{Answer, Call, Fake, Memory, Vendor, keyed::Keyed, optional, required};

const ALERTS: usize = 300;

pub struct OnCall {
    key: String,
    taken: usize,
    groups: Keyed,
}

impl OnCall {
    pub async fn start() -> Fake<Self> {
        let key = "m12xmIjOcgwH74UF8CN4dk0Dh";
        Fake::serve(Self::new(key), key).await
    }

    pub fn new(key: &str) -> Self {
        Self {
            key: key.to_owned(),
            taken: 0,
            groups: Keyed::default(),
        }
    }

    fn checked(&self, call: &Call) -> Result<(String, String, String), (u16, String)> {
        let path = format!("/integrations/v1/formatted_webhook/{}/", self.key);
        if call.method != "POST" || call.target != path {
            return Err((403, format!("{} {}", call.method, call.target)));
        }
        let wrong = |what| (400, what);
        let body = call.json().map_err(wrong)?;
        if !body.is_object() {
            return Err((400, "the body is no object".into()));
        }
        // None is required; without these nothing groups, resolves or can be read.
        let key = required(&body, "alert_uid", 1024).map_err(wrong)?;
        let title = required(&body, "title", 1024).map_err(wrong)?;
        optional(&body, "message", 16_384).map_err(wrong)?;
        optional(&body, "link_to_upstream_details", 2048).map_err(wrong)?;
        let action = match body["state"].as_str() {
            Some("alerting") => "trigger",
            Some("ok") => "resolve",
            other => return Err((400, format!("the state {other:?}"))),
        };
        Ok((action.to_owned(), key.to_owned(), title.to_owned()))
    }
}

impl Vendor for OnCall {
    fn answer(&mut self, call: &Call, memory: &mut Memory) -> Answer {
        self.taken += 1;
        if self.taken > ALERTS {
            return Answer::new(429, "Throttled");
        }
        match self.checked(call) {
            Ok((action, key, title)) => {
                self.groups.take(&action, &key, &title, memory);
                Answer::new(200, "Ok.")
            }
            Err((status, what)) => {
                memory.violations.push(what.clone());
                Answer::new(status, what)
            }
        }
    }

    fn open(&self) -> Vec<String> {
        self.groups.open()
    }
}

impl Fake<OnCall> {
    pub fn url(&self) -> String {
        format!(
            "{}/integrations/v1/formatted_webhook/{}/",
            self.origin(),
            self.key()
        )
    }
}

//! The destination of the bridge's own canaries: they take the path of every page, but reach
//! nobody.

use std::sync::Arc;

use super::{
    Body, Credential, Keys, Parcel, Receiver, Receivers, RenderError, Reply, Request,
    options::Options,
};
use crate::{
    canary,
    delivery::{Target, Verdict},
    settings::DefaultOn,
};

/// The method of a request that is answered in this process.
pub const METHOD: &str = "SINK";

struct Sink(Options);

impl Receivers {
    /// Returns the receivers with a sink for canaries added.
    #[must_use]
    pub fn with_sink(mut self) -> Self {
        let target = Target {
            receiver: canary::SINK.into(),
            integration: "sink/0".into(),
        };
        let sink = Sink(Options::local(DefaultOn::default()));
        self.integrations.insert(target, Arc::new(sink));
        self
    }
}

impl Receiver for Sink {
    fn options(&self) -> &Options {
        &self.0
    }

    fn secrets(&self) -> Vec<&Credential> {
        Vec::new()
    }

    fn request(&self, _: &Parcel<'_>, _: &Keys) -> Result<Request, RenderError> {
        Ok(Request {
            method: METHOD,
            url: "sink:".into(),
            headers: Vec::new(),
            body: Body::Empty,
        })
    }

    fn judge(&self, _: &Parcel<'_>, reply: &Reply) -> Verdict {
        super::status::verdict(reply)
    }
}

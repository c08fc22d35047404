//! Whether a receiver answers, without notifying anybody.

use super::{Client, next::scrubbed_reply};
use crate::{
    delivery::Target,
    receiver::{Keys, Reply, Request},
};

impl Client {
    /// The answer to a request that changes nothing, with the keys that what is said of it must not
    /// show, or why there is none. A vendor may echo them.
    pub async fn probe(
        &self,
        target: &Target,
        request: Request,
        keys: Keys,
    ) -> Result<(Reply, Keys), String> {
        let keys = keys.hiding(self.hidden(&request));
        match self.send(target, request).await {
            Ok(reply) => Ok((scrubbed_reply(reply, &keys), keys)),
            Err(failure) => Err(keys.shown(&failure.detail)),
        }
    }
}

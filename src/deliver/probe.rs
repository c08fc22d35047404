//! Whether a receiver answers, without notifying anybody.

use super::{Client, next::scrubbed_reply};
use crate::{
    delivery::Target,
    receiver::{Keys, Reply, Request},
};

impl Client {
    /// The answer to a request that changes nothing, or why there is none. Neither shows the keys,
    /// which a vendor may echo.
    pub async fn probe(
        &self,
        target: &Target,
        request: Request,
        keys: Keys,
    ) -> Result<Reply, String> {
        let keys = keys.hiding(self.hidden(&request));
        match self.send(target, request).await {
            Ok(reply) => Ok(scrubbed_reply(reply, &keys)),
            Err(failure) => Err(keys.scrub(&failure.detail)),
        }
    }
}

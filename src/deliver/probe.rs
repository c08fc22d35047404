//! Checks whether a receiver answers, without notifying anybody.

use super::{Client, unsaid::scrubbed};
use crate::{
    delivery::Target,
    receiver::{Keys, Reply, Request},
};

impl Client {
    /// Sends a request that changes nothing.
    ///
    /// Returns the reply, together with the keys that no message about it may show because a vendor
    /// may echo them; or the reason why there was no reply.
    pub async fn probe(
        &self,
        target: &Target,
        request: Request,
        keys: Keys,
    ) -> Result<(Reply, Keys), String> {
        let keys = keys.hiding(self.hidden(&request));
        match self.send(target, request).await {
            Ok(reply) => Ok((scrubbed(&reply, &keys), keys)),
            Err(failure) => Err(keys.shown(&failure.detail)),
        }
    }
}

//! Whether a receiver answers, without notifying anybody.

use super::Client;
use crate::{
    delivery::Target,
    receiver::{Reply, Request},
};

impl Client {
    /// The answer to a request that changes nothing, or why there is none.
    pub async fn probe(&self, target: &Target, request: Request) -> Result<Reply, String> {
        self.send(target, request)
            .await
            .map_err(|failure| failure.detail)
    }
}

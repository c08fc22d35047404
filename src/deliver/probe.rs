//! Whether a receiver answers, asked without telling it of anything.

use super::Client;
use crate::{
    delivery::Target,
    receiver::{Reply, Request},
};

impl Client {
    /// The answer to a request that changes nothing; why there is none otherwise, in words.
    pub async fn probe(&self, target: &Target, request: Request) -> Result<Reply, String> {
        self.send(target, request)
            .await
            .map_err(|failure| failure.detail)
    }
}

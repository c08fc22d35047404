//! A message that was posted, and the parts of an incident's messages that a request can be.

use serde_json::Value;

/// The longest receipt, in bytes. Slack's receipts have about thirty.
const LONGEST_RECEIPT: usize = 255;

/// A posted message, as the receipt of its delivery names it: `C0123ABCD/1405894322.002768`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Posted<'a> {
    pub(super) channel: &'a str,
    pub(super) ts: &'a str,
}

impl<'a> Posted<'a> {
    pub(super) fn read(receipt: &'a str) -> Option<Self> {
        let (channel, ts) = receipt.split_once('/')?;
        (!channel.is_empty() && !ts.is_empty()).then_some(Self { channel, ts })
    }

    /// Returns the receipt of a reply. Both parts are Slack's own identifiers, to be returned
    /// verbatim.
    pub(super) fn receipt(json: &Value) -> Option<String> {
        let receipt = format!("{}/{}", json["channel"].as_str()?, json["ts"].as_str()?);
        (receipt.len() <= LONGEST_RECEIPT).then_some(receipt)
    }
}

/// The purpose of a request.
#[derive(Debug, Clone, Copy)]
pub(super) enum Part<'a> {
    Post,
    Edit(Posted<'a>),
    Reply(Posted<'a>),
}

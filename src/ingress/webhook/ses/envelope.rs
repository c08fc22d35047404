//! The envelope that SNS posts, and the part of it that is signed.

use serde::Deserialize;

use super::super::answer::Refusal;

/// The JSON that SNS posts.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Envelope {
    #[serde(rename = "Type")]
    pub(super) kind: String,
    pub(super) message_id: String,
    pub(super) topic_arn: String,
    pub(super) message: String,
    pub(super) timestamp: String,
    pub(super) signature_version: String,
    pub(super) signature: String,
    #[serde(rename = "SigningCertURL")]
    pub(super) signing_cert_url: String,
    subject: Option<String>,
    token: Option<String>,
    #[serde(rename = "SubscribeURL")]
    pub(super) subscribe_url: Option<String>,
}

impl Envelope {
    /// Parses the envelope. serde refuses a key that is given twice.
    pub(super) fn parse(body: &[u8]) -> Result<Self, Refusal> {
        serde_json::from_slice(body).map_err(|_| Refusal::Unreadable)
    }

    /// Returns the string to sign: the name and value of certain keys, each followed by a line
    /// feed, ordered by name.
    pub(super) fn signed(&self) -> String {
        let head = [
            ("Message", Some(&self.message)),
            ("MessageId", Some(&self.message_id)),
        ];

        let middle = if self.kind == "Notification" {
            [
                ("Subject", self.subject.as_ref()),
                ("Timestamp", Some(&self.timestamp)),
                ("", None),
            ]
        } else {
            [
                ("SubscribeURL", self.subscribe_url.as_ref()),
                ("Timestamp", Some(&self.timestamp)),
                ("Token", self.token.as_ref()),
            ]
        };

        let tail = [
            ("TopicArn", Some(&self.topic_arn)),
            ("Type", Some(&self.kind)),
        ];

        let lines = head.into_iter().chain(middle).chain(tail);

        lines
            .filter_map(|(name, value)| value.map(|value| format!("{name}\n{value}\n")))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_string_to_sign_is_as_amazon_documents_it() {
        let notification = br#"{"Type":"Notification","MessageId":"1","TopicArn":"arn",
            "Subject":"My subject","Message":"a\nb","Timestamp":"T","SignatureVersion":"2",
            "Signature":"","SigningCertURL":"u"}"#;
        let signed = "Message\na\nb\nMessageId\n1\nSubject\n\
                      My subject\nTimestamp\nT\nTopicArn\narn\nType\nNotification\n";
        assert_eq!(Envelope::parse(notification).ok().unwrap().signed(), signed);
        let confirmation = br#"{"Type":"SubscriptionConfirmation","MessageId":"1",
            "TopicArn":"arn","Token":"tok","SubscribeURL":"s","Message":"m","Timestamp":"T",
            "SignatureVersion":"2","Signature":"","SigningCertURL":"u"}"#;
        let signed = "Message\nm\nMessageId\n1\nSubscribeURL\ns\nTimestamp\nT\nToken\ntok\n\
                      TopicArn\narn\n\
                      Type\nSubscriptionConfirmation\n";
        assert_eq!(Envelope::parse(confirmation).ok().unwrap().signed(), signed);
    }
}

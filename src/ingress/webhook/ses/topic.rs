//! The configured topic, and the addresses that belong to it.

use url::Url;

/// An SNS topic by its ARN, which names the partition and region, and so the one host that may sign
/// and confirm for it.
pub(super) struct Topic {
    arn: String,
    host: String,
    domain: &'static str,
}

impl Topic {
    pub(super) fn parse(arn: &str) -> Option<Self> {
        let parts: Vec<&str> = arn.split(':').collect();
        let ["arn", partition, "sns", region, account, name] = parts[..] else {
            return None;
        };
        let domain = match partition {
            "aws" | "aws-us-gov" => "amazonaws.com",
            "aws-cn" => "amazonaws.com.cn",
            _ => return None,
        };

        let is_region = region.contains('-')
            && region
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');

        let is_account = account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit());
        let is_name = !name.is_empty()
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));

        (is_region && is_account && is_name).then(|| Self {
            arn: arn.to_owned(),
            host: format!("sns.{region}.{domain}"),
            domain,
        })
    }

    pub(super) fn arn(&self) -> &str {
        &self.arn
    }

    /// Returns whether a certificate at this address may sign for the topic:
    /// `https://sns.<region>.amazonaws.com/*.pem`.
    pub(super) fn signs_at(&self, url: &str) -> bool {
        let path = url
            .strip_prefix("https://")
            .and_then(|rest| rest.strip_prefix(&self.host));
        let name = path.and_then(|path| path.strip_prefix('/')?.strip_suffix(".pem"));
        name.is_some_and(|name| {
            (1..=100).contains(&name.len())
                && name
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
        })
    }

    /// Returns whether requesting this address confirms a subscription to the topic, and does
    /// nothing else.
    pub(super) fn confirms_at(&self, url: &str) -> bool {
        if !url.starts_with(&format!("https://{}/?", self.host)) {
            return false;
        }

        let Ok(url) = Url::parse(url) else {
            return false;
        };
        let (mut action, mut topic) = (0, 0);

        for (name, value) in url.query_pairs() {
            match (&*name, &*value) {
                ("Action", "ConfirmSubscription") => action += 1,
                ("TopicArn", arn) if arn == self.arn => topic += 1,
                ("Token", _) => {}
                _ => return false,
            }
        }

        (action, topic) == (1, 1)
    }

    /// Returns whether a certificate with this name is SNS's: `sns.amazonaws.com`, and in some
    /// regions `sns-signing.<region>.…` or `sns-<region>.…`.
    pub(super) fn is_signers_name(&self, name: &str) -> bool {
        let labels = name
            .strip_suffix(self.domain)
            .and_then(|rest| rest.strip_suffix('.'));
        labels.is_some_and(|labels| {
            labels
                .split('.')
                .next()
                .is_some_and(|first| first == "sns" || first.starts_with("sns-"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARN: &str = "arn:aws:sns:us-east-1:123456789012:alerts";

    #[test]
    fn an_arn_is_a_topics_or_none() {
        for arn in [
            ARN,
            "arn:aws-cn:sns:cn-north-1:123456789012:a.fifo",
            "arn:aws-us-gov:sns:us-gov-west-1:123456789012:a",
        ] {
            assert!(Topic::parse(arn).is_some(), "{arn}");
        }
        for arn in [
            "",
            "alerts",
            "arn:aws:sqs:us-east-1:123456789012:alerts",
            "arn:aws:sns:evil.com/:123456789012:alerts",
            "arn:aws:sns::123456789012:alerts",
            "arn:aws:sns:us-east-1:123456789012:",
            "arn:aws:sns:us-east-1:123456789012:alerts:6b0e71bd-7e97-4d97-80ce-4a0994e55286",
        ] {
            assert!(Topic::parse(arn).is_none(), "{arn}");
        }
    }

    #[test]
    fn only_the_topics_own_host_signs() {
        let topic = Topic::parse(ARN).unwrap();
        assert!(topic.signs_at(
            "https://sns.us-east-1.amazonaws.com/SimpleNotificationService-f3ecfb7224c7233f.pem"
        ));
        for url in [
            "http://sns.us-east-1.amazonaws.com/a.pem",
            "https://sns.us-east-1.amazonaws.com.evil.com/a.pem",
            "https://sns.us-east-1.amazonaws.com@evil.com/a.pem",
            "https://user@sns.us-east-1.amazonaws.com/a.pem",
            "https://sns.us-east-1.amazonaws.com:8443/a.pem",
            "https://sns.us-east-1.amazonaws.com/a.pem?x",
            "https://sns.us-east-1.amazonaws.com/a.pem#.pem",
            "https://sns.us-east-1.amazonaws.com/../a.pem",
            "https://sns.us-east-1.amazonaws.com/b/a.pem",
            "https://sns.us-east-1.amazonaws.com/.pem",
            "https://sns.us-east-1.amazonaws.com/%61.pem",
            "https://sns.us-east-1.amazonaws.com/a.txt",
            "https://sns.eu-west-1.amazonaws.com/a.pem",
            "https://sns-us-east-1.amazonaws.com/a.pem",
            "https://evil.com/sns.us-east-1.amazonaws.com/a.pem",
            "https://sns.us-east-1.amazonaws.com\\@evil.com/a.pem",
            "https://SNS.us-east-1.amazonaws.com/a.pem",
            "",
        ] {
            assert!(!topic.signs_at(url), "{url}");
        }
    }

    #[test]
    fn only_a_confirmation_of_the_topic_is_asked_for() {
        let topic = Topic::parse(ARN).unwrap();
        let base = "https://sns.us-east-1.amazonaws.com/?Action=ConfirmSubscription\
                    &TopicArn=arn:aws:sns:us-east-1:123456789012:";
        assert!(topic.confirms_at(&format!("{base}alerts&Token=2336")));
        for url in [
            format!("{base}others&Token=2336"),
            format!("{base}alerts&Token=2336&Action=DeleteTopic"),
            format!("{base}alerts&Token=2336&Extra=1"),
            format!("{base}alerts").replace("ConfirmSubscription", "Unsubscribe"),
            format!("{base}alerts").replace("amazonaws.com", "amazonaws.com.evil.com"),
            format!("{base}alerts").replace("https:", "http:"),
            "https://sns.us-east-1.amazonaws.com/".to_owned(),
        ] {
            assert!(!topic.confirms_at(&url), "{url}");
        }
    }

    #[test]
    fn a_signers_name_is_amazons() {
        let topic = Topic::parse(ARN).unwrap();
        for name in [
            "sns.amazonaws.com",
            "sns.us-east-1.amazonaws.com",
            "sns-signing.eu-south-2.amazonaws.com",
        ] {
            assert!(topic.is_signers_name(name), "{name}");
        }
        for name in [
            "amazonaws.com",
            "evil.amazonaws.com",
            "sns.evil.com",
            "sns.evilamazonaws.com",
            "snsx.amazonaws.com",
        ] {
            assert!(!topic.is_signers_name(name), "{name}");
        }
    }
}

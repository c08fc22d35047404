//! Signatures of Standard Webhooks 1.0.

use aws_lc_rs::hmac;
use base64::{Engine as _, prelude::BASE64_STANDARD};

/// Returns the bytes of a secret: `whsec_` + base64.
pub(super) fn signing_key(secret: &str) -> Option<Vec<u8>> {
    let secret = secret.trim();
    let key = BASE64_STANDARD
        .decode(secret.strip_prefix("whsec_").unwrap_or(secret))
        .ok()?;
    (!key.is_empty()).then_some(key)
}

/// Returns the signature: `v1,` + base64(HMAC-SHA256(key, `id.timestamp.body`)).
pub(super) fn sign(key: &[u8], id: &str, timestamp: i64, body: &[u8]) -> String {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key));
    context.update(format!("{id}.{timestamp}.").as_bytes());
    context.update(body);
    format!("v1,{}", BASE64_STANDARD.encode(context.sign()))
}

#[cfg(test)]
mod tests {
    use super::{sign, signing_key};

    #[test]
    fn the_vector_of_standard_webhooks_is_signed_as_published() {
        let key = signing_key("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let body = br#"{"test": 2432232314}"#;
        assert_eq!(
            sign(&key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body),
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
        );
    }

    #[test]
    fn what_is_no_signing_secret_is_refused() {
        for wrong in ["", "whsec_", "whsec_***", "a password"] {
            assert_eq!(signing_key(wrong), None, "{wrong}");
        }
    }
}

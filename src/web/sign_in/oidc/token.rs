//! Verifies an ID token, and reads the person from it.

use jiff::{SignedDuration, Timestamp};
use openidconnect::{
    AccessTokenHash, ClaimsVerificationError, IdTokenClaims, Nonce, OAuth2TokenResponse as _,
    SignatureVerificationError, TokenResponse as _, core::CoreGenderClaim,
};

use super::{
    Refusal,
    person::{More, Person},
    provider::{Ours, Provider, Tokens},
    ticket::Ticket,
};

/// How far the provider's clock may differ from this machine's.
const LEEWAY: SignedDuration = SignedDuration::from_mins(1);

/// Returns the person that a token names, if it is valid (OpenID Connect Core, 3.1.3.7).
pub fn believe(
    ours: &Ours,
    provider: &Provider,
    tokens: &Tokens,
    ticket: &Ticket,
    groups_claim: &str,
    now: Timestamp,
) -> Result<Person, ClaimsVerificationError> {
    let token = tokens
        .id_token()
        .ok_or_else(|| other("it gives no ID token"))?;
    let (early, late) = (instant(now, -LEEWAY), instant(now, LEEWAY));
    let verifier = ours
        .id_token_verifier()
        .set_allowed_algs(provider.signatures())
        .set_time_fn(move || early)
        // If there are several audiences, the authorized party says whose token it is: see
        // `check_party`.
        .set_other_audience_verifier_fn(|_| true)
        .set_issue_time_verifier_fn(move |at| {
            if at <= late {
                return Ok(());
            }
            Err("it was issued in the future".to_owned())
        });

    let claims: &IdTokenClaims<More, CoreGenderClaim> =
        token.claims(&verifier, &Nonce::new(ticket.nonce()))?;
    check_party(claims, ours)?;

    let not_before = claims.additional_claims().claims.get("nbf");
    if not_before
        .and_then(serde_json::Value::as_i64)
        .is_some_and(|at| at > late.timestamp())
    {
        return Err(other("it is not valid yet"));
    }

    if let Some(expected) = claims.access_token_hash() {
        let signature = ClaimsVerificationError::SignatureVerification;
        let (alg, key) = (
            token.signing_alg().map_err(signature)?,
            token.signing_key(&verifier).map_err(signature)?,
        );
        let hash = AccessTokenHash::from_token(tokens.access_token(), alg, key);
        if !hash.is_ok_and(|hash| hash == *expected) {
            return Err(other("it belongs to another access token"));
        }
    }

    Ok(Person::of_token(claims, groups_claim))
}

/// Checks that a token was issued to this application.
fn check_party(
    claims: &IdTokenClaims<More, CoreGenderClaim>,
    ours: &Ours,
) -> Result<(), ClaimsVerificationError> {
    match claims.authorized_party() {
        Some(party) if party != ours.client_id() => {
            Err(other("it was issued to another application"))
        }
        None if claims.audiences().len() > 1 => Err(other(
            "it is for several applications (`aud`), and does not say that it was issued to this \
             one (`azp`): have the provider name this application's `client_id` alone in `aud`, or \
             in `azp` too",
        )),
        _ => Ok(()),
    }
}

fn other(why: &str) -> ClaimsVerificationError {
    ClaimsVerificationError::Other(why.to_owned())
}

/// Decides whether the token may be signed with a key that is not known yet.
pub fn may_have_rotated(error: &ClaimsVerificationError) -> bool {
    matches!(
        error,
        ClaimsVerificationError::SignatureVerification(
            SignatureVerificationError::NoMatchingKey | SignatureVerificationError::CryptoError(_)
        )
    )
}

pub fn untrue(error: &ClaimsVerificationError) -> Refusal {
    let why = match error {
        ClaimsVerificationError::SignatureVerification(how) => {
            format!("its signature is not valid: {how}")
        }
        ClaimsVerificationError::Expired(_) => {
            "it is expired, or issued in the future: check whether the clocks agree".to_owned()
        }
        other => other.to_string(),
    };
    Refusal::Untrue(why)
}

/// Converts a time to the library's type.
fn instant(now: Timestamp, later: SignedDuration) -> chrono::DateTime<chrono::Utc> {
    let at = now.saturating_add(later).unwrap_or(now);
    chrono::DateTime::from_timestamp(at.as_second(), 0).unwrap_or_default()
}

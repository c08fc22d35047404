//! The identity of a person by the provider's claims, and what they may do.

use openidconnect::{
    AdditionalClaims, IdTokenClaims, SubjectIdentifier, UserInfoClaims, core::CoreGenderClaim,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::settings::{
    host::in_ascii,
    oidc::{Allowed, Oidc},
    users::Role,
};

/// The claims that OpenID Connect does not define, such as groups.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct More {
    #[serde(flatten)]
    pub claims: Map<String, Value>,
}

impl AdditionalClaims for More {}

/// A person whom the provider has signed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    pub subject: String,
    /// The mail address, if the provider says that it is verified.
    email: Option<String>,
    /// Whether the provider names an address without saying that it is verified.
    is_unverified: bool,
    /// The person's groups; `None` if the provider says nothing about groups.
    groups: Option<Vec<String>>,
    /// Whether the provider says that the person is in more groups than its token holds.
    has_too_many_groups: bool,
}

impl Person {
    pub fn of_token(claims: &IdTokenClaims<More, CoreGenderClaim>, groups_claim: &str) -> Self {
        Self::new(
            claims.subject(),
            claims.email().map(|email| email.as_str()),
            claims.email_verified(),
            claims.additional_claims(),
            groups_claim,
        )
    }

    /// Fills in what the token lacks from the provider's `UserInfo` answer.
    pub fn completed(
        self,
        claims: &UserInfoClaims<More, CoreGenderClaim>,
        groups_claim: &str,
    ) -> Self {
        let told = Self::new(
            claims.subject(),
            claims.email().map(|email| email.as_str()),
            claims.email_verified(),
            claims.additional_claims(),
            groups_claim,
        );
        Self {
            subject: self.subject,
            is_unverified: self.is_unverified || told.is_unverified,
            has_too_many_groups: self.has_too_many_groups || told.has_too_many_groups,
            email: self.email.or(told.email),
            groups: self.groups.or(told.groups),
        }
    }

    fn new(
        subject: &SubjectIdentifier,
        email: Option<&str>,
        verified: Option<bool>,
        more: &More,
        groups_claim: &str,
    ) -> Self {
        let is_verified = verified == Some(true);
        // Claims that are kept elsewhere (OpenID Connect Core, 5.6.2). Entra moves more than 200
        // groups to one of its own services, which is not asked here.
        let elsewhere = more.claims.get("_claim_names");
        let elsewhere = elsewhere.and_then(|names| names.get(groups_claim));
        Self {
            subject: subject.as_str().to_owned(),
            email: email.filter(|_| is_verified).map(ToOwned::to_owned),
            is_unverified: email.is_some() && !is_verified,
            groups: more.claims.get(groups_claim).map(listed),
            has_too_many_groups: elsewhere.is_some(),
        }
    }

    /// Decides whether a claim is missing that an entry of `allowed` needs and the provider may
    /// know.
    pub fn lacks(&self, settings: &Oidc) -> bool {
        let by_email = |one: &Allowed| one.email.is_some() || one.email_domain.is_some();
        let by_group = |one: &Allowed| one.group.is_some();
        self.email.is_none() && settings.allowed.iter().any(by_email)
            || self.groups.is_none() && settings.allowed.iter().any(by_group)
    }

    /// Returns the person's role: the highest that any entry gives them.
    pub fn role(&self, allowed: &[Allowed]) -> Option<Role> {
        let named = allowed.iter().filter(|one| self.is_named(one));
        named.map(|one| one.role).max()
    }

    fn is_named(&self, one: &Allowed) -> bool {
        let parts = |email: &str| {
            let (local, domain) = email.rsplit_once('@')?;
            Some((local.to_ascii_lowercase(), in_ascii(domain)))
        };
        let email = self.email.as_deref().and_then(parts);

        match (&one.email, &one.email_domain, &one.group, &one.subject) {
            (Some(named), None, None, None) => email.is_some() && email == parts(named),
            (None, Some(named), None, None) => {
                email.is_some_and(|(_, domain)| domain == in_ascii(named))
            }
            (None, None, Some(named), None) => {
                self.groups.iter().flatten().any(|group| group == named)
            }
            (None, None, None, Some(named)) => self.subject == *named,
            // Such a configuration is refused earlier.
            _ => false,
        }
    }

    /// Explains which claim is missing that might have let more entries match.
    pub fn left_unsaid(&self) -> &'static str {
        if self.email.is_none() && self.is_unverified {
            ". The provider does not say that their mail address is verified"
        } else if self.groups.is_none() && self.has_too_many_groups {
            ". They are in more groups than the provider's token holds: have it name only the \
             groups that are assigned to this application, or its own roles (`groups_claim: \
             roles`)"
        } else {
            ""
        }
    }

    /// The person's name in the audit and on the pages.
    pub fn name(&self) -> &str {
        self.email.as_deref().unwrap_or(&self.subject)
    }
}

/// Returns the strings of a list, or the single string in its place.
fn listed(value: &Value) -> Vec<String> {
    match value {
        Value::Array(items) => items
            .iter()
            .filter_map(Value::as_str)
            .map(ToOwned::to_owned)
            .collect(),
        Value::String(one) => vec![one.clone()],
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn person(email: Option<&str>, verified: Option<bool>, groups: Value) -> Person {
        let mut more = More::default();
        if !groups.is_null() {
            more.claims.insert("groups".to_owned(), groups);
        }
        let subject = SubjectIdentifier::new("42".to_owned());
        Person::new(&subject, email, verified, &more, "groups")
    }

    fn allowed(how: &str, who: &str, role: Role) -> Allowed {
        let given = |name: &str| (how == name).then(|| who.to_owned());
        Allowed {
            email: given("email"),
            email_domain: given("email_domain"),
            group: given("group"),
            subject: given("subject"),
            role,
        }
    }

    #[test]
    fn whoever_is_named_gets_in_and_nobody_else() {
        let ann = |groups: Value| person(Some("Ann@Example.com"), Some(true), groups);
        for (how, who, named) in [
            ("email", "ann@example.com", true),
            ("email", "nn@example.com", false),
            ("email_domain", "EXAMPLE.com", true),
            ("email_domain", "com", false),
            ("email_domain", "ple.com", false),
            ("group", "oncall", true),
            ("group", "Oncall", false),
            ("group", "on", false),
            ("subject", "42", true),
            ("subject", "4", false),
        ] {
            let allowed = [allowed(how, who, Role::Viewer)];
            let role = ann(json!(["dev", "oncall"])).role(&allowed);
            assert_eq!(role.is_some(), named, "{how} {who}");
        }
    }

    #[test]
    fn a_domain_is_the_same_in_either_alphabet() {
        for said in ["ann@BÜCHER.example", "Ann@xn--bcher-kva.example"] {
            let ann = person(Some(said), Some(true), Value::Null);
            for named in ["bücher.example", "XN--BCHER-KVA.example"] {
                let domain = [allowed("email_domain", named, Role::Viewer)];
                assert_eq!(ann.role(&domain), Some(Role::Viewer), "{said} {named}");
                let email = [allowed("email", &format!("ann@{named}"), Role::Viewer)];
                assert_eq!(ann.role(&email), Some(Role::Viewer), "{said} {named}");
            }
            let other = [allowed("email_domain", "bucher.example", Role::Viewer)];
            assert_eq!(ann.role(&other), None, "{said}");
        }
    }

    #[test]
    fn whoever_is_in_too_many_groups_is_told_so() {
        let mut more = More::default();
        let elsewhere = json!({ "groups": "src1" });
        more.claims.insert("_claim_names".to_owned(), elsewhere);
        let subject = SubjectIdentifier::new("42".to_owned());
        let person = |claim| Person::new(&subject, None, None, &more, claim);
        let hint = person("groups").left_unsaid();
        assert!(hint.contains("`groups_claim: roles`"), "{hint}");
        assert_eq!(person("roles").left_unsaid(), "");
    }

    #[test]
    fn an_address_counts_where_the_provider_has_verified_it() {
        let entry = [allowed("email", "ann@example.com", Role::Operator)];
        for (verified, counts) in [(Some(true), true), (Some(false), false), (None, false)] {
            let ann = person(Some("ann@example.com"), verified, Value::Null);
            assert_eq!(ann.role(&entry).is_some(), counts, "{verified:?}");
            let name = if counts { "ann@example.com" } else { "42" };
            assert_eq!(ann.name(), name);
            assert_eq!(ann.left_unsaid().is_empty(), counts, "{verified:?}");
        }
    }

    #[test]
    fn claims_are_read_as_providers_write_them() {
        // Auth0 writes `updated_at` as a string; Cognito writes `email_verified` as one.
        let token = json!({
            "iss": "https://login.example.com", "sub": "42", "aud": ["alertbridge"],
            "iat": 1_800_000_000, "exp": 1_800_000_600, "updated_at": "2026-11-21T06:15:44.012Z",
            "email": "ann@example.com", "email_verified": "true", "groups": "oncall",
        });
        let claims: IdTokenClaims<More, CoreGenderClaim> = serde_json::from_value(token).unwrap();
        let ann = Person::of_token(&claims, "groups");
        assert_eq!(ann.name(), "ann@example.com");
        let oncall = [allowed("group", "oncall", Role::Viewer)];
        assert_eq!(ann.role(&oncall), Some(Role::Viewer));
    }

    #[test]
    fn the_higher_role_wins_in_either_order() {
        let everybody = allowed("email_domain", "example.com", Role::Viewer);
        let oncall = allowed("group", "oncall", Role::Operator);
        let ann = person(Some("ann@example.com"), Some(true), json!("oncall"));
        for order in [[everybody.clone(), oncall.clone()], [oncall, everybody]] {
            assert_eq!(ann.role(&order), Some(Role::Operator));
        }
    }

    #[test]
    fn more_is_asked_only_where_it_decides() {
        let settings = |how| Oidc {
            allowed: vec![allowed(how, "x", Role::Viewer)],
            ..Oidc::default()
        };
        let unknown = person(None, None, Value::Null);
        for how in ["email", "email_domain", "group"] {
            assert!(unknown.lacks(&settings(how)), "{how}");
        }
        assert!(!unknown.lacks(&settings("subject")));
        assert!(!person(None, None, json!([])).lacks(&settings("group")));
        assert!(!person(Some("a@b.c"), Some(true), Value::Null).lacks(&settings("email")));
    }
}

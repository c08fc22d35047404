//! The identity provider through which people sign in: `admin.login.oidc`.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use url::Url;

use super::{
    Problem, Secret, SecretText,
    host::{in_ascii, is_address, is_domain, is_loopback},
    users::Role,
};

/// An identity provider that supports OpenID Connect, and the people of it who may sign in.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Oidc {
    /// The provider's address, exactly as its discovery document
    /// (`/.well-known/openid-configuration`) writes `issuer`. It must be `https`, except on
    /// loopback.
    pub issuer: String,
    /// The id that the provider gave to this application.
    pub client_id: String,
    /// The secret that the provider gave to this application.
    pub client_secret: Option<SecretText>,
    /// A file that contains the client secret, in place of `client_secret`.
    pub client_secret_file: Option<PathBuf>,
    /// The people who may sign in. A person whom several entries match gets the highest role; one
    /// whom none matches is refused.
    pub allowed: Vec<Allowed>,
    /// The scopes that are requested in addition to `openid`. Some providers report groups only for
    /// a scope of their own. The default is `[email, profile]`.
    pub scopes: Vec<String>,
    /// The claim that lists a person's groups. The default is `groups`.
    pub groups_claim: String,
    /// A file of PEM certificates that are trusted besides the system's.
    pub ca_file: Option<PathBuf>,
    /// The HTTP proxy for requests to the provider, in place of the environment's.
    pub proxy_url: Option<SecretText>,
}

/// An entry for people who may sign in, by exactly one of `email`, `email_domain`, `group` and
/// `subject`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Allowed {
    /// A mail address, in any case. It counts only if the provider says that it has verified it.
    #[serde(default)]
    pub email: Option<String>,
    /// The domain of a verified mail address. Domains below it do not count.
    #[serde(default)]
    pub email_domain: Option<String>,
    /// A group, written exactly as in the claim `groups_claim`.
    #[serde(default)]
    pub group: Option<String>,
    /// The provider's identifier of one person (`sub`).
    #[serde(default)]
    pub subject: Option<String>,
    /// What these people may do.
    pub role: Role,
}

impl Default for Oidc {
    fn default() -> Self {
        Self {
            issuer: String::new(),
            client_id: String::new(),
            client_secret: None,
            client_secret_file: None,
            allowed: Vec::new(),
            scopes: vec!["email".to_owned(), "profile".to_owned()],
            groups_claim: "groups".to_owned(),
            ca_file: None,
            proxy_url: None,
        }
    }
}

impl Oidc {
    /// Returns what is wrong with the settings. `key` is their path.
    pub fn check(&self, key: &str) -> Vec<Problem> {
        let mut found = Vec::new();
        let mut tell = |name: &str, what: String, mend: &str| {
            found.push(Problem::new(format!("{key}.{name}"), what, mend));
        };

        if let Err(what) = issuer(&self.issuer) {
            let mend = "write what the provider's `/.well-known/openid-configuration` calls \
                        `issuer`: `https://login.example.com`";
            tell("issuer", what, mend);
        }
        if self.client_id.trim().is_empty() {
            let mend = "write the id that the provider gave to this application";
            tell("client_id", "it is missing".to_owned(), mend);
        }
        if self.groups_claim.trim().is_empty() {
            let mend = "name the claim, or drop the key to use `groups`";
            tell("groups_claim", "it is empty".to_owned(), mend);
        }
        let is_token =
            |scope: &String| !scope.is_empty() && scope.bytes().all(|b| (0x21..0x7f).contains(&b));
        if let Some(scope) = self.scopes.iter().find(|scope| !is_token(scope)) {
            let mend = "write each scope as an item of its own: `scopes: [email, groups]`";
            tell("scopes", format!("`{scope}` is not a scope"), mend);
        }
        if self.allowed.is_empty() {
            let mend = "list who may sign in: `allowed: [{ email_domain: example.com, role: viewer \
                        }]`";
            tell("allowed", "nobody could sign in".to_owned(), mend);
        }

        found.extend(self.secret(key).err());
        for (place, allowed) in self.allowed.iter().enumerate() {
            found.extend(allowed.check(&format!("{key}.allowed[{place}]")));
        }
        found
    }

    /// Returns the secret that the provider gave to this application.
    pub fn secret(&self, key: &str) -> Result<Secret, Problem> {
        let (inline, file) = (
            self.client_secret.as_deref(),
            self.client_secret_file.as_deref(),
        );
        Secret::required(key, "client_secret", inline, file)
    }
}

/// Checks that an issuer is an https address without query and fragment (OpenID Connect Core, 1.2).
/// On this machine it may be http.
fn issuer(text: &str) -> Result<(), String> {
    if text.is_empty() {
        return Err("it is missing".to_owned());
    }

    let url = Url::parse(text).map_err(|_| format!("`{text}` is not a web address"))?;
    match url.scheme() {
        "https" => {}
        "http" if is_loopback(&url) => {}
        "http" => {
            return Err(
                "it is plain http: anybody on the network path could let anybody in".to_owned(),
            );
        }
        _ => return Err(format!("`{text}` is not an https address")),
    }
    if url.query().is_some() || url.fragment().is_some() || !url.username().is_empty() {
        return Err("an issuer has no user, query or fragment".to_owned());
    }

    Ok(())
}

impl Allowed {
    fn check(&self, key: &str) -> Option<Problem> {
        let given = [&self.email, &self.email_domain, &self.group, &self.subject];
        let given: Vec<_> = given.into_iter().flatten().collect();
        if given.len() != 1 || given[0].trim().is_empty() {
            return Some(Problem::new(
                key,
                "an entry needs exactly one key that says who it is for",
                "give one of `email`, `email_domain`, `group` and `subject`",
            ));
        }

        let in_ascii_after_at = |email: &str| match email.rsplit_once('@') {
            Some((local, domain)) => format!("{local}@{}", in_ascii(domain)),
            None => email.to_owned(),
        };
        match (&self.email, &self.email_domain) {
            (Some(email), _) if !is_address(&in_ascii_after_at(email)) => Some(Problem::new(
                format!("{key}.email"),
                format!("`{email}` is not a mail address"),
                "write one address; for all of a domain `email_domain: example.com`",
            )),
            (_, Some(domain)) if !is_domain(&in_ascii(domain)) => Some(Problem::new(
                format!("{key}.email_domain"),
                format!("`{domain}` is not a domain"),
                "write the domain alone, without `@`: `email_domain: example.com`",
            )),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(change: impl Fn(&mut Oidc)) -> Vec<String> {
        let mut settings = Oidc {
            issuer: "https://login.example.com/realm".to_owned(),
            client_id: "alertbridge".to_owned(),
            client_secret: Some("s3cret".into()),
            allowed: vec![allowed()],
            ..Oidc::default()
        };
        change(&mut settings);
        let problems = settings.check("o").into_iter();
        problems.map(|problem| problem.key).collect()
    }

    fn allowed() -> Allowed {
        Allowed {
            email: None,
            email_domain: Some("example.com".to_owned()),
            group: None,
            subject: None,
            role: Role::Viewer,
        }
    }

    #[test]
    fn an_issuer_is_reached_over_tls_or_stands_on_this_machine() {
        for (issuer, good) in [
            ("https://login.example.com", true),
            ("https://login.example.com/tenant/v2.0", true),
            ("https://login.example.com/", true),
            ("http://127.0.0.1:9000", true),
            ("http://[::1]:9000/realm", true),
            ("http://localhost", true),
            ("http://login.example.com", false),
            ("http://localhost.example.com", false),
            ("login.example.com", false),
            ("file:///etc/passwd", false),
            ("https://login.example.com?x=1", false),
            ("https://login.example.com#x", false),
            ("https://ann@login.example.com", false),
            ("", false),
        ] {
            let found = problems(|settings| issuer.clone_into(&mut settings.issuer));
            let expected = if good { vec![] } else { vec!["o.issuer"] };
            assert_eq!(found, expected, "{issuer}");
        }
    }

    #[test]
    fn an_entry_names_people_in_one_way() {
        let some = |text: &str| Some(text.to_owned());
        let entry =
            |change: &dyn Fn(&mut Allowed)| problems(|settings| change(&mut settings.allowed[0]));
        assert_eq!(entry(&|entry| entry.group = some("a")), ["o.allowed[0]"]);
        assert_eq!(entry(&|entry| entry.email_domain = None), ["o.allowed[0]"]);
        assert_eq!(
            entry(&|entry| entry.email_domain = some(" ")),
            ["o.allowed[0]"]
        );
        for domain in ["@example.com", "ann@example.com", "example"] {
            let found = entry(&|entry| entry.email_domain = some(domain));
            assert_eq!(found, ["o.allowed[0].email_domain"], "{domain}");
        }
        for domain in ["bücher.example", "例え.テスト"] {
            let found = entry(&|entry| entry.email_domain = some(domain));
            assert!(found.is_empty(), "{domain}");
            let found = entry(&|entry| {
                entry.email_domain = None;
                entry.email = some(&format!("ann@{domain}"));
            });
            assert!(found.is_empty(), "{domain}");
        }
        let found = entry(&|entry| {
            entry.email_domain = None;
            entry.email = some("example.com");
        });
        assert_eq!(found, ["o.allowed[0].email"]);
    }

    #[test]
    fn what_is_missing_is_named() {
        assert_eq!(problems(|settings| settings.client_secret = None), ["o"]);
        assert_eq!(problems(|settings| settings.allowed.clear()), ["o.allowed"]);
        assert_eq!(
            problems(|settings| settings.client_id.clear()),
            ["o.client_id"]
        );
        let found = problems(|settings| settings.scopes = vec!["email groups".to_owned()]);
        assert_eq!(found, ["o.scopes"]);
    }
}

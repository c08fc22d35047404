//! Asks the identity provider through which people sign in for its own metadata.

use super::{
    Deployment,
    finding::{Checked, Finding},
};
use crate::web::sign_in::oidc::{http::Http, provider::Provider, redirect_uri};

pub const ABOUT: &str = "admin.login.oidc";
const MEND: &str = "correct `issuer`, let this machine connect there through the firewall, or set \
                    `proxy_url`; until then nobody can sign in; alerts are paged as usual";
const MEND_TLS: &str = "name the CA that signed its certificate in `ca_file`, or have an expired \
                        one renewed";

pub async fn check(deployment: &Deployment) -> Checked {
    let config = &deployment.config;
    let login = config.admin.login.as_ref();
    let Some(oidc) = login.and_then(|login| login.oidc.as_ref()) else {
        return Checked::default();
    };

    let client = config.provider_client(oidc, &|name| std::env::var(name).ok());
    // Wrong settings are reported by the check of the configuration.
    let Ok(client) = client else {
        return Checked::default();
    };

    let now = deployment.clock.now();
    let issuer = &oidc.issuer;
    let finding = match Provider::discover(issuer, &Http(client), now).await {
        Ok(_) => {
            let redirect = redirect_uri(config.global.external_url.as_deref().unwrap_or_default());
            let what =
                format!("{issuer} answers; the redirect URI {redirect} must be registered with it");
            Finding::ok("sign-in", ABOUT, what)
        }
        Err(why) => {
            let is_tls = why.contains("certificate") || why.contains("tls");
            let mend = if is_tls { MEND_TLS } else { MEND };
            let what = format!("{issuer} cannot be reached: {why}");
            Finding::wrong("sign-in", ABOUT, what, mend)
        }
    };

    vec![finding].into()
}

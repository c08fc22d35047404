//! The configured ways to sign in.

use anyhow::{Context as _, anyhow};

use crate::{
    config::Config,
    deliver::Unusable,
    settings::{Problem, Secret, networks::Networks, oidc},
    web::sign_in::{Login, oidc::Oidc},
};

pub(super) fn admin_token(config: &Config) -> anyhow::Result<Option<Secret>> {
    let (token, file) = (&config.admin.token, &config.admin.token_file);
    Secret::optional("admin", "token", token.as_deref(), file.as_deref())
        .map_err(|problem| anyhow::anyhow!("{}: {}", problem.key, problem.what))
}

/// Returns the way in which people sign in, if any is configured.
pub(super) fn login(config: &Config) -> anyhow::Result<Option<Login>> {
    let Some(login) = &config.admin.login else {
        return Ok(None);
    };

    if let Some(path) = &login.users_file {
        return Ok(Some(Login::Users(path.clone())));
    }

    if let Some(settings) = &login.oidc {
        return Ok(Some(Login::Oidc(Box::new(oidc(config, settings)?))));
    }

    let Some(proxy) = &login.proxy else {
        return Ok(None);
    };
    let from = Networks::new(&proxy.from, "admin.login.proxy.from")
        .map_err(|problem| anyhow::anyhow!("{}: {}", problem.key, problem.what))?;
    let header = proxy.header.parse().context("admin.login.proxy.header")?;

    Ok(Some(Login::Proxy { header, from }))
}

fn oidc(config: &Config, settings: &oidc::Oidc) -> anyhow::Result<Oidc> {
    let refused = |Problem { key, what, .. }| anyhow!("{key}: {what}");
    let secret = settings.secret("admin.login.oidc").map_err(refused)?;
    let client = config.provider_client(settings, &|name| std::env::var(name).ok());
    let client = client.map_err(|problems| anyhow!(Unusable(problems)))?;
    let external_url = config.global.external_url.as_deref().unwrap_or_default();
    Oidc::new(settings.clone(), secret, external_url, client).context("global.external_url")
}

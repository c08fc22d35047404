//! The parts of `admin.login` that lie outside of the configuration: the file of users, and the
//! connection to the identity provider.

use std::time::Duration;

use super::Config;
use crate::{
    deliver::{Environment, client_of},
    settings::{
        Problem,
        oidc::Oidc,
        users::{self, UsersError},
    },
};

/// The time limit for one answer of the identity provider. It is short because a person waits, too.
const PATIENCE: Duration = Duration::from_secs(10);

impl Config {
    /// Builds the client for queries to the identity provider.
    pub fn provider_client(
        &self,
        oidc: &Oidc,
        environment: Environment<'_>,
    ) -> Result<reqwest::Client, Vec<Problem>> {
        let (proxy, ca_file) = (oidc.proxy_url.as_deref(), oidc.ca_file.as_deref());
        client_of("admin.login.oidc", PATIENCE, proxy, ca_file, environment)
    }

    /// Returns what is wrong with the files and addresses that `admin.login` names. A file that
    /// cannot be read at all is reported with the other missing files.
    pub(super) fn sign_in_problems(&self, environment: Environment<'_>) -> Vec<Problem> {
        let Some(login) = &self.admin.login else {
            return Vec::new();
        };

        let of_users = login.users_file.iter().filter_map(|path| {
            let error = users::read(path).err()?;
            let what = format!("{}: {error}", path.display());
            let told = matches!(error, UsersError::Unreadable(_));
            (!told).then(|| Problem::new("admin.login.users_file", what, error.mend()))
        });
        let of_provider = login
            .oidc
            .iter()
            .filter_map(|oidc| self.provider_client(oidc, environment).err())
            .flatten();

        of_users.chain(of_provider).collect()
    }
}

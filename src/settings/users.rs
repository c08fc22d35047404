//! The people who may sign in, one per line of `admin.login.users_file`.

use std::{fs, io, path::Path, str::FromStr};

use argon2::password_hash::phc::PasswordHash;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a person who has signed in may do.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The person may look at everything, and try out what neither stores nor sends anything.
    Viewer,
    /// The person may also act.
    Operator,
}

impl Role {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
        }
    }
}

impl FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "viewer" => Ok(Self::Viewer),
            "operator" => Ok(Self::Operator),
            other => Err(format!(
                "`{other}` is not a role; the roles are viewer and operator"
            )),
        }
    }
}

/// A person who may sign in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    pub name: String,
    pub role: Role,
    /// The Argon2 hash of the password, as `argon2 SALT -id -e` prints it.
    pub hash: String,
}

/// A problem with a file of users.
#[derive(Debug, thiserror::Error)]
pub enum UsersError {
    #[error("{0}")]
    Unreadable(#[from] io::Error),
    #[error("line {line}: {what}")]
    Line { line: usize, what: String },
    #[error("line {line}: `{name}` is already on an earlier line")]
    Twice { line: usize, name: String },
}

impl UsersError {
    pub fn mend(&self) -> &'static str {
        match self {
            Self::Unreadable(_) => "put the file there, readable by the user alertbridge runs as",
            Self::Line { .. } => {
                "write each line as `name:role:$argon2id$…`, with the role viewer or operator"
            }
            Self::Twice { .. } => "keep one of the two lines",
        }
    }
}

/// The largest file that is read, in bytes. It holds some thousands of people.
const LARGEST: u64 = 1 << 20;

/// Reads a file of users.
pub fn read(path: &Path) -> Result<Vec<User>, UsersError> {
    if fs::metadata(path)?.len() > LARGEST {
        return Err(io::Error::other("the file is larger than 1 MiB").into());
    }
    parse(&fs::read_to_string(path)?)
}

/// Parses the text of a file of users. Empty lines and those that begin with `#` are skipped.
pub fn parse(text: &str) -> Result<Vec<User>, UsersError> {
    let mut users: Vec<User> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let (number, line) = (number + 1, line.trim());
        if line.is_empty() || line.starts_with('#') {
            continue;
        }

        let user = user(line).map_err(|what| UsersError::Line { line: number, what })?;
        if users.iter().any(|other| other.name == user.name) {
            let name = user.name;
            return Err(UsersError::Twice { line: number, name });
        }
        users.push(user);
    }

    Ok(users)
}

fn user(line: &str) -> Result<User, String> {
    let mut parts = line.splitn(3, ':');
    let (Some(name), Some(role), Some(hash)) = (parts.next(), parts.next(), parts.next()) else {
        return Err("it does not have three parts".to_owned());
    };

    if name.trim().is_empty() {
        return Err("the name is empty".to_owned());
    }
    let role = role.parse()?;
    if !hash.starts_with("$argon2id$") || PasswordHash::new(hash).is_err() {
        return Err("the hash is not an Argon2id hash".to_owned());
    }

    Ok(User {
        name: name.to_owned(),
        role,
        hash: hash.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The hash of `secret`, with little work.
    const HASH: &str =
        "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$4fzyr4M2fNkJ1mnKNzKKFHWqVh2d3Bq0v1m7HOKkZ7w";

    #[test]
    fn a_line_is_a_name_a_role_and_a_hash() {
        let users = parse(&format!(
            "# people\n\nann:operator:{HASH}\n bob:viewer:{HASH}\n"
        ));
        let users = users.unwrap();
        assert_eq!(
            users
                .iter()
                .map(|user| (&*user.name, user.role))
                .collect::<Vec<_>>(),
            [("ann", Role::Operator), ("bob", Role::Viewer)]
        );
        assert_eq!(users[0].hash, HASH);
    }

    #[test]
    fn what_is_wrong_names_the_line() {
        for (text, said) in [
            ("ann".to_owned(), "line 1: it does not have three parts"),
            (
                format!("\nann:admin:{HASH}"),
                "line 2: `admin` is not a role",
            ),
            (format!(":viewer:{HASH}"), "line 1: the name is empty"),
            ("ann:viewer:secret".to_owned(), "line 1: the hash is not"),
            (
                "ann:viewer:$argon2id$x".to_owned(),
                "line 1: the hash is not",
            ),
            (
                format!("ann:viewer:{HASH}\nann:operator:{HASH}"),
                "line 2: `ann` is already on an earlier line",
            ),
        ] {
            let error = parse(&text).unwrap_err().to_string();
            assert!(error.starts_with(said), "{text}: {error}");
        }
    }
}

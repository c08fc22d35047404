//! The way to type this very program into a shell, for the commands that are printed.

use std::{
    env,
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
};

/// The name of the program where it is installed.
const NAME: &str = "alertbridge";
/// The option that names the incident of the first mail that somebody sends.
const FIRST: &str = "--incident FIRST";

/// Returns the commands that pipe a first mail, and the mail that says that it is over, into the
/// command `way_in`.
pub(super) fn first_mail(way_in: &str) -> [String; 2] {
    let program = program();
    ["", " --status OK"].map(|status| format!("{program} sample {FIRST}{status} | {way_in}"))
}

/// Returns the program's name alone if a shell finds this very program by it, otherwise its path.
fn program() -> String {
    let own = env::current_exe().ok();
    let path = env::var_os("PATH").unwrap_or_default();
    let given = env::args_os().next().map(PathBuf::from).unwrap_or_default();
    called(own.as_deref(), &path, &given)
}

fn called(own: Option<&Path>, path: &OsStr, given: &Path) -> String {
    let real = |path: &Path| fs::canonicalize(path).ok();
    let own = own.and_then(real);
    let mut found = env::split_paths(path).map(|folder| folder.join(NAME));
    let first = found.find(|file| file.is_file());
    if own.is_some() && first.as_deref().and_then(real) == own {
        return NAME.to_owned();
    }

    // The path is made absolute because the other terminal may be in another folder.
    let is_place = given.components().count() > 1;
    let place = is_place.then(|| std::path::absolute(given).ok()).flatten();
    let place = place.or(own).unwrap_or_else(|| NAME.into());
    quoted(&place.to_string_lossy())
}

/// Quotes a word so that a shell takes it as one.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+@%:,=".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use std::{fs::Permissions, os::unix::fs::PermissionsExt as _};

    use super::*;

    #[test]
    fn a_shell_finds_the_program_by_what_is_printed() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        for place in ["bin", "my builds"] {
            fs::create_dir(folder.join(place)).unwrap();
            let file = folder.join(place).join(NAME);
            fs::write(&file, place).unwrap();
            fs::set_permissions(&file, Permissions::from_mode(0o755)).unwrap();
        }
        let bin = folder.join("bin");
        let built = folder.join("my builds").join(NAME);

        let installed = bin.join(NAME);
        let by = |own: &Path, given: &str| called(Some(own), bin.as_os_str(), Path::new(given));
        assert_eq!(by(&installed, NAME), NAME);
        assert_eq!(by(&installed, installed.to_str().unwrap()), NAME);
        // Another program of the same name comes first in the path.
        let place = format!("'{}'", built.display());
        assert_eq!(by(&built, built.to_str().unwrap()), place);
        assert_eq!(by(&built, "bridge-of-mine"), place);
        let here = env::current_dir().unwrap().join("target/alertbridge");
        assert_eq!(
            called(None, OsStr::new(""), Path::new("target/alertbridge")),
            quoted(here.to_str().unwrap())
        );
        assert_eq!(quoted("/it's"), r"'/it'\''s'");
    }
}

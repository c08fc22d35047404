//! `alertbridge profiles`: how the mail of other senders is read.

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context as _, bail, ensure};
use clap::{Args, Subcommand};
use jiff::Timestamp;
use serde_json::json;

use super::{desk::Server, exit, mailbox, options::Json, plain::plain, remote::Remote, table};
use crate::{
    config::{Config, Files},
    profile::{Profiles, draft, examples, starters},
    web::{list::List as Remotes, views::conditions::Profile},
};

/// How the mail of other senders is read: list, show, test, draft
#[derive(Debug, Subcommand)]
pub enum Commands {
    List(List),
    Show(Show),
    Test(Test),
    Draft(Draft),
}

/// List the profiles of the configuration or of a running bridge, in order, and the available
/// starters
#[derive(Debug, Args)]
#[command(after_help = "\
Exit status: 0 done, 1 the configuration is wrong, 2 wrong usage.

Examples:
  alertbridge profiles list
  alertbridge profiles list --json | jq '.profiles[].name'
  alertbridge profiles list --server http://127.0.0.1:8026")]
pub struct List {
    #[command(flatten)]
    pub print: Json,
    #[command(flatten)]
    pub server: Server,
}

/// Print a starter's file, or what a configured profile takes and yields
#[derive(Debug, Args)]
#[command(after_help = "\
Exit status: 0 done, 1 there is none with this name, 2 wrong usage.

Examples:
  alertbridge profiles show cloudwatch
  alertbridge profiles show atlassian-sli")]
pub struct Show {
    /// The name of the profile or starter
    pub name: String,
    #[command(flatten)]
    pub print: Json,
}

/// Run the tests of profiles: mails, and what must be read in them
#[derive(Debug, Args)]
#[command(after_help = "\
`check`, the start and every reload also run them, and refuse a configuration
whose tests fail.

Exit status: 0 all pass, 1 one fails, 2 wrong usage.

Examples:
  alertbridge profiles test
  alertbridge profiles test cloudwatch")]
pub struct Test {
    /// The profile to test [default: all]
    pub name: Option<String>,
    #[command(flatten)]
    pub print: Json,
}

/// Print a first profile made from an opening mail and, if given, its closing mail
#[derive(Debug, Args)]
#[command(after_help = "\
What identifies the alert is equal in both mails, and what gives its status
differs. The document can be put into the configuration as it is, or into a
file that it includes.

Exit status: 0 the draft reads the mails, 1 it needs manual work, 2 wrong
usage.

Examples:
  alertbridge profiles draft alarm.eml ok.eml > conf.d/cloudwatch.yaml
  alertbridge profiles draft alarm.eml")]
pub struct Draft {
    /// The opening mail, and its closing mail
    #[arg(value_name = "MAIL", num_args = 1..=2, required = true)]
    pub mails: Vec<PathBuf>,
}

impl Commands {
    pub async fn run(self, config: Option<&Path>) -> anyhow::Result<ExitCode> {
        let out = &mut io::stdout();
        match self {
            Self::List(command) => match command.server.remote()? {
                Some(remote) => command.ask(&remote, out).await,
                None => command.run(config, out),
            },
            Self::Show(command) => command.run(config, out),
            Self::Test(command) => command.run(config, out),
            Self::Draft(command) => command.run(out),
        }
    }
}

impl List {
    /// Lists the profiles of a running bridge, in their order, with the condition of each.
    async fn ask(&self, remote: &Remote, out: &mut impl Write) -> anyhow::Result<ExitCode> {
        let profiles: Remotes<Profile> = remote.get("profiles").await?;
        if self.print.json {
            let all = json!({ "profiles": profiles.items });
            writeln!(out, "{all:#}").context("cannot write")?;
            return Ok(ExitCode::SUCCESS);
        }

        let time = |at: Option<Timestamp>| at.map(|at| at.strftime("%F %T").to_string());
        let rows = profiles.items.into_iter().map(|profile| {
            vec![
                profile.name,
                time(profile.last_mail).unwrap_or_default(),
                time(profile.last_success).unwrap_or_default(),
                profile.unparsed.to_string(),
            ]
        });
        let heading = ["NAME", "LAST MAIL (UTC)", "LAST READ (UTC)", "UNPARSED"];
        writeln!(out, "{}", table::of(&heading, rows)).context("cannot write")?;
        Ok(ExitCode::SUCCESS)
    }

    fn run(&self, config: Option<&Path>, out: &mut impl Write) -> anyhow::Result<ExitCode> {
        let loaded = Config::load(config, Files::Unneeded)?;
        let profiles: Vec<_> = loaded.profiles.iter().collect();

        if self.print.json {
            let described = profiles.iter().map(|profile| {
                json!({
                    "name": &*profile.name,
                    "use": profile.settings().r#use,
                    "from": profile.from(),
                    "matchers": profile.settings().r#match.matchers,
                    "labels": profile.own_labels().collect::<Vec<_>>(),
                    "tests": profile.settings().tests.len(),
                })
            });
            let starters = starters::STARTERS
                .iter()
                .map(|(name, text)| json!({ "name": name, "about": starters::about(text) }));
            let all = json!({
                "profiles": described.collect::<Vec<_>>(),
                "starters": starters.collect::<Vec<_>>(),
            });
            writeln!(out, "{all:#}").context("cannot write")?;
            return Ok(ExitCode::SUCCESS);
        }

        let rows = profiles.iter().map(|profile| {
            vec![
                profile.name.to_string(),
                profile.settings().r#use.clone().unwrap_or_default(),
                profile.from().join(" "),
                profile.settings().tests.len().to_string(),
            ]
        });
        let listed = table::list(
            &["NAME", "USE", "FROM", "TESTS"],
            rows,
            &["NAME", "USE", "FROM"],
        );
        let names: Vec<&str> = starters::STARTERS.iter().map(|(name, _)| *name).collect();
        let starters = table::line("starters:", &names.join(" "));
        writeln!(out, "{listed}\n\n{starters}").context("cannot write")?;
        Ok(ExitCode::SUCCESS)
    }
}

impl Show {
    fn run(&self, config: Option<&Path>, out: &mut impl Write) -> anyhow::Result<ExitCode> {
        let loaded = Config::load(config, Files::Unneeded)?;
        let starter = match self.name.as_str() {
            "atlassian-sli" => Some(starters::ATLASSIAN_SLI),
            name => starters::named(name),
        };

        if let Some(profile) = loaded.profiles.get(&self.name) {
            let settings = serde_json::to_value(profile.settings()).context("cannot be shown")?;
            let shown = json!({ "profiles": [settings] });
            if self.print.json {
                writeln!(out, "{shown:#}")
            } else {
                write!(out, "{}", yaml(&shown))
            }
            .context("cannot write")?;
        } else if let Some(text) = starter {
            if self.print.json {
                let shown =
                    json!({ "name": self.name, "about": starters::about(text), "yaml": text });
                writeln!(out, "{shown:#}").context("cannot write")?;
            } else {
                out.write_all(text.as_bytes()).context("cannot write")?;
            }
        } else {
            let known = loaded
                .profiles
                .iter()
                .map(|profile| profile.name.to_string());
            let starters = starters::STARTERS
                .iter()
                .map(|(name, _)| (*name).to_owned());
            let known: Vec<String> = known.chain(starters).collect();
            bail!(
                "there is no profile or starter `{}`; there are {}",
                self.name,
                known.join(", ")
            );
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Test {
    fn run(&self, config: Option<&Path>, out: &mut impl Write) -> anyhow::Result<ExitCode> {
        let loaded = Config::load(config, Files::Unneeded)?;
        if let Some(name) = &self.name {
            ensure!(
                loaded.profiles.get(name).is_some(),
                "the configuration has no profile `{name}`"
            );
        }
        let wanted = |name: &str| self.name.as_deref().is_none_or(|wanted| wanted == name);
        let tried: Vec<examples::Tried> = loaded
            .profiles
            .iter()
            .filter(|profile| wanted(&profile.name))
            .flat_map(|profile| examples::run(profile))
            .collect();
        let passes = tried.iter().all(|tried| tried.wrong.is_empty());

        if self.print.json {
            let all = json!({ "ok": passes, "tests": tried });
            writeln!(out, "{all:#}").context("cannot write")?;
            return Ok(exit(passes));
        }
        for tried in &tried {
            let verdict = if tried.wrong.is_empty() {
                "ok"
            } else {
                "FAILED"
            };
            let line = format!("{} {} {}", tried.profile, tried.test, tried.mail);
            writeln!(out, "{verdict:<6} {}", plain(&line)).context("cannot write")?;
            for wrong in &tried.wrong {
                let line = format!("{}: {}", wrong.key, wrong.what);
                writeln!(out, "       {}", plain(&line)).context("cannot write")?;
            }
        }
        let count = table::count(tried.len() as u64, "test");
        let failed = tried.iter().filter(|tried| !tried.wrong.is_empty()).count();
        writeln!(out, "{count}, {failed} failed").context("cannot write")?;
        Ok(exit(passes))
    }
}

impl Draft {
    fn run(&self, out: &mut impl Write) -> anyhow::Result<ExitCode> {
        let mut mails = Vec::new();
        for path in &self.mails {
            let found = mailbox::find(std::slice::from_ref(path), || {})?;
            let [mail] = found.as_slice() else {
                bail!("{} holds {} mails, not one", path.display(), found.len());
            };
            mails.push(mail.read()?);
        }
        let (Some(opening), closing) = (mails.first(), mails.get(1)) else {
            bail!("name the opening mail");
        };

        let document = draft::document(opening, closing.map(|mail| &**mail));
        write!(out, "{document}").context("cannot write")?;
        out.flush().context("cannot write")?;

        let doubts = doubts(&document, opening, closing.map(|mail| &**mail))?;
        for doubt in &doubts {
            tell!("warning: {}", plain(doubt));
        }
        Ok(exit(doubts.is_empty()))
    }
}

/// Returns what the draft does not read as it should.
fn doubts(document: &str, opening: &[u8], closing: Option<&[u8]>) -> anyhow::Result<Vec<String>> {
    let profiles = Profiles::compile(&Config::profiles_of(document)?)
        .map_err(|problems| anyhow::anyhow!("the draft cannot be used: {problems:?}"))?;
    let profile = profiles.iter().next();
    let profile = profile.context("the draft holds no profile")?;
    Ok(draft::tried(profile, opening, closing).doubts)
}

/// Formats JSON as YAML for people, without empty values.
fn yaml(value: &serde_json::Value) -> String {
    let mut out = String::new();
    lines(value, 0, &mut out);
    out
}

fn lines(value: &serde_json::Value, depth: usize, out: &mut String) {
    let indent = "  ".repeat(depth);
    match value {
        serde_json::Value::Object(entries) => {
            // An empty `notify_on_change` is kept, because it says that no change is told.
            let says = |key: &str, value: &serde_json::Value| {
                !is_nothing(value) || (key == "notify_on_change" && value.is_array())
            };
            for (key, value) in entries.iter().filter(|(key, value)| says(key, value)) {
                match value {
                    serde_json::Value::Object(_) => {
                        *out += &format!("{indent}{key}:\n");
                        lines(value, depth + 1, out);
                    }
                    serde_json::Value::Array(items)
                        if items.iter().any(serde_json::Value::is_object) =>
                    {
                        *out += &format!("{indent}{key}:\n");
                        lines(value, depth + 1, out);
                    }
                    // JSON is YAML.
                    other => *out += &format!("{indent}{key}: {other}\n"),
                }
            }
        }
        serde_json::Value::Array(items) => {
            for item in items {
                let mut inner = String::new();
                lines(item, depth + 1, &mut inner);
                let rest = inner.trim_start();
                *out += &format!("{indent}- {rest}");
            }
        }
        other => *out += &format!("{indent}{other}\n"),
    }
}

fn is_nothing(value: &serde_json::Value) -> bool {
    match value {
        serde_json::Value::Null => true,
        serde_json::Value::Array(items) => items.is_empty(),
        serde_json::Value::Object(entries) => entries.values().all(is_nothing),
        _ => false,
    }
}

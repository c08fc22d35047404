//! The commands: which code runs them.
//!
//! Data goes to stdout, everything else to stderr. Exit status: 0 done, 1 the thing asked about is
//! wrong, 2 wrong usage.

use std::{
    io::{self, IsTerminal as _, Write as _},
    path::Path,
    process::ExitCode,
    sync::Arc,
};

use anyhow::Context as _;
use clap::CommandFactory as _;

use crate::{
    clock::Clock,
    config::{Config, Files, Loaded},
    message::Outcome,
    serve,
    store::{Store, audit::Extent},
    telemetry,
};

mod arguments;
mod asker;
mod check;
mod deliveries;
mod discard;
mod explain;
mod file_format;
mod imap;
mod incidents;
mod mailbox;
mod mails;
mod man;
mod mbox;
mod plain;
mod receivers;
mod replay;
pub mod routes;
pub mod sample;
mod schema;
mod silences;
mod store;
mod table;
mod trial;

pub use arguments::Cli;
use arguments::{
    Check, Command, Completion, Deliveries, Explain, Imap, Incidents, Json, Mails, Receivers,
    Replay, Routes, Sample, Schema, Serve, Silences,
};

/// The status of wrong usage, as clap has it.
const WRONG_USAGE: u8 = 2;

impl Cli {
    /// Runs the command.
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        let config = self.config.as_deref();
        let out = &mut io::stdout();
        match self.command {
            Command::Serve(Serve { log_format }) => {
                let loaded = Config::load(config, Files::Needed)?;
                telemetry::log_to_stderr(log_format.unwrap_or(loaded.config.global.log_format));
                serve::run(loaded).await?;
            }
            Command::Check(Check {
                print: Json { json },
            }) => return check::run(config, json, out),
            Command::Explain(arguments) => return explain(config, arguments).await,
            Command::Replay(arguments) => return replay(config, arguments).await,
            Command::Routes(command) => return routes(config, command),
            Command::Imap(Imap::Login(arguments)) => {
                let loaded = Config::load(config, Files::Unneeded)?;
                imap::login(&loaded.config, &arguments, out).await?;
            }
            Command::Receivers(Receivers::Test { name, print }) => {
                return receivers(config, &name, print).await;
            }
            Command::Incidents(command) => incidents(config, command).await?,
            Command::Deliveries(command) => deliveries(config, command).await?,
            Command::Mails(command) => return mails(config, command).await,
            Command::Silences(command) => return silences(config, command).await,
            Command::Store(command) => return store(config, command).await,
            Command::Sample(Sample { status, incident }) => {
                let mail = sample::mail(&status, incident.as_deref(), Clock::system().now());
                out.write_all(mail.as_bytes())?;
            }
            Command::Schema(Schema { of }) => schema::run(of, out)?,
            Command::Completion(Completion { shell }) => {
                // Made in memory: clap_complete panics where its output cannot be written.
                let mut script = Vec::new();
                clap_complete::generate(shell, &mut Self::command(), "alertbridge", &mut script);
                out.write_all(&script)?;
            }
            Command::Man => man::page(Self::command(), out)?,
        }
        out.flush()?;
        Ok(ExitCode::SUCCESS)
    }
}

/// The store of the configuration, which must be there: only `serve` and `store migrate` make one.
async fn open_store(config: Option<&Path>) -> anyhow::Result<Arc<dyn Store>> {
    let loaded = Config::load(config, Files::Unneeded)?;
    let place = store::there(&loaded.config).await?;
    place
        .open()
        .await
        .with_context(|| format!("store.url: {place}"))
}

async fn explain(config: Option<&Path>, arguments: Explain) -> anyhow::Result<ExitCode> {
    let Explain {
        mail,
        at,
        trust,
        ingress,
        print: Json { json },
    } = arguments;
    let loaded = Config::load(config, Files::Unneeded)?;
    let request = explain::Request {
        mail: &mail,
        at,
        trust,
        ingress,
        json,
        now: Clock::system().now(),
    };
    let outcome = explain::run(&loaded, request, &mut io::stdout()).await?;
    Ok(if outcome == Outcome::Unparsed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

async fn replay(config: Option<&Path>, arguments: Replay) -> anyhow::Result<ExitCode> {
    let Replay {
        paths,
        stored,
        since,
        until,
        at,
        trust,
        ingress,
        send,
        yes,
        print: Json { json },
        diff,
    } = arguments;
    if send && !yes && !io::stdin().is_terminal() {
        eprintln!(
            "error: `--send` asks before it pages people, and there is no terminal to ask on: add --yes"
        );
        return Ok(ExitCode::from(WRONG_USAGE));
    }
    let files = if send { Files::Needed } else { Files::Unneeded };
    let loaded = Config::load(config, files)?;
    let other = diff
        .map(|other| Config::load(Some(&other), Files::Unneeded))
        .transpose()?;
    let stored = if stored {
        Some(replay::Stored {
            store: open_store(config).await?,
            since,
            until,
        })
    } else {
        None
    };
    let request = replay::Request {
        paths,
        stored,
        at,
        trust,
        ingress,
        json,
        now: Clock::system().now(),
    };
    if let Some(other) = other {
        return compare(&loaded, &other, &request).await;
    }
    let (trial, unreadable) = replay::run(&loaded, &request, &mut io::stdout()).await?;
    if unreadable > 0 {
        eprintln!("{} could not be read", table::count(unreadable, "alert"));
    }
    let all_read = if unreadable == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    };
    if !send {
        return Ok(all_read);
    }
    let owed = replay::owed(&trial).await?;
    if owed > 0 && !yes && !replay::agreed(owed)? {
        eprintln!("nothing was sent");
        return Ok(ExitCode::FAILURE);
    }
    let Config {
        delivery, global, ..
    } = loaded.config;
    let all = replay::send(&trial, &delivery, global.external_url, json).await?;
    Ok(if all { all_read } else { ExitCode::FAILURE })
}

async fn compare(
    in_force: &Loaded,
    other: &Loaded,
    request: &replay::Request,
) -> anyhow::Result<ExitCode> {
    // It is written in colours, which this leaves out where no terminal is.
    let unreadable = replay::diff(in_force, other, request, &mut anstream::stdout()).await?;
    for (number, source) in [
        (unreadable.before, &in_force.source),
        (unreadable.after, &other.source),
    ] {
        if number > 0 {
            eprintln!(
                "{} could not be read with {source}",
                table::count(number, "alert")
            );
        }
    }
    Ok(if unreadable == replay::Sides::default() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn routes(config: Option<&Path>, command: Routes) -> anyhow::Result<ExitCode> {
    let loaded = Config::load(config, Files::Unneeded)?;
    let out = &mut io::stdout();
    let tried = match command {
        Routes::Show(Json { json }) => routes::show(&loaded.rules.routes, json, out),
        Routes::Test(arguments::Test {
            at,
            expect,
            labels,
            print: Json { json },
        }) => {
            let test = routes::Test {
                labels: &labels,
                at,
                expect: expect.as_deref(),
                json,
            };
            routes::test(&loaded.rules.routes, &test, out, &mut io::stderr())
        }
    };
    match tried {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(routes::RoutesError::Write(error)) => Err(error.into()),
        Err(error) => {
            eprintln!("error: {error}");
            Ok(ExitCode::from(error.exit_status()))
        }
    }
}

async fn receivers(
    config: Option<&Path>,
    name: &str,
    Json { json }: Json,
) -> anyhow::Result<ExitCode> {
    let Loaded { config, rules, .. } = Config::load(config, Files::Needed)?;
    let (receivers, external_url) = (Arc::clone(&rules.receivers), config.global.external_url);
    let out = &mut io::stdout();
    let delivered = receivers::test(
        receivers,
        name,
        &config.delivery,
        external_url,
        Clock::system(),
        json,
        out,
    )
    .await?;
    Ok(if delivered {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

async fn incidents(config: Option<&Path>, command: Incidents) -> anyhow::Result<()> {
    let store = &*open_store(config).await?;
    let out = &mut io::stdout();
    match command {
        Incidents::List {
            open,
            limit,
            print: Json { json },
        } => incidents::list(store, open, limit, json, out).await,
        Incidents::Show {
            id,
            print: Json { json },
        } => incidents::show(store, &id, json, out).await,
    }
}

async fn deliveries(config: Option<&Path>, command: Deliveries) -> anyhow::Result<()> {
    let store = &*open_store(config).await?;
    let (out, now) = (&mut io::stdout(), Clock::system().now());
    match command {
        Deliveries::List {
            state,
            limit,
            print: Json { json },
        } => deliveries::list(store, state, limit, json, out).await,
        Deliveries::Retry { ids, dead } => {
            deliveries::retry(store, (!dead).then_some(ids), now, out).await
        }
        Deliveries::Discard { id } => deliveries::discard(store, id, now, out).await,
    }
}

async fn store(config: Option<&Path>, command: arguments::Store) -> anyhow::Result<ExitCode> {
    let Loaded { config, .. } = Config::load(config, Files::Unneeded)?;
    let out = &mut io::stdout();
    match command {
        arguments::Store::Migrate => store::migrate(&serve::store_place(&config)?, out).await?,
        arguments::Store::Backup { file, overwrite } => {
            store::backup(&config, &file, overwrite, out).await?;
        }
        arguments::Store::Restore { file } => store::restore(&config, &file, out)?,
        arguments::Store::Check {
            quick,
            json: Json { json },
        } => {
            let extent = if quick {
                Extent::AllButBytes
            } else {
                Extent::Everything
            };
            return store::check(&config, Clock::system().now(), extent, json, out).await;
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn mails(config: Option<&Path>, command: Mails) -> anyhow::Result<ExitCode> {
    let store = &*open_store(config).await?;
    let (out, now) = (&mut io::stdout(), Clock::system().now());
    match command {
        Mails::List {
            outcome,
            limit,
            print: Json { json },
        } => mails::list(store, outcome, limit, json, out).await?,
        Mails::Show {
            id,
            raw,
            print: Json { json },
        } => mails::show(store, id, raw, json, out).await?,
        Mails::Release { id } => mails::release(store, id, now, out).await?,
        Mails::Discard(arguments::Discard { id: Some(id), .. }) => {
            mails::discard_one(store, id, now, out).await?;
        }
        Mails::Discard(arguments::Discard {
            ingress,
            from,
            older,
            yes,
            ..
        }) => {
            let filter = discard::Filter {
                ingress,
                from,
                older,
            };
            return discard_found(store, &filter, yes).await;
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn discard_found(
    store: &dyn Store,
    filter: &discard::Filter,
    yes: bool,
) -> anyhow::Result<ExitCode> {
    if !yes && !discard::can_ask() {
        eprintln!(
            "error: it asks before it discards mails, and there is no terminal to ask on: add --yes"
        );
        return Ok(ExitCode::from(WRONG_USAGE));
    }
    let now = Clock::system().now();
    let found = discard::find(store, filter, now).await?;
    if !found.is_empty() && !yes && !discard::agreed(found.len())? {
        eprintln!("nothing was discarded");
        return Ok(ExitCode::FAILURE);
    }
    discard::discard(store, &found, now, &mut io::stdout()).await?;
    Ok(ExitCode::SUCCESS)
}

async fn silences(config: Option<&Path>, command: Silences) -> anyhow::Result<ExitCode> {
    let (out, now) = (&mut io::stdout(), Clock::system().now());
    match command {
        Silences::List {
            expired,
            limit,
            print: Json { json },
        } => {
            silences::list(&*open_store(config).await?, expired, limit, now, json, out).await?;
        }
        Silences::Add(arguments::Add {
            matchers,
            duration,
            start,
            end,
            comment,
            author,
            print: Json { json },
        }) => {
            let wanted = silences::Wanted {
                matchers: &matchers,
                start,
                end,
                duration,
                comment: &comment,
                author,
            };
            match wanted.plan(now) {
                Ok(plan) => {
                    silences::add(
                        &*open_store(config).await?,
                        plan,
                        now,
                        json,
                        out,
                        &mut io::stderr(),
                    )
                    .await?;
                }
                Err(error) => {
                    eprintln!("error: {error}");
                    return Ok(ExitCode::from(WRONG_USAGE));
                }
            }
        }
        Silences::Expire { ids } => {
            silences::expire(&*open_store(config).await?, ids, now, out).await?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Says on standard error why a command failed; what a mail wrote in it moves no cursor.
pub fn complain(error: &anyhow::Error) {
    eprintln!("error: {}", plain::lines(&format!("{error:#}")));
}

/// Whether the error is that nobody reads standard output any more, which is no failure.
pub fn reader_is_gone(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        let kind = cause.downcast_ref::<io::Error>().map(io::Error::kind);
        let json = cause
            .downcast_ref::<serde_json::Error>()
            .and_then(serde_json::Error::io_error_kind);
        kind.or(json) == Some(io::ErrorKind::BrokenPipe)
    })
}

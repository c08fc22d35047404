//! `alertbridge schema`: for editors, and for whoever wants to know what an alert's JSON holds.

use std::{io::Write, process::ExitCode};

use anyhow::Context as _;

use super::SchemaOf;
use crate::config::Config;

const INCIDENT: &str = include_str!("../../schema/incident-data.schema.json");

/// Prints the schema on `out`.
pub fn run(of: SchemaOf, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    match of {
        SchemaOf::Incident => out.write_all(INCIDENT.as_bytes()),
        SchemaOf::Config => writeln!(out, "{:#}", Config::json_schema()),
    }
    .context("cannot write")?;
    Ok(ExitCode::SUCCESS)
}

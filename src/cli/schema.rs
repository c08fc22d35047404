//! `alertbridge schema`: for editors, and for whoever wants to know what an alert's JSON holds.

use std::io::{self, Write};

use super::arguments::SchemaOf;
use crate::config::Config;

const INCIDENT: &str = include_str!("../../schema/incident-data.schema.json");

/// Prints the schema on `out`.
pub fn run(of: SchemaOf, out: &mut impl Write) -> io::Result<()> {
    match of {
        SchemaOf::Incident => out.write_all(INCIDENT.as_bytes()),
        SchemaOf::Config => writeln!(out, "{:#}", Config::json_schema()),
    }
}

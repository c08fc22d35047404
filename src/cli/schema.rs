//! `alertbridge schema`: prints a JSON Schema, for editors and as a reference of an alert's JSON.

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use clap::{Args, ValueEnum};

const CONFIG: &str = include_str!("../../schema/config.schema.json");
const INCIDENT: &str = include_str!("../../schema/incident-data.schema.json");

/// Print a JSON Schema, of an incident's JSON or of the configuration file
#[derive(Debug, Args)]
#[command(after_help = "\
Editors use it to complete the configuration and to report mistakes.

Exit status: 0 done, 2 wrong usage.

Examples:
  alertbridge schema config > config.schema.json
    and in alertbridge.yaml: # yaml-language-server: $schema=config.schema.json
  alertbridge schema incident")]
pub struct Schema {
    /// The subject of the schema
    pub of: SchemaOf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SchemaOf {
    Incident,
    Config,
}

impl Schema {
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let out = &mut io::stdout();
        let schema = match self.of {
            SchemaOf::Incident => INCIDENT,
            SchemaOf::Config => CONFIG,
        };

        out.write_all(schema.as_bytes())?;
        Ok(ExitCode::SUCCESS)
    }
}

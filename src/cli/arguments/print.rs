//! `alertbridge sample`, `schema` and `completion`: what is only printed.

use clap::{Args, ValueEnum};

/// Print a mail like Atlassian's, dated now, to try things with
#[derive(Debug, Args)]
#[command(after_help = "\
Nothing signs it: a bridge that checks authenticity tells the trigger as
unverified and holds the resolve; `explain --trust` and `replay --trust` take
them for genuine. A resolve needs the --incident of its trigger.

Exit status: 0 done, 2 wrong usage.

Examples:
  alertbridge sample | curl --data-binary @- \\
      -H 'Content-Type: message/rfc822' http://127.0.0.1:8025/ingress/mail
  alertbridge sample --status OK --incident inc-1 | alertbridge explain -")]
pub struct Sample {
    /// The incident's status, as OK for a resolve
    #[arg(long, value_name = "S", default_value = "ANOMALOUS")]
    pub status: String,
    /// The incident's id [default: a new one]
    #[arg(long, value_name = "ID")]
    pub incident: Option<String>,
}

/// Print a JSON Schema: of an incident's JSON, or of the configuration file
#[derive(Debug, Args)]
#[command(after_help = "\
Editors complete the configuration by it, and tell what is wrong.

Exit status: 0 done, 2 wrong usage.

Examples:
  alertbridge schema config > config.schema.json
    and in alertbridge.yaml: # yaml-language-server: $schema=config.schema.json
  alertbridge schema incident")]
pub struct Schema {
    /// Of which
    pub of: SchemaOf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SchemaOf {
    Incident,
    Config,
}

/// Print a completion script for a shell
#[derive(Debug, Args)]
#[command(after_help = "\
Exit status: 0 done, 2 wrong usage.

Examples:
  alertbridge completion bash > ~/.local/share/bash-completion/completions/alertbridge
  alertbridge completion zsh > \"${fpath[1]}/_alertbridge\"")]
pub struct Completion {
    /// For which
    pub shell: clap_complete::Shell,
}

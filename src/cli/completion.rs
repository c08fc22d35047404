//! `alertbridge completion`: a script that completes commands and options in a shell.

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use clap::Args;

/// Print a completion script for a shell
#[derive(Debug, Args)]
#[command(after_help = "\
Exit status: 0 done, 2 wrong usage.

Examples:
  alertbridge completion bash \\
      > ~/.local/share/bash-completion/completions/alertbridge
  alertbridge completion zsh > \"${fpath[1]}/_alertbridge\"")]
pub struct Completion {
    /// The shell
    pub shell: clap_complete::Shell,
}

impl Completion {
    pub fn run(self, mut program: clap::Command) -> anyhow::Result<ExitCode> {
        // Generated in memory: clap_complete panics if its output cannot be written.
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut program, "alertbridge", &mut script);
        io::stdout().write_all(&script)?;
        Ok(ExitCode::SUCCESS)
    }
}

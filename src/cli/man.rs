//! `alertbridge man`: one manual page for every command.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use clap::Args;
use clap_mangen::Man;

/// Print the manual page
#[derive(Debug, Args)]
#[command(after_help = "\
It contains the help of every command.

Exit status: 0 done, 2 wrong usage.

Example:
  alertbridge man | man -l -")]
pub struct Manual;

impl Manual {
    pub fn run(program: clap::Command) -> anyhow::Result<ExitCode> {
        page(program, &mut io::stdout())?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Writes the page: the program, then the `--help` of each command.
fn page(mut program: clap::Command, out: &mut impl Write) -> io::Result<()> {
    program = program.term_width(78).disable_help_subcommand(true);
    program.build();

    let man = Man::new(program.clone());
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_options_section(&mut page)?;
    writeln!(page, ".SH COMMANDS")?;
    for command in program.get_subcommands() {
        tell(command, &mut page)?;
    }

    man.render_extra_section(&mut page)?;
    man.render_version_section(&mut page)?;

    out.write_all(&page)
}

/// Writes the help of a command, or of its subcommands.
fn tell(command: &clap::Command, page: &mut Vec<u8>) -> io::Result<()> {
    if command.has_subcommands() {
        return command
            .get_subcommands()
            .try_for_each(|below| tell(below, page));
    }

    let name = command.get_bin_name().unwrap_or(command.get_name());
    writeln!(page, ".SS {}\n.nf", literal(name))?;
    for line in command.clone().render_help().to_string().lines() {
        writeln!(page, "{}", literal(line))?;
    }

    writeln!(page, ".fi")
}

/// Escapes a line so that roff prints it verbatim, without escapes or requests (roff(7)).
fn literal(line: &str) -> String {
    let line = line
        .replace('\\', "\\e")
        .replace('-', "\\-")
        .replace('\'', "\\(aq")
        .replace('`', "\\(ga");

    if line.starts_with('.') {
        format!("\\&{line}")
    } else {
        line
    }
}

//! What all templates have in common: the filters besides Jinja's own, and bounded output.

use std::io::{self, Write};

use minijinja::{AutoEscape, Environment, Error, UndefinedBehavior};

pub mod filters;
pub mod written;

/// Returns an environment for templates that need no escaping. In it, an undefined name is an
/// error, and rendering ends once `fuel` is used up.
pub fn environment(fuel: u64) -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_fuel(Some(fuel));
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    filters::add(&mut environment);
    environment
}

/// Describes an error and its causes in one short line.
pub fn described(error: &Error) -> String {
    let mut line = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(deeper) = cause {
        line = format!("{line}: {deeper}");
        cause = deeper.source();
    }

    let words: Vec<&str> = line.split_whitespace().collect();
    words.join(" ").chars().take(300).collect()
}

/// An output of limited length. Writing beyond the limit fails, which ends the rendering.
#[derive(Debug)]
pub struct Bounded {
    bytes: Vec<u8>,
    longest: usize,
    full: bool,
}

impl Bounded {
    pub fn to(longest: usize) -> Self {
        Self {
            bytes: Vec::new(),
            longest,
            full: false,
        }
    }

    /// Whether some output did not fit.
    pub fn is_full(&self) -> bool {
        self.full
    }

    pub fn into_text(self) -> String {
        String::from_utf8(self.bytes)
            .unwrap_or_else(|cut| String::from_utf8_lossy(cut.as_bytes()).into_owned())
    }
}

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = self.longest - self.bytes.len();
        if room == 0 && !bytes.is_empty() {
            self.full = true;
            return Err(io::Error::other("the output is too long"));
        }
        let taken = bytes.len().min(room);
        self.bytes.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

//! The commands.

pub mod sample;

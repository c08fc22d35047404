//! The commands.
pub mod routes;

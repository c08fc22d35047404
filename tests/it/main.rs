//! The whole program over real sockets. One binary, one harness.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]
mod arrows;
mod cli;
mod config;
mod corpus;
mod crash;
mod delivery;
mod dovecot;
mod e2e;
mod generator;
mod harness;
mod imap;
mod imap_oauth;
mod inbox;
mod postgres;
mod providers;
mod readme;
mod receivers;
mod replicas;
mod routing;
mod smtp;
mod sns;
mod store;
mod token_server;
mod vendors;
mod webhook;

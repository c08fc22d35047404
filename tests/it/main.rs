//! The whole program over real sockets. One binary, one harness.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]
#![allow(
    clippy::too_many_lines,
    reason = "a test that walks through a table of cases is as long as its table"
)]
mod admin;
mod alertmanager;
mod amtool;
mod api;
mod arrows;
mod authenticity;
mod browser;
mod canary;
mod changed;
mod chats;
mod cli;
mod config;
mod contributing;
mod corpus;
mod crash;
mod delivery;
mod deployed;
mod diff;
mod doctor;
mod doors;
mod dovecot;
mod e2e;
mod edited;
mod email;
mod environment;
mod faults;
mod floods;
mod generator;
mod harness;
mod hidden;
mod identity_provider;
mod imap;
mod imap_oauth;
mod imap_trouble;
mod inbox;
mod keeping;
mod lists;
mod log;
mod mailbox;
mod odd;
mod oidc;
mod openapi;
mod opening;
mod order;
mod pages;
mod parts;
mod policy;
mod port;
mod postfix;
mod postgres;
mod profiles;
mod providers;
mod readme;
mod receivers;
mod recovery;
mod reload;
mod remote;
mod replicas;
mod retention;
mod room;
mod routing;
mod schemathesis;
mod sign_in;
mod silences;
mod smarthosts;
mod smtp;
mod sns;
mod store;
mod surroundings;
mod token_server;
mod traces;
mod upgrade;
mod vendors;
mod ways;
mod webhook;
mod worker;

//! alertbridge: one alert mail in, the right page out, once, whatever crashes in between.
//!
//! The first group of modules holds the words that the stages share, and the second the stages: the
//! number at each says when a mail meets it. Stages never call each other: only [`pipeline`] and
//! [`deliver`] put them in sequence, and only [`serve`] and [`cli`] see the whole configuration.
#![forbid(unsafe_code)]

// Words.
// A mail of the bridge's own that proves the path of alert mail to be open. Pure.
pub mod canary;
// The clock, passed as a parameter.
pub mod clock;
// An alert's delivery to one receiver: its states, its verdicts and when to try again. Pure.
pub mod delivery;
// What a mail says of an incident, and the state machine over it. Pure.
pub mod incident;
// Labels, and the matchers that test them.
pub mod label;
// A mail as it came, and its outcome.
pub mod message;
// How long objectives were breached, and what that leaves of the error budget. Pure.
pub mod objective;
// The vocabulary of the configuration: durations, sizes, secrets, and a problem with its fix.
pub mod settings;
// Planned maintenance: which triggers are told to nobody for a while. Pure.
pub mod silence;
// The common part of all templates: filters, and bounded output.
pub mod template;

// Stages.
// 2. Checks that a mail is really from its sender.
pub mod authenticate;
// 7. Delivers pages: claim → render → send → judge → settle.
pub mod deliver;
// 3. Finds what a message contains: JSON, texts, pairs, attachments.
pub mod extract;
// 1. Receives mail.
pub mod ingress;
// 6. Renders a notification as a request, and judges the reply. No I/O.
pub mod receiver;
// 5. Routes labels to receivers.
pub mod route;
// 4. Turns JSON into an incident, or says what is wrong with it.
pub mod validate;

// Defines which mail belongs to which sender, and how it is read. Compiled from YAML.
pub mod profile;

// The modules that join the stages.
// The points at which tests let the program die.
mod crash;
// Components that nothing works without: the process ends if one panics.
mod vital;
// Hands one mail to a mail server, in one bounded conversation.
mod mailer;
// Puts the stages before delivery in sequence: accept, decide.
pub mod pipeline;
// Keeps what must survive a restart.
pub mod store;
// Reports each observable event, with one function for each.
pub mod telemetry;
// Walks mails through every stage, over a state that is thrown away.
pub mod trial;
// Tells of the bridge's own troubles.
pub mod watch;

// The program.
// The commands.
pub mod cli;
// Composes the settings of all modules.
pub mod config;
// Builds the bridge, starts it, and stops it softly or at once.
pub mod serve;
// Serves health, readiness, metrics, the API and sign-in.
pub mod web;

//! alertbridge: one alert mail in, the right page out, once, whatever crashes in between.
//!
//! Nouns are words the stages share, verbs are stages: the number at each says when a mail meets
//! it. Stages never call each other: only [`pipeline`] and [`deliver`] put them in sequence, and
//! only [`serve`] and [`cli`] see the whole configuration.
#![forbid(unsafe_code)]

// Words.
// A mail of the bridge's own that proves the way of mail to be open. Pure.
pub mod canary;
// The clock as a parameter.
pub mod clock;
// An alert's delivery to one receiver: its states, its verdicts and when to try again. Pure.
pub mod delivery;
// What Atlassian says of an incident, and the state machine over it. Pure.
pub mod incident;
// Labels, and the matchers that test them.
pub mod label;
// A mail as it came, and what became of it.
pub mod message;
// How long objectives were breached, and what that leaves of the error budget. Pure.
pub mod objective;
// The words configuration is written in: durations, sizes, secrets, and a problem with its mend.
pub mod settings;
// Planned maintenance: which triggers are told to nobody for a while. Pure.
pub mod silence;
// What all templates share: filters, and output that ends.
pub mod template;

// Stages.
// 2. Is it really the sender's?
pub mod authenticate;
// 7. Claim → render → send → judge → settle.
pub mod deliver;
// 3. Message → what it holds: JSON, texts, pairs, attachments.
pub mod extract;
// 1. How mail arrives.
pub mod ingress;
// 6. Notification → request, reply → verdict. No I/O.
pub mod receiver;
// 5. Labels → receivers.
pub mod route;
// 4. JSON → incident, or what is wrong with it.
pub mod validate;

// Which mail is whose, and how it is read: compiled from YAML.
pub mod profile;

// What joins them.
// Where tests let the program die.
mod crash;
// What nothing works without: the process ends if it panics.
mod vital;
// One mail to a mail server, in one bounded conversation.
mod mailer;
// The straight line: accept, decide.
pub mod pipeline;
// What must survive.
pub mod store;
// One function per observable event.
pub mod telemetry;
// Mails walked through every stage, over a state that is thrown away.
pub mod trial;
// The bridge tells on itself.
pub mod watch;

// The program.
// The commands.
pub mod cli;
// Composes each module's own settings.
pub mod config;
// Wiring, start, soft and hard stop.
pub mod serve;
// Health, readiness, metrics, the API and sign-in.
pub mod web;

//! `alertbridge receivers`.

use clap::Subcommand;

use super::Json;

#[derive(Debug, Subcommand)]
pub enum Receivers {
    /// Send a `[TEST]` trigger and its resolve to one receiver
    #[command(after_help = "\
Both are real: whoever is on call hears of it. What cannot be delivered in
20 s has failed. Needs no `serve`, and no store.

Exit status: 0 both are delivered, 1 one is not or the configuration is
wrong, 2 wrong usage.

Examples:
  alertbridge receivers test oncall
  alertbridge receivers test oncall --json | jq '.[].state'")]
    Test {
        /// The receiver's name in the configuration
        name: String,
        #[command(flatten)]
        print: Json,
    },
}

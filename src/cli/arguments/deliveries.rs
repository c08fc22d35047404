//! `alertbridge deliveries`.

use clap::Subcommand;

use super::{Json, MOST_ROWS};
use crate::delivery::DeliveryState;

#[derive(Debug, Subcommand)]
#[command(after_help = "\
A delivery is one page to one integration of a receiver. It is tried until it
is delivered, refused for good, or too old (`delivery.give_up_after`); then it
is dead, and the bridge pages about that.")]
pub enum Deliveries {
    /// List what is owed, done, given up, the newest first
    #[command(after_help = "\
Exit status: 0 done, 1 there is no store, 2 wrong usage.

Examples:
  alertbridge deliveries list --state dead
  alertbridge deliveries list --json | jq '.[] | select(.receiver == \"oncall\")'")]
    List {
        /// Only those in this state
        #[arg(long)]
        state: Option<DeliveryState>,
        /// At most so many
        #[arg(long, value_name = "N", default_value_t = MOST_ROWS)]
        limit: u32,
        #[command(flatten)]
        print: Json,
    },
    /// Try dead deliveries again, after mending what kept them back
    #[command(after_help = "\
A running `serve` sends them within seconds; else the next one does.

Exit status: 0 they are pending again, or with --dead none was dead; 1 one of
those named is not dead; 2 wrong usage.

Examples:
  alertbridge deliveries retry 17 18
  alertbridge deliveries retry --dead")]
    Retry {
        /// The deliveries, as `deliveries list --state dead` tells them
        #[arg(
            required_unless_present = "dead",
            conflicts_with = "dead",
            value_name = "ID"
        )]
        ids: Vec<i64>,
        /// All that are dead
        #[arg(long)]
        dead: bool,
    },
    /// Give one up: it is not sent, nor sent again
    #[command(after_help = "\
Exit status: 0 done, 1 there is no such delivery or it is settled already,
2 wrong usage.

Example:
  alertbridge deliveries discard 17")]
    Discard {
        /// The delivery, as `deliveries list` tells it
        id: i64,
    },
}

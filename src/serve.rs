//! Wiring, start, soft and hard stop.

//! 6. Claim → render → send → judge → settle. Home of reqwest.

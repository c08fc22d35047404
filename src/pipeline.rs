//! The straight line: accept, decide.

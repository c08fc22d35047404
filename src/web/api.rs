//! The API: v1 is the bridge's own, v2 is Alertmanager's.

pub mod v1;
pub mod v2;

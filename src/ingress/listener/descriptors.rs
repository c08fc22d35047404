//! The limit of file descriptors. Each connection takes one, and so do the store and every page in
//! flight.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The descriptors that are reserved for delivery, the store, mailboxes, DNS and files.
const KEPT_BACK: usize = 384;
/// The limit that is assumed if none is set.
const PLENTY: usize = 1 << 16;

/// Raises this process's limit to its hard maximum, and returns it.
pub fn raise_limit() -> usize {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        let raised = Rlimit {
            current: limit.maximum,
            maximum: limit.maximum,
        };
        if let Err(error) = setrlimit(Resource::Nofile, raised) {
            tracing::warn!(%error, "the limit of open files stays as it is");
        }
    }

    let limit = getrlimit(Resource::Nofile).current;
    limit.map_or(PLENTY, |limit| usize::try_from(limit).unwrap_or(PLENTY))
}

/// Returns how many of the descriptors clients may use; clients that are leaving may use a quarter
/// more.
pub(super) fn for_clients(limit: usize) -> usize {
    (limit.saturating_sub(KEPT_BACK) / 5 * 4).max(limit / 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_never_have_all_descriptors() {
        for limit in [16, 64, 256, 384, 512, 1024, 4096, 1 << 20] {
            let most = for_clients(limit);
            assert!(
                most > 0 && most + most / 4 <= limit / 2
                    || limit > 512 && most + most / 4 <= limit - KEPT_BACK
            );
        }
        assert_eq!(for_clients(1024), 512);
    }
}

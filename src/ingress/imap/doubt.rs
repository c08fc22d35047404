//! Plans how to look for mail that a folder announces (EXISTS) and does not show yet (SEARCH),
//! because its index lags behind. Pure.
//!
//! Such mail is looked for with growing pauses, for a while, and then over another connection,
//! since some servers show a connection only what was there when it was made.

use std::time::Duration;

use tokio::time::Instant;

/// The first pause between two looks; it doubles.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// How long mail is looked for over the connection that announced it.
const LONGEST_OVER_ONE: Duration = Duration::from_secs(25);
/// How long mail is looked for; after that, it is looked for at every rescan only.
const LONGEST: Duration = Duration::from_mins(5);

#[derive(Debug, Default)]
pub(super) struct Doubt {
    /// The number of mails in the folder when nothing was in doubt.
    known: Option<u32>,
    /// Since when there is mail that does not show, and the pause before the next look.
    hidden: Option<(Instant, Duration)>,
}

impl Doubt {
    /// Notes that a scan of a folder that announces `exists` mails found `new` new ones, and
    /// whether it leaves them there (`leaves`). Returns how many mails did not show in all the time
    /// that they were looked for.
    pub(super) fn looked(
        &mut self,
        exists: Option<u32>,
        new: usize,
        leaves: bool,
        now: Instant,
    ) -> u32 {
        let new = u32::try_from(new).unwrap_or(u32::MAX);
        let Some(left) = exists.map(|exists| exists.saturating_sub(new)) else {
            return 0;
        };

        let (since, pause) = match self.hidden {
            Some((since, pause)) => (since, (2 * pause).min(LONGEST_PAUSE)),
            None => (now, FIRST_PAUSE),
        };
        let hidden = self.known.map_or(0, |known| left.saturating_sub(known));
        let is_hidden = hidden > 0 && now - since < LONGEST;
        self.hidden = is_hidden.then_some((since, pause));

        let before = if is_hidden { self.known } else { Some(left) };
        let stay = if leaves { new } else { 0 };
        self.known = before.map(|before| before.saturating_add(stay));

        if is_hidden { 0 } else { hidden }
    }

    /// Returns whether a connection that was made at `made` has been used for long enough.
    pub(super) fn wants_another_than(&self, made: Instant, now: Instant) -> bool {
        self.hidden
            .is_some_and(|(since, _)| made <= since && now - since >= LONGEST_OVER_ONE)
    }

    /// Returns the longest pause before the next look, if mail is being looked for.
    pub(super) fn pause(&self) -> Option<Duration> {
        self.hidden.map(|(_, pause)| pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the seconds at which a folder is looked at again that has `known` mails at first,
    /// and then those of `then`.
    fn looks(known: u32, then: &[(u32, usize)], leaves: bool) -> Vec<u64> {
        let began = Instant::now();
        let (mut doubt, mut now) = (Doubt::default(), began);
        assert_eq!(doubt.looked(Some(known), 0, leaves, now), 0);
        let (mut looks, mut rest) = (Vec::new(), then.iter());
        let mut last = (known, 0);
        loop {
            last = rest.next().copied().unwrap_or((last.0, 0));
            let given_up = doubt.looked(Some(last.0), last.1, leaves, now);
            let Some(pause) = doubt.pause() else {
                assert_eq!(given_up > 0, looks.last().is_some_and(|look| *look >= 300));
                return looks;
            };
            let asked = now - began;
            assert_eq!(
                doubt.wants_another_than(began, now),
                asked >= LONGEST_OVER_ONE
            );
            assert!(!doubt.wants_another_than(now, now) || asked.is_zero());
            now += pause;
            looks.push((now - began).as_secs());
        }
    }

    #[test]
    fn a_mail_that_does_not_show_is_looked_for_until_it_does_or_for_minutes() {
        assert_eq!(looks(5, &[(6, 0), (6, 0), (6, 0), (6, 1)], true), [1, 3, 7]);
        let all = looks(5, &[(6, 0)], true);
        assert_eq!(all[..6], [1, 3, 7, 15, 25, 35]);
        assert!((300..320).contains(all.last().unwrap()), "{all:?}");
        assert_eq!(looks(5, &[(8, 1), (8, 0), (8, 2)], true), [1, 3]);
        assert_eq!(looks(0, &[(2, 1), (1, 0), (1, 1)], false), [1, 3]);
    }

    #[test]
    fn mail_that_shows_or_is_gone_is_not_looked_for() {
        for leaves in [true, false] {
            assert_eq!(looks(5, &[(6, 1)], leaves), [0; 0]);
            assert_eq!(looks(5, &[(5, 0), (4, 0), (5, 1)], leaves), [0; 0]);
            assert_eq!(
                looks(5, &[(6, 0), (5, 0)], leaves),
                [1],
                "another client took it"
            );
        }
        assert_eq!(looks(5, &[(6, 1), (7, 1), (7, 0)], true), [0; 0]);
        assert_eq!(looks(0, &[(1, 1), (1, 1), (0, 0)], false), [0; 0]);
        let mut unknown = Doubt::default();
        unknown.looked(None, 0, true, Instant::now());
        unknown.looked(Some(7), 0, true, Instant::now());
        assert_eq!(unknown.pause(), None);
    }
}

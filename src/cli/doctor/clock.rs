//! Compares this machine's clock with those of the servers that answered.

use jiff::SignedDuration;

use super::finding::Finding;

/// The largest difference that is normal: it comes from the network, and from the whole seconds of
/// a `Date` header.
const NEAR: SignedDuration = SignedDuration::from_secs(10);
/// From this difference on, times in pages are plainly wrong, and the proof of a mail may seem too
/// old.
const FAR: SignedDuration = SignedDuration::from_mins(1);

const MEND: &str = "synchronize this machine's clock by NTP: `timedatectl set-ntp true`";

/// Reports the median difference, because a server's clock may be wrong as well.
pub fn findings(mut clocks: Vec<(String, SignedDuration)>) -> Vec<Finding> {
    clocks.sort_by_key(|(_, ahead)| *ahead);
    let Some((whose, ahead)) = clocks.get(clocks.len() / 2) else {
        let what = "none of the servers that were asked sent its time";
        return vec![Finding::ok("clock", "", what)];
    };

    let seconds = ahead.abs().as_secs();
    let side = if ahead.is_negative() {
        "ahead of"
    } else {
        "behind"
    };
    let what = format!("this machine's clock is {seconds} s {side} that of {whose}");

    vec![match ahead.abs() {
        off if off <= NEAR => Finding::ok("clock", "", format!("it agrees with that of {whose}")),
        off if off <= FAR => Finding::warning("clock", "", what, MEND),
        _ => Finding::wrong("clock", "", what, MEND),
    }]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::doctor::finding::State;

    fn state(seconds: &[i64]) -> State {
        let clocks = seconds
            .iter()
            .map(|ahead| ("a host".to_owned(), SignedDuration::from_secs(*ahead)));
        findings(clocks.collect())[0].state
    }

    #[test]
    fn the_middle_one_of_the_clocks_is_believed() {
        assert_eq!(state(&[]), State::Ok);
        assert_eq!(state(&[1]), State::Ok);
        assert_eq!(state(&[-30]), State::Warning);
        assert_eq!(state(&[3600]), State::Wrong);
        assert_eq!(state(&[-7200, 0, 1]), State::Ok);
        assert_eq!(state(&[-7200, -7201, 1]), State::Wrong);
    }
}

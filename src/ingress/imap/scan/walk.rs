//! Plans how a folder is searched: with as many queries as its mails need, however far apart their
//! UIDs are. Pure.

use std::collections::BTreeSet;

use super::SEARCH_WIDTH;
use crate::ingress::imap::session::Folder;

/// Returns the queries (SEARCH keys) for all mails above `after`, stretch by stretch upwards. The
/// answers to one stretch belong together, and each answer is of bounded length.
pub(super) fn stretches(
    after: u32,
    folder: &Folder,
) -> Box<dyn Iterator<Item = Vec<String>> + Send> {
    let from = after.saturating_add(1);
    let by_uid = folder.uid_next.saturating_sub(2).saturating_sub(after) / SEARCH_WIDTH + 1;
    let by_number = folder.exists.map(|exists| exists / SEARCH_WIDTH + 1);

    match by_number {
        Some(1) => Box::new(std::iter::once(vec![format!("UID {from}:*")])),
        Some(parts) if parts < by_uid => Box::new(std::iter::once(numbered(from, parts))),
        _ => Box::new((0..by_uid).map(move |part| {
            let first = from + part * SEARCH_WIDTH;
            vec![if part + 1 == by_uid {
                format!("UID {first}:*")
            } else {
                format!("UID {first}:{}", first + SEARCH_WIDTH - 1)
            }]
        })),
    }
}

/// Returns queries by the mails' sequence numbers in the folder, from the last down: if mails are
/// removed in between, those that were not queried yet move down into the next range.
fn numbered(from: u32, parts: u32) -> Vec<String> {
    (0..parts)
        .rev()
        .map(|part| {
            let first = part * SEARCH_WIDTH + 1;
            if part + 1 == parts {
                format!("{first}:* UID {from}:*")
            } else {
                format!("{first}:{} UID {from}:*", first + SEARCH_WIDTH - 1)
            }
        })
        .collect()
}

/// Returns the queries for mails that the answer to `keys` may lack: those below the first that was
/// found, unless they are known (up to `after`), and those above the last.
pub(super) fn outside(keys: &str, found: &BTreeSet<u32>, after: u32) -> Option<Vec<String>> {
    let (numbers, set) = keys.rsplit_once("UID ")?;
    let (low, high) = set.split_once(':')?;
    let (first, last) = (*found.first()?, *found.last()?);

    let low = low.parse().unwrap_or(1).max(after.saturating_add(1));
    let below = (low < first).then(|| format!("{numbers}UID {low}:{}", first - 1));
    let is_end = high.parse().unwrap_or(u32::MAX) <= last;
    let above = (!is_end).then(|| format!("{numbers}UID {}:{high}", last + 1));

    Some(below.into_iter().chain(above).collect())
}

#[cfg(test)]
mod tests {
    use proptest::{collection::btree_set, prelude::*};

    use super::*;

    /// Returns what a server with these mails answers.
    fn answer(question: &str, uids: &BTreeSet<u32>) -> Vec<u32> {
        let within = |set: &str, last: u32, value: u32| {
            let (first, end) = set.split_once(':').unwrap();
            let first: u32 = first.parse().unwrap();
            let end = if end == "*" {
                last
            } else {
                end.parse().unwrap()
            };
            (first.min(end)..=first.max(end)).contains(&value)
        };
        let words: Vec<&str> = question.split(' ').collect();
        let (numbers, set) = match words[..] {
            ["UID", set] => ("1:*", set),
            [numbers, "UID", set] => (numbers, set),
            _ => panic!("{question}"),
        };
        let last = uids.last().copied().unwrap_or_default();
        let count = u32::try_from(uids.len()).unwrap();
        (1..)
            .zip(uids)
            .filter(|(number, uid)| within(numbers, count, *number) && within(set, last, **uid))
            .map(|(_, uid)| *uid)
            .collect()
    }

    fn check(uids: &BTreeSet<u32>, after: u32, uid_next: u32, exists: Option<u32>) -> usize {
        let folder = Folder {
            uid_validity: 7,
            uid_next,
            is_uid_next_told: true,
            exists,
        };
        let (mut found, mut questions) = (BTreeSet::new(), 0);
        for question in stretches(after, &folder).flatten() {
            questions += 1;
            let answer = answer(&question, uids);
            assert!(answer.len() <= SEARCH_WIDTH as usize, "{question}");
            found.extend(answer.into_iter().filter(|uid| *uid > after));
        }
        let above: BTreeSet<u32> = uids.range(after.saturating_add(1)..).copied().collect();
        assert_eq!(found, above);
        questions
    }

    fn count(uids: &BTreeSet<u32>) -> u32 {
        uids.len().try_into().unwrap()
    }

    proptest! {
        #[test]
        fn every_mail_is_found_with_a_question_or_two(
            uids in btree_set(any::<u32>().prop_map(|uid| uid.max(1)), 0..40),
            after in any::<u32>(),
        ) {
            let uid_next = uids.last().map_or(1, |last| last.saturating_add(1));
            for after in [0, after, uids.first().copied().unwrap_or_default(), u32::MAX] {
                prop_assert_eq!(check(&uids, after, uid_next, Some(count(&uids))), 1);
            }
        }
    }

    #[test]
    fn a_large_folder_takes_as_many_questions_as_its_mails_need() {
        let dense: BTreeSet<u32> = (1..=90_000).collect();
        assert_eq!(check(&dense, 0, 90_001, Some(90_000)), 5);
        assert_eq!(check(&dense, 0, 90_001, None), 5);
        assert_eq!(check(&dense, 80_001, 90_001, Some(90_000)), 1);
        let sparse: BTreeSet<u32> = dense.iter().map(|uid| uid * 40_000).collect();
        let next = 90_000 * 40_000 + 1;
        assert_eq!(check(&sparse, 0, next, Some(90_000)), 5);
        assert_eq!(check(&sparse, 3_000_000_000, next, Some(90_000)), 5);
    }

    #[test]
    fn what_an_answer_may_lack_is_within_the_question_and_not_known() {
        let ask = |keys: &str, found: &[u32], after: u32| {
            outside(keys, &found.iter().copied().collect(), after).unwrap_or_default()
        };
        assert_eq!(ask("UID 1:*", &[301, 1300], 0), ["UID 1:300", "UID 1301:*"]);
        assert_eq!(ask("UID 1:*", &[301, 1300], 300), ["UID 1301:*"]);
        assert_eq!(ask("UID 5:20", &[9, 20], 6), ["UID 7:8"]);
        assert_eq!(ask("UID 5:20", &[5, 19], 4), ["UID 20:20"]);
        assert_eq!(
            ask("20001:* UID 7:*", &[9, 10], 0),
            ["20001:* UID 7:8", "20001:* UID 11:*"]
        );
        assert_eq!(ask("UID 7:*", &[u32::MAX], u32::MAX), [""; 0]);
        assert_eq!(ask("UID 7:*", &[], 0), [""; 0]);
    }

    #[test]
    fn mails_that_are_removed_meanwhile_hide_none() {
        let mut uids: BTreeSet<u32> = (1..=90_000).map(|uid| uid * 40_000).collect();
        let kept: BTreeSet<u32> = uids.iter().copied().filter(|uid| uid % 3 != 0).collect();
        let folder = Folder {
            uid_validity: 7,
            uid_next: 90_000 * 40_000 + 1,
            is_uid_next_told: true,
            exists: Some(count(&uids)),
        };
        let mut found = BTreeSet::new();
        for question in stretches(0, &folder).flatten() {
            found.extend(answer(&question, &uids));
            // Some mails are removed between any two queries, anywhere.
            let gone: Vec<u32> = uids.difference(&kept).copied().take(9_000).collect();
            for (place, uid) in gone.into_iter().enumerate() {
                if place % 2 == 0 {
                    uids.remove(&uid);
                }
            }
        }
        assert!(found.is_superset(&kept));
    }
}

use super::*;

/// Names the entries of several configurations, one after the other.
///
/// In the notation, `ops: a1 b1; db: c2x` has two entries in the receiver `ops`, with the addresses
/// `a` and `b` and the credential `1`, and one in `db`, to which the text `x` is sent.
fn after(configurations: &[&str]) -> Vec<Named> {
    configurations
        .iter()
        .fold(Vec::new(), |known, words| name(known, &entries(words)))
}

fn entries(words: &str) -> Vec<Entry> {
    let mut entries = Vec::new();
    for receiver in words.split("; ").filter(|receiver| !receiver.is_empty()) {
        let (receiver, list) = receiver.split_once(':').unwrap();
        entries.extend(
            (0..)
                .zip(list.split_whitespace())
                .map(|(place, entry)| Entry {
                    receiver: receiver.to_owned(),
                    kind: "webhook".to_owned(),
                    place,
                    fingerprint: Fingerprint {
                        whole: entry.to_owned(),
                        site: entry[..2].to_owned(),
                        address: entry[..1].to_owned(),
                    },
                }),
        );
    }
    entries
}

fn shown(target: &Target) -> String {
    let number = target.integration.strip_prefix("webhook/").unwrap();
    format!("{}/{number}", target.receiver)
}

/// Returns the name of every entry, in the order of their places.
fn names(named: &[Named]) -> String {
    let mut found: Vec<_> = named.iter().filter(|name| name.place.is_some()).collect();
    found.sort_by_key(|name| (&name.target.receiver, name.place));
    let found = found
        .into_iter()
        .map(|name| format!("{}={}", name.fingerprint.whole, shown(&name.target)));
    found.collect::<Vec<_>>().join(" ")
}

fn formerly(named: &[Named]) -> String {
    let former = former(named);
    let former = former
        .iter()
        .map(|(from, to)| format!("{}>{}", shown(from), shown(to)));
    former.collect::<Vec<_>>().join(" ")
}

#[test]
fn a_name_stays_with_its_destination() {
    for (what, configurations, expected) in [
        (
            "as it was",
            &["ops: a1 b1", "ops: a1 b1"][..],
            "a1=ops/0 b1=ops/1",
        ),
        ("appended", &["ops: a1", "ops: a1 b1"], "a1=ops/0 b1=ops/1"),
        (
            "swapped",
            &["ops: a1 b1", "ops: b1 a1"],
            "b1=ops/1 a1=ops/0",
        ),
        (
            "put before",
            &["ops: a1 b1", "ops: c1 a1 b1"],
            "c1=ops/2 a1=ops/0 b1=ops/1",
        ),
        (
            "removed",
            &["ops: a1 b1 c1", "ops: b1 c1"],
            "b1=ops/1 c1=ops/2",
        ),
        (
            "put back",
            &["ops: a1 b1", "ops: b1", "ops: a1 b1"],
            "a1=ops/0 b1=ops/1",
        ),
        (
            "put back elsewhere",
            &["ops: a1 b1", "ops: b1", "ops: b1 a1"],
            "b1=ops/1 a1=ops/0",
        ),
        (
            "another in its place later",
            &["ops: a1", "ops:", "ops: b1"],
            "b1=ops/1",
        ),
        (
            "of equal ones the second is gone",
            &["ops: a1 a1", "ops: a1"],
            "a1=ops/0",
        ),
        (
            "equal ones",
            &["ops: a1 a1 b1", "ops: b1 a1 a1"],
            "b1=ops/2 a1=ops/1 a1=ops/0",
        ),
        (
            "another list",
            &["ops: a1", "ops: a1; db: b1 a1"],
            "b1=db/0 a1=db/1 a1=ops/0",
        ),
        ("nothing was known", &["ops: b1 a1"], "b1=ops/0 a1=ops/1"),
    ] {
        assert_eq!(names(&after(configurations)), expected, "{what}");
    }
}

#[test]
fn a_rotated_credential_keeps_its_name_where_that_is_certain() {
    for (what, configurations, expected) in [
        ("in its place", &["ops: a1", "ops: a2"][..], "a2=ops/0"),
        (
            "of one address with another",
            &["ops: a1 a2", "ops: a3 a2"],
            "a3=ops/0 a2=ops/1",
        ),
        ("both", &["ops: a1 a2", "ops: a3 a4"], "a3=ops/0 a4=ops/1"),
        (
            "known by its address elsewhere",
            &["ops: a1 b1", "ops: c1 a2 b2"],
            "c1=ops/2 a2=ops/0 b2=ops/1",
        ),
        (
            "another address in its place",
            &["ops: a1 b1", "ops: c1 b1"],
            "c1=ops/0 b1=ops/1",
        ),
        // The entry may be another destination, so it gets no name that belongs to a known one.
        (
            "elsewhere",
            &["ops: a1 a2", "ops: a3 a1"],
            "a3=ops/2 a1=ops/0",
        ),
        (
            "while one is put before",
            &["ops: a1", "ops: a2 a3"],
            "a2=ops/1 a3=ops/2",
        ),
        (
            "while one is removed",
            &["ops: a1 a2 a3", "ops: a1 a4"],
            "a1=ops/0 a4=ops/3",
        ),
    ] {
        assert_eq!(names(&after(configurations)), expected, "{what}");
    }
}

#[test]
fn what_is_said_to_a_destination_may_change_while_its_list_is_edited() {
    for (what, configurations, expected) in [
        (
            "one is put behind",
            &["ops: a1x", "ops: a1y a2y"][..],
            "a1y=ops/0 a2y=ops/1",
        ),
        (
            "one is put before",
            &["ops: a1x", "ops: a2y a1y"],
            "a2y=ops/1 a1y=ops/0",
        ),
        ("one is removed", &["ops: a1x a2x", "ops: a2y"], "a2y=ops/1"),
        (
            "reordered",
            &["ops: a1x a2x", "ops: a2y a1y"],
            "a2y=ops/1 a1y=ops/0",
        ),
        // It is uncertain which entry is which.
        (
            "one of two at one site",
            &["ops: a1x a1y", "ops: b1x a1y a1z"],
            "b1x=ops/2 a1y=ops/1 a1z=ops/3",
        ),
        (
            "the same is said elsewhere",
            &["ops: a1x", "ops: a1y; db: a1x"],
            "a1x=db/0 a1y=ops/1",
        ),
    ] {
        assert_eq!(names(&after(configurations)), expected, "{what}");
    }

    // An earlier version stored no site.
    let mut known = after(&["ops: a1x"]);
    known[0].fingerprint.site.clear();
    assert_eq!(
        names(&name(known, &entries("ops: a1y a2y"))),
        "a1y=ops/1 a2y=ops/2"
    );
}

#[test]
fn a_destination_answers_to_the_name_it_had_in_another_receiver() {
    for (what, configurations, expected) in [
        (
            "renamed",
            &["ops: a1 b1", "sre: a1 b1"][..],
            "ops/0>sre/0 ops/1>sre/1",
        ),
        (
            "renamed and reordered",
            &["ops: a1 b1", "sre: b1 a1"],
            "ops/0>sre/1 ops/1>sre/0",
        ),
        (
            "renamed and put before",
            &["ops: a1", "sre: b1 a1"],
            "ops/0>sre/1",
        ),
        (
            "equal ones",
            &["ops: a1 a1", "sre: a1 a1"],
            "ops/0>sre/0 ops/1>sre/1",
        ),
        (
            "twice",
            &["ops: a1", "sre: a1", "it: a1"],
            "ops/0>it/0 sre/0>it/0",
        ),
        (
            "and back",
            &["ops: a1", "sre: a1", "ops: a1"],
            "sre/0>ops/0",
        ),
        (
            "and on",
            &["ops: a1", "sre: a1", "ops: a1", "it: a1"],
            "ops/0>it/0 sre/0>it/0",
        ),
        (
            "rotated afterwards",
            &["ops: a1", "sre: a1", "sre: a2"],
            "ops/0>sre/0",
        ),
        (
            "one of a receiver",
            &["ops: a1 b1", "ops: a1; sre: b1"],
            "ops/1>sre/0",
        ),
        (
            "beside its like",
            &["ops: a1; db: a1", "sre: a1; db: a1"],
            "ops/0>sre/0",
        ),
        ("gone afterwards", &["ops: a1", "sre: a1", "sre: b1 c1"], ""),
        // It is uncertain which destination is which.
        (
            "two that are alike",
            &["ops: a1; db: a1", "sre: a1; it: a1"],
            "",
        ),
        ("one that becomes two", &["ops: a1", "sre: a1; it: a1"], ""),
        ("into one that has it", &["ops: a1; db: a1", "db: a1"], ""),
        ("rotated meanwhile", &["ops: a1", "sre: a2"], ""),
    ] {
        assert_eq!(formerly(&after(configurations)), expected, "{what}");
    }
}

/// Replicas are reloaded one after the other, and each names entries by the configuration that it
/// has.
#[test]
fn replicas_with_unlike_configurations_agree_about_the_names() {
    let (old, new) = ("ops: a1 b1", "sre: c1 b1; ops: a2");
    let first = after(&[old, new]);
    let both = after(&[old, new, old, new]);
    assert_eq!(names(&both), names(&first));
    assert_eq!(formerly(&both), formerly(&first));
    assert_eq!(names(&after(&[old, new, old])), names(&after(&[old])));
}

/// No edit gives a name to a destination that is certainly another one: a destination whose own
/// entry is still there keeps its name, and no two entries share one.
#[test]
fn of_all_edits_of_short_lists_none_gives_a_name_away() {
    let lists: Vec<String> = (0..4_usize.pow(3))
        .map(|number| {
            let digits = [number % 4, number / 4 % 4, number / 16];
            let entries = digits.map(|digit| ["", "a1", "b1", "a2"][digit]);
            format!("ops: {}", entries.join(" "))
        })
        .collect();
    for before in &lists {
        for then in &lists {
            let was = after(&[before]);
            let is = after(&[before, then]);
            let mut given = BTreeSet::new();
            for name in is.iter().filter(|name| name.place.is_some()) {
                assert!(given.insert(&name.target), "{before}, {then}");
                let owner = was.iter().find(|old| old.target == name.target);
                let Some(owner) = owner else { continue };
                let whole = |name: &&Named| name.fingerprint.whole == owner.fingerprint.whole;
                let had = was.iter().filter(|name| name.place.is_some());
                let (had, has) = (
                    had.filter(whole).count(),
                    entries(then)
                        .iter()
                        .filter(|entry| entry.fingerprint.whole == owner.fingerprint.whole)
                        .count(),
                );
                assert!(
                    whole(&name) || has < had,
                    "{before}, {then}: {}",
                    names(&is)
                );
            }
        }
    }
}

/// The same holds across two receivers: if an entry has the fingerprint of an earlier destination,
/// and no name of its own yet, no other entry gets the name of that destination.
#[test]
fn of_all_edits_of_two_short_lists_none_gives_a_name_away() {
    let lists: Vec<String> = (0..4_usize.pow(4))
        .map(|number| {
            let digits = [number % 4, number / 4 % 4, number / 16 % 4, number / 64];
            let [a, b, c, d] = digits.map(|digit| ["", "a1", "b1", "a2"][digit]);
            format!("ops: {a} {b}; db: {c} {d}")
        })
        .collect();
    let mut followed = 0;
    for before in &lists {
        let was = after(&[before]);
        for then in &lists {
            let is = after(&[before, then]);
            let new: Vec<_> = is
                .iter()
                .filter(|name| name.place.is_some())
                .filter(|name| was.iter().all(|old| old.target != name.target))
                .collect();

            for old in &was {
                let now = is.iter().find(|name| name.target == old.target).unwrap();
                let is_its = |name: &Named| name.fingerprint.whole == old.fingerprint.whole;
                if now.place.is_some() && !is_its(now) {
                    assert!(!new.iter().any(|name| is_its(name)), "{before}, {then}");
                }
            }
            for (from, to) in former(&is) {
                let of = |named: &[Named], target: &Target| {
                    let named = named.iter().find(|name| name.target == *target);
                    named.unwrap().fingerprint.whole.clone()
                };
                assert_eq!(of(&was, &from), of(&is, &to), "{before}, {then}");
                followed += 1;
            }
        }
    }
    assert!(followed > 1_000, "{followed}");
}

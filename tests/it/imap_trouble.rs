//! Mailboxes in trouble: whatever a mail server does between two answers, every incident is told
//! once, and what it never gives is told as that.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use alertbridge::{
    ingress::{
        Inbox as _,
        imap::{After, Settings, Timeouts, Tls},
    },
    message::Bookmark,
    settings,
};
use futures_util::{StreamExt as _, future::join_all, stream};
use jiff::SignedDuration;
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, rustls};

use crate::{
    delivery::{hook, listed, resolve, trigger},
    e2e::{DOORS, HOOK_SECRET},
    harness::{Bridge, tail},
    imap::{Recorder, Running, mail},
    inbox::eventually,
    mailbox::{Amid, EPOCH, FOREVER, Finds, Idles, LONG_AGO, Mailbox, Quirk, STAND_IN},
    vendors::{Fake, Hook},
};

const DAY: u64 = 86_400;

fn settings(mailbox: &Mailbox) -> Settings {
    Settings {
        name: "mailbox".into(),
        host: "127.0.0.1".into(),
        port: Some(mailbox.port),
        tls: Tls::None,
        username: "alerts".into(),
        password: Some("secret".into()),
        backfill: settings::Duration::from_secs(DAY),
        rescan_interval: settings::Duration::from_secs(1),
        ..Settings::default()
    }
}

fn hasty() -> Timeouts {
    let millis = Duration::from_millis;
    Timeouts {
        command: millis(2000),
        stall: millis(300),
        retry: (millis(20), millis(200)),
        retry_login: (Duration::from_mins(10), Duration::from_mins(10)),
        ..Timeouts::default()
    }
}

fn run(mailbox: &Mailbox) -> Running {
    Running::with(&settings(mailbox), Arc::default(), hasty())
}

/// Whether these mails came whole, each once, and no others.
fn assert_whole(inbox: &Recorder, mut expected: Vec<Vec<u8>>) {
    let mut bodies = inbox.bodies();
    bodies.sort();
    expected.sort();
    assert_eq!(bodies, expected);
}

// ---- One oddity at a time ----

#[tokio::test]
async fn what_was_asked_for_and_not_given_is_asked_for_again() {
    let cases: Vec<(&str, Vec<(Quirk, usize)>)> = vec![
        ("hangs", vec![(Quirk::Hang, 2)]),
        ("is cut off", vec![(Quirk::Cut, 2)]),
        ("is cut off by a busy server", vec![(Quirk::BusyCut, 2)]),
        ("announces more than comes", vec![(Quirk::Longer(1), 2)]),
        (
            "announces so much that the server's OK is swallowed",
            vec![(Quirk::Longer(15), 2)],
        ),
        ("announces less than comes", vec![(Quirk::Shorter(4), 2)]),
        ("announces nothing", vec![(Quirk::Shorter(1_000), 2)]),
        ("comes in half", vec![(Quirk::Truncated, 1)]),
        ("has no size", vec![(Quirk::NoSize, FOREVER)]),
        (
            "has a size that is a guess",
            vec![(Quirk::Size(4_000_000_000), FOREVER)],
        ),
        ("is said to be tiny", vec![(Quirk::Size(1), FOREVER)]),
        ("has no UID", vec![(Quirk::NoUid, 2)]),
        ("has no time of arrival", vec![(Quirk::DateNil, FOREVER)]),
        ("lacks a time of arrival", vec![(Quirk::NoDate, FOREVER)]),
        (
            "arrives in the future",
            vec![(Quirk::Date("\"01-Jan-2999 00:00:00 +0000\""), FOREVER)],
        ),
        (
            "arrives before there was mail",
            vec![(Quirk::Date("\"01-Jan-1970 00:00:00 +0000\""), FOREVER)],
        ),
        ("has no content", vec![(Quirk::BodyNil, 2)]),
        ("is empty", vec![(Quirk::Empty, 2)]),
        ("is left out", vec![(Quirk::LeftOut, 2)]),
        ("is refused", vec![(Quirk::No("[UNAVAILABLE] later"), 2)]),
        (
            "is refused in another charset",
            vec![(Quirk::No("[UNAVAILABLE]\u{fc}berlastet"), 2)],
        ),
        ("is a note", vec![(Quirk::StandIn, 2)]),
        (
            "has flags in parentheses",
            vec![(Quirk::Also("FLAGS (\\Seen $Label(1))"), FOREVER)],
        ),
        (
            "has flags that open one",
            vec![(Quirk::Also("FLAGS (\\Seen :-()"), FOREVER)],
        ),
        (
            "has flags that close one",
            vec![(Quirk::Also("FLAGS (\\Seen :-))"), FOREVER)],
        ),
        ("is not IMAP", vec![(Quirk::Garbage, 2)]),
        ("is answered by silence", vec![(Quirk::Silent, 1)]),
        (
            "has the UID 0 beside its own",
            vec![(Quirk::Also("UID 0"), FOREVER)],
        ),
        (
            "has attributes nobody asked for",
            vec![(
                Quirk::Also("X-A (B (C \"d)\")) X-E NIL SAVEDATE NIL"),
                FOREVER,
            )],
        ),
        (
            "is odd in many ways",
            vec![
                (Quirk::NoSize, 1),
                (Quirk::Cut, 1),
                (Quirk::BodyNil, 1),
                (Quirk::Longer(3), 1),
            ],
        ),
    ];
    for (what, quirks) in cases {
        let mailbox = Mailbox::start().await;
        mailbox.deliver(&mail(1));
        mailbox.deliver_odd(&mail(2), &quirks);
        mailbox.deliver(&mail(3));
        let running = run(&mailbox);
        eventually(&format!("a mail that {what}"), || {
            running.inbox.bodies().len() >= 3
        })
        .await;
        mailbox.deliver(&mail(4));
        running.has(4).await;
        running.is_well().await;
        let inbox = running.end().await;
        assert_whole(&inbox, (1..=4).map(mail).collect());
        let now = crate::delivery::now();
        assert!(
            inbox
                .mails()
                .iter()
                .all(|mail| now.duration_since(mail.arrived_at).as_secs().abs() < 600),
            "{what}"
        );
        assert!(
            inbox
                .mails()
                .iter()
                .all(|mail| mail.withheld.is_none() && mail.cut_from.is_none()),
            "{what}"
        );
        mailbox.assert_kept_to_the_protocol();
    }
}

#[tokio::test]
async fn one_mail_that_is_never_given_blocks_nobody_is_told_once_and_taken_when_it_comes() {
    let quirks = [
        (
            Quirk::No("[UNAVAILABLE] not this one"),
            "[UNAVAILABLE] not this one",
        ),
        (
            Quirk::No("Some of the requested messages no longer exist."),
            "no longer exist",
        ),
        (Quirk::BodyNil, "no content"),
        (Quirk::Empty, "no content"),
        (Quirk::LeftOut, "leaves it out"),
        (Quirk::Hang, "in time"),
        (Quirk::Cut, "closed the connection"),
        (Quirk::Longer(5), "length"),
        (Quirk::Garbage, "not IMAP"),
        (Quirk::Truncated, "truncated"),
    ];
    // Most of each is waiting for a deadline, so they wait together.
    join_all(quirks.map(|(quirk, reason)| one_mail_is_never_given(quirk, reason))).await;
}

async fn one_mail_is_never_given(quirk: Quirk, expected_reason: &str) {
    let mailbox = Mailbox::start().await;
    mailbox.deliver(&mail(1));
    mailbox.deliver_odd(&mail(2), &[(quirk, FOREVER)]);
    let running = run(&mailbox);
    eventually(&format!("{quirk:?} to be told"), || {
        running.inbox.mails().len() == 2
    })
    .await;
    running.is_well().await;
    let inbox = running.end().await;
    let withheld = inbox.mails()[1].clone();
    let reason = withheld.withheld.unwrap();
    assert!(
        reason.contains(expected_reason) && reason.contains("UID 2 of INBOX"),
        "{reason}"
    );

    // A restart tells nothing twice, and forgets nothing.
    let running = Running::with(&settings(&mailbox), inbox, hasty());
    mailbox.deliver(&mail(3));
    running.has(3).await;
    running.is_well().await;
    let asked = mailbox.asked("BODY.PEEK[]");
    eventually("another look", || mailbox.asked("BODY.PEEK[]") > asked).await;
    assert_eq!(running.inbox.mails().len(), 3, "{quirk:?}");
    mailbox.heal();
    running.has(4).await;
    assert_eq!(running.inbox.bodies()[2..], [mail(3), mail(2)]);
    running.end().await;
    mailbox.assert_kept_to_the_protocol();
}

#[tokio::test]
async fn of_a_mail_whose_body_is_never_given_the_header_is_kept() {
    let mailbox = Mailbox::start().await;
    mailbox.deliver(&mail(1));
    // Its header comes in answer to the fourth request for it.
    mailbox.deliver_odd(&mail(2), &[(Quirk::BodyNil, 3)]);
    mailbox.deliver_odd(&mail(3), &[(Quirk::BodyNil, FOREVER)]);
    let running = run(&mailbox);
    eventually("a mail to be told", || {
        running
            .inbox
            .mails()
            .iter()
            .any(|mail| mail.withheld.is_some())
    })
    .await;
    running.end().await;
    assert!(mailbox.asked("BODY.PEEK[HEADER]") > 0);
}

#[tokio::test]
async fn exchanges_note_is_told_and_the_mail_taken_when_it_comes() {
    let mailbox = Mailbox::start().await;
    mailbox.deliver(&mail(1));
    mailbox.deliver_odd(&mail(2), &[(Quirk::StandIn, FOREVER)]);
    let running = run(&mailbox);
    running.has(2).await;
    assert_eq!(
        running.inbox.bodies()[1],
        STAND_IN.replace('\n', "\r\n").into_bytes()
    );
    mailbox.heal();
    running.has(3).await;
    assert_eq!(running.inbox.bodies()[2], mail(2));
    running.end().await;
}

#[tokio::test]
async fn mail_that_somebody_takes_away_is_told_of_the_ingress_and_read_if_it_comes_back() {
    let mailbox = Mailbox::start().await;
    mailbox.deliver(&mail(1));
    let taken = mailbox.deliver_odd(&mail(2), &[(Quirk::Vanish, 1)]);
    mailbox.deliver(&mail(3));
    mailbox.deliver_odd(&mail(4), &[(Quirk::Vanish, 1)]);
    let running = run(&mailbox);
    running.has(2).await;
    eventually("both are missed", || {
        matches!(running.condition().taken_away, Some((2, _)))
    })
    .await;
    running.is_well().await;
    let looks = mailbox.asked("SEARCH");
    eventually("two more looks", || mailbox.asked("SEARCH") >= looks + 2).await;
    assert!(matches!(running.condition().taken_away, Some((2, _))));

    // Nor is it forgotten over a restart.
    let inbox = running.end().await;
    assert!(inbox.mails().iter().all(|mail| mail.withheld.is_none()));
    mailbox.bring_back(taken, &mail(2));
    let running = Running::with(&settings(&mailbox), inbox, hasty());
    running.has(3).await;
    let inbox = running.end().await;
    assert_whole(&inbox, (1..=3).map(mail).collect());
    mailbox.assert_kept_to_the_protocol();
}

#[tokio::test]
async fn uids_that_go_back_are_read_again_and_new_mail_is_seen() {
    for reconnects in [false, true] {
        let mailbox = Mailbox::start().await;
        (1..=5).for_each(|number| {
            mailbox.deliver(&mail(number));
        });
        let mut running = run(&mailbox);
        running.has(5).await;
        running.is_well().await;
        if reconnects {
            let inbox = running.end().await;
            mailbox.put_back();
            running = Running::with(&settings(&mailbox), inbox, hasty());
        } else {
            mailbox.put_back();
        }
        mailbox.deliver(&mail(6));
        running.has(6).await;
        mailbox.deliver(&mail(7));
        running.has(7).await;
        running.is_well().await;
        let inbox = running.end().await;
        assert_whole(&inbox, (1..=7).map(mail).collect());
    }
}

/// A folder that lost its mails 4 and 5 to a restore, and to which three others have come since, so
/// that its UIDNEXT is higher than ever. It is looked through, once.
#[tokio::test]
async fn mails_that_have_the_uids_of_lost_ones_are_read() {
    for (after, copies) in [(After::Keep, 3), (After::Move("Done".into()), 0)] {
        let mailbox = Mailbox::start().await;
        let settings = Settings {
            after,
            ..settings(&mailbox)
        };
        let looked = async |running: &Running| {
            let looks = mailbox.asked("SEARCH");
            eventually("two more looks", || mailbox.asked("SEARCH") >= looks + 2).await;
            running.is_well().await;
        };
        let running = Running::with(&settings, Arc::default(), hasty());
        running.is_well().await;
        (1..=5).for_each(|number| {
            mailbox.deliver(&mail(number));
        });
        running.has(5).await;
        looked(&running).await;

        let inbox = running.end().await;
        mailbox.restore(3);
        (6..=8).for_each(|number| {
            mailbox.deliver(&mail(number));
        });
        let running = Running::with(&settings, inbox, hasty());
        running.has(8 + copies).await;
        looked(&running).await;

        let inbox = running.end().await;
        mailbox.deliver(&mail(9));
        let running = Running::with(&settings, inbox, hasty());
        running.has(9 + copies).await;
        looked(&running).await;
        let inbox = running.end().await;
        assert_whole(&inbox, (1..=copies).chain(1..=9).map(mail).collect());
        mailbox.assert_kept_to_the_protocol();
    }
}

#[tokio::test]
async fn a_last_mail_that_somebody_removes_or_that_cannot_be_looked_at_reads_nothing_again() {
    for (is_removed, closes_at) in [(true, None), (false, Some("BODY.PEEK[HEADER]"))] {
        let mailbox = Mailbox::start().await;
        (1..=3).for_each(|number| {
            mailbox.deliver(&mail(number));
        });
        let running = run(&mailbox);
        running.has(3).await;
        running.is_well().await;
        let inbox = running.end().await;

        if is_removed {
            mailbox.remove(3);
        }
        mailbox.state().closes_at = closes_at;
        let running = Running::with(&settings(&mailbox), inbox, hasty());
        mailbox.deliver(&mail(4));
        running.has(4).await;
        let looks = mailbox.asked("SEARCH");
        eventually("two more looks", || mailbox.asked("SEARCH") >= looks + 2).await;
        running.is_well().await;
        let inbox = running.end().await;
        assert_whole(&inbox, (1..=4).map(mail).collect());
        assert!(mailbox.connections() <= 4, "{}", mailbox.connections());
    }
}

#[tokio::test]
async fn a_uidnext_that_is_merely_wrong_reads_nothing_twice() {
    let mailbox = Mailbox::start().await;
    mailbox.state().told_uid_next = Some(1);
    (1..=3).for_each(|number| {
        mailbox.deliver(&mail(number));
    });
    let running = run(&mailbox);
    running.has(3).await;
    let selects = mailbox.asked("EXAMINE");
    eventually("two more looks", || mailbox.asked("EXAMINE") >= selects + 2).await;
    mailbox.deliver(&mail(4));
    running.has(4).await;
    let inbox = running.end().await;
    assert_whole(&inbox, (1..=4).map(mail).collect());
}

#[tokio::test]
async fn a_search_that_lags_behind_the_announcement_is_asked_again() {
    let mailbox = Mailbox::start().await;
    let running = run(&mailbox);
    running.is_well().await;
    mailbox.state().stale_searches = 2;
    mailbox.deliver(&mail(1));
    running.has(1).await;
    running.end().await;
}

#[tokio::test]
async fn a_mail_that_is_found_after_a_later_one_is_read_once() {
    let mailbox = Mailbox::start().await;
    let running = run(&mailbox);
    running.is_well().await;
    // Each is hidden behind later ones for a while, the first behind the very first looks.
    let (mut hidden, mut read) = (Vec::new(), 0);
    for number in 0..12 {
        let uid = mailbox.state().uid_next;
        if number % 3 == 0 {
            mailbox.state().unindexed.insert(uid);
            hidden.push(uid);
        } else {
            read += 1;
        }
        mailbox.deliver(&mail(number));
        running.has(read).await;
        if hidden.len() == 2 {
            for uid in hidden.drain(..) {
                mailbox.state().unindexed.remove(&uid);
                read += 1;
                running.has(read).await;
            }
        }
    }
    let looks = mailbox.asked("SEARCH");
    eventually("two more looks", || mailbox.asked("SEARCH") >= looks + 2).await;
    let inbox = running.end().await;
    assert_whole(&inbox, (0..12).map(mail).collect());
    mailbox.assert_kept_to_the_protocol();
}

#[tokio::test]
async fn mail_of_before_is_not_new_because_it_lies_behind_the_bookmark() {
    let mailbox = Mailbox::start().await;
    for number in 0..3 {
        mailbox.deliver(&mail(number));
    }
    let settings = Settings {
        backfill: settings::Duration::from_secs(0),
        ..settings(&mailbox)
    };
    let running = Running::with(&settings, Arc::default(), hasty());
    running.is_well().await;
    mailbox.deliver(&mail(3));
    running.has(1).await;
    let looks = mailbox.asked("SEARCH");
    eventually("two more looks", || mailbox.asked("SEARCH") >= looks + 2).await;
    let inbox = running.end().await;
    assert_whole(&inbox, vec![mail(3)]);
}

#[tokio::test]
async fn a_folder_of_few_mails_is_looked_through_at_once_however_high_their_uids() {
    let mailbox = Mailbox::start().await;
    mailbox.deliver(&mail(1));
    for (number, uid) in [(2, 2_000_000_000), (3, 4_000_000_000), (4, 4_000_000_001)] {
        mailbox.state().uid_next = uid;
        mailbox.deliver(&mail(number));
    }
    let running = run(&mailbox);
    running.has(4).await;
    running.is_well().await;
    assert!(
        mailbox.asked("SEARCH") <= 4,
        "{:?}",
        mailbox.state().commands
    );
    mailbox.deliver(&mail(5));
    running.has(5).await;
    let inbox = running.end().await;
    assert_whole(&inbox, (1..=5).map(mail).collect());
    mailbox.assert_kept_to_the_protocol();
}

// ---- The order of mails ----

#[tokio::test]
async fn a_mail_that_is_given_late_comes_before_those_behind_it() {
    let quirks = [
        (Quirk::No("[UNAVAILABLE] later"), 2),
        (Quirk::LeftOut, 2),
        (Quirk::BodyNil, 2),
        (Quirk::Truncated, 1),
        (Quirk::Cut, 1),
        (Quirk::Cut, 2),
        (Quirk::Hang, 2),
        (Quirk::Garbage, 2),
    ];
    join_all(quirks.map(is_given_late)).await;
}

async fn is_given_late((quirk, times): (Quirk, usize)) {
    let mailbox = Mailbox::start().await;
    for number in 0..12 {
        // Some stand side by side, and the first has none before it.
        let odd = [0, 3, 4, 8].contains(&number);
        let quirks = [(quirk, if odd { times } else { 0 })];
        mailbox.deliver_odd(&mail(number), &quirks);
    }
    let running = run(&mailbox);
    eventually(&format!("all mails, {quirk:?} {times} times"), || {
        running.inbox.mails().len() >= 12
    })
    .await;
    running.is_well().await;
    let inbox = running.end().await;
    let expected: Vec<_> = (0..12).map(mail).collect();
    assert_eq!(inbox.bodies(), expected, "{quirk:?} {times} times");
    mailbox.assert_kept_to_the_protocol();
}

#[tokio::test]
async fn a_server_that_gave_nothing_for_a_while_gives_all_in_order() {
    let mailbox = Mailbox::start().await;
    for number in 0..8 {
        mailbox.deliver_odd(
            &mail(number),
            &[(Quirk::No("[UNAVAILABLE] maintenance"), FOREVER)],
        );
    }
    let running = run(&mailbox);
    running.fails_with("returns no mail").await;
    // It recovers when some have failed often, and others have not been requested yet.
    eventually("a look at the sixth", || {
        mailbox.asked("FETCH 6 (UID R") > 0
    })
    .await;
    mailbox.heal();
    running.has(8).await;
    let inbox = running.end().await;
    assert_eq!(inbox.bodies(), (0..8).map(mail).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_first_mail_that_always_ends_the_connection_blocks_nobody() {
    let mailbox = Mailbox::start().await;
    mailbox.deliver_odd(&mail(0), &[(Quirk::Cut, FOREVER)]);
    (1..5).for_each(|number| {
        mailbox.deliver(&mail(number));
    });
    let running = run(&mailbox);
    running.has(5).await;
    let mails = running.end().await.mails();
    assert!(mails.iter().any(|mail| mail.withheld.is_some()));
}

#[tokio::test]
async fn however_many_mails_fail_the_others_wait_for_seconds_in_all() {
    let mailbox = Mailbox::start().await;
    for number in 0..80 {
        let times = if number % 2 == 1 { FOREVER } else { 0 };
        let quirk = Quirk::No("[SERVERBUG] not this one");
        mailbox.deliver_odd(&mail(number), &[(quirk, times)]);
    }
    let running = run(&mailbox);
    // Three tries of each odd one would take a minute.
    eventually("the others", || {
        let bodies = running.inbox.bodies();
        (0..80)
            .step_by(2)
            .all(|number| bodies.contains(&mail(number)))
    })
    .await;
    running.end().await;
}

#[tokio::test]
async fn a_mail_that_appears_late_and_is_given_later_is_not_lost() {
    let mailbox = Mailbox::start().await;
    let running = run(&mailbox);
    running.is_well().await;
    mailbox.state().unindexed.insert(1);
    mailbox.deliver_odd(&mail(1), &[(Quirk::LeftOut, 4)]);
    mailbox.deliver(&mail(2));
    running.has(1).await;
    mailbox.state().unindexed.clear();
    eventually("the first", || running.inbox.bodies().contains(&mail(1))).await;
    running.end().await;
}

#[tokio::test]
async fn a_server_that_ends_every_connection_after_some_mails_is_asked_again_at_once() {
    let mailbox = Mailbox::start().await;
    mailbox.state().closes_at = Some("STORE");
    for number in 0..64 * 9 {
        mailbox.deliver(&mail(number));
    }
    let timeouts = Timeouts {
        // Nine pauses that double would be a minute.
        retry: (Duration::from_millis(100), Duration::from_mins(1)),
        ..hasty()
    };
    let settings = Settings {
        after: After::Seen,
        ..settings(&mailbox)
    };
    let running = Running::with(&settings, Arc::default(), timeouts);
    running.has(64 * 9).await;
    let inbox = running.end().await;
    assert_whole(&inbox, (0..64 * 9).map(mail).collect());
}

#[tokio::test]
async fn a_server_that_answers_nothing_any_more_holds_no_stop_up() {
    for words in [
        "CAPABILITY",
        "EXAMINE",
        "SEARCH",
        "BODY.PEEK[]",
        "SELECT",
        "STORE",
    ] {
        let mailbox = Mailbox::start().await;
        mailbox.deliver(&mail(1));
        mailbox.state().hangs_at = Some(words);
        let settings = Settings {
            after: if ["SELECT", "STORE"].contains(&words) {
                After::Seen
            } else {
                After::Keep
            },
            ..settings(&mailbox)
        };
        let running = Running::with(&settings, Arc::default(), Timeouts::default());
        eventually(&format!("{words} to be asked"), || mailbox.asked(words) > 0).await;
        let stopped = Instant::now();
        running.end().await;
        assert!(stopped.elapsed() < Duration::from_secs(6), "{words}");
    }
}

// ---- What a folder announces, and what it shows ----

#[tokio::test]
async fn mails_that_the_first_search_lacks_are_read_when_it_has_them() {
    for stale in 1..=4 {
        for (backfill, first) in [(DAY, 1), (0, 3)] {
            let mailbox = Mailbox::start().await;
            (1..=3).for_each(|number| {
                mailbox.deliver(&mail(number));
            });
            mailbox.state().stale_searches = stale;
            if backfill == 0 {
                mailbox.state().stale_searches = 1;
            }
            let settings = Settings {
                backfill: settings::Duration::from_secs(backfill),
                ..settings(&mailbox)
            };
            let running = Running::with(&settings, Arc::default(), hasty());
            running.has(4 - first).await;
            let looks = mailbox.asked("SEARCH");
            eventually("two more looks", || mailbox.asked("SEARCH") >= looks + 2).await;
            let inbox = running.end().await;
            assert_whole(&inbox, (first..=3).map(mail).collect());
        }
    }
}

#[tokio::test]
async fn a_search_by_age_that_lags_costs_no_mail_and_old_mail_stays_old() {
    let mailbox = Mailbox::start().await;
    (1..=3).for_each(|number| {
        mailbox.deliver_odd(&mail(number), &[(LONG_AGO, FOREVER)]);
    });
    mailbox.deliver(&mail(4));
    mailbox.state().stale_since = 2;
    let running = run(&mailbox);
    running.has(1).await;
    mailbox.deliver(&mail(5));
    running.has(2).await;
    let looks = mailbox.asked("SEARCH");
    eventually("two more looks", || mailbox.asked("SEARCH") >= looks + 2).await;
    let inbox = running.end().await;
    assert_whole(&inbox, vec![mail(4), mail(5)]);
    assert!(mailbox.asked("SINCE") > 0);
}

/// A mail with a Date of so many seconds ago.
fn dated(number: usize, ago: i64) -> Vec<u8> {
    let written = crate::delivery::now() - SignedDuration::from_secs(ago);
    let written = written.strftime("%a, %d %b %Y %H:%M:%S +0000");
    [format!("Date: {written}\r\n").as_bytes(), &mail(number)].concat()
}

#[tokio::test]
async fn a_new_mail_with_an_old_time_of_arrival_is_read_at_the_first_look() {
    let day = i64::try_from(DAY).unwrap();
    let mailbox = Mailbox::start().await;
    for (number, ago, quirk) in [
        (1, 30 * day, LONG_AGO),
        (2, 60, LONG_AGO),
        (3, 30 * day, EPOCH),
        (4, 60, EPOCH),
        (5, -40 * day, LONG_AGO),
    ] {
        mailbox.deliver_odd(&dated(number, ago), &[(quirk, FOREVER)]);
    }
    mailbox.deliver(&dated(6, 60));
    let running = run(&mailbox);
    let inbox = running.inbox.clone();
    running.is_well().await;
    let looks = mailbox.asked("SEARCH");
    eventually("two more looks", || mailbox.asked("SEARCH") >= looks + 2).await;
    running.end().await;
    let bodies: Vec<String> = inbox.bodies().iter().map(|mail| subject(mail)).collect();
    assert_eq!(
        bodies,
        ["alert 6", "alert 2", "alert 4"].map(String::from),
        "{bodies:?}"
    );
    let ages: Vec<_> = inbox.mails().iter().map(|mail| mail.arrived_at).collect();
    let recent = crate::delivery::now() - SignedDuration::from_mins(5);
    assert!(ages.iter().all(|arrived| *arrived > recent), "{ages:?}");
    mailbox.assert_kept_to_the_protocol();
}

#[tokio::test]
async fn a_server_that_does_not_say_a_date_costs_no_other_mail() {
    for refuses in [Quirk::No("no such item"), Quirk::LeftOut, Quirk::BodyNil] {
        let mailbox = Mailbox::start().await;
        mailbox.deliver_odd(&dated(1, 60), &[(LONG_AGO, 1), (refuses, FOREVER)]);
        mailbox.deliver(&dated(2, 60));
        let running = run(&mailbox);
        running.has(1).await;
        let inbox = running.end().await;
        assert_eq!(subject(&inbox.bodies()[0]), "alert 2");
    }
}

fn subject(mail: &[u8]) -> String {
    let text = String::from_utf8_lossy(mail);
    let (_, after) = text.split_once("Subject: ").unwrap();
    after.lines().next().unwrap().to_owned()
}

/// However few mails of a folder SEARCH finds, and whatever the folder announces, what was there
/// before the first look stays unread, and nothing that comes later does.
#[tokio::test]
async fn of_a_folder_of_which_search_finds_a_part_no_old_mail_is_new() {
    let before = (crate::delivery::now() - SignedDuration::from_hours(2))
        .strftime("\"%d-%b-%Y %H:%M:%S +0000\"")
        .to_string();
    let before = Quirk::Date(before.leak());
    let finds = [10, 53, 100].map(|most| [Finds::First(most), Finds::Last(most)]);
    for finds in finds.into_iter().flatten() {
        for announced in [None, Some(1), Some(40), Some(700)] {
            let mailbox = Mailbox::start().await;
            mailbox.state().finds = finds;
            mailbox.state().told_uid_next = announced;
            for number in 1..=120 {
                mailbox.deliver_odd(&mail(number), &[(before, FOREVER)]);
            }
            let settings = Settings {
                backfill: settings::Duration::from_secs(0),
                ..settings(&mailbox)
            };
            let running = Running::with(&settings, Arc::default(), hasty());
            running.is_well().await;
            for number in 121..=122 {
                mailbox.deliver(&mail(number));
                running.has(number - 120).await;
            }
            let inbox = running.end().await;
            assert_whole(&inbox, (121..=122).map(mail).collect());
        }
    }
}

/// A mailbox that is begun, read, numbered anew and read again, where it says when its mails
/// arrived and where a migration has made all of them arrive now.
#[tokio::test]
async fn what_the_first_look_skipped_stays_so_when_the_mails_are_numbered_anew() {
    let now = crate::delivery::now();
    let time = |ago| now - SignedDuration::from_hours(ago);
    for is_copied in [false, true] {
        for renumbers in [true, false] {
            let letter = |number, ago: i64| {
                let date = time(ago).strftime("%a, %d %b %Y %H:%M:%S +0000");
                format!("Date: {date}\r\nSubject: {number}\r\n\r\nx\r\n").into_bytes()
            };
            let arrived = |ago| {
                let date = time(ago).strftime("\"%d-%b-%Y %H:%M:%S +0000\"");
                Quirk::Date(date.to_string().leak())
            };
            let old = if is_copied { 49 } else { 2 };
            let mailbox = Mailbox::start().await;
            for number in 1..=3 {
                mailbox.deliver_odd(&letter(number, old), &[(arrived(old), FOREVER)]);
            }
            let settings = Settings {
                backfill: settings::Duration::from_secs(0),
                ..settings(&mailbox)
            };
            let running = Running::with(&settings, Arc::default(), hasty());
            running.is_well().await;
            mailbox.deliver(&letter(4, 0));
            running.has(1).await;
            let inbox = running.end().await;

            if is_copied {
                mailbox.heal();
            }
            mailbox.deliver(&letter(5, 0));
            let known = if renumbers {
                mailbox.state().uid_validity = 8;
                vec![letter(4, 0)]
            } else {
                vec![]
            };
            let running = Running::with(&settings, inbox, hasty());
            running.has(2 + known.len()).await;
            running.is_well().await;
            let inbox = running.end().await;
            assert_whole(&inbox, [known, vec![letter(4, 0), letter(5, 0)]].concat());
        }
    }
}

#[tokio::test]
async fn mail_that_comes_while_the_first_look_fails_is_read_and_mail_of_before_is_not() {
    let mailbox = Mailbox::start().await;
    mailbox.deliver(&mail(1));
    mailbox.state().closes_at = Some("UID SEARCH");
    let settings = Settings {
        backfill: settings::Duration::from_secs(0),
        ..settings(&mailbox)
    };
    let running = Running::with(&settings, Arc::default(), hasty());
    eventually("a look that fails", || mailbox.asked("SEARCH") > 1).await;
    (2..=3).for_each(|number| {
        mailbox.deliver(&mail(number));
    });
    mailbox.state().closes_at = None;
    running.has(2).await;
    running.is_well().await;
    mailbox.deliver(&mail(4));
    running.has(3).await;
    let inbox = running.end().await;
    assert_whole(&inbox, (2..=4).map(mail).collect());
}

/// INTERNALDATE of a mail that arrived so long ago.
fn arrived(ago: SignedDuration) -> (Quirk, usize) {
    let time = crate::delivery::now() - ago;
    let date = time.strftime("\"%d-%b-%Y %H:%M:%S +0000\"").to_string();
    (Quirk::Date(date.leak()), FOREVER)
}

/// A login that is refused from the first start on, for three days: longer than the `max_age` of a
/// renumbered mailbox. What is edited meanwhile is the password, a wrong user name, or the name of
/// the ingress.
#[tokio::test]
async fn mail_that_comes_before_a_login_succeeds_for_the_first_time_is_read() {
    type Edit = fn(&mut Settings);
    let edits: [(Edit, u64); 4] = [
        (|_| (), 0),
        (|settings| settings.username = "alert".into(), 0),
        (|settings| settings.name = "another".into(), 0),
        (|_| (), 2 * 3600),
    ];
    let hours = SignedDuration::from_hours;

    for (edit, backfill) in edits {
        let mailbox = Mailbox::start().await;
        mailbox.state().logins = vec!["NO [AUTHENTICATIONFAILED] no"; 1_000];
        let right = Settings {
            backfill: settings::Duration::from_secs(backfill),
            ..settings(&mailbox)
        };
        let mut wrong = right.clone();
        edit(&mut wrong);
        let timeouts = Timeouts {
            retry_login: (Duration::from_millis(50), Duration::from_millis(50)),
            ..hasty()
        };

        mailbox.deliver_odd(&mail(0), &[arrived(hours(75))]);
        mailbox.deliver_odd(&mail(1), &[arrived(hours(73))]);
        let running = Running::with(&wrong, Arc::default(), timeouts);
        eventually("a refused login", || mailbox.connections() > 0).await;
        let inbox = running.end().await;
        inbox.was_written_before(hours(72));

        mailbox.deliver_odd(&mail(2), &[arrived(hours(71))]);
        let running = Running::with(&right, inbox, timeouts);
        let tries = mailbox.connections();
        eventually("another refused login", || mailbox.connections() > tries).await;
        // Whatever its sender's clock says.
        let misdated = [
            b"Date: Mon, 3 Mar 2025 12:00:00 +0000\r\n".to_vec(),
            mail(3),
        ]
        .concat();
        mailbox.deliver(&misdated);
        mailbox.state().logins.clear();

        let first = if backfill > 0 { 1 } else { 2 };
        running.has(4 - first).await;
        mailbox.deliver(&mail(4));
        running.has(5 - first).await;
        let inbox = running.end().await;

        // Nothing of this is read again, or looked for.
        let running = Running::with(&right, inbox, timeouts);
        mailbox.deliver(&mail(5));
        running.has(6 - first).await;
        let inbox = running.end().await;
        let mut expected: Vec<_> = (first..=5).map(mail).collect();
        expected[3 - first] = misdated;
        assert_whole(&inbox, expected);
    }
}

/// The first commit fails until the store is well again, and what comes meanwhile is new.
#[tokio::test]
async fn mail_that_comes_before_the_store_takes_the_first_look_is_read() {
    let mailbox = Mailbox::start().await;
    mailbox.deliver_odd(&mail(1), &[arrived(SignedDuration::from_hours(1))]);
    let settings = Settings {
        backfill: settings::Duration::from_secs(0),
        ..settings(&mailbox)
    };
    let inbox = Arc::<Recorder>::default();
    inbox.set_full(true);
    let running = Running::with(&settings, inbox, hasty());
    running.fails_with("the disk is full").await;
    mailbox.deliver(&mail(2));
    running.inbox.set_full(false);
    running.has(1).await;
    running.is_well().await;
    let inbox = running.end().await;
    assert_whole(&inbox, vec![mail(2)]);
}

#[tokio::test]
async fn a_folder_that_shows_nothing_at_first_is_looked_at_again() {
    let mailbox = Mailbox::start().await;
    mailbox.state().unindexed.extend([1, 2]);
    (1..=2).for_each(|number| {
        mailbox.deliver(&mail(number));
    });
    let running = run(&mailbox);
    running.fails_with("SEARCH finds none").await;
    mailbox.state().unindexed.clear();
    running.has(2).await;
    running.is_well().await;
    running.end().await;
}

#[tokio::test]
async fn a_uidnext_that_is_ahead_of_the_folder_hides_no_mail() {
    for ahead in [34, 604, u32::MAX] {
        for (backfill, first) in [(DAY, 1), (0, 4)] {
            let mailbox = Mailbox::start().await;
            mailbox.state().told_uid_next = Some(ahead);
            (1..=3).for_each(|number| {
                mailbox.deliver(&mail(number));
            });
            let settings = Settings {
                backfill: settings::Duration::from_secs(backfill),
                ..settings(&mailbox)
            };
            let running = Running::with(&settings, Arc::default(), hasty());
            running.is_well().await;
            mailbox.deliver(&mail(4));
            running.has(5 - first).await;
            // Nor after a restart.
            let inbox = running.end().await;
            mailbox.deliver(&mail(5));
            let running = Running::with(&settings, inbox, hasty());
            running.has(6 - first).await;
            let inbox = running.end().await;
            assert_whole(&inbox, (first..=5).map(mail).collect());
        }
    }
}

#[tokio::test]
async fn a_bookmark_that_is_ahead_of_the_folder_goes_back_when_mail_comes() {
    for ahead in [30, u32::MAX - 1] {
        let mailbox = Mailbox::start().await;
        (1..=3).for_each(|number| {
            mailbox.deliver(&mail(number));
        });
        mailbox.state().told_uid_next = Some(ahead + 1);
        let settings = settings(&mailbox);
        let inbox = Arc::<Recorder>::default();
        let bookmark = Bookmark::at(&settings.mailbox(), 7, ahead);
        inbox.accept(Vec::new(), Some(bookmark)).await.unwrap();
        let running = Running::with(&settings, inbox, hasty());
        running.is_well().await;
        mailbox.deliver(&mail(4));
        running.has(1).await;
        let inbox = running.end().await;
        let bookmark = inbox.bookmark(&settings.mailbox()).await.unwrap().unwrap();
        assert_eq!(bookmark.last_uid, 4);
        mailbox.deliver(&mail(5));
        let running = Running::with(&settings, inbox, hasty());
        running.has(2).await;
        let inbox = running.end().await;
        assert_whole(&inbox, vec![mail(4), mail(5)]);
    }
}

// ---- Servers as they are ----

/// Mails that could not be moved are moved when they can be, also after a restart; but not those
/// that have their UIDs after the folder was renumbered.
#[tokio::test]
async fn mails_that_could_not_be_moved_are_moved_later() {
    for (restarts, renumbers) in [(false, false), (true, false), (true, true)] {
        let mailbox = Mailbox::start().await;
        mailbox.state().refuses_move = true;
        let settings = Settings {
            after: After::Move("Done".into()),
            ..settings(&mailbox)
        };
        let mut running = Running::with(&settings, Arc::default(), hasty());
        running.is_well().await;
        (1..=3).for_each(|number| {
            mailbox.deliver(&mail(number));
        });
        running.has(3).await;
        eventually("a second try", || mailbox.asked("UID MOVE 1:3") >= 2).await;

        if restarts {
            let inbox = running.end().await;
            if renumbers {
                mailbox.state().uid_validity = 8;
            }
            mailbox.state().refuses_move = false;
            running = Running::with(&settings, inbox, hasty());
        } else {
            mailbox.state().refuses_move = false;
        }
        eventually("an empty folder", || mailbox.is_empty()).await;
        running.is_well().await;
        mailbox.deliver(&mail(4));
        eventually("an empty folder", || mailbox.is_empty()).await;
        let read = if renumbers { 7 } else { 4 };
        running.has(read).await;
        running.end().await;
    }
}

/// A pause of ten minutes ends at once if a person may have mended what the login was refused for,
/// and nothing else ends it.
#[tokio::test]
async fn a_new_password_and_a_reload_end_the_pause_after_a_refused_login() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("password");
    std::fs::write(&path, "wrong").unwrap();
    let mailbox = Mailbox::start().await;
    mailbox.state().logins = vec!["NO [AUTHENTICATIONFAILED] Invalid credentials"; 4];
    let settings = Settings {
        password: None,
        password_file: Some(path.clone()),
        ..settings(&mailbox)
    };
    let timeouts = Timeouts {
        look: Duration::from_millis(20),
        ..hasty()
    };
    let running = Running::with(&settings, Arc::default(), timeouts);
    let tries = || mailbox.connections();
    for tried in 1..=4 {
        eventually("a try", || tries() == tried).await;
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert_eq!(tries(), tried, "it waits");
        if tried % 2 == 0 {
            running.reloaded.notify_waiters();
        } else {
            std::fs::write(&path, format!("password {tried}")).unwrap();
        }
    }
    running.is_well().await;
    running.end().await;
}

#[tokio::test]
async fn a_busy_server_at_login_is_no_wrong_password() {
    for said in [
        "NO [UNAVAILABLE] Temporary failure",
        "NO [LIMIT] Rate limit hit",
        "NO [OVERQUOTA] full",
        "NO [INUSE] locked",
        "NO [CONTACTADMIN] ask",
        "NO [ALERT] Too many simultaneous connections. (Failure)",
        "NO Maximum number of connections from user+IP exceeded",
        "BAD User is authenticated but not connected.",
        "* BYE [UNAVAILABLE] come again",
    ] {
        let mailbox = Mailbox::start().await;
        mailbox.state().logins = vec![said; 3];
        mailbox.deliver(&mail(1));
        // After a refused login it would wait for ten minutes.
        let running = run(&mailbox);
        let condition = running.fails_with(&said[said.len() - 4..]).await;
        assert!(!condition.login_refused, "{said}");
        let failure = condition.failure.unwrap();
        assert!(
            !failure.contains("Some(") && !failure.contains("code:"),
            "{failure}"
        );
        running.has(1).await;
        running.is_well().await;
        running.end().await;
    }
    let mailbox = Mailbox::start().await;
    mailbox.state().logins = vec!["NO [AUTHENTICATIONFAILED] Invalid credentials"];
    let running = run(&mailbox);
    assert!(
        running
            .fails_with("Invalid credentials")
            .await
            .login_refused
    );
    running.end().await;
}

#[tokio::test]
async fn whatever_a_server_offers_and_wants_is_met() {
    type Make = fn(&Mailbox);
    let servers: [(&str, Make); 7] = [
        ("UIDVALIDITY 0", |mailbox| mailbox.state().uid_validity = 0),
        ("NetEase", |mailbox| {
            mailbox.state().needs_id = true;
            mailbox.state().capabilities =
                "IMAP4rev1 XLIST SPECIAL-USE LITERAL+ STARTTLS UIDPLUS ID".into();
        }),
        ("NetEase, without a word of ID", |mailbox| {
            mailbox.state().needs_id = true;
        }),
        ("IMAP4rev2 alone", |mailbox| {
            mailbox.state().capabilities = "IMAP4rev2 AUTH=PLAIN".into();
        }),
        ("both", |mailbox| {
            mailbox.state().capabilities = "IMAP4rev2 IMAP4rev1 IDLE ID".into();
        }),
        ("logged in already", |mailbox| {
            mailbox.state().greeting = "* PREAUTH welcome".into();
        }),
        ("words beyond ASCII", |mailbox| {
            mailbox.state().greeting = "* OK [CAPABILITY IMAP4rev1]\u{fc} (:-(".into();
        }),
    ];
    for (name, make) in servers {
        let mailbox = Mailbox::start().await;
        make(&mailbox);
        mailbox.deliver(&mail(1));
        let running = run(&mailbox);
        eventually(name, || running.inbox.mails().len() == 1).await;
        mailbox.deliver(&mail(2));
        running.has(2).await;
        running.is_well().await;
        running.end().await;
        mailbox.assert_kept_to_the_protocol();
    }
}

#[tokio::test]
async fn a_server_that_will_not_expunge_keeps_the_mail_and_costs_none() {
    let mailbox = Mailbox::start().await;
    mailbox.state().refuses_expunge = true;
    mailbox.deliver(&mail(1));
    let settings = Settings {
        after: After::Delete,
        ..settings(&mailbox)
    };
    let running = Running::with(&settings, Arc::default(), hasty());
    running.has(1).await;
    mailbox.deliver(&mail(2));
    running.has(2).await;
    running.is_well().await;
    let inbox = running.end().await;
    assert_whole(&inbox, vec![mail(1), mail(2)]);
    assert_eq!(mailbox.uids(), [1, 2]);
    mailbox.assert_kept_to_the_protocol();
}

/// TLS before a mailbox, with a certificate that signed itself; its port, and the certificate.
async fn behind_tls(mailbox: &Mailbox, names: &[&str], is_ca: bool) -> (u16, rcgen::Certificate) {
    let mut params = CertificateParams::new(
        names
            .iter()
            .map(|&name| name.to_owned())
            .collect::<Vec<_>>(),
    )
    .unwrap();
    if is_ca {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    }
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(
        rustls::crypto::aws_lc_rs::default_provider(),
    ))
    .with_safe_default_protocol_versions()
    .unwrap()
    .with_no_client_auth()
    .with_single_cert(
        vec![certificate.der().clone()],
        key.serialize_der().try_into().unwrap(),
    )
    .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (port, behind) = (listener.local_addr().unwrap().port(), mailbox.port);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut encrypted) = acceptor.accept(stream).await else {
                    return;
                };
                let mut plain = TcpStream::connect(("127.0.0.1", behind)).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut encrypted, &mut plain).await;
            });
        }
    });
    (port, certificate)
}

#[tokio::test]
async fn a_certificate_that_signed_itself_is_taken_where_it_is_named_or_pinned() {
    let folder = tempfile::tempdir().unwrap();
    let mailbox = Mailbox::start().await;
    mailbox.deliver(&mail(1));
    for is_ca in [true, false] {
        let (port, certificate) = behind_tls(&mailbox, &["localhost", "127.0.0.1"], is_ca).await;
        let file = folder.path().join("server.pem");
        std::fs::write(&file, certificate.pem()).unwrap();
        let secured = Settings {
            port: Some(port),
            tls: Tls::Implicit,
            ..settings(&mailbox)
        };
        let with = |change: &dyn Fn(&mut Settings)| {
            let mut settings = secured.clone();
            change(&mut settings);
            Running::with(&settings, Arc::default(), hasty())
        };

        let named = with(&|settings| settings.ca_file = Some(file.clone()));
        named.has(1).await;
        named.end().await;
        let fingerprint = alertbridge::delivery::sha256_hex(certificate.der());
        let colons = fingerprint
            .as_bytes()
            .chunks(2)
            .map(|pair| String::from_utf8_lossy(pair).to_uppercase());
        let colons = colons.collect::<Vec<_>>().join(":");
        let pinned = with(&|settings| settings.tls_fingerprint = Some(colons.clone()));
        pinned.has(1).await;
        pinned.end().await;

        let stranger = with(&|_| {});
        stranger.fails_with("in `ca_file`, or").await;
        stranger.end().await;
        let other = with(&|settings| settings.tls_fingerprint = Some("ab".repeat(32)));
        other
            .fails_with(&format!("has the fingerprint {fingerprint}"))
            .await;
        other.end().await;

        let (port, certificate) = behind_tls(&mailbox, &["elsewhere.example.com"], is_ca).await;
        std::fs::write(&file, certificate.pem()).unwrap();
        let misnamed = with(&|settings| {
            settings.port = Some(port);
            settings.ca_file = Some(file.clone());
        });
        misnamed.fails_with("certificate is for another name").await;
        misnamed.end().await;
    }
    let plain = Settings {
        tls: Tls::Implicit,
        ..settings(&mailbox)
    };
    let running = Running::with(&plain, Arc::default(), hasty());
    running
        .fails_with("does not speak TLS here: check `port` and `tls`")
        .await;
    running.end().await;
    let nobody = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let running = Running::with(
        &Settings {
            port: Some(nobody),
            ..settings(&mailbox)
        },
        Arc::default(),
        hasty(),
    );
    let failure = running
        .fails_with("Connection refused")
        .await
        .failure
        .unwrap();
    assert!(!failure.contains("os error"), "{failure}");
    running.end().await;
}

// ---- Servers that are slow, or do otherwise than they offer ----

#[tokio::test]
async fn a_slow_server_is_waited_for_longer_each_time() {
    let slow = ["", "LOGIN", "CAPABILITY", "EXAMINE", "SEARCH", "FETCH"];
    join_all(slow.map(|words| async move {
        let mailbox = Mailbox::start().await;
        mailbox.deliver(&mail(1));
        mailbox.state().slow_at = Some((words, Duration::from_millis(1_300)));
        let timeouts = Timeouts {
            connect: Duration::from_millis(500),
            command: Duration::from_millis(500),
            ..hasty()
        };
        let running = Running::with(&settings(&mailbox), Arc::default(), timeouts);
        eventually(&format!("a mail in spite of slow `{words}`"), || {
            running.inbox.bodies() == [mail(1)]
        })
        .await;
        mailbox.deliver(&mail(2));
        running.has(2).await;
        let inbox = running.end().await;
        assert_whole(&inbox, vec![mail(1), mail(2)]);
        mailbox.assert_kept_to_the_protocol();
    }))
    .await;
}

fn patient(mailbox: &Mailbox) -> Settings {
    Settings {
        rescan_interval: settings::Duration::from_secs(300),
        ..settings(mailbox)
    }
}

#[tokio::test]
async fn whatever_a_server_makes_of_idle_mail_is_seen_soon_and_on_one_connection() {
    let short = Duration::from_millis(50);
    let idles = [
        Idles::Not("NO not now"),
        Idles::Not("BAD what is that"),
        Idles::Not("OK done"),
        Idles::For(Duration::ZERO),
        Idles::For(short),
        Idles::For(Duration::from_millis(700)),
        Idles::UntilMail,
    ];
    join_all(idles.map(|idles| async move {
        let mailbox = Mailbox::start().await;
        mailbox.state().idles = idles;
        let timeouts = Timeouts {
            poll: Duration::from_millis(400),
            ..hasty()
        };
        let running = Running::with(&patient(&mailbox), Arc::default(), timeouts);
        running.is_well().await;
        for number in 1..=4 {
            eventually(&format!("another IDLE, {idles:?}"), || {
                mailbox.asked("IDLE") >= number
            })
            .await;
            mailbox.deliver(&mail(number));
            running.has(number).await;
        }
        running.is_well().await;
        running.end().await;
        assert_eq!(mailbox.connections(), 1, "{idles:?}");
        assert!(mailbox.asked("IDLE") < 40, "{idles:?}: a storm");
        mailbox.assert_kept_to_the_protocol();
    }))
    .await;
}

/// A server announces a mail once: in its answer to whatever command comes next.
#[tokio::test]
async fn mail_that_is_announced_amid_a_command_is_read_at_once() {
    let moved = After::Move("Done".into());
    let cases = [
        (&moved, "UID MOVE", false),
        (&moved, "UID MOVE", true),
        (&After::Seen, "UID STORE", false),
        (&After::Delete, "UID STORE", false),
        (&After::Delete, "UID EXPUNGE", true),
        (&After::Keep, "BODY.PEEK[]", false),
        (&After::Keep, "UID SEARCH", false),
        (&After::Keep, "UID SEARCH", true),
    ];
    join_all(cases.map(|(after, command, is_first)| async move {
        let mailbox = Mailbox::start().await;
        let settings = Settings {
            after: after.clone(),
            ..patient(&mailbox)
        };
        let running = Running::with(&settings, Arc::default(), hasty());
        running.is_well().await;
        for round in 0..3 {
            let idles = mailbox.asked("IDLE");
            mailbox.state().amid = Some(Amid {
                command,
                is_first,
                raw: mail(2 * round + 2),
            });
            mailbox.deliver(&mail(2 * round + 1));
            running.has(2 * round + 2).await;
            eventually(&format!("IDLE, {command}"), || {
                mailbox.asked("IDLE") > idles
            })
            .await;
        }
        let inbox = running.end().await;
        assert_whole(&inbox, (1..=6).map(mail).collect());
        assert_eq!(mailbox.connections(), 1, "{command}");
        assert!(mailbox.asked("UID SEARCH") < 30, "{command}: a storm");
        mailbox.assert_kept_to_the_protocol();
    }))
    .await;
}

#[tokio::test]
async fn a_server_that_ends_connections_by_idle_is_polled() {
    let mailbox = Mailbox::start().await;
    mailbox.state().idles = Idles::Ends;
    let timeouts = Timeouts {
        poll: Duration::from_millis(100),
        ..hasty()
    };
    let running = Running::with(&patient(&mailbox), Arc::default(), timeouts);
    eventually("it is polled", || mailbox.asked("NOOP") > 5).await;
    let connections = mailbox.connections();
    for number in 1..=3 {
        mailbox.deliver(&mail(number));
        running.has(number).await;
    }
    running.end().await;
    assert_eq!(
        (mailbox.connections(), mailbox.asked("IDLE")),
        (connections, 3)
    );
}

#[tokio::test]
async fn mail_that_only_another_connection_shows_is_read() {
    let mailbox = Mailbox::start().await;
    mailbox.state().is_frozen = true;
    let timeouts = Timeouts {
        session: Duration::from_millis(300),
        idle: Duration::from_millis(100),
        ..hasty()
    };
    let running = Running::with(&patient(&mailbox), Arc::default(), timeouts);
    running.is_well().await;
    for number in 1..=3 {
        let uid = mailbox.state().uid_next;
        mailbox.state().unindexed.insert(uid);
        mailbox.deliver(&mail(number));
        running.has(number).await;
    }
    running.is_well().await;
    let inbox = running.end().await;
    assert_whole(&inbox, (1..=3).map(mail).collect());
    mailbox.assert_kept_to_the_protocol();
}

#[tokio::test]
async fn a_mail_that_is_announced_and_indexed_late_is_looked_for() {
    for (after, others) in [
        (After::Keep, 0),
        (After::Keep, 2),
        (After::Delete, 0),
        (After::Delete, 2),
    ] {
        let mailbox = Mailbox::start().await;
        mailbox.deliver(&mail(1));
        let settings = Settings {
            after: after.clone(),
            ..patient(&mailbox)
        };
        let running = Running::with(&settings, Arc::default(), hasty());
        running.has(1).await;
        running.is_well().await;
        mailbox.state().unindexed.insert(2);
        mailbox.deliver(&mail(2));
        (0..others).for_each(|number| {
            mailbox.deliver(&mail(3 + number));
        });
        running.has(1 + others).await;
        let looks = mailbox.asked("SEARCH");
        eventually("three more looks", || mailbox.asked("SEARCH") >= looks + 3).await;
        mailbox.state().unindexed.clear();
        running.has(2 + others).await;
        let inbox = running.end().await;
        assert_whole(&inbox, (1..=2 + others).map(mail).collect());
        assert_eq!(mailbox.connections(), 1);
    }
}

#[tokio::test]
async fn a_backlog_of_which_search_finds_a_part_is_read_whole() {
    for finds in [Finds::Last(100), Finds::Last(53), Finds::First(100)] {
        let mailbox = Mailbox::start().await;
        (1..=3).for_each(|number| {
            mailbox.deliver(&mail(number));
        });
        let running = Running::with(&patient(&mailbox), Arc::default(), hasty());
        running.has(3).await;
        running.is_well().await;
        let inbox = running.end().await;
        mailbox.state().finds = finds;
        mailbox.state().uid_next += 90;
        (4..=430).for_each(|number| {
            mailbox.deliver(&mail(number));
        });
        let running = Running::with(&patient(&mailbox), inbox, hasty());
        running.has(430).await;
        running.is_well().await;
        mailbox.deliver(&mail(431));
        running.has(431).await;
        let inbox = running.end().await;
        assert_whole(&inbox, (1..=431).map(mail).collect());
        mailbox.assert_kept_to_the_protocol();
    }
}

#[tokio::test]
async fn a_mailbox_is_known_again_by_a_uidvalidity_of_any_size() {
    for (told, another) in [
        ("4294967296", "4294967297"),
        ("1700000000001", "1700000000002"),
        ("99999999999999999999999", "7"),
    ] {
        let mailbox = Mailbox::start().await;
        mailbox.state().told_uid_validity = Some(told);
        mailbox.deliver(&mail(1));
        let running = run(&mailbox);
        running.has(1).await;
        let inbox = running.end().await;
        mailbox.deliver(&mail(2));
        let running = Running::with(&settings(&mailbox), inbox, hasty());
        running.has(2).await;
        running.is_well().await;
        let inbox = running.end().await;
        mailbox.state().told_uid_validity = Some(another);
        let running = Running::with(&settings(&mailbox), inbox, hasty());
        running.has(4).await;
        running.end().await;
    }
}

#[tokio::test]
async fn a_mail_that_arrives_before_it_was_written_arrives_now() {
    let mailbox = Mailbox::start().await;
    let running = run(&mailbox);
    running.is_well().await;
    let now = crate::delivery::now();
    let date = now.strftime("%a, %d %b %Y %H:%M:%S +0000").to_string();
    let dates = [
        "\"01-Jan-2024 00:00:00 +0000\"",
        "\"01-Jan-2000 00:00:00 +0000\"",
        "\"01-Jan-1970 00:00:00 +0000\"",
    ];
    for (number, quirk) in dates.into_iter().enumerate() {
        let raw = format!("Date: {date}\r\nSubject: {number}\r\n\r\nx\r\n");
        mailbox.deliver_odd(raw.as_bytes(), &[(Quirk::Date(quirk), FOREVER)]);
    }
    running.has(dates.len()).await;
    for mail in running.end().await.mails() {
        let late = mail.arrived_at.duration_since(now).as_secs();
        assert!((-1..60).contains(&late), "{late} s");
    }
}

// ---- Everything at once ----

#[tokio::test]
async fn a_backlog_in_a_storm_is_read_once_and_whole() {
    for after in [After::Keep, After::Delete, After::Move("Done".into())] {
        let mailbox = Mailbox::start().await;
        mailbox.state().storm = 60;
        let mut rng = fastrand::Rng::with_seed(11);
        for number in 0..1500 {
            let quirks = if rng.u32(..60) == 0 {
                quirks(&mut rng)
            } else {
                Vec::new()
            };
            mailbox.deliver_odd(&mail(number), &quirks);
        }
        let running = Running::with(
            &Settings {
                after: after.clone(),
                ..settings(&mailbox)
            },
            Arc::default(),
            hasty(),
        );
        eventually(&format!("all mails, {after:?}"), || {
            running.inbox.mails().len() >= 1500
        })
        .await;
        running.is_well().await;
        if after != After::Keep {
            eventually("an empty folder", || mailbox.uids().is_empty()).await;
        }
        let inbox = running.end().await;
        assert_whole(&inbox, (0..1500).map(mail).collect());
        mailbox.assert_kept_to_the_protocol();
    }
}

/// What passes after a few tries, at random.
fn quirks(rng: &mut fastrand::Rng) -> Vec<(Quirk, usize)> {
    let mut quirks = quick_quirks(rng);
    if rng.u32(..6) == 0 {
        quirks[0].0 = if rng.bool() {
            Quirk::Longer(rng.usize(1..40))
        } else {
            Quirk::Hang
        };
    }
    quirks
}

/// Those that make nobody wait for what never comes.
fn quick_quirks(rng: &mut fastrand::Rng) -> Vec<(Quirk, usize)> {
    let passing = |rng: &mut fastrand::Rng| {
        let quirk = match rng.u32(..16) {
            0 => Quirk::Cut,
            1 => Quirk::BusyCut,
            2 => Quirk::NoDate,
            3 => Quirk::Shorter(rng.usize(1..40)),
            4 => Quirk::NoSize,
            5 => Quirk::NoUid,
            6 => Quirk::DateNil,
            7 => Quirk::BodyNil,
            8 => Quirk::Empty,
            9 => Quirk::LeftOut,
            10 => Quirk::No("[UNAVAILABLE] later"),
            11 => Quirk::No("[INUSE]\u{e9}"),
            12 => Quirk::StandIn,
            13 => Quirk::Also("FLAGS (\\Seen a(b)c) MODSEQ (7)"),
            14 => Quirk::Size(rng.u64(1..5_000_000_000)),
            _ => Quirk::Garbage,
        };
        (quirk, 1)
    };
    // Two tries may fail: the third would be told.
    (0..rng.usize(1..3)).map(|_| passing(rng)).collect()
}

#[tokio::test]
async fn generated_troubles_cost_no_mail() {
    // Most of each is waiting for a deadline, so several wait together.
    stream::iter(0..30)
        .for_each_concurrent(6, generated_trouble_costs_no_mail)
        .await;
}

async fn generated_trouble_costs_no_mail(seed: u64) {
    let mut rng = fastrand::Rng::with_seed(seed);
    let mailbox = Mailbox::start().await;
    mailbox.state().storm = rng.usize(..4);
    let running = run(&mailbox);
    let mut number = 0;
    for _ in 0..3 {
        for _ in 0..rng.usize(1..12) {
            let quirks = if rng.u32(..3) == 0 {
                quirks(&mut rng)
            } else {
                Vec::new()
            };
            mailbox.deliver_odd(&mail(number), &quirks);
            number += 1;
        }
        // One that is well shows that the server is.
        mailbox.deliver(&mail(number));
        number += 1;
        eventually(&format!("{number} mails of seed {seed}"), || {
            running.inbox.mails().len() >= number
        })
        .await;
    }
    running.is_well().await;
    let inbox = running.end().await;
    assert_whole(&inbox, (0..number).map(mail).collect());
    mailbox.assert_kept_to_the_protocol();
}

// ---- The whole bridge ----

fn config(folder: &Path, mailboxes: &[Mailbox], hooked: &Fake<Hook>) -> String {
    let doors = DOORS.replace("global: { max_age: 0s }", "");
    let mailboxes: String = mailboxes
        .iter()
        .enumerate()
        .map(|(number, mailbox)| {
            format!(
                "    - {{ name: m{number}, host: 127.0.0.1, port: {}, tls: none, username: u, \
                 password: p, backfill: 1d, rescan_interval: 1s }}\n",
                mailbox.port
            )
        })
        .collect();
    format!(
        "{doors}\ningress:\n  imap:\n{mailboxes}route: {{ receiver: all }}\nreceivers:\n  - name: \
         all\n    {}\n",
        hook(folder, hooked, "")
    )
}

async fn until(what: &str, bridge: &Bridge, within: Duration, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + within;
    while !holds() {
        assert!(
            Instant::now() < deadline,
            "waited in vain: {what}\n{}",
            tail(&bridge.log())
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// How often each incident was told, by action.
fn told(hooked: &Fake<Hook>) -> BTreeMap<(String, String), usize> {
    let mut told = BTreeMap::new();
    for page in hooked.pages() {
        *told.entry((page.action, page.key)).or_default() += 1;
    }
    told
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_mailboxes_in_trouble_tell_each_incident_once_and_close_it() {
    const MAILBOXES: usize = 8;
    const INCIDENTS: usize = 25;
    let folder = tempfile::tempdir().unwrap();
    let hooked = Hook::start(HOOK_SECRET).await;
    let mut mailboxes = Vec::new();
    for _ in 0..MAILBOXES {
        mailboxes.push(Mailbox::start().await);
    }
    mailboxes[1].state().storm = 30;
    mailboxes[2].state().logins = vec!["NO [UNAVAILABLE] later", "* BYE too many connections"];
    let mut rng = fastrand::Rng::with_seed(4);
    let mut bridge = Bridge::start(folder.path(), &config(folder.path(), &mailboxes, &hooked));
    for (action, make) in [
        ("trigger", trigger as fn(&str) -> Vec<u8>),
        ("resolve", resolve),
    ] {
        for incident in 0..INCIDENTS {
            for (number, mailbox) in mailboxes.iter().enumerate() {
                let quirks = match (number, incident) {
                    // These cost a quarter of a minute each.
                    (3, 7) => vec![(Quirk::Hang, 1)],
                    (4, 7) => vec![(Quirk::Longer(9), 1)],
                    (0, _) => Vec::new(),
                    _ if rng.u32(..3) == 0 && incident + 1 < INCIDENTS => quick_quirks(&mut rng),
                    _ => Vec::new(),
                };
                mailbox.deliver_odd(&make(&format!("m{number}-{incident}")), &quirks);
            }
            if incident == INCIDENTS / 2 {
                bridge.kill();
                bridge = Bridge::start(folder.path(), &config(folder.path(), &mailboxes, &hooked));
            }
        }
        let count = || {
            hooked
                .pages()
                .iter()
                .filter(|page| page.action == action)
                .count()
        };
        until("all to be told", &bridge, Duration::from_mins(2), || {
            count() >= MAILBOXES * INCIDENTS
        })
        .await;
    }
    let told = told(&hooked);
    let twice: Vec<_> = told.iter().filter(|(_, times)| **times != 1).collect();
    assert!(twice.is_empty(), "{twice:?}");
    assert_eq!(told.len(), 2 * MAILBOXES * INCIDENTS);
    assert!(hooked.violations().is_empty(), "{:?}", hooked.violations());
    mailboxes
        .iter()
        .for_each(Mailbox::assert_kept_to_the_protocol);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_end_does_not_overtake_its_beginning_that_the_server_gives_late() {
    let folder = tempfile::tempdir().unwrap();
    let hooked = Hook::start(HOOK_SECRET).await;
    let quirks = [
        Quirk::No("[UNAVAILABLE] later"),
        Quirk::LeftOut,
        Quirk::Cut,
        Quirk::BodyNil,
    ];
    let mut mailboxes = Vec::new();
    for (number, quirk) in quirks.into_iter().enumerate() {
        let mailbox = Mailbox::start().await;
        for incident in 0..4 {
            let times = if incident % 2 == 1 { 2 } else { 0 };
            let mail = trigger(&format!("m{number}-{incident}"));
            mailbox.deliver_odd(&mail, &[(quirk, times)]);
        }
        for incident in 0..4 {
            mailbox.deliver(&resolve(&format!("m{number}-{incident}")));
        }
        mailboxes.push(mailbox);
    }
    let bridge = Bridge::start(folder.path(), &config(folder.path(), &mailboxes, &hooked));
    until("all to be told", &bridge, Duration::from_mins(1), || {
        hooked.pages().len() >= 4 * 2 * quirks.len()
    })
    .await;
    let told = told(&hooked);
    assert!(told.values().all(|times| *times == 1), "{told:?}");
    assert_eq!(told.len(), 4 * 2 * quirks.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_never_given_is_told_with_its_reason_and_read_when_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let hooked = Hook::start(HOOK_SECRET).await;
    let quirks = [
        (
            Quirk::No("[UNAVAILABLE] not this one"),
            "[UNAVAILABLE] not this one",
        ),
        (Quirk::BodyNil, "no content"),
        (Quirk::LeftOut, "leaves it out"),
        (Quirk::StandIn, "returned this in place of a mail"),
        (Quirk::Garbage, "not IMAP"),
    ];
    let mut mailboxes = Vec::new();
    for (number, (quirk, _)) in quirks.iter().enumerate() {
        let mailbox = Mailbox::start().await;
        mailbox.deliver(&trigger(&format!("before-{number}")));
        mailbox.deliver_odd(&trigger(&format!("poison-{number}")), &[(*quirk, FOREVER)]);
        mailbox.deliver(&trigger(&format!("behind-{number}")));
        mailboxes.push(mailbox);
    }
    let mut bridge = Bridge::start(folder.path(), &config(folder.path(), &mailboxes, &hooked));
    let unparsed = || {
        hooked
            .pages()
            .iter()
            .filter(|page| page.key.starts_with("unparsed-"))
            .count()
    };
    let minute = Duration::from_mins(1);
    until("all to be told", &bridge, minute, || {
        hooked.pages().len() >= 3 * quirks.len()
    })
    .await;
    assert_eq!(unparsed(), quirks.len(), "{:?}", hooked.pages());
    let mails = listed(
        &bridge,
        &["mails", "list", "--outcome", "unparsed", "--json"],
    );
    let reasons: BTreeSet<String> = mails
        .iter()
        .map(|mail| mail["reason"].to_string())
        .collect();
    for (_, expected) in quirks {
        assert!(
            reasons.iter().any(|reason| reason.contains(expected)),
            "{expected}: {reasons:?}"
        );
    }
    assert_eq!(bridge.ready().await.0, 200, "the mailboxes are read");

    bridge.kill();
    let bridge = Bridge::start(folder.path(), &config(folder.path(), &mailboxes, &hooked));
    let asked: Vec<_> = mailboxes
        .iter()
        .map(|mailbox| mailbox.asked("BODY.PEEK[]"))
        .collect();
    let again = || {
        mailboxes
            .iter()
            .zip(&asked)
            .all(|(mailbox, asked)| mailbox.asked("BODY.PEEK[]") > *asked)
    };
    until("another look at each", &bridge, minute, again).await;
    mailboxes.iter().for_each(Mailbox::heal);
    until("the rest to be told", &bridge, minute, || {
        hooked.pages().len() >= 4 * quirks.len()
    })
    .await;
    let told = told(&hooked);
    assert!(told.values().all(|times| *times == 1), "{told:?}");
    for number in 0..quirks.len() {
        assert!(
            told.keys()
                .any(|(_, key)| *key == format!("poison-{number}:all")),
            "{told:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readiness_tells_that_nothing_can_be_read_and_nobody_is_told_of_every_mail() {
    let folder = tempfile::tempdir().unwrap();
    let hooked = Hook::start(HOOK_SECRET).await;
    let mailbox = Mailbox::start().await;
    for number in 0..100 {
        mailbox.deliver_odd(
            &trigger(&format!("i{number}")),
            &[(Quirk::No("[UNAVAILABLE] maintenance"), FOREVER)],
        );
    }
    let mailboxes = [mailbox];
    let bridge = Bridge::start(folder.path(), &config(folder.path(), &mailboxes, &hooked));
    until("some tries", &bridge, Duration::from_mins(1), || {
        mailboxes[0].connections() >= 4
    })
    .await;
    let (status, why) = bridge.ready().await;
    assert!(
        status == 503 && why.contains("returns no mail") && why.contains("maintenance"),
        "{status} {why}"
    );
    assert!(hooked.pages().is_empty(), "{:?}", hooked.pages());
    mailboxes[0].heal();
    until("all to be told", &bridge, Duration::from_mins(2), || {
        hooked.pages().len() >= 100
    })
    .await;
    assert_eq!(bridge.ready().await.0, 200);
    assert_eq!(told(&hooked).len(), 100);
    assert_eq!(hooked.pages().len(), 100);
}

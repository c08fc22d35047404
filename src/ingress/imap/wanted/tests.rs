use super::*;
use crate::message::Wanted;

const NOW: Timestamp = Timestamp::UNIX_EPOCH;

fn closed() -> Fault {
    Fault::Closed { said: None }
}

#[test]
fn a_mail_that_fails_while_others_are_given_is_told_after_a_few_tries() {
    let mut backlog = Backlog::default();
    backlog.begin(1, 64);
    assert!(!backlog.blame(&closed(), NOW));
    assert!(backlog.is_suspect(64) && !backlog.is_suspect(65) && !backlog.is_wanted(7));

    for tries in 1..=TRIES {
        backlog.begin(7, 7);
        backlog.blame(&closed(), NOW);
        assert_eq!(
            backlog.to_tell(7),
            None,
            "the server may be to blame after {tries}"
        );
    }
    assert!(backlog.stuck().is_some() && backlog.wants_proof(7));
    backlog.was_given(8);
    assert_eq!(
        (backlog.to_tell(7), backlog.stuck()),
        (None, None),
        "it may have been the server until now"
    );
    backlog.begin(7, 7);
    backlog.blame(&closed(), NOW);
    assert_eq!(
        backlog.to_tell(7).as_deref(),
        Some("the server closed the connection")
    );
    backlog.told(7);
    assert_eq!(backlog.to_tell(7), None, "once");
    backlog.begin(7, 7);
    assert!(backlog.blame(&closed(), NOW), "no news any more");
}

#[test]
fn a_busy_server_or_a_full_store_is_not_the_mails_fault() {
    let mut backlog = Backlog::default();
    for _ in 0..20 {
        backlog.begin(7, 7);
        backlog.blame(
            &Fault::Inbox(crate::ingress::Refused::Failed("the disk is full".into())),
            NOW,
        );
    }
    assert!(!backlog.is_wanted(7));
    for _ in 0..20 {
        backlog.fail(7, "[UNAVAILABLE] later", true, NOW);
    }
    assert_eq!(backlog.to_tell(7), None);
    backlog.fail(7, "a line longer than 256 KiB", false, NOW);
    assert!(backlog.to_tell(7).is_some(), "the only mail there is");
    backlog.fail(8, "a line longer than 256 KiB", false, NOW);
    assert_eq!(backlog.to_tell(7), None, "all mails fail");
}

#[test]
fn what_the_store_knows_is_taken_over_and_what_another_process_got_is_let_go() {
    let mut backlog = Backlog::default();
    let wanted = |uid, told| Wanted {
        uid,
        since: NOW,
        told,
    };
    backlog.adopt(&[wanted(3, true), wanted(5, false)]);
    assert_eq!(
        backlog.due(9),
        [5, 3],
        "what is told already is the least urgent"
    );
    backlog.fail(9, "no", false, NOW);
    assert_eq!(backlog.to_keep(8), []);
    assert_eq!(backlog.to_keep(9), [wanted(9, false)]);
    backlog.adopt(&[wanted(3, true)]);
    assert!(backlog.is_wanted(9) && backlog.is_wanted(3) && !backlog.is_wanted(5));
}

use jiff::ToSpan as _;

use super::*;

fn now() -> Timestamp {
    "2026-03-01T12:00:00Z".parse().unwrap()
}

fn plan(matchers: &[&str]) -> Result<Plan, PlanError> {
    let texts: Vec<_> = matchers.iter().map(|text| (*text).to_owned()).collect();
    Plan::new(
        &texts,
        (now(), now() + 1.hour()),
        "ann",
        "the database moves",
        now(),
    )
}

fn silence(matchers: &[&str]) -> Silence {
    let Plan {
        matchers,
        starts_at,
        ends_at,
        author,
        comment,
    } = plan(matchers).unwrap();
    Silence {
        id: 7,
        matchers,
        starts_at,
        ends_at,
        author,
        comment,
        created_at: now(),
    }
}

fn labels(pairs: &[(&'static str, &str)]) -> Labels {
    pairs
        .iter()
        .map(|(name, value)| ((*name).into(), (*value).to_owned()))
        .collect()
}

#[test]
fn it_covers_what_fulfils_all_its_matchers() {
    let silence = silence(&[
        "app_key=~\"com[.]example[.].*\"",
        "{sli_gap<20, severity!=\"critical\"}",
    ]);
    let alert = |app: &str, gap: &str, severity: &str| {
        labels(&[
            ("kind", "incident"),
            ("app_key", app),
            ("sli_gap", gap),
            ("severity", severity),
        ])
    };
    assert!(silence.covers(&alert("com.example.app", "5", "warning")));
    assert!(!silence.covers(&alert("org.example.app", "5", "warning")));
    assert!(!silence.covers(&alert("com.example.app", "20", "warning")));
    assert!(
        !silence.covers(&alert("com.example.app", "", "warning")),
        "what is not a number is not below 20"
    );
    assert!(!silence.covers(&alert("com.example.app", "5", "critical")));
}

#[test]
fn what_it_matches_is_kept_as_it_was_written_whatever_is_in_it() {
    for text in [
        "app_name=\"a\\\"b\\\\c\\nd, e}\"",
        "app_name=~\"\\\\d+[{]2[}].*\"",
        "sli_gap>=-2.5",
        "metric=Ünïcode",
    ] {
        let read = Matcher::parse(text).unwrap();
        let kept = plan(&[text]).unwrap().matchers;
        assert_eq!(kept.len(), 1, "{text}");
        assert!(!kept[0].contains('\n'), "one to a line in the store");
        let again = Matcher::parse(&kept[0]).unwrap();
        let parts = |matcher: &Matcher| {
            (
                matcher.name().to_owned(),
                matcher.operator(),
                matcher.value().to_owned(),
            )
        };
        assert_eq!(parts(&again), parts(&read), "{text}");
    }
}

#[test]
fn what_the_bridge_tells_of_itself_is_silenced_by_name_alone() {
    let own = labels(&[
        ("kind", "self"),
        ("severity", "critical"),
        ("incident_id", "self:dead-letters"),
    ]);
    assert!(!silence(&["severity=critical"]).covers(&own));
    assert!(
        !silence(&["severity=critical", "kind!=incident"]).covers(&own),
        "that is no name"
    );
    assert!(silence(&["severity=critical", "kind=self"]).covers(&own));
    assert!(silence(&["kind=~\"self|incident\""]).covers(&own));
    let unparsed = labels(&[("kind", "unparsed"), ("severity", "critical")]);
    assert!(silence(&["severity=critical"]).covers(&unparsed));
}

#[test]
fn what_would_silence_everything_by_mistake_is_refused() {
    for matchers in [
        &["app_key!=\"x\""][..],
        &["app_key=~\".*\"", "metric=\"\""],
        &["{}"],
        &[],
    ] {
        assert!(
            matches!(plan(matchers), Err(PlanError::CoversWhateverLacksIt(_))),
            "{matchers:?}"
        );
    }
    assert!(plan(&["app_key!=\"x\"", "kind=incident"]).is_ok());
    assert!(
        plan(&["sli_gap>=0"]).is_ok(),
        "a label that is not set is not a number"
    );
    let error = plan(&["critical"]).unwrap_err().to_string();
    assert!(
        error.starts_with("`critical` is not a valid matcher: ") && error.contains("severity="),
        "{error}"
    );
}

#[test]
fn it_has_a_time_to_come_and_a_comment() {
    let at = |starts_at: Timestamp, ends_at: Timestamp, comment: &str| {
        Plan::new(
            &["kind=incident".into()],
            (starts_at, ends_at),
            "ann",
            comment,
            now(),
        )
    };
    let (hour, minute) = (1.hour(), 1.minute());
    assert!(matches!(
        at(now() + hour, now() + hour, "x"),
        Err(PlanError::Backwards { .. })
    ));
    assert!(matches!(
        at(now() - hour, now() - minute, "x"),
        Err(PlanError::Over(_))
    ));
    assert_eq!(at(now(), now() + hour, " \t"), Err(PlanError::NoComment));
    assert_eq!(
        at(now() - hour, now() + hour, "x").unwrap().starts_at,
        now(),
        "nothing is silenced afterwards"
    );
    let silence = silence(&["kind=incident"]);
    assert_eq!(silence.state(now() - minute), State::Pending);
    assert_eq!(silence.state(now()), State::Active);
    assert_eq!(silence.state(now() + hour), State::Expired);
    assert_eq!(
        silence.to_string(),
        "silenced until 2026-03-01T13:00:00Z by silence 7 (ann: the database moves)"
    );
}

#[test]
fn one_that_cannot_be_read_covers_nothing() {
    let alert = labels(&[("kind", "incident")]);
    for matchers in [
        vec![],
        vec!["kind=\"incident\"".to_owned(), "kind ~ new".to_owned()],
    ] {
        assert!(
            !Silence {
                matchers,
                ..silence(&["kind=incident"])
            }
            .covers(&alert)
        );
    }
}

#[test]
fn however_many_matchers_there_are_each_means_what_it_says() {
    for _ in 0..2 {
        for n in 0..REMEMBERED * 2 {
            let silence = silence(&[&format!("incident_id=~\"i{n}-.*\"")]);
            let alert = |incident: &str| labels(&[("kind", "incident"), ("incident_id", incident)]);
            assert!(
                silence.covers(&alert(&format!("i{n}-a")))
                    && !silence.covers(&alert(&format!("i{}-a", n + 1)))
            );
        }
    }
}

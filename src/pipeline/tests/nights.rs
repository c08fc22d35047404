//! Tests random nights: incidents open, worsen, end and reopen, under silences and mutes that come
//! and go.
//!
//! However these are mixed, everybody hears what a model of the promise says.

use proptest::{prelude::*, test_runner::Config as Cases};

use super::{
    model::{Model, SLEEP, Silence},
    *,
};

const INCIDENTS: [&str; 2] = ["a", "b"];
const MATCHERS: [&str; 3] = ["incident_id=a", "severity=critical", "kind=incident"];

#[derive(Debug, Clone)]
enum Event {
    /// A trigger with a severity, or a resolve, of an incident.
    Mail(usize, Option<&'static str>),
    /// A copy of an earlier mail of the incident, counted from the newest.
    Copy(usize, usize),
    /// A silence: the matcher, the minutes until it begins and the minutes that it lasts.
    Silence(usize, i64, i64),
    /// Ends a silence before its time.
    Expire(usize),
    /// Puts the other configuration into force, with other times of sleep.
    Reload,
    Wait,
}

/// An event, the minutes before it, and whether it comes before the sweep of its minute.
type Step = (Event, i64, bool);

fn step() -> impl Strategy<Value = Step> {
    let severity = prop_oneof![
        2 => Just(Some("warning")), 3 => Just(Some("critical")), 2 => Just(None)
    ];
    let event = prop_oneof![
        6 => (0..2_usize, severity).prop_map(|(incident, what)| Event::Mail(incident, what)),
        2 => (0..2_usize, 0..4_usize).prop_map(|(incident, back)| Event::Copy(incident, back)),
        3 => (0..3_usize, prop_oneof![2 => Just(0_i64), 1 => 1..6_i64], 1..40_i64)
            .prop_map(|(which, begins, lasts)| Event::Silence(which, begins, lasts)),
        1 => (0..4_usize).prop_map(Event::Expire),
        1 => Just(Event::Reload),
        2 => Just(Event::Wait),
    ];
    (
        event,
        prop_oneof![1 => Just(0_i64), 3 => 1..12_i64],
        any::<bool>(),
    )
}

/// Runs the steps; the error is the model's objection.
async fn live(steps: Vec<Step>) -> Result<(), String> {
    let (mut night, mut model) = (Night::begin(), Model::default());
    let mut sent: [Vec<Vec<u8>>; 2] = Default::default();
    let mut silences = Vec::new();
    for (event, minutes, comes_first) in steps {
        let is_mail = matches!(event, Event::Mail(..) | Event::Copy(..));
        for minute in (0..minutes).rev() {
            night.pass(1);
            // What is owed by now must be told, even if a mail arrives before the sweep.
            model.owe(night.now());
            if minute > 0 || !comes_first || !is_mail {
                look(&night, &mut model, Vec::new()).await?;
            }
        }
        let now = night.now();
        let mut told = Vec::new();
        match event {
            Event::Mail(which, severity) => {
                let status = severity.map_or("OK", |_| "ANOMALOUS");
                let measured = severity.unwrap_or("warning");
                let mail = night.mail(INCIDENTS[which], status, measured, "com.example.known");
                sent[which].push(mail.clone());
                night.take(mail).await;
                model.mail(INCIDENTS[which], severity, now);
                told = night.delivered().await;
            }
            Event::Copy(which, back) => {
                if let Some(place) = sent[which].len().checked_sub(back + 1) {
                    night.take(sent[which][place].clone()).await;
                }
            }
            Event::Silence(which, begins, lasts) => {
                let from = now + SignedDuration::from_mins(begins);
                let until = from + SignedDuration::from_mins(lasts);
                let matcher = MATCHERS[which];
                silences.push(night.silence(matcher, from, until).await);
                model.silences.push(Silence {
                    matcher,
                    from,
                    until,
                });
            }
            Event::Expire(which) => {
                if let Some(silence) = model.silences.get_mut(which)
                    && silence.until > now
                {
                    night.expire(silences[which]).await;
                    (silence.from, silence.until) = (silence.from.min(now), now);
                }
            }
            Event::Reload => {
                model.configuration = 1 - model.configuration;
                night.reload(&sleeping(&SLEEP[model.configuration])).await;
            }
            Event::Wait => {}
        }
        model.heard(&told, now)?;
        model.owe(now);
        look(&night, &mut model, told).await?;
    }
    Ok(())
}

/// Does the sweep of every second and checks what is heard, together with what was told just
/// before.
async fn look(night: &Night, model: &mut Model, mut told: Vec<Page>) -> Result<(), String> {
    night.sweep().await;
    let more = night.delivered().await;
    model.heard(&more, night.now())?;
    told.extend(more);
    model.at_rest(&told, night.now())
}

proptest! {
    #![proptest_config(Cases { cases: 64, ..Cases::default() })]

    #[test]
    fn everybody_on_call_hears_of_it_once_and_never_while_it_is_held(
        steps in proptest::collection::vec(step(), 1..30)
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let objection = runtime.block_on(live(steps)).err();
        prop_assert_eq!(objection, None);
    }
}

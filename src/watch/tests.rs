use std::sync::Mutex;

use tokio::sync::watch::Sender;

use super::*;
use crate::{
    config::{Config, Files, Loaded, Source},
    delivery::{NewDelivery, Step, Target},
    ingress::OVERDUE,
    message::{Authenticity, Message},
    pipeline::{Case, resolve_by_hand},
    silence::Plan,
    store::{Decision, Desk, Lanes, Next, Settlement, StoredMail, sqlite::Sqlite},
};

mod quiet;

const CONFIGURATION: &str = "
alerts: { authenticity: { require: [] } }
ingress: { webhook: [{ name: hook }] }
route:
  receiver: root
  routes: [{ matchers: ['kind=\"self\"', 'severity=\"critical\"'], receiver: pager }]
receivers: [{ name: root, stdout_configs: [{}] }, { name: pager, stdout_configs: [{}] }]
";

/// A watch whose time and ingresses the test sets.
struct Night {
    watch: Watch,
    desk: Arc<dyn Desk>,
    lanes: Arc<dyn Lanes>,
    vigil: Vigil,
    now: Arc<Mutex<Timestamp>>,
}

impl Night {
    fn begin() -> Self {
        Self::under(CONFIGURATION)
    }

    fn under(configuration: &str) -> Self {
        let parsed = Config::parse(Source::Embedded, configuration, Files::Unneeded, &|_| None);
        let Loaded { config, rules, .. } = parsed.unwrap_or_else(|error| panic!("{error}"));
        let in_force = InForce {
            authenticator: config.authenticator(&rules.profiles).unwrap(),
            rules,
            canary: None,
        };
        let start = Timestamp::from_second(1_700_000_000).unwrap();
        let now = Arc::new(Mutex::new(start));
        let read = Arc::clone(&now);
        let store = Arc::new(Sqlite::throw_away().unwrap());
        let watch = Watch {
            upkeep: store.clone(),
            intake: store.clone(),
            in_force: Sender::new(Arc::new(in_force)).subscribe(),
            health: Health::default(),
            ingresses: vec!["imap".into(), "smtp".into()],
            shared: Vec::new(),
            mailboxes: vec!["imap".into()],
            clock: Clock::from_fn(move || *read.lock().unwrap()),
            owed: Arc::new(Notify::new()),
        };
        Self {
            watch,
            desk: store.clone(),
            lanes: store,
            vigil: Vigil::begin(start),
            now,
        }
    }

    fn now(&self) -> Timestamp {
        *self.now.lock().unwrap()
    }

    fn works(&self, ingress: &str) {
        self.watch.health.succeeded(ingress, self.now());
    }

    /// Looks every half minute for this long.
    async fn pass(&mut self, minutes: i64) {
        for _ in 0..minutes * 2 {
            *self.now.lock().unwrap() += SignedDuration::from_secs(30);
            self.look().await;
        }
    }

    async fn look(&mut self) {
        self.watch.look(&mut self.vigil).await.unwrap();
        self.watch.look_for_quiet(&self.vigil).await.unwrap();
    }

    /// Puts another configuration in force.
    fn reload(&mut self, configuration: &str) {
        self.watch.in_force = Night::under(configuration).watch.in_force;
    }

    /// Records a mail of the nightly job, and decides it.
    async fn mail(&self, status: &str) {
        let mail = self.record(status).await;
        self.decide(mail).await;
    }

    async fn record(&self, status: &str) -> StoredMail {
        let now = self.now();
        let date = now.strftime("%a, %d %b %Y %T +0000");
        let raw = format!(
            "From: job@example.com\r\nSubject: job\r\nDate: {date}\r\n\r\nStatus: \
             {status}\r\nSince: 2026-03-01T00:00:00Z\r\n"
        );
        let message = Message {
            ingress: "hook".into(),
            arrived_at: now,
            raw: raw.into(),
            cut_from: None,
            withheld: None,
            envelope: None,
        };
        let mails = vec![(message.clone(), Authenticity::off())];
        let ids = self.watch.intake.record(mails, None).await.unwrap();
        StoredMail {
            id: ids[0],
            message,
            authenticity: Authenticity::off(),
            checks: 0,
            released: None,
            decided_at: None,
            cut_at: None,
        }
    }

    async fn decide(&self, mail: StoredMail) {
        let rules = Arc::clone(&self.watch.in_force.borrow().rules);
        let case = Case {
            reading: Arc::new(rules.read(&mail)),
            rules,
            mail: Arc::new(mail),
            now: self.now(),
        };
        let decided = case.decide(&*self.watch.intake, |decide| decide).await;
        assert!(decided.unwrap().is_some());
    }

    /// Restarts the watch, so that the ingresses have not reported anything yet.
    fn restart(&mut self) {
        self.watch.health = Health::default();
        self.vigil = Vigil::begin(self.now());
    }

    /// Returns all deliveries, the oldest first, in the form `trigger self:ingress:imap pager`.
    async fn told(&self) -> Vec<String> {
        let mut owed = self.desk.deliveries(None, 100).await.unwrap();
        owed.reverse();
        owed.iter()
            .map(|owed| {
                format!(
                    "{} {} {}",
                    owed.action.as_str(),
                    owed.incident_id,
                    owed.receiver
                )
            })
            .collect()
    }
}

impl Night {
    /// Returns the deliveries about one incident.
    async fn told_of(&self, incident: &str) -> Vec<String> {
        let mut told = self.told().await;
        told.retain(|told| told.contains(incident));
        told
    }
}

impl Night {
    /// Gives up a page of a receiver.
    async fn die(&self, incident: &str, receiver: &str) {
        let now = self.now();
        let trouble = Complaint {
            incident_id: incident.to_owned(),
            text: String::new(),
        };
        let page = page(Action::Trigger, &trouble, "FIRING", now);
        let target = Target {
            receiver: receiver.to_owned(),
            integration: "stdout/0".to_owned(),
        };
        let owed = NewDelivery::at_once(&target, incident, &page);
        let rules = Arc::clone(&self.watch.in_force.borrow().rules);
        let mutes = rules.mutes();
        let conclude = Box::new(move |memory: &_| Decision {
            deliveries: vec![owed],
            ..rules.announce(page, "FIRING", memory, now)
        });
        let subject = Subject {
            kind: Kind::Incident,
            ..Subject::own(incident, "FIRING")
        };
        let item = Item::about(subject, conclude, mutes);
        self.watch.intake.announce(item, now).await.unwrap();
        let lease = Duration::from_mins(1);
        let claims = self.lanes.claim(now, lease, vec![(target, 1)]).await;
        for claim in claims.unwrap() {
            let settlement = Settlement {
                at: now,
                attempt: None,
                fallback: Vec::new(),
                next: Next::Dead {
                    reason: "no such room".into(),
                    retry: Step::Send,
                },
            };
            let settled = self.lanes.settle(claim.id, claim.lease, settlement).await;
            settled.unwrap();
        }
    }
}

const TOLD: &str = "trigger self:ingress:imap pager";
const OVER: &str = "resolve self:ingress:imap pager";

#[tokio::test]
async fn a_refused_login_is_told_at_once_and_once_and_its_end_too() {
    let mut night = Night::begin();
    for _ in 0..3 {
        night.watch.health.failed("imap", "LOGIN refused", true);
        night.pass(1).await;
    }
    assert_eq!(night.told().await, [TOLD]);
    night.works("imap");
    night.pass(1).await;
    assert_eq!(night.told().await, [TOLD, OVER]);
    night.watch.health.failed("imap", "LOGIN refused", true);
    night.pass(1).await;
    assert_eq!(
        night.told().await,
        [TOLD, OVER, TOLD],
        "another time, another page"
    );
}

#[tokio::test]
async fn mail_that_somebody_takes_away_is_told_once_and_over_after_a_day_without() {
    const TOLD: &str = "trigger self:taken-mail:imap pager";
    const OVER: &str = "resolve self:taken-mail:imap pager";
    let mut night = Night::begin();
    night.works("smtp");
    for _ in 0..3 {
        night.works("imap");
        night.watch.health.taken_away("imap", night.now());
        night.pass(10).await;
    }
    assert_eq!(night.told_of("taken-mail").await, [TOLD]);

    // Another replica reads the mailbox now, and knows more than this one.
    let known = std::mem::take(&mut night.watch.health);
    night.pass(1).await;
    assert_eq!(night.told_of("taken-mail").await, [TOLD]);
    night.watch.health = known;
    night.pass(24 * 60).await;
    assert_eq!(night.told_of("taken-mail").await, [TOLD, OVER]);
}

#[tokio::test]
async fn mail_refused_for_good_is_told_once_and_over_after_a_day_whatever_is_taken_meanwhile() {
    const TOLD: &str = "trigger self:refused-mail:smtp pager";
    const OVER: &str = "resolve self:refused-mail:smtp pager";
    let mut night = Night::begin();
    for _ in 0..3 {
        night.works("smtp");
        night
            .watch
            .health
            .refused("smtp", "It is too large.", night.now());
        night.watch.health.held_mail("smtp");
        night.pass(10).await;
    }
    assert_eq!(night.told_of("refused-mail").await, [TOLD]);
    night.pass(24 * 60).await;
    assert_eq!(night.told_of("refused-mail").await, [TOLD, OVER]);

    // A restart ends the alarm as soon as the ingress works.
    night.works("smtp");
    night
        .watch
        .health
        .refused("smtp", "It is too large.", night.now());
    night.pass(1).await;
    night.watch.health = Health::default();
    night.pass(1).await;
    assert_eq!(night.told_of("refused-mail").await, [TOLD, OVER, TOLD]);
    night.works("smtp");
    night.pass(1).await;
    assert_eq!(
        night.told_of("refused-mail").await,
        [TOLD, OVER, TOLD, OVER]
    );
}

#[tokio::test]
async fn requests_without_mail_are_told_once_and_over_with_the_next_mail_or_after_a_day() {
    const TOLD: &str = "trigger self:no-mail:smtp pager";
    const OVER: &str = "resolve self:no-mail:smtp pager";
    let mut night = Night::begin();
    for _ in 0..3 {
        night.works("smtp");
        night
            .watch
            .health
            .held_no_mail("smtp", "Send it raw.", night.now());
        night.pass(10).await;
    }
    assert_eq!(night.told_of("no-mail").await, [TOLD]);

    // After a restart the next mail, or request, says more.
    night.watch.health = Health::default();
    night.works("smtp");
    night.pass(10).await;
    assert_eq!(night.told_of("no-mail").await, [TOLD]);
    night.watch.health.held_mail("smtp");
    night.pass(1).await;
    assert_eq!(night.told_of("no-mail").await, [TOLD, OVER]);

    night
        .watch
        .health
        .held_no_mail("smtp", "Send it raw.", night.now());
    night.pass(24 * 60 + 1).await;
    assert_eq!(night.told_of("no-mail").await, [TOLD, OVER, TOLD, OVER]);
}

#[tokio::test]
async fn it_is_silenced_by_its_kind_alone_and_told_when_the_silence_ends() {
    let mut night = Night::begin();
    for (matcher, minutes) in [("severity=critical", 60), ("kind=self", 5)] {
        let times = (
            night.now(),
            night.now() + SignedDuration::from_mins(minutes),
        );
        let plan = Plan::new(
            &[matcher.into()],
            times,
            "ann",
            "the mail server moves",
            night.now(),
        )
        .unwrap();
        night.desk.add_silence(plan, night.now()).await.unwrap();
    }
    night.watch.health.failed("imap", "LOGIN refused", true);
    night.pass(4).await;
    assert_eq!(night.told().await, Vec::<String>::new());
    night.pass(2).await;
    assert_eq!(night.told().await, [TOLD], "the other silence is still on");
}

#[tokio::test]
async fn an_ingress_is_told_of_after_fifteen_minutes_without_a_success() {
    let mut night = Night::begin();
    night.works("imap");
    night
        .watch
        .health
        .failed("imap", "connection refused", false);
    night.pass(OVERDUE.as_mins()).await;
    assert_eq!(night.told().await, Vec::<String>::new());
    night.pass(1).await;
    assert_eq!(night.told().await, [TOLD]);
}

#[tokio::test]
async fn of_what_other_replicas_serve_too_nobody_is_told() {
    let mut night = Night::begin();
    night.watch.shared = vec!["smtp".into()];
    night
        .watch
        .health
        .failed("smtp", "the secret cannot be read", false);
    night.pass(OVERDUE.as_mins() + 1).await;
    assert_eq!(night.told().await, Vec::<String>::new());
}

#[tokio::test]
async fn an_ingress_that_works_and_gets_no_mail_is_not_failing() {
    let mut night = Night::begin();
    for _ in 0..60 {
        night.works("imap");
        night.works("smtp");
        night.pass(1).await;
    }
    assert_eq!(night.told().await, Vec::<String>::new());
}

#[tokio::test]
async fn a_loss_at_an_ingress_of_several_replicas_is_told_once_and_not_ended_by_one_that_missed_it()
{
    let mut night = Night::begin();
    night.watch.shared = vec!["smtp".into()];
    let mut other = Night::begin();
    other.watch = Watch {
        upkeep: Arc::clone(&night.watch.upkeep),
        intake: Arc::clone(&night.watch.intake),
        in_force: night.watch.in_force.clone(),
        clock: night.watch.clock.clone(),
        shared: night.watch.shared.clone(),
        ..other.watch
    };
    night.works("smtp");
    other.works("smtp");
    for name in ["refused-mail", "no-mail"] {
        let (told, over) = (
            format!("trigger self:{name}:smtp pager"),
            format!("resolve self:{name}:smtp pager"),
        );
        let health = &night.watch.health;
        match name {
            "no-mail" => health.held_no_mail("smtp", "Send it raw.", night.now()),
            _ => health.refused("smtp", "It is too large.", night.now()),
        }
        other.watch.health.held_mail("smtp");
        for _ in 0..3 {
            night.pass(1).await;
            other.look().await;
        }
        assert_eq!(night.told_of(name).await, [told.as_str()]);

        // Whichever looks first a day later ends it.
        *night.now.lock().unwrap() += SignedDuration::from_hours(24);
        other.look().await;
        night.look().await;
        assert_eq!(night.told_of(name).await, [told, over]);
    }
}

#[tokio::test]
async fn a_restart_tells_nothing_twice_and_takes_no_silence_for_the_end() {
    let mut night = Night::begin();
    night.watch.health.failed("imap", "LOGIN refused", true);
    night.pass(1).await;
    night.restart();
    night.pass(1).await;
    assert_eq!(night.told().await, [TOLD], "nobody knows yet");
    night
        .watch
        .health
        .failed("imap", "connection refused", false);
    night.pass(1).await;
    assert_eq!(night.told().await, [TOLD], "it fails in another way");
    night.watch.ingresses.retain(|name| name != "imap");
    night.restart();
    night.pass(1).await;
    assert_eq!(night.told().await, [TOLD, OVER], "it is configured no more");
}

#[tokio::test]
async fn a_clock_that_leaps_makes_nobody_late() {
    let mut night = Night::begin();
    night.works("imap");
    for hours in [24, -48] {
        *night.now.lock().unwrap() += SignedDuration::from_hours(hours);
        night.pass(10).await;
        assert_eq!(night.told().await, Vec::<String>::new(), "after {hours} h");
        night.works("imap");
    }
}

#[tokio::test]
async fn dead_letters_are_told_again_when_more_die_and_at_once_for_another_receiver() {
    let told = "trigger self:dead-letters pager".to_owned();
    let mut night = Night::begin();
    night.works("imap");
    // For each step: who loses a page, the minutes that pass, and the pages told by then.
    let steps = [
        (Some("a"), 1, 1),
        (None, 60, 1),
        (Some("a"), 1, 2),
        (Some("a"), 5, 2),
        (Some("a"), 5, 2),
        (Some("b"), 1, 3),
        (Some("b"), 13, 3),
        (None, 3, 4),
        (None, 60, 4),
    ];
    for (number, (receiver, minutes, pages)) in steps.into_iter().enumerate() {
        *night.now.lock().unwrap() += SignedDuration::from_secs(1);
        if let Some(receiver) = receiver {
            night.die(&format!("x{number}"), receiver).await;
        }
        night.restart();
        night.works("imap");
        night.works("smtp");
        night.pass(minutes).await;
        let found = night.told_of("self:dead-letters").await;
        assert_eq!(found, vec![told.clone(); pages], "after step {number}");
    }
}

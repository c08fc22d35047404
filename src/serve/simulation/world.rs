//! The world that all share during a day: its time, its randomness, its troubles, and the record of
//! what happened.

use std::{
    collections::BTreeSet,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use super::weather::{Spell, Trouble, forecast};

pub(super) struct World {
    pub(super) seed: u64,
    begins: Instant,
    ends: Instant,
    rng: Mutex<fastrand::Rng>,
    spells: Vec<Spell>,
    calm: AtomicBool,
    /// The amount by which all clocks are wrong together.
    leap: Mutex<SignedDuration>,
    /// The incidents of which some mail could not be checked at once.
    doubted: Mutex<BTreeSet<String>>,
    breach: Mutex<Option<String>>,
    record: Mutex<Record>,
}

#[derive(Default)]
struct Record {
    print: DefaultHasher,
    events: u64,
    lines: Option<Vec<String>>,
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl World {
    pub(super) fn new(seed: u64, length: SignedDuration) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed);
        let begins = Instant::now();
        let ends = begins + length.unsigned_abs();
        let spells = forecast(&mut rng, begins, ends);
        let told = std::env::var_os("SEED").is_some();
        let record = Record {
            lines: told.then(Vec::new),
            ..Record::default()
        };
        Self {
            seed,
            begins,
            ends,
            rng: Mutex::new(rng),
            spells,
            calm: AtomicBool::new(false),
            leap: Mutex::default(),
            doubted: Mutex::default(),
            breach: Mutex::default(),
            record: Mutex::new(record),
        }
    }

    /// Returns the time at which the troubles end.
    pub(super) fn ends(&self) -> Instant {
        self.ends
    }

    /// Returns the true time.
    pub(super) fn time(&self) -> Timestamp {
        let midnight = Timestamp::from_second(1_772_323_200).unwrap();
        midnight + SignedDuration::try_from(self.begins.elapsed()).unwrap()
    }

    /// Returns the time that a clock shows that is `ahead` of the true time.
    pub(super) fn shown(&self, ahead: SignedDuration) -> Timestamp {
        self.time() + ahead + *lock(&self.leap)
    }

    /// Sets all clocks by an amount.
    pub(super) fn set_clocks(&self, by: SignedDuration) {
        *lock(&self.leap) += by;
        self.note(&format!("the clocks are set by {by:#}"));
    }

    pub(super) fn chance<T>(&self, draw: impl FnOnce(&mut fastrand::Rng) -> T) -> T {
        draw(&mut lock(&self.rng))
    }

    /// Returns true in `per_mille` of a thousand cases, and never once the troubles have ended.
    pub(super) fn seldom(&self, per_mille: u16) -> bool {
        !self.is_calm() && self.chance(|rng| rng.u16(..1000) < per_mille)
    }

    pub(super) async fn pause(&self, milliseconds: std::ops::Range<u64>) {
        let pause = self.chance(|rng| rng.u64(milliseconds));
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }

    /// Returns the end of a trouble that exists now.
    pub(super) fn until(&self, trouble: Trouble) -> Option<Instant> {
        let now = Instant::now();
        let spells = self.spells.iter().filter(|_| !self.is_calm());
        spells
            .filter(|spell| spell.trouble == trouble && spell.from <= now && now < spell.until)
            .map(|spell| spell.until)
            .max()
    }

    pub(super) fn is(&self, trouble: Trouble) -> bool {
        self.until(trouble).is_some()
    }

    /// Ends all troubles.
    pub(super) fn calm_down(&self) {
        self.calm.store(true, Ordering::SeqCst);
    }

    pub(super) fn is_calm(&self) -> bool {
        self.calm.load(Ordering::SeqCst)
    }

    /// Records that a mail of an incident cannot be checked now.
    pub(super) fn doubt(&self, incident: &str) {
        lock(&self.doubted).insert(incident.to_owned());
    }

    pub(super) fn was_doubted(&self, incident: &str) -> bool {
        lock(&self.doubted).contains(incident)
    }

    /// Records an event.
    pub(super) fn note(&self, what: &str) {
        let at = self.begins.elapsed();
        let mut record = lock(&self.record);
        (at, what).hash(&mut record.print);
        record.events += 1;
        if let Some(lines) = &mut record.lines {
            lines.push(format!("{:>9.3} {what}", at.as_secs_f64()));
        }
    }

    /// Returns a hash that distinguishes this day from any other.
    pub(super) fn print_of_day(&self) -> u64 {
        lock(&self.record).print.finish()
    }

    /// Prints the events of the day, if they were asked for.
    pub(super) fn print(&self) {
        let record = lock(&self.record);
        for line in record.lines.iter().flatten() {
            eprintln!("{line}");
        }
    }

    /// Records that the promise is broken, for code in which a panic would be caught.
    pub(super) fn is_broken(&self, what: String) {
        lock(&self.breach).get_or_insert(what);
    }

    /// Fails if the promise was recorded as broken.
    pub(super) fn assert_whole(&self) {
        let breach = lock(&self.breach).take();
        if let Some(breach) = breach {
            self.broken(&breach);
        }
    }

    /// Fails because the promise is broken, and prints the day and its troubles.
    pub(super) fn broken(&self, what: &str) -> ! {
        self.print();
        for spell in &self.spells {
            let second = |at: Instant| at.duration_since(self.begins).as_secs();
            eprintln!(
                "{:?} from {} to {} s",
                spell.trouble,
                second(spell.from),
                second(spell.until)
            );
        }
        panic!(
            "seed {}: {what}\nSIMULATION=1 SEED={0} cargo test --lib simulation::nights tells that \
             night again, event by event",
            self.seed
        );
    }
}

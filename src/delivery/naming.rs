//! The names of integrations. Pure.
//!
//! Deliveries are stored under a name: a receiver's, and that of one of its integrations
//! (`webhook/0`). A name is given once, to one destination, and stays with it wherever the
//! configuration puts its entry: so what is owed, what was told and what is held stay where they
//! are, and nothing that is stored ever moves. An entry that is new gets the name of its place, or
//! the first free one.
//!
//! Only what is certain is followed. An entry is known by its fingerprint; then by its site, and
//! then by its address, where no other entry has that; then by its place, where none of its list
//! has moved. None of these three counts where the destination stands in another receiver now, or
//! where the entry's stood in one: it has another name there, and still answers to its former one.

use std::collections::{BTreeMap, BTreeSet};

use super::Target;

/// What tells a destination from others without saying what it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fingerprint {
    /// Of all that decides where its pages go, credentials among it.
    pub whole: String,
    /// The same without the texts that are sent there; empty if an earlier version named it.
    pub site: String,
    /// That without the credentials, which are rotated.
    pub address: String,
}

/// A part of a fingerprint.
type Part = fn(&Fingerprint) -> &str;

impl Fingerprint {
    fn whole(&self) -> &str {
        &self.whole
    }

    fn site(&self) -> &str {
        &self.site
    }

    fn address(&self) -> &str {
        &self.address
    }
}

/// An entry of the lists in the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub receiver: String,
    /// The kind of integration, which names the list.
    pub kind: String,
    /// Its index in the list.
    pub place: u32,
    pub fingerprint: Fingerprint,
}

/// A name that was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    pub target: Target,
    /// Where its entry stands in its list; `None` if the configuration has it no more.
    pub place: Option<u32>,
    pub fingerprint: Fingerprint,
    /// What its destination was called next, in another receiver.
    pub next: Option<Target>,
}

/// Names every entry, given the names of before. Of the names returned, those with a place are
/// these entries'.
pub fn name(known: Vec<Named>, entries: &[Entry]) -> Vec<Named> {
    let mut naming = Naming {
        of: vec![None; entries.len()],
        entries,
        known,
    };
    naming.pair(|entry, known| known.stands_at(entry) && known.is_whole(entry));
    naming.pair(|entry, known| known.place.is_some() && known.is_whole(entry));
    naming.pair(|entry, known| known.is_whole(entry));

    for part in [Fingerprint::site, Fingerprint::address] {
        let (distinct, left) = (naming.distinct(part), naming.left());
        naming.pair(|entry, known| {
            known.place.is_some()
                && part(&known.fingerprint) == part(&entry.fingerprint)
                && distinct.contains(&(list_of(entry), part(&entry.fingerprint)))
                && !left.lead_elsewhere(entry, known)
        });
    }

    let (unmoved, left) = (naming.unmoved(), naming.left());
    naming.pair(|entry, known| {
        known.stands_at(entry)
            && unmoved.contains(&list_of(entry))
            && !left.lead_elsewhere(entry, known)
    });

    naming.given()
}

/// Every name that is no entry's own any more, and what its destination is called now.
pub fn former(names: &[Named]) -> BTreeMap<Target, Target> {
    let find = |target: &Target| names.iter().find(|name| name.target == *target);
    let now = |name: &Named| {
        // A chain has no ring: a name that is an entry's again has no next one.
        let mut last = find(name.next.as_ref()?)?;
        for _ in names {
            match &last.next {
                Some(next) if last.place.is_none() => last = find(next)?,
                _ => break,
            }
        }
        last.place.map(|_| last.target.clone())
    };
    let gone = names.iter().filter(|name| name.place.is_none());
    gone.filter_map(|name| Some((name.target.clone(), now(name)?)))
        .collect()
}

/// The list of an entry: its receiver, and its kind.
type List<'a> = (&'a str, &'a str);

fn list_of(entry: &Entry) -> List<'_> {
    (&entry.receiver, &entry.kind)
}

impl Named {
    fn list(&self) -> List<'_> {
        (&self.target.receiver, self.target.kind())
    }

    fn stands_at(&self, entry: &Entry) -> bool {
        self.place == Some(entry.place)
    }

    fn is_whole(&self, entry: &Entry) -> bool {
        self.fingerprint.whole == entry.fingerprint.whole
    }
}

struct Naming<'a> {
    entries: &'a [Entry],
    known: Vec<Named>,
    /// The known name of each entry, by its number.
    of: Vec<Option<usize>>,
}

impl<'a> Naming<'a> {
    /// Gives each entry without a name the first of its list's that is free, and alike.
    fn pair(&mut self, alike: impl Fn(&'a Entry, &Named) -> bool) {
        for (at, entry) in self.entries.iter().enumerate() {
            if self.of[at].is_none() {
                self.of[at] = self.known.iter().enumerate().position(|(number, known)| {
                    known.list() == list_of(entry)
                        && !self.of.contains(&Some(number))
                        && alike(entry, known)
                });
            }
        }
    }

    /// The values of a part of the fingerprint that one entry of a list has, and one had before.
    fn distinct(&self, part: Part) -> BTreeSet<(List<'a>, &'a str)> {
        let values = self
            .entries
            .iter()
            .map(|entry| (list_of(entry), part(&entry.fingerprint)));
        let once = |(list, value): &(List<'_>, &str)| {
            let now = self
                .entries
                .iter()
                .filter(|entry| list_of(entry) == *list && part(&entry.fingerprint) == *value);
            let before = self.known.iter().filter(|known| {
                known.place.is_some() && known.list() == *list && part(&known.fingerprint) == *value
            });
            now.count() == 1 && before.count() == 1
        };
        values.filter(once).collect()
    }

    /// The entries and the names that have no counterpart so far.
    fn left(&self) -> Left<'a> {
        let entries = self.entries.iter().zip(&self.of);
        let new = entries.filter(|(_, of)| of.is_none());
        let known = self.known.iter().enumerate();
        let gone = known
            .filter(|(number, known)| known.place.is_some() && !self.of.contains(&Some(*number)));
        Left {
            new: new.map(|(entry, _)| entry).collect(),
            gone: gone.map(|(_, known)| known.clone()).collect(),
        }
    }

    /// The lists that are as long as before, and of which no entry stands elsewhere.
    fn unmoved(&self) -> BTreeSet<List<'a>> {
        let lists: BTreeSet<_> = self.entries.iter().map(list_of).collect();
        let same_length = |list: &List<'_>| {
            let now = self.entries.iter().filter(|entry| list_of(entry) == *list);
            let before = self
                .known
                .iter()
                .filter(|known| known.place.is_some() && known.list() == *list);
            now.count() == before.count()
        };
        let none_moved = |list: &List<'_>| {
            let mut its = self.entries.iter().zip(&self.of);
            its.all(|(entry, of)| {
                list_of(entry) != *list
                    || of.is_none_or(|number| self.known[number].stands_at(entry))
            })
        };
        let unmoved = lists.into_iter();
        unmoved
            .filter(|list| same_length(list) && none_moved(list))
            .collect()
    }

    /// All names, with those of the entries that are new.
    fn given(mut self) -> Vec<Named> {
        let before = self.known.len();
        let stood: Vec<bool> = self
            .known
            .iter()
            .map(|known| known.place.is_some())
            .collect();
        for known in &mut self.known {
            known.place = None;
        }

        for (entry, of) in self.entries.iter().zip(&self.of) {
            let number = of.unwrap_or(self.known.len());
            if of.is_none() {
                self.known.push(Named::of(self.free(entry)));
            }
            let known = &mut self.known[number];
            known.place = Some(entry.place);
            known.fingerprint.clone_from(&entry.fingerprint);
            known.next = None;
        }

        let (gone, new): (Vec<_>, Vec<_>) = (0..self.known.len())
            .filter(|number| {
                *number >= before || stood[*number] != self.known[*number].place.is_some()
            })
            .partition(|number| self.known[*number].place.is_none());
        self.follow(&gone, &new);
        self.known
    }

    /// A name that was never given: that of the entry's place, or the first.
    fn free(&self, entry: &Entry) -> Target {
        let name = |number: u32| Target {
            receiver: entry.receiver.clone(),
            integration: format!("{}/{number}", entry.kind),
        };
        let is_free = |target: &Target| self.known.iter().all(|known| known.target != *target);
        std::iter::once(entry.place)
            .chain((0..).take(self.known.len() + 1))
            .map(name)
            .find(is_free)
            .unwrap_or_else(|| name(entry.place))
    }

    /// Names that have just gone are the former ones of those that have just come, where their
    /// destinations are the same, of one receiver before and of one now; or where they are the only
    /// ones of a site.
    fn follow(&mut self, gone: &[usize], new: &[usize]) {
        self.follow_by(Fingerprint::whole, usize::MAX, gone, new);

        let left = |numbers: &[usize], is_followed: &dyn Fn(&Named) -> bool| -> Vec<usize> {
            let numbers = numbers.iter().copied();
            numbers
                .filter(|number| !is_followed(&self.known[*number]))
                .collect()
        };
        let gone = left(gone, &|known| known.next.is_some());
        let new = left(new, &|known| {
            let next = self.known.iter().map(|other| other.next.as_ref());
            next.flatten().any(|next| *next == known.target)
        });
        self.follow_by(Fingerprint::site, 1, &gone, &new);
    }

    /// The same by a part of the fingerprint, where at most so many have it before and now.
    fn follow_by(&mut self, part: Part, most: usize, gone: &[usize], new: &[usize]) {
        let mut next = Vec::new();
        for number in gone {
            let alike = |other: &&usize| {
                let (this, other) = (&self.known[*number], &self.known[**other]);
                this.target.kind() == other.target.kind()
                    && part(&this.fingerprint) == part(&other.fingerprint)
            };
            let of_one_receiver = |numbers: &[&usize]| {
                let receiver = |number: &usize| self.known[*number].target.receiver.as_str();
                numbers
                    .windows(2)
                    .all(|pair| receiver(pair[0]) == receiver(pair[1]))
            };
            let before: Vec<_> = gone.iter().filter(alike).collect();
            let now: Vec<_> = new.iter().filter(alike).collect();
            let is_certain = before.len().max(now.len()) <= most;
            if is_certain && of_one_receiver(&before) && of_one_receiver(&now) {
                let at = before.iter().position(|other| *other == number);
                let its = at.and_then(|at| now.get(at));
                next.extend(its.map(|its| (*number, self.known[**its].target.clone())));
            }
        }
        for (number, target) in next {
            self.known[number].next = Some(target);
        }
    }
}

/// The entries that are no destination's of before in their list, and the destinations of before
/// that are no entry's.
struct Left<'a> {
    new: Vec<&'a Entry>,
    gone: Vec<Named>,
}

impl Left<'_> {
    /// Whether a destination stands in another receiver now, or an entry's stood in one: then the
    /// entry is not that destination's, wherever it stands. What stands there is more alike than
    /// the entry and the destination are to each other.
    fn lead_elsewhere(&self, entry: &Entry, known: &Named) -> bool {
        let is_same = |one: &Fingerprint, other: &Fingerprint| {
            let parts: [Part; 3] = [Fingerprint::whole, Fingerprint::site, Fingerprint::address];
            parts.into_iter().any(|part| {
                part(one) == part(other) && part(&entry.fingerprint) != part(&known.fingerprint)
            })
        };
        let is_elsewhere =
            |(receiver, kind): List<'_>| kind == entry.kind && receiver != known.target.receiver;

        let stands = self.new.iter().any(|other| {
            is_elsewhere(list_of(other)) && is_same(&other.fingerprint, &known.fingerprint)
        });
        let stood = self.gone.iter().any(|other| {
            is_elsewhere(other.list()) && is_same(&other.fingerprint, &entry.fingerprint)
        });
        stands || stood
    }
}

impl Named {
    fn of(target: Target) -> Self {
        Self {
            target,
            place: None,
            fingerprint: Fingerprint::default(),
            next: None,
        }
    }
}

#[cfg(test)]
mod tests;

//! The names of integrations. Pure.
//!
//! Deliveries are stored under a name: that of a receiver, and that of one of its integrations
//! (`webhook/0`). A name is given once, to one destination, and stays with that destination
//! wherever the configuration puts its entry. So what is owed, told and held stays where it is, and
//! nothing that is stored ever moves. A new entry gets the name of its place, or the first free
//! one.
//!
//! Only certain matches are followed. An entry is recognised by its whole fingerprint; failing that
//! by its site, and then by its address, if no other entry has the same; failing that by its place,
//! if no entry of its list has moved. None of the last three counts if the known destination now
//! stands in another receiver, or if the entry's destination stood in another: the destination has
//! another name there, and still answers to its former one.

use std::collections::{BTreeMap, BTreeSet};

use super::Target;

/// Keyed hashes that tell a destination from others without revealing what it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fingerprint {
    /// The hash of everything that decides where the destination's pages go, including credentials.
    pub whole: String,
    /// The same without the texts that are sent there; empty if an earlier version named the
    /// destination.
    pub site: String,
    /// The same as `site`, also without the credentials, which are rotated.
    pub address: String,
}

/// A function that selects one part of a fingerprint.
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
    /// The index of the entry in the list.
    pub place: u32,
    pub fingerprint: Fingerprint,
}

/// A name that was given to a destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    pub target: Target,
    /// The index of its entry in the list; `None` if the configuration no longer has the entry.
    pub place: Option<u32>,
    pub fingerprint: Fingerprint,
    /// The name that the destination got next, in another receiver.
    pub next: Option<Target>,
}

/// Names every entry, given the names from before. Of the names returned, those with a place belong
/// to `entries`.
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

/// Maps each name that no entry has any more to the current name of the same destination.
pub fn former(names: &[Named]) -> BTreeMap<Target, Target> {
    let find = |target: &Target| names.iter().find(|name| name.target == *target);
    let now = |name: &Named| {
        // A chain of names has no cycle, because a name that an entry has again has no `next`.
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

/// The list of an entry: its receiver and its kind.
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
    /// The index in `known` of the name of each entry.
    of: Vec<Option<usize>>,
}

impl<'a> Naming<'a> {
    /// Gives each entry without a name the first free name of its list that `alike` accepts.
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

    /// Returns the values of a part of the fingerprint that exactly one entry of their list has,
    /// and that exactly one had before.
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

    /// Returns the entries and the names that have no counterpart so far.
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

    /// Returns the lists that are as long as before, and none of whose entries has moved.
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

    /// Returns all names, including those of the new entries.
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

    /// Returns a name that was never given: that of the entry's place, or the first free one.
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

    /// Links names that have just gone to names that have just come, as their former ones. It does
    /// so if their destinations are the same and belong to one receiver before and to one now, or
    /// if each is the only one of its site.
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

    /// Links names as [`Self::follow`] does, by a part of the fingerprint that at most `most` names
    /// have before, and at most as many now.
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

/// The entries that match no earlier destination of their list, and the earlier destinations that
/// match no entry.
struct Left<'a> {
    new: Vec<&'a Entry>,
    gone: Vec<Named>,
}

impl Left<'_> {
    /// Decides whether the destination `known` stands in another receiver now, or the destination
    /// of `entry` stood in another one before. In either case the entry is not that destination,
    /// whatever its place, because its counterpart in the other receiver is more alike than the
    /// entry and the destination are to each other.
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

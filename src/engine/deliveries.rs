//! All deliveries of one run, and which of them has something to do. What happens to one of them costs what one costs, and only
//! what is for all of them, such as more pieces in the journal, costs as much as there are. What each of them does is its own.
//!
//! Invariant: a delivery with nothing under way is in `idle`, in `fresh`, in the engine's queue, or waits for its timer; in one of
//! these only.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ops::Deref;
use std::time::Duration;

use super::agenda::Agenda;
use super::delivery::{Answered, Delivery, Sending};
use super::event::{Action, PostId, Posted};
use super::journal::Journal;
use super::note::Settled;
use super::timers::Timer;

/// By the places of the run's workspaces.
#[derive(Debug, Default)]
pub struct Deliveries {
    all: Vec<Delivery>,
    /// Those that had nothing to post when they were looked at.
    idle: Vec<usize>,
    /// Those that are to be looked at.
    fresh: Vec<usize>,
    /// What there was for all of them then: the end of the journal's pieces, and whether the run had ended.
    looked_at: (u64, bool),
    /// Those of which the journal does not know yet how far they are.
    unnoted: Vec<usize>,
    /// How many have settled everything before each offset.
    cursors: BTreeMap<u64, usize>,
    /// Those before it are done, once the run has ended.
    first_open: usize,
    /// How often one was looked at.
    #[cfg(test)]
    pub looks: usize,
}

impl Deliveries {
    pub fn new(all: Vec<Delivery>) -> Deliveries {
        let mut cursors = BTreeMap::new();
        for delivery in &all {
            *cursors.entry(delivery.cursor()).or_default() += 1;
        }
        Deliveries { fresh: (0..all.len()).collect(), all, cursors, ..Deliveries::default() }
    }

    /// Those that have something to post now and need not wait; whoever asks puts them into the queue.
    pub fn take_ready(&mut self, journal: &Journal, has_ended: bool, agenda: &Agenda) -> Vec<PostId> {
        let now = (journal.pieces_end(), has_ended);
        if self.looked_at != now {
            self.looked_at = now;
            self.fresh.append(&mut self.idle);
        }
        let mut ready = Vec::new();
        self.looked(self.fresh.len());
        for place in std::mem::take(&mut self.fresh) {
            let delivery = &self.all[place];
            if agenda.timers.is_set(Timer::Post(delivery.id)) {
                continue;
            }
            match delivery.has_post(journal, has_ended) {
                true => ready.push(delivery.id),
                false => self.idle.push(place),
            }
        }
        ready
    }

    /// The next thing for a worker, for one that was ready.
    pub fn next_post(
        &mut self,
        place: usize,
        journal: &Journal,
        took: Option<Duration>,
        sending: Sending,
        agenda: &Agenda,
    ) -> Option<Action> {
        let post = self.all.get_mut(place)?.next_post(journal, took, sending, agenda);
        if post.is_none() {
            self.idle.push(place);
        }
        post
    }

    /// A worker is done with a post.
    pub fn on_posted(&mut self, posted: Posted, journal: &Journal, sent: u64, agenda: &mut Agenda) -> Option<Answered> {
        let place = posted.id.workspace;
        let delivery = self.all.get_mut(place)?;
        let (cursor, was_due) = (delivery.cursor(), delivery.note_is_due);
        let answered = delivery.on_posted(posted, journal, sent, agenda);
        if delivery.note_is_due && !was_due {
            self.unnoted.push(place);
        }
        let moved_to = delivery.cursor();
        self.fresh.push(place);
        self.on_moved(cursor, moved_to);
        Some(answered)
    }

    fn on_moved(&mut self, from: u64, to: u64) {
        *self.cursors.entry(to).or_default() += 1;
        if let Entry::Occupied(mut count) = self.cursors.entry(from) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }

    /// The timer of one that waited is due.
    pub fn on_wait_over(&mut self, place: usize) {
        if place < self.all.len() {
            self.fresh.push(place);
        }
    }

    /// If it waits, it need not any more.
    pub fn hurry(&mut self, place: usize, agenda: &mut Agenda) {
        let Some(delivery) = self.all.get_mut(place) else { return };
        if agenda.timers.is_set(Timer::Post(delivery.id)) {
            self.fresh.push(place);
        }
        delivery.hurry(agenda);
    }

    /// What nobody needs any more ends here.
    pub fn settled_offset(&self) -> u64 {
        self.cursors.first_key_value().map_or(u64::MAX, |(offset, _)| *offset)
    }

    /// Whether all are done; asked when the run has ended, because before that nothing is.
    pub fn are_done(&mut self, journal: &Journal) -> bool {
        while self.all.get(self.first_open).is_some_and(|delivery| delivery.is_done(journal)) {
            self.first_open += 1;
            self.looked(1);
        }
        self.first_open == self.all.len()
    }

    pub fn have_notes(&self) -> bool {
        !self.unnoted.is_empty()
    }

    /// The journal has to know of these (once more).
    pub fn note(&mut self, whom: impl Fn(&Delivery) -> bool) {
        for (place, delivery) in self.all.iter_mut().enumerate() {
            if whom(delivery) && !delivery.note_is_due {
                delivery.note_is_due = true;
                self.unnoted.push(place);
            }
        }
    }

    /// What is due for the journal.
    pub fn take_notes(&mut self, now: Duration) -> impl Iterator<Item = Settled> {
        self.looked(self.unnoted.len());
        std::mem::take(&mut self.unnoted).into_iter().map(move |place| {
            self.all[place].note_is_due = false;
            self.all[place].note(now)
        })
    }

    #[cfg(test)]
    fn looked(&mut self, count: usize) {
        self.looks += count;
    }

    #[cfg(not(test))]
    fn looked(&mut self, _: usize) {}
}

/// To look at all of them.
impl Deref for Deliveries {
    type Target = [Delivery];

    fn deref(&self) -> &[Delivery] {
        &self.all
    }
}

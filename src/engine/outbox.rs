//! The statuses that the server has not acknowledged. A status leaves only when the server's word for it has come; a lost link,
//! or a word that does not come, makes it unsent again, because nobody knows what arrived.
//!
//! A Socket.IO server handles the events of one connection at the same time and in any order, so a status that is sent right
//! behind another may be overwritten by it. Therefore of each run one status at most is under way; and of those that wait
//! behind it only the newest, because each replaces all before it.

use std::collections::VecDeque;
use std::time::Duration;

use crate::proto::message::RunStatus;

use super::event::RunId;

#[derive(Debug)]
pub struct Outbox {
    entries: VecDeque<Entry>,
    next_number: u32,
}

#[derive(Debug)]
struct Entry {
    /// `None`: of a RUN that was refused.
    run: Option<RunId>,
    /// Nothing follows it.
    is_last: bool,
    status: RunStatus,
    sent: Option<Sent>,
}

#[derive(Clone, Copy, Debug)]
struct Sent {
    number: u32,
    at: Duration,
}

impl Outbox {
    pub fn new() -> Outbox {
        // 0 is the number of a plain keep-alive ping.
        Outbox { entries: VecDeque::new(), next_number: 1 }
    }

    /// A number that nothing sent before has had; numbers count up.
    pub fn number(&mut self) -> u32 {
        let number = self.next_number;
        self.next_number = self.next_number.checked_add(1).unwrap_or(1);
        number
    }

    /// How a run stands.
    pub fn push(&mut self, run: RunId, status: RunStatus) {
        self.add(Entry { run: Some(run), is_last: false, status, sent: None });
    }

    /// How a run went: `on_ack` tells when the server has it.
    pub fn push_last(&mut self, run: RunId, status: RunStatus) {
        self.add(Entry { run: Some(run), is_last: true, status, sent: None });
    }

    /// Of a RUN that came to nothing.
    pub fn push_refusal(&mut self, status: RunStatus) {
        self.add(Entry { run: None, is_last: true, status, sent: None });
    }

    fn add(&mut self, entry: Entry) {
        self.entries.retain(|other| other.sent.is_some() || !other.is_replaced_by(&entry));
        self.entries.push_back(entry);
    }

    /// The next status to send with its number, which is taken as sent at `now`.
    pub fn next_unsent(&mut self, now: Duration) -> Option<(u32, &RunStatus)> {
        let index = (0..self.entries.len()).find(|&index| self.may_go(index))?;
        let number = self.number();
        let entry = self.entries.get_mut(index)?;
        entry.sent = Some(Sent { number, at: now });
        Some((number, &entry.status))
    }

    fn may_go(&self, index: usize) -> bool {
        let entry = &self.entries[index];
        let is_before = |other: &Entry| other.sent.is_some() && other.is_replaced_by(entry);
        entry.sent.is_none() && !self.entries.iter().take(index).any(is_before)
    }

    /// When the oldest of the statuses was sent whose acknowledgement is still awaited.
    pub fn awaited_since(&self) -> Option<Duration> {
        self.entries.iter().filter_map(|entry| entry.sent).map(|sent| sent.at).min()
    }

    /// The server has this one. Gives the run of which it was the last.
    pub fn on_ack(&mut self, number: u32) -> Vec<RunId> {
        self.remove(|sent| sent.number == number)
    }

    /// The server has everything that was sent up to this one: it handles messages in their order.
    pub fn on_ack_upto(&mut self, number: u32) -> Vec<RunId> {
        self.remove(|sent| sent.number <= number)
    }

    fn remove(&mut self, is_known: impl Fn(Sent) -> bool) -> Vec<RunId> {
        let mut ended = Vec::new();
        self.entries.retain(|entry| {
            let is_known = entry.sent.is_some_and(&is_known);
            ended.extend(entry.run.filter(|_| is_known && entry.is_last));
            !is_known
        });
        ended
    }

    /// What was sent at `then` or earlier has to be sent once more; gives how many.
    pub fn recall(&mut self, then: Duration) -> usize {
        let overdue = self.entries.iter_mut().filter(|entry| entry.sent.is_some_and(|sent| sent.at <= then));
        overdue.map(|entry| entry.sent = None).count()
    }

    /// Everything has to be sent once more, but of each run only the newest.
    pub fn on_link_lost(&mut self) {
        self.recall(Duration::MAX);
        for entry in std::mem::take(&mut self.entries) {
            self.add(entry);
        }
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }
}

impl Entry {
    /// Whether the server needs to know but the other one: both are of one run, or of one refused RUN.
    fn is_replaced_by(&self, newer: &Entry) -> bool {
        self.run == newer.run && (self.run.is_some() || self.status.execution_ids == newer.status.execution_ids)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T: Duration = Duration::from_secs(1);

    fn status(run: i64, message: &str) -> RunStatus {
        RunStatus {
            execution_ids: vec![run],
            executor_name: "e".into(),
            running: true,
            successful: None,
            message: message.into(),
        }
    }

    fn outbox(statuses: &[(i64, &str)]) -> Outbox {
        let mut outbox = Outbox::new();
        statuses.iter().for_each(|(run, message)| outbox.push(RunId(*run as u64), status(*run, message)));
        outbox
    }

    fn unsent(outbox: &mut Outbox) -> Vec<(u32, String)> {
        std::iter::from_fn(|| outbox.next_unsent(T).map(|(n, s)| (n, s.message.clone()))).collect()
    }

    #[test]
    fn statuses_go_out_once_and_in_order() {
        let mut outbox = outbox(&[(1, "a"), (2, "b")]);
        assert_eq!(unsent(&mut outbox), [(1, "a".into()), (2, "b".into())]);
        assert_eq!(unsent(&mut outbox), []);
        assert_eq!(outbox.len(), 2);
    }

    #[test]
    fn a_runs_next_status_waits_until_the_server_has_the_one_before() {
        let mut outbox = outbox(&[(1, "started"), (2, "started")]);
        unsent(&mut outbox);
        outbox.push(RunId(1), status(1, "ended"));
        assert_eq!(unsent(&mut outbox), []);
        outbox.on_ack(2);
        assert_eq!(unsent(&mut outbox), []);
        outbox.on_ack(1);
        assert_eq!(unsent(&mut outbox), [(3, "ended".into())]);
    }

    #[test]
    fn of_the_statuses_that_wait_only_the_newest_is_sent() {
        let mut outbox = outbox(&[(1, "a")]);
        unsent(&mut outbox);
        for message in ["b", "c", "d"] {
            outbox.push(RunId(1), status(1, message));
        }
        outbox.push(RunId(2), status(2, "other"));
        outbox.on_ack(1);
        assert_eq!(unsent(&mut outbox), [(2, "d".into()), (3, "other".into())]);
    }

    #[test]
    fn what_was_not_acknowledged_is_sent_again_after_a_lost_link() {
        let mut outbox = outbox(&[(1, "a"), (2, "b"), (3, "c")]);
        unsent(&mut outbox);
        outbox.on_ack(2);
        outbox.on_link_lost();
        assert_eq!(unsent(&mut outbox), [(4, "a".into()), (5, "c".into())]);
    }

    #[test]
    fn what_is_not_acknowledged_in_time_is_sent_again() {
        let mut outbox = outbox(&[(1, "a")]);
        assert_eq!(outbox.awaited_since(), None);
        unsent(&mut outbox);
        assert_eq!(outbox.awaited_since(), Some(T));
        assert_eq!(outbox.recall(T / 2), 0);
        assert_eq!(outbox.recall(T), 1);
        assert_eq!(outbox.awaited_since(), None);
        assert_eq!(unsent(&mut outbox), [(2, "a".into())]);
    }

    #[test]
    fn one_answer_may_stand_for_all_before_it() {
        let mut outbox = outbox(&[(1, "a"), (2, "b"), (3, "c")]);
        unsent(&mut outbox);
        outbox.push(RunId(1), status(1, "d"));
        outbox.on_ack_upto(2);
        assert_eq!(unsent(&mut outbox), [(4, "d".into())]);
        assert_eq!(outbox.len(), 2);
    }

    #[test]
    fn an_answer_from_before_the_link_was_lost_counts_for_nothing() {
        let mut outbox = outbox(&[(1, "a")]);
        unsent(&mut outbox);
        outbox.on_link_lost();
        assert_eq!(unsent(&mut outbox).len(), 1);
        outbox.on_ack(1);
        outbox.on_ack_upto(1);
        assert_eq!(outbox.len(), 1);
    }
}

//! The statuses that the server has not acknowledged. A status leaves only when the server's word for it has come; a lost link,
//! or a word that does not come, makes it unsent again, because nobody knows what arrived.
//!
//! A Socket.IO server handles the events of one connection at the same time and in any order, so a status that is sent right
//! behind another may be overwritten by it. Therefore of each run one status at most is under way; and of those that wait
//! behind it only the newest, because each replaces all before it.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::proto::message::RunStatus;

use super::event::RunId;

/// Whose statuses replace each other.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Subject {
    Run(RunId),
    /// A RUN that was refused, by its execution ids.
    Refusal(Vec<i64>),
}

#[derive(Debug)]
struct Letter {
    status: RunStatus,
    /// Nothing follows it.
    is_last: bool,
}

/// What the server has to hear of one subject.
#[derive(Debug, Default)]
struct Slot {
    under_way: Option<Letter>,
    waiting: Option<Letter>,
}

#[derive(Debug)]
struct Sent {
    subject: Subject,
    at: Duration,
}

#[derive(Debug)]
pub struct Outbox {
    slots: BTreeMap<Subject, Slot>,
    /// Who has something that may go, in the order in which it came.
    ready: VecDeque<Subject>,
    /// By number, and so by time.
    sent: BTreeMap<u32, Sent>,
    next_number: u32,
}

impl Outbox {
    pub fn new() -> Outbox {
        // 0 is the number of a plain keep-alive ping.
        Outbox { slots: BTreeMap::new(), ready: VecDeque::new(), sent: BTreeMap::new(), next_number: 1 }
    }

    /// A number that nothing sent before has had; numbers count up.
    pub fn number(&mut self) -> u32 {
        let number = self.next_number;
        self.next_number = self.next_number.checked_add(1).unwrap_or(1);
        number
    }

    /// How a run stands.
    pub fn push(&mut self, run: RunId, status: RunStatus) {
        self.add(Subject::Run(run), Letter { status, is_last: false });
    }

    /// How a run went: `on_ack` tells when the server has it.
    pub fn push_last(&mut self, run: RunId, status: RunStatus) {
        self.add(Subject::Run(run), Letter { status, is_last: true });
    }

    /// Of a RUN that came to nothing.
    pub fn push_refusal(&mut self, status: RunStatus) {
        self.add(Subject::Refusal(status.execution_ids.to_vec()), Letter { status, is_last: true });
    }

    fn add(&mut self, subject: Subject, letter: Letter) {
        let slot = self.slots.entry(subject.clone()).or_default();
        let was_ready = slot.is_ready();
        slot.waiting = Some(letter);
        if slot.is_ready() && !was_ready {
            self.ready.push_back(subject);
        }
    }

    /// The next status to send with its number, which is taken as sent at `now`.
    pub fn next_unsent(&mut self, now: Duration) -> Option<(u32, &RunStatus)> {
        let subject = self.ready.pop_front()?;
        let number = self.number();
        self.sent.insert(number, Sent { subject: subject.clone(), at: now });
        let slot = self.slots.get_mut(&subject)?;
        slot.under_way = slot.waiting.take();
        Some((number, &slot.under_way.as_ref()?.status))
    }

    /// When the oldest of the statuses was sent whose acknowledgement is still awaited.
    pub fn awaited_since(&self) -> Option<Duration> {
        self.sent.values().map(|sent| sent.at).next()
    }

    /// The server has this one. Gives the run of which it was the last.
    pub fn on_ack(&mut self, number: u32) -> Vec<RunId> {
        let sent = self.sent.remove(&number);
        sent.and_then(|sent| self.arrive(sent.subject)).into_iter().collect()
    }

    /// The server has everything that was sent up to this one: it handles messages in their order.
    pub fn on_ack_upto(&mut self, number: u32) -> Vec<RunId> {
        let later = self.sent.split_off(&number.saturating_add(1));
        let arrived = std::mem::replace(&mut self.sent, later);
        arrived.into_values().filter_map(|sent| self.arrive(sent.subject)).collect()
    }

    fn arrive(&mut self, subject: Subject) -> Option<RunId> {
        let slot = self.slots.get_mut(&subject)?;
        let letter = slot.under_way.take()?;
        if slot.is_ready() {
            self.ready.push_back(subject.clone());
        } else {
            self.slots.remove(&subject);
        }
        match subject {
            Subject::Run(run) if letter.is_last => Some(run),
            _ => None,
        }
    }

    /// What was sent at `then` or earlier has to be sent once more, unless there is something newer; gives how many.
    pub fn recall(&mut self, then: Duration) -> usize {
        let overdue: Vec<u32> =
            self.sent.iter().filter(|(_, sent)| sent.at <= then).map(|(number, _)| *number).collect();
        for number in &overdue {
            let Some(sent) = self.sent.remove(number) else { continue };
            let Some(slot) = self.slots.get_mut(&sent.subject) else { continue };
            let recalled = slot.under_way.take();
            slot.waiting = slot.waiting.take().or(recalled);
            self.ready.push_back(sent.subject);
        }
        overdue.len()
    }

    /// Everything has to be sent once more, but of each run only the newest.
    pub fn on_link_lost(&mut self) {
        self.recall(Duration::MAX);
    }

    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    pub fn len(&self) -> usize {
        self.slots.len()
    }
}

impl Slot {
    /// Whether something may go: of each subject one status is under way at most.
    fn is_ready(&self) -> bool {
        self.under_way.is_none() && self.waiting.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T: Duration = Duration::from_secs(1);

    fn status(run: i64, message: &str) -> RunStatus {
        RunStatus {
            execution_ids: [run].into(),
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
        assert_eq!(unsent(&mut outbox), [(2, "other".into()), (3, "d".into())]);
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

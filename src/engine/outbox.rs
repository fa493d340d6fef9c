//! The statuses that the server has not acknowledged. A status leaves only when the server's word for it has come; a lost link,
//! or a word that does not come, makes it unsent again, because nobody knows what arrived.
//!
//! A Socket.IO server handles the events of one connection at the same time and in any order, so a status that is sent right
//! behind another may be overwritten by it. Therefore of each run one status at most is under way; and of those that wait
//! behind it only the newest, because each replaces all before it. RUNs that are refused share one status for each executor.
//!
//! Invariant: `ready` and `sent` name a subject once at most, so that nothing here is larger than the number of runs and executors.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::bounds::{REFUSED_IDS_MAX, REFUSED_IDS_TOTAL_MAX};
use crate::proto::message::RunStatus;

use super::event::RunId;

use refusals::Refusals;

mod refusals;

/// Whose statuses replace each other.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Subject {
    Run(RunId),
    /// RUNs that were refused, by their executor; those that nobody here knows are as one.
    Refused(Option<String>),
}

#[derive(Debug)]
enum Letter {
    Run {
        status: RunStatus,
        /// Nothing follows it.
        is_last: bool,
    },
    Refusals(Refusals),
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
        self.add(Subject::Run(run), Letter::Run { status, is_last: false });
    }

    /// How a run went: `on_ack` tells when the server has it.
    pub fn push_last(&mut self, run: RunId, status: RunStatus) {
        self.add(Subject::Run(run), Letter::Run { status, is_last: true });
    }

    /// A RUN that came to nothing, for an executor that is known here or not. Gives how many of its executions are one too many
    /// to be remembered: nobody tells the server of their end.
    pub fn push_refusal(&mut self, executor_name: String, is_known: bool, mut ids: Vec<i64>, reason: String) -> usize {
        let subject = Subject::Refused(is_known.then(|| executor_name.clone()));
        let slot = self.slots.get(&subject);
        ids.retain(|id| !slot.is_some_and(|slot| slot.is_to_tell(*id)));
        let held = slot.map_or(0, Slot::refused);
        let all: usize = self.slots.range(Subject::Refused(None)..).map(|(_, slot)| slot.refused()).sum();
        let room = REFUSED_IDS_MAX.saturating_sub(held).min(REFUSED_IDS_TOTAL_MAX.saturating_sub(all));
        let forgotten = ids.len().saturating_sub(room);
        ids.truncate(room);
        if !ids.is_empty() {
            self.add(subject, Letter::Refusals(Refusals::new(executor_name, ids, reason)));
        }
        forgotten
    }

    fn add(&mut self, subject: Subject, letter: Letter) {
        let slot = self.slots.entry(subject.clone()).or_default();
        let was_ready = slot.is_ready();
        slot.waiting = Some(Letter::both(slot.waiting.take(), letter));
        if slot.is_ready() && !was_ready {
            self.ready.push_back(subject);
        }
    }

    /// The next status to send with its number, which is taken as sent at `now`.
    pub fn next_unsent(&mut self, now: Duration) -> Option<(u32, RunStatus)> {
        let subject = self.ready.pop_front()?;
        let number = self.number();
        self.sent.insert(number, Sent { subject: subject.clone(), at: now });
        let slot = self.slots.get_mut(&subject)?;
        let (first, left) = slot.waiting.take()?.split();
        let status = first.status();
        (slot.under_way, slot.waiting) = (Some(first), left);
        Some((number, status))
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
        if self.sent.first_key_value().is_none_or(|(first, _)| *first > number) {
            return Vec::new();
        }
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
        match (subject, letter) {
            (Subject::Run(run), Letter::Run { is_last: true, .. }) => Some(run),
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
            slot.waiting = match (slot.under_way.take(), slot.waiting.take()) {
                (recalled, Some(newer)) => Some(Letter::both(recalled, newer)),
                (recalled, None) => recalled,
            };
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

impl Letter {
    /// What is left to say of two that follow each other: refusals add up, of a run the newer one counts.
    fn both(older: Option<Letter>, newer: Letter) -> Letter {
        match (older, newer) {
            (Some(Letter::Refusals(mut older)), Letter::Refusals(newer)) => {
                older.add(newer);
                Letter::Refusals(older)
            }
            (_, newer) => newer,
        }
    }

    /// What goes into one status, and what is left for the next.
    fn split(self) -> (Letter, Option<Letter>) {
        match self {
            Letter::Refusals(refusals) => {
                let (first, left) = refusals.split();
                (Letter::Refusals(first), left.map(Letter::Refusals))
            }
            Letter::Run { .. } => (self, None),
        }
    }

    fn status(&self) -> RunStatus {
        match self {
            Letter::Run { status, .. } => status.clone(),
            Letter::Refusals(refusals) => refusals.status(),
        }
    }
}

impl Slot {
    fn refusals(&self) -> impl Iterator<Item = &Refusals> {
        self.under_way.iter().chain(&self.waiting).filter_map(|letter| match letter {
            Letter::Refusals(refusals) => Some(refusals),
            Letter::Run { .. } => None,
        })
    }

    /// How many executions of refused RUNs it holds.
    fn refused(&self) -> usize {
        self.refusals().map(Refusals::count).sum()
    }

    /// Whether the next status tells of this execution already.
    fn is_to_tell(&self, id: i64) -> bool {
        matches!(&self.waiting, Some(Letter::Refusals(refusals)) if refusals.holds(id))
    }

    /// Whether something may go: of each subject one status is under way at most.
    fn is_ready(&self) -> bool {
        self.under_way.is_none() && self.waiting.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::bounds::{MESSAGE_BYTES_MAX, REFUSED_IDS_TOLD_MAX};

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

    fn refuse(outbox: &mut Outbox, executor: &str, ids: impl IntoIterator<Item = i64>, reason: &str) -> usize {
        outbox.push_refusal(executor.into(), executor != "ghost", ids.into_iter().collect(), reason.into())
    }

    fn told(outbox: &mut Outbox) -> Vec<(String, Vec<i64>, String)> {
        let statuses = std::iter::from_fn(|| outbox.next_unsent(T));
        statuses.map(|(_, status)| (status.executor_name, status.execution_ids.to_vec(), status.message)).collect()
    }

    #[test]
    fn refused_runs_share_a_status_for_each_executor() {
        let mut outbox = Outbox::new();
        refuse(&mut outbox, "e", [1], "no room");
        assert_eq!(told(&mut outbox), [("e".into(), vec![1], "no room".into())], "one goes by itself");
        for (executor, id) in [("e", 4), ("f", 2), ("e", 3), ("e", 4), ("e", 1)] {
            refuse(&mut outbox, executor, [id], "no room");
        }
        assert_eq!(told(&mut outbox), [("f".into(), vec![2], "no room".into())]);
        outbox.on_ack(1);
        assert_eq!(told(&mut outbox), [("e".into(), vec![1, 3, 4], "no room".into())]);
        refuse(&mut outbox, "e", [5], "no room");
        outbox.on_link_lost();
        let all = [("f".into(), vec![2], "no room".into()), ("e".into(), vec![1, 3, 4, 5], "no room".into())];
        assert_eq!(told(&mut outbox), all, "and nothing of it is forgotten");
    }

    #[test]
    fn different_reasons_are_told_together_and_not_too_many() {
        let mut outbox = Outbox::new();
        for id in 0..100 {
            refuse(&mut outbox, "e", [id], &format!("reason {} {}", id % 10, "x".repeat(5000)));
        }
        let (_, ids, message) = told(&mut outbox).remove(0);
        assert_eq!(ids.len(), 100);
        assert!(message.starts_with("Several RUNs were refused, each for one of these reasons: reason 0 xxx"));
        assert!(message.contains("; or: reason 3 xxx") && message.ends_with("; or another one, as 60 RUNs were"));
        assert!(message.len() <= MESSAGE_BYTES_MAX, "{}", message.len());
    }

    #[test]
    fn executors_that_nobody_knows_are_as_one() {
        let mut outbox = Outbox::new();
        for id in 0..1000 {
            outbox.push_refusal(format!("ghost{id}"), false, vec![id], "it does not exist".into());
        }
        assert_eq!(outbox.len(), 1);
        let (name, ids, _) = told(&mut outbox).remove(0);
        assert_eq!((name.as_str(), ids.len()), ("", 1000));
    }

    #[test]
    fn as_many_executions_are_remembered_as_there_is_room_for() {
        let mut outbox = Outbox::new();
        let most = REFUSED_IDS_MAX as i64;
        assert_eq!(refuse(&mut outbox, "e", 0..most - 1, "no room"), 0);
        assert_eq!(told(&mut outbox)[0].1.len(), REFUSED_IDS_TOLD_MAX, "in one status");
        assert_eq!(refuse(&mut outbox, "e", most..most + 3, "no room"), 2, "those under way count too");
        assert_eq!(refuse(&mut outbox, "e", [most], "no room"), 0, "it is remembered already");
        let executors = (REFUSED_IDS_TOTAL_MAX / REFUSED_IDS_MAX) as i64;
        let forgotten: usize = (1..=executors).map(|n| refuse(&mut outbox, &format!("e{n}"), 0..most, "no room")).sum();
        assert_eq!(forgotten, REFUSED_IDS_MAX);
        outbox.on_ack(1);
        assert_eq!(refuse(&mut outbox, "e", [most + 7], "no room"), 0, "what the server has heard of makes room");
        outbox.on_link_lost();
        let mut count = 0;
        while let Some((number, status)) = outbox.next_unsent(T) {
            assert!(status.execution_ids.len() <= REFUSED_IDS_TOLD_MAX);
            count += if status.executor_name == "e" { status.execution_ids.len() } else { 0 };
            outbox.on_ack(number);
        }
        assert_eq!(count, REFUSED_IDS_MAX - REFUSED_IDS_TOLD_MAX + 1, "one status after another");
    }
}

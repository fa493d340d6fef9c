//! The statuses that the server has not acknowledged, in order. A status leaves only when the server's word for it has come;
//! a lost link makes all of them unsent again, because nobody knows what arrived.

use std::collections::VecDeque;

use crate::proto::message::RunStatus;

#[derive(Debug)]
pub struct Outbox {
    entries: VecDeque<Entry>,
    next_number: u32,
}

#[derive(Debug)]
struct Entry {
    number: u32,
    status: RunStatus,
    sent: bool,
}

impl Outbox {
    pub fn new() -> Outbox {
        // 0 is the number of a plain keep-alive ping.
        Outbox { entries: VecDeque::new(), next_number: 1 }
    }

    /// A number that no status and no join has had.
    pub fn number(&mut self) -> u32 {
        let number = self.next_number;
        self.next_number = self.next_number.checked_add(1).unwrap_or(1);
        number
    }

    pub fn push(&mut self, status: RunStatus) {
        let number = self.number();
        self.entries.push_back(Entry { number, status, sent: false });
    }

    /// The next status to send with its number, which is taken as sent from now on.
    pub fn next_unsent(&mut self) -> Option<(u32, &RunStatus)> {
        let entry = self.entries.iter_mut().find(|entry| !entry.sent)?;
        entry.sent = true;
        Some((entry.number, &entry.status))
    }

    /// The server has this one.
    pub fn on_ack(&mut self, number: u32) {
        self.entries.retain(|entry| !(entry.sent && entry.number == number));
    }

    /// The server has everything that was sent up to this one: it handles messages in their order.
    pub fn on_ack_upto(&mut self, number: u32) {
        if let Some(last) = self.entries.iter().position(|entry| entry.sent && entry.number == number) {
            self.entries.drain(..=last);
        }
    }

    /// Everything has to be sent once more.
    pub fn on_link_lost(&mut self) {
        for entry in &mut self.entries {
            entry.sent = false;
        }
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(message: &str) -> RunStatus {
        RunStatus {
            execution_ids: vec![1],
            executor_name: "e".into(),
            running: true,
            successful: None,
            message: message.into(),
        }
    }

    fn unsent(outbox: &mut Outbox) -> Vec<(u32, String)> {
        std::iter::from_fn(|| outbox.next_unsent().map(|(n, s)| (n, s.message.clone()))).collect()
    }

    #[test]
    fn statuses_go_out_once_and_in_order() {
        let mut outbox = Outbox::new();
        outbox.push(status("a"));
        outbox.push(status("b"));
        assert_eq!(unsent(&mut outbox), [(1, "a".into()), (2, "b".into())]);
        assert_eq!(unsent(&mut outbox), []);
        assert_eq!(outbox.len(), 2);
    }

    #[test]
    fn what_was_not_acknowledged_is_sent_again_after_a_lost_link() {
        let mut outbox = Outbox::new();
        for message in ["a", "b", "c"] {
            outbox.push(status(message));
        }
        unsent(&mut outbox);
        outbox.on_ack(2);
        outbox.on_link_lost();
        assert_eq!(unsent(&mut outbox), [(1, "a".into()), (3, "c".into())]);
    }

    #[test]
    fn one_answer_may_stand_for_all_before_it() {
        let mut outbox = Outbox::new();
        for message in ["a", "b", "c"] {
            outbox.push(status(message));
        }
        unsent(&mut outbox);
        outbox.on_ack_upto(2);
        assert_eq!(outbox.len(), 1);
    }

    #[test]
    fn an_answer_from_before_the_link_was_lost_counts_for_nothing() {
        let mut outbox = Outbox::new();
        outbox.push(status("a"));
        unsent(&mut outbox);
        outbox.on_link_lost();
        outbox.on_ack(1);
        assert_eq!(outbox.len(), 1);
    }
}

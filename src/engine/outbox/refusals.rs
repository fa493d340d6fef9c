//! RUNs of one executor that came to nothing, and that the server has not heard of: all their executions in one status, so that
//! however many are refused, none of them stays open at the server and the outbox stays small.

use std::collections::BTreeSet;

use crate::bounds::{EXCERPT_BYTES_MAX, MESSAGE_BYTES_MAX, REFUSED_IDS_TOLD_MAX};
use crate::proto::excerpt::bounded;
use crate::proto::message::RunStatus;

/// Different reasons that are told; the RUNs that were refused for others are counted.
const REASONS_MAX: usize = 4;

/// Of the message each byte may become an escape of an escape.
const _: () = assert!(REFUSED_IDS_TOLD_MAX * 21 + MESSAGE_BYTES_MAX * 7 < 1_000_000);

#[derive(Clone, Debug)]
pub struct Refusals {
    /// Empty where they named different ones, of which none is known here.
    executor_name: String,
    ids: BTreeSet<i64>,
    reasons: Vec<String>,
    /// How many RUNs have none of these reasons.
    others: u64,
}

impl Refusals {
    /// Of one RUN.
    pub fn new(executor_name: String, ids: impl IntoIterator<Item = i64>, reason: String) -> Refusals {
        let reasons = vec![bounded(reason, MESSAGE_BYTES_MAX)];
        Refusals { executor_name, ids: ids.into_iter().collect(), reasons, others: 0 }
    }

    pub fn count(&self) -> usize {
        self.ids.len()
    }

    pub fn holds(&self, id: i64) -> bool {
        self.ids.contains(&id)
    }

    /// As many as one status can tell of, and the others.
    pub fn split(mut self) -> (Refusals, Option<Refusals>) {
        let first_left = self.ids.iter().nth(REFUSED_IDS_TOLD_MAX).copied();
        let left = first_left.map(|id| Refusals { ids: self.ids.split_off(&id), ..self.clone() });
        (self, left)
    }

    /// And those that were refused after these.
    pub fn add(&mut self, mut later: Refusals) {
        if self.executor_name != later.executor_name {
            self.executor_name.clear();
        }
        self.ids.append(&mut later.ids);
        self.others += later.others;
        for reason in later.reasons {
            if self.reasons.contains(&reason) {
                continue;
            }
            match self.reasons.len() < REASONS_MAX {
                true => self.reasons.push(reason),
                false => self.others += 1,
            }
        }
    }

    pub fn status(&self) -> RunStatus {
        RunStatus {
            execution_ids: self.ids.iter().copied().collect(),
            executor_name: self.executor_name.clone(),
            running: false,
            successful: Some(false),
            message: self.message(),
        }
    }

    fn message(&self) -> String {
        if let ([reason], 0) = (&*self.reasons, self.others) {
            return reason.clone();
        }
        let share = MESSAGE_BYTES_MAX / REASONS_MAX - EXCERPT_BYTES_MAX;
        let reasons: Vec<String> = self.reasons.iter().map(|reason| bounded(reason.clone(), share)).collect();
        let others = match self.others {
            0 => String::new(),
            others => format!("; or another one, as {others} RUNs were"),
        };
        format!("Several RUNs were refused, each for one of these reasons: {}{others}", reasons.join("; or: "))
    }
}

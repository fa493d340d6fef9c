//! What arrived of each execution: which numbered hosts, in which order for the first time, and how many repeats. Hosts are those
//! of `rig::numbered`, whose `ip` is their number.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::Deserialize;

use crate::support::{Builder, Standin};

#[derive(Default)]
pub struct Ledger(Mutex<BTreeMap<i64, Arrivals>>);

#[derive(Clone, Debug, Default)]
pub struct Arrivals {
    /// By first arrival.
    pub numbers: Vec<u64>,
    pub repeats: u64,
    seen: HashSet<u64>,
}

impl Arrivals {
    pub fn count(&self) -> u64 {
        self.numbers.len() as u64
    }

    /// Whether those are the first hosts that were printed, in their order and without a gap.
    pub fn is_prefix(&self) -> bool {
        self.numbers.iter().copied().eq(0..self.count())
    }

    /// Whether no host below `upto` is missing, in whatever order they came.
    pub fn is_complete(&self, upto: u64) -> bool {
        self.count() == upto && (0..upto).all(|number| self.seen.contains(&number))
    }
}

#[derive(Deserialize)]
struct Body {
    execution_id: i64,
    hosts: Vec<Host>,
}

#[derive(Deserialize)]
struct Host {
    ip: String,
}

impl Ledger {
    /// Starts a server whose posts are written into a ledger.
    pub fn server(builder: Builder) -> (Standin, Arc<Ledger>) {
        let ledger = Arc::new(Ledger::default());
        let writer = ledger.clone();
        let server = builder.workspace("ws1").on_body(move |incoming| writer.write(incoming.body)).start();
        (server, ledger)
    }

    fn write(&self, body: &[u8]) {
        let body: Body = serde_json::from_slice(body).expect("a body of an agent");
        let mut book = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let arrivals = book.entry(body.execution_id).or_default();
        for host in body.hosts {
            let number = host.ip.parse().expect("a number for an address");
            match arrivals.seen.insert(number) {
                true => arrivals.numbers.push(number),
                false => arrivals.repeats += 1,
            }
        }
    }

    pub fn of(&self, id: i64) -> Arrivals {
        let book = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        book.get(&id).cloned().unwrap_or_default()
    }

    pub fn count(&self, id: i64) -> u64 {
        let book = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        book.get(&id).map_or(0, Arrivals::count)
    }

    /// Waits until so many hosts of an execution have arrived.
    #[track_caller]
    pub fn wait(&self, server: &Standin, id: i64, hosts: u64, within: Duration) {
        server
            .wait_for(&format!("{hosts} hosts of execution {id}"), within, |_| (self.count(id) >= hosts).then_some(()));
    }
}

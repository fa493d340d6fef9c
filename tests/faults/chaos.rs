//! All of it at once, then quiet: agents killed with and without their guards, servers that go, answers that are lost, links
//! that are cut, a disk that is full at times. Every host that was read arrives.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use memchr::memmem;
use serde_json::json;

use crate::disk::{SmallDisk, in_namespace};
use crate::ledger::Ledger;
use crate::random::Random;
use crate::rig::{LATER, cut_off, journals, kill_with_guard, side_by_side, slowly, wait_until, well};
use crate::support::{AgentProcess, Endpoint, Fault, Generation, SOON, Standin, guards_of};

/// What the executor `e` prints before it ends well; `endless` prints until it is killed.
const SHORT: u64 = 3000;

struct Chaos {
    random: Random,
    server: Standin,
    ledger: Arc<Ledger>,
    agent: AgentProcess,
    disk: SmallDisk,
    is_full: bool,
    runs: Vec<i64>,
    /// How many hosts of an execution were seen in journals.
    saved: BTreeMap<i64, u64>,
    kills: u32,
}

impl Chaos {
    fn new(generation: Generation) -> Chaos {
        let random = Random::new();
        let (server, ledger) = Ledger::server(Standin::builder().generation(generation));
        let disk = SmallDisk::mount(4);
        let agent = disk.agent(&server, &slowly(SHORT));
        let agent = agent.executor("endless", &slowly(u64::from(u32::MAX)), json!({})).start();
        server.wait_joined(SOON);
        let (runs, saved) = (Vec::new(), BTreeMap::new());
        Chaos { random, server, ledger, agent, disk, is_full: false, runs, saved, kills: 0 }
    }

    fn step(&mut self) {
        match self.random.below(10) {
            0..=2 => {
                let executor = if self.random.below(3) == 0 { "endless" } else { "e" };
                self.runs.extend(self.server.try_run(executor, json!({}), &["ws1"]).into_iter().flatten());
            }
            3 => self.kill(),
            4 => {
                self.server.crash(self.random.cut());
                self.random.moment(Duration::from_millis(300));
                self.server.open_ports();
            }
            5 => self.server.cut_links(self.random.cut()),
            6 => self.fill_or_clear(),
            7 => self.inject(Fault::answer(503), 2),
            8 => self.inject(Fault::lose_answer(), 2),
            _ => self.inject(Fault::delay(Duration::from_millis(50)), 20),
        }
        self.random.moment(Duration::from_millis(300));
        if self.random.below(4) == 0 {
            self.server.clear_faults();
        }
    }

    fn kill(&mut self) {
        // An agent that has only just been started may have no guard yet.
        match self.random.below(2) {
            0 if guards_of(self.agent.pid()).len() == 1 => kill_with_guard(&self.agent),
            // Whoever was left behind by an earlier kill is left to the next agent.
            _ => {
                self.agent.kill();
                self.agent.wait_exit(SOON);
            }
        }
        for (id, hosts) in journals(self.disk.path()).iter().filter_map(|path| last_host(path)) {
            let saved = self.saved.entry(id).or_default();
            *saved = hosts.max(*saved);
        }
        self.agent.start_again();
        self.kills += 1;
    }

    fn fill_or_clear(&mut self) {
        self.is_full = !self.is_full;
        if self.is_full { self.disk.fill() } else { self.disk.clear() }
    }

    fn inject(&self, fault: Fault, times: usize) {
        self.server.inject(fault.on(Endpoint::BulkCreate).times(times));
    }

    /// Nothing goes wrong any more; a last kill ends those who would print for ever, and long pauses.
    fn quiet(&mut self) {
        self.server.clear_faults();
        if self.is_full {
            self.fill_or_clear();
        }
        self.kill();
        wait_until("an empty directory of journals", LATER, || journals(self.disk.path()).is_empty());
        wait_until("the end of all executors", SOON, || self.agent.descendants().len() <= 1);
    }

    /// Whatever was told of a run last is true, and everything that was seen in a journal is at the server.
    fn check(&self) {
        let (mut ended_well, mut were_cut_off, mut hosts) = (0, 0, 0);
        for &id in &self.runs {
            let (statuses, arrivals) = (self.server.statuses(id), self.ledger.of(id));
            let count = arrivals.count();
            assert!(arrivals.is_complete(count), "execution {id}: a gap in {count} hosts");
            let saved = self.saved.get(&id).copied().unwrap_or(0);
            assert!(count >= saved, "execution {id}: {count} of {saved} hosts");
            hosts += count;
            let message = |payload: &serde_json::Value| payload["message"].as_str().unwrap_or_default().to_owned();
            let Some(last) = statuses.last().map(|status| message(&status.payload)) else {
                assert_eq!(count, 0, "execution {id} was never spoken of");
                continue;
            };
            let was_started = statuses.iter().any(|status| message(&status.payload).starts_with("Running"));
            let told = last.split_once(" from agent1 ").map_or("", |(_, told)| told);
            match told {
                told if told == well(SHORT) && count == SHORT => ended_well += 1,
                told if told == cut_off(count) => were_cut_off += 1,
                // Its journal could not be made, or it had no place yet: nothing of it was read.
                _ => assert!(
                    !was_started && count == 0,
                    "execution {id}, {count} hosts: {last}\n{}",
                    self.server.report()
                ),
            }
        }
        println!(
            "{} runs: {ended_well} ended well, {were_cut_off} were cut off by {} kills; {hosts} hosts",
            self.runs.len(),
            self.kills
        );
    }
}

/// The execution of a journal's file and how many hosts had been read up to the last one in it.
fn last_host(path: &Path) -> Option<(i64, u64)> {
    let text = fs::read(path).ok()?;
    let number = |from: usize| {
        let digits = text.get(from..)?.iter().take_while(|byte| byte.is_ascii_digit()).count();
        std::str::from_utf8(&text[from..from + digits]).ok()?.parse::<u64>().ok()
    };
    let execution = memmem::find(&text, b"\"execution_ids\":[")? + 17;
    let whole = memmem::rfind(&text, b"\",\"description\":\"d\"}")?;
    let host = memmem::rfind(&text[..whole], b"\"ip\":\"")? + 6;
    Some((i64::try_from(number(execution)?).ok()?, number(host)? + 1))
}

fn check_chaos(generation: Generation, steps: u32) {
    let mut chaos = Chaos::new(generation);
    (0..steps).for_each(|_| chaos.step());
    chaos.quiet();
    chaos.check();
}

#[test]
fn all_of_it_at_once_loses_nothing() {
    in_namespace("chaos::all_of_it_at_once_loses_nothing", || {
        side_by_side([Generation::SocketIo, Generation::Raw], |generation| check_chaos(generation, 60));
    });
}

#[test]
#[ignore = "long; see the head of tests/faults.rs"]
fn all_of_it_at_once_for_minutes_loses_nothing() {
    in_namespace("chaos::all_of_it_at_once_for_minutes_loses_nothing", || {
        side_by_side([Generation::SocketIo, Generation::Raw], |generation| check_chaos(generation, 1000));
    });
}

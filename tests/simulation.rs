//! The real engine in a simulated world: server, links, disk, children, workers and clock are played by chance, and everything that
//! can go wrong does. After every step and at the end the promises are checked: nothing that was read is lost, order holds, each
//! run ends with one last status that is true. A failure prints its seed:
//!
//! `SIM_SEED=n cargo test --test simulation` plays that seed alone and prints all that happens in it;
//! `cargo test --release --test simulation -- --ignored --nocapture` plays 10,000 of them, or `SIM_COUNT` from `SIM_FIRST` on.

#[path = "simulation/chaos.rs"]
mod chaos;
#[path = "simulation/checks.rs"]
mod checks;
#[path = "simulation/child.rs"]
mod child;
#[path = "simulation/death.rs"]
mod death;
#[path = "simulation/disk.rs"]
mod disk;
#[path = "simulation/job.rs"]
mod job;
#[path = "simulation/link.rs"]
mod link;
#[path = "simulation/plan.rs"]
mod plan;
#[path = "simulation/random.rs"]
mod random;
#[path = "simulation/script.rs"]
mod script;
#[path = "simulation/server.rs"]
mod server;
#[path = "simulation/shell.rs"]
mod shell;
#[path = "simulation/stats.rs"]
mod stats;
#[path = "simulation/worker.rs"]
mod worker;
#[path = "simulation/world.rs"]
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use stats::Stats;
use world::World;

/// So many seeds that break a promise are enough to look at.
const FAILURES_MAX: usize = 20;

fn play(seed: u64, trace: bool) -> Result<Stats, String> {
    let played = catch_unwind(AssertUnwindSafe(|| {
        let mut world = World::new(seed, trace);
        world.play();
        world.stats
    }));
    played.map_err(|panic| {
        let words = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
        format!("SIM_SEED={seed}: {}", words.unwrap_or("a panic without words"))
    })
}

/// Plays the seeds from `first` on, on all processors.
fn play_many(first: u64, count: u64) {
    let (started, next) = (Instant::now(), AtomicU64::new(first));
    let (total, failures) = (Mutex::new(Stats::default()), Mutex::new(Vec::new()));
    std::panic::set_hook(Box::new(|_| {}));
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(2, |count| count.get()) {
            scope.spawn(|| {
                let mut stats = Stats::default();
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first + count || failures.lock().expect("whole").len() >= FAILURES_MAX {
                        break;
                    }
                    match play(seed, false) {
                        Ok(played) => stats.add(&played),
                        Err(words) => failures.lock().expect("whole").push(words),
                    }
                }
                total.lock().expect("whole").add(&stats);
            });
        }
    });
    let _ = std::panic::take_hook();
    total.into_inner().expect("whole").print(started.elapsed());
    let failures = failures.into_inner().expect("whole");
    assert!(failures.is_empty(), "{} seeds fail:\n{}", failures.len(), failures.join("\n"));
}

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is not a number: {text}")))
}

#[test]
fn a_few_hundred_seeds_keep_the_promises() {
    match number("SIM_SEED") {
        Some(seed) => drop(play(seed, true).unwrap_or_else(|words| panic!("{words}"))),
        None => play_many(0, 300),
    }
}

#[test]
#[ignore = "long without --release"]
fn ten_thousand_seeds_keep_the_promises() {
    play_many(number("SIM_FIRST").unwrap_or(0), number("SIM_COUNT").unwrap_or(10_000));
}

//! The limits that the agent promises: how soon a finding is on the wire, how much memory it takes however much an executor
//! prints, how many executors run at once, how long a message of the server takes. The release binary as a process against the stand-in server; what is measured is
//! printed. Long and sensitive to a busy machine, therefore apart from the other tests:
//!
//! `cargo test --release --test limits -- --ignored --nocapture --test-threads=1`

#[path = "limits/crowd.rs"]
mod crowd;
#[path = "limits/fairness.rs"]
mod fairness;
#[path = "limits/generator.rs"]
mod generator;
#[path = "limits/latency.rs"]
mod latency;
#[path = "limits/memory.rs"]
mod memory;
#[path = "limits/messages.rs"]
mod messages;
mod support;

use support::AgentProcess;

/// The figures are those of the binary that people use.
#[track_caller]
fn assert_release() {
    if cfg!(debug_assertions) {
        panic!("the limits are those of the release binary: cargo test --release --test limits …");
    }
}

/// The most memory that the agent ever had resident, in MiB.
fn peak_mib(agent: &AgentProcess) -> f64 {
    agent.peak_rss_kb() as f64 / 1024.0
}

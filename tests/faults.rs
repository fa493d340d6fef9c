//! Nothing that was read is ever lost: the real binary with real processes and signals against the stand-in, while agents are
//! killed, servers go away, disks are full and files are torn.
//!
//! What can be promised of a run whose agent is killed: its executor dies with the agent, and what the agent had read by then
//! arrives, which is the beginning of what the executor printed, without a gap.
//!
//! Moments are random; a failure prints its seed, and `FAULTS_SEED=n` has the same again. Longer versions:
//!
//! `cargo test --release --test faults -- --ignored --nocapture`

#[path = "faults/backlog.rs"]
mod backlog;
#[path = "faults/chaos.rs"]
mod chaos;
#[path = "faults/crowd.rs"]
mod crowd;
#[path = "faults/disk.rs"]
mod disk;
#[path = "faults/kills.rs"]
mod kills;
#[path = "faults/ledger.rs"]
mod ledger;
#[path = "faults/processes.rs"]
mod processes;
#[path = "faults/random.rs"]
mod random;
#[path = "faults/restarts.rs"]
mod restarts;
#[path = "faults/rig.rs"]
mod rig;
mod support;
#[path = "faults/torn.rs"]
mod torn;

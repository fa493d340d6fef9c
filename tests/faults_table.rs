//! The real binary against the stand-in server: every row of the fault table, every odd message of the recordings, and what
//! else needs a process to be seen. Each file names at its head what it covers.

#[path = "faults_table/arguments.rs"]
mod arguments;
#[path = "faults_table/executors.rs"]
mod executors;
#[path = "faults_table/exposure.rs"]
mod exposure;
#[path = "faults_table/hostile.rs"]
mod hostile;
#[path = "faults_table/links.rs"]
mod links;
#[path = "faults_table/messages.rs"]
mod messages;
#[path = "faults_table/output.rs"]
mod output;
#[path = "faults_table/posting.rs"]
mod posting;
#[path = "faults_table/privacy.rs"]
mod privacy;
#[path = "faults_table/registering.rs"]
mod registering;
#[path = "faults_table/resending.rs"]
mod resending;
#[path = "faults_table/rig.rs"]
mod rig;
#[path = "faults_table/runs.rs"]
mod runs;
#[path = "faults_table/secrets.rs"]
mod secrets;
#[path = "faults_table/shortage.rs"]
mod shortage;
#[path = "faults_table/starting.rs"]
mod starting;
#[path = "faults_table/state_dir.rs"]
mod state_dir;
#[path = "faults_table/stopping.rs"]
mod stopping;
#[path = "faults_table/strays.rs"]
mod strays;
mod support;

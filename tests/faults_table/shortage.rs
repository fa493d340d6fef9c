//! The machine lacks something for a while: files, processes, room for a journal. Runs wait, nothing is lost, and all goes on
//! when others have ended.
//!
//! | row of the table (issue 3, backpressure) | test |
//! |------------------------------------------|------|
//! | EMFILE                                   | `runs_that_find_no_more_files_wait_for_those_that_have_them` |
//! | EAGAIN on fork                           | `runs_that_find_no_more_processes_wait_for_those_that_have_them` |

use std::fs::File;
use std::time::Duration;

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use serde_json::json;

use crate::rig::{check_order, standin, wait_no_journals};
use crate::support::{AgentProcess, Generation, Standin};

const RUNS: usize = 40;
/// Pauses between tries grow to 30 s; here a few are enough.
const PATIENCE: Duration = Duration::from_secs(60);

/// Starts the agent by a script that takes something away from it; more runs than fit then flood their output, when the fifo
/// `gate` has been opened. They start no processes of their own, as they might find none either.
fn crowd(server: &Standin, limit: &str) -> AgentProcess {
    let flood = format!("i=0; while [ $i -lt 2000 ]; do echo '{}'; i=$((i+1)); done", " ".repeat(500));
    let host = r#"{\"hosts\":[{\"ip\":\"10.0.0.$EXECUTOR_CONFIG_N\",\"description\":\"\"}]}"#;
    let command = format!(": < gate; {flood}; echo \"{host}\"");
    let params = json!({"N": {"mandatory": true, "type": "integer", "base": "integer"}});
    let builder = AgentProcess::builder(server).executor("e", &command, params);
    let script = format!("#!/bin/sh\n{limit} {} \"$@\"\n", env!("CARGO_BIN_EXE_agent"));
    let builder = builder.script("limited", &script);
    let path = builder.dir().join("limited");
    mkfifo(&builder.dir().join("gate"), Mode::all()).expect("a directory of our own");
    let agent = builder.binary(path).start();
    server.wait_joined(PATIENCE);
    agent
}

fn check_all_arrive(server: &Standin, agent: &AgentProcess, shortage: &str) {
    let ids: Vec<i64> = (0..RUNS).flat_map(|n| server.run("e", json!({"N": n}), &["ws1"])).collect();
    let told = |id: &i64| server.status(*id).is_some_and(|status| status.message.contains(shortage));
    server.wait_for(shortage, PATIENCE, |state| {
        let mut statuses = state.statuses.iter();
        statuses
            .any(|status| status.payload["message"].as_str().is_some_and(|text| text.contains(shortage)))
            .then_some(())
    });
    assert!(ids.iter().filter(|id| told(id)).count() < RUNS, "some run");
    // A fifo that is opened for both never waits, and lets its readers go on.
    let _open = File::options().read(true).write(true).open(agent.dir().join("gate")).expect("the gate is ours");
    for id in &ids {
        let status = server.wait_over(*id, PATIENCE);
        assert_eq!(status.successful, Some(true), "{}", status.message);
    }
    assert_eq!(server.hosts("ws1").len(), RUNS, "every host, and none twice");
    wait_no_journals(agent);
    let id = server.run("e", json!({"N": 99}), &["ws1"])[0];
    server.wait_over(id, PATIENCE);
    check_order(server, id, "ws1");
}

#[test]
fn runs_that_find_no_more_files_wait_for_those_that_have_them() {
    let server = standin(Generation::SocketIo);
    let agent = crowd(&server, "ulimit -n 60; exec");
    check_all_arrive(&server, &agent, "Too many open files");
}

/// The limit does not hold for root.
#[test]
fn runs_that_find_no_more_processes_wait_for_those_that_have_them() {
    let server = standin(Generation::SocketIo);
    let user = 60_000 + std::process::id() % 5_000;
    let chown = format!("chown -R {user} . && exec setpriv --reuid={user} --clear-groups prlimit --nproc=30");
    let agent = crowd(&server, &chown);
    check_all_arrive(&server, &agent, "Resource temporarily unavailable");
}

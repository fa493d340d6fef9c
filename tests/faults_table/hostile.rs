//! A server that wants the agent to take memory, or to forget what it owes.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};

use crate::rig::{join, param, side_by_side, standin, with_both};
use crate::support::{AgentProcess, Generation, SOON, Standin, State, hostile};

/// As long as a frame may be.
const FRAME_BYTES: usize = (1 << 20) - 1000;
const MEMORY_KIB_MAX: u64 = 64 * 1024;
/// On a machine that does other things too.
const LATER: Duration = Duration::from_secs(120);

/// With executors that do not end.
fn agent(server: &Standin) -> AgentProcess {
    let params: Value = (0..7).map(|n| (format!("A{n}"), param(false, "list"))).collect();
    let secrets: Value = (0..7).map(|n| (format!("P{n}"), param(false, json!(["password", "list"])))).collect();
    let builder = AgentProcess::builder(server).log_level("error").option("agent.stop_grace_s", 0);
    let builder = builder.executor("e", "exec sleep 1000", params).executor("secretive", "exec sleep 1000", secrets);
    join(server, builder)
}

/// Waits until everything that was sent before has been handled.
#[track_caller]
fn wait_handled(server: &Standin) {
    let id = server.run("nobody", json!({}), &["ws1"])[0];
    server.wait_over(id, SOON);
}

#[test]
fn no_message_takes_much_memory() {
    with_both(|generation| {
        let server = standin(generation);
        let agent = agent(&server);
        for (name, frame) in hostile::messages(generation, FRAME_BYTES) {
            server.send_raw(&frame);
            wait_handled(&server);
            let peak = agent.peak_rss_kb();
            assert!(peak < MEMORY_KIB_MAX, "{name}: {peak} KiB");
        }
        println!("{generation:?}: peak memory {} KiB", agent.peak_rss_kb());
        assert_eq!(server.joins().len(), 1, "on the same link");
    });
}

/// Runs of which each is as large as a RUN may be, in one way or another; as many as the agent takes, and then more.
#[test]
fn no_flood_of_runs_takes_much_memory_or_leaves_an_execution_open() {
    let (long, short) = (json!(["x".repeat(130_000)]), json!(vec!["abcd"; 130_000 / 7]));
    let seven =
        |letter: &str, value: &Value| (0..7).map(|n| (format!("{letter}{n}"), value.clone())).collect::<Value>();
    let crowds = [
        (30, "many workspaces", "e", 1000, json!({})),
        (40, "long arguments", "e", 1, seven("A", &long)),
        (20, "many secrets", "secretive", 1, seven("P", &short)),
        (340, "small", "e", 1, json!({})),
    ];
    side_by_side(crowds, |(runs, name, executor, workspaces, args)| {
        let server = standin(Generation::SocketIo);
        let agent = agent(&server);
        let names: Vec<String> = (0..workspaces).map(|n| format!("{n:0200}")).collect();
        let mut all = BTreeSet::new();
        for run in 0..runs {
            let ids: Vec<i64> = (0..workspaces).map(|n| 1_000_000 + run * workspaces + n).collect();
            let message = json!({
                "execution_ids": ids, "agent_id": 1, "workspaces": names, "action": "RUN", "executor": executor, "args": args,
            });
            server.send_message(&message);
            all.extend(ids);
        }
        wait_told(&server, &all);
        let refused =
            server.look(|state| state.statuses.iter().filter(|status| status.payload["successful"] == false).count());
        let peak = agent.peak_rss_kb();
        println!("{runs} runs with {name}: {refused} statuses of refused ones, peak memory {peak} KiB");
        assert!(peak < MEMORY_KIB_MAX, "{name}: {peak} KiB");
        assert!((1..runs as usize / 2).contains(&refused), "{name}: {refused} statuses of refused runs");
    });
}

/// Waits until the server has heard of each of these executions.
#[track_caller]
fn wait_told(server: &Standin, all: &BTreeSet<i64>) {
    let (mut looked_at, mut told) = (0, BTreeSet::new());
    server.wait_for("a status of every execution", LATER, |state: &State| {
        told.extend(state.statuses[looked_at..].iter().flat_map(|status| status.ids.iter().copied()));
        looked_at = state.statuses.len();
        all.is_subset(&told).then_some(())
    });
}

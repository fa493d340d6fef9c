//! Many runs, several at once, and the agent is killed in the midst of them.

use serde_json::json;

use crate::ledger::Ledger;
use crate::rig::{self, LATER, agent, check_told, files, kill, numbered, rejoin, wait_no_journals, well};
use crate::support::{Generation, SOON, Standin};

/// Runs are over, were cut off while they ran or before, and the server knows which.
fn check_crowd(generation: Generation, runs: usize) {
    let (server, ledger) = Ledger::server(Standin::builder().generation(generation));
    let builder = agent(&server, &format!("{}; sleep 0.03", numbered("0", 20)));
    let mut agent = builder.option("agent.max_concurrent_runs", 8).option("agent.waiting_runs_max", runs).start();
    server.wait_joined(SOON);
    let ids: Vec<i64> = (0..runs).map(|_| server.run("e", json!({}), &["ws1"])[0]).collect();
    let over = |state: &crate::support::State| state.executions.values().filter(|run| run.status.is_over()).count();
    // A RUN that the agent has not read when it is killed is nobody's but the server's.
    let over_before = server.wait_for("all runs to be known and some to be over", LATER, |state| {
        let known = state.executions.values().all(|run| run.status != Default::default());
        Some(over(state)).filter(|over| known && *over >= runs / 3)
    });
    kill(&agent);
    rejoin(&server, &mut agent);
    server.wait_for("all runs to be told", LATER, |state| {
        let mut told: Vec<i64> = Vec::new();
        for status in state.statuses.iter().filter(|status| status.payload["running"] == false) {
            told.extend(&status.ids);
        }
        ids.iter().all(|id| told.contains(id)).then_some(())
    });
    wait_no_journals(&agent);
    let (mut well_done, mut cut_off, mut not_started) = (0, 0, 0);
    for id in ids {
        let (told, arrivals) = (check_told(&server, id), ledger.of(id));
        assert!(arrivals.is_prefix(), "{id}: {told}");
        match told.as_str() {
            told if told == well(20) => well_done += usize::from(arrivals.count() == 20),
            "failed: the agent was restarted before it was started" => {
                not_started += usize::from(arrivals.count() == 0)
            }
            told => {
                assert_eq!(told, rig::cut_off(arrivals.count()), "execution {id}: {:#?}", server.statuses(id));
                cut_off += 1;
            }
        }
    }
    println!(
        "{well_done} runs ended well, {cut_off} were cut off, {not_started} not started; {over_before} before the kill"
    );
    assert_eq!(well_done + cut_off + not_started, runs, "each with the hosts that its message says");
    assert!(well_done >= over_before);
    assert!(files(&agent.state_dir().join("refused")).is_empty());
}

#[test]
fn a_thousand_runs_and_a_kill_leave_each_with_one_true_end() {
    check_crowd(Generation::SocketIo, 1000);
}

#[test]
fn hundreds_of_runs_on_an_old_server_and_a_kill_leave_each_with_one_true_end() {
    check_crowd(Generation::Raw, 300);
}

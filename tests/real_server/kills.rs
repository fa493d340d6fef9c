//! The agent killed with SIGKILL and started again: what it had read arrives, and the server hears how each run went.

use std::time::Duration;

use serde_json::json;

use super::rig::{Rig, gate, print_host};
use super::server::{PATIENCE, Server};
use super::stream::Stream;

fn kill(rig: &Rig) {
    rig.agent.kill();
    rig.agent.wait_exit(PATIENCE);
    rig.agent.wait_no_descendants(Duration::from_secs(5));
}

fn start_again(rig: &mut Rig) {
    rig.agent.drop_registration();
    rig.agent.start_again();
    rig.wait_online();
}

pub fn a_killed_agent_is_offline_at_once_and_back_with_its_token(server: Server) {
    let mut rig = Rig::new(server, |agent| agent.executor("gated", &gate("go"), json!({})));
    let workspace = rig.server.workspace();
    let lost = rig.run_one("gated", json!({}), &workspace);
    rig.wait_running(lost);
    rig.agent.kill();
    rig.agent.wait_exit(PATIENCE);
    rig.wait_within(Duration::from_secs(5), "it to be offline", || rig.is_offline());
    rig.agent.wait_no_descendants(Duration::from_secs(5));

    rig.agent.start_again();
    rig.wait_online();
    rig.open("go");
    rig.wait_success(rig.run_one("gated", json!({}), &workspace));
    assert_eq!(rig.server.agents(&rig.name).len(), 1);
}

/// At a moment when some hosts have arrived, others are under way and others not printed yet.
pub fn what_a_killed_agent_had_read_arrives(server: Server) {
    let stream = Stream::new(400, 400, Duration::from_millis(10));
    let mut rig = Rig::new(server, |agent| agent.executor("stream", &stream.script("go"), json!({})));
    let workspace = rig.server.workspace();
    let command = rig.run_one("stream", json!({}), &workspace);
    rig.wait("some hosts", || (rig.server.stored_ips(&workspace).len() > 10).then_some(()));
    kill(&rig);

    start_again(&mut rig);
    let last = "saved and delivered";
    let execution = rig.wait_execution(command, "a last status", |it| it.is_over() && it.message.contains(last));
    assert_eq!(execution.successful, Some(false), "{execution}");
    let (_, words) = execution.message.split_once("failed: the agent was restarted while it ran; ").expect("why");
    let hosts = words.strip_suffix(" hosts were saved and delivered").and_then(|count| count.parse().ok());
    let hosts: u32 = hosts.unwrap_or_else(|| panic!("{execution}"));
    assert!((11..400).contains(&hosts), "{execution}");
    Stream::wait_stored(&rig, &workspace, hosts);
    rig.server.forget_events();
}

/// Nothing of the run has arrived when the agent is killed; but its executor had ended, and well.
pub fn a_run_that_had_ended_before_the_kill_is_told_as_successful(server: Server) {
    let body = format!("{}; {}; {}", gate("go"), print_host("192.0.2.60"), print_host("192.0.2.61"));
    let mut rig = Rig::new(server, |agent| agent.executor("pair", &body, json!({})));
    let workspace = rig.server.workspace();
    let command = rig.run_one("pair", json!({}), &workspace);
    rig.wait_running(command);
    rig.server.set_workspace(&workspace, "active", false);
    rig.open("go");
    rig.agent.wait_log("kept, and tried again until the server takes it", PATIENCE);
    rig.wait_kept("\"took_us\"");
    kill(&rig);

    rig.server.set_workspace(&workspace, "active", true);
    start_again(&mut rig);
    let execution = rig.wait_success(command);
    assert!(execution.message.contains("finished successfully: exit code 0; 2 hosts delivered"), "{execution}");
    rig.wait_ips(&workspace, &["192.0.2.60", "192.0.2.61"]);
    rig.wait("its journal to be gone", || (!rig.keeps("192.0.2.60")).then_some(()));
}

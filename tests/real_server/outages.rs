//! Cut connections, restarted servers, a restarted database: findings arrive, and the last status is the true one.

use std::time::Duration;

use serde_json::json;

use super::proxy::Proxy;
use super::rig::{Rig, gate, print_host};
use super::server::{Generation, PATIENCE, Server, ctl};
use super::stream::Stream;

/// Three hosts, each behind a gate.
fn three_hosts() -> String {
    let steps = [(1, "50"), (2, "51"), (3, "52")];
    steps.map(|(n, ip)| format!("{}; {}", gate(&format!("go{n}")), print_host(&format!("192.0.2.{ip}")))).join("; ")
}

const ALL: [&str; 3] = ["192.0.2.50", "192.0.2.51", "192.0.2.52"];

pub fn a_cut_connection_costs_nothing(server: Server) {
    let api = Proxy::to(server.api_port);
    let channel = Proxy::to(server.websocket_port);
    let ports = match server.generation {
        Generation::Five => (api.port, api.port),
        Generation::Four => (api.port, channel.port),
    };
    let rig = Rig::new(server, |agent| {
        let agent = agent.option("server.api_port", ports.0).option("server.websocket_port", ports.1);
        agent.executor("three", &three_hosts(), json!({}))
    });
    let workspace = rig.server.workspace();
    let command = rig.run_one("three", json!({}), &workspace);
    rig.wait_running(command);
    for gate in ["go1", "go2", "go3"] {
        let mark = rig.agent.log_mark();
        api.cut();
        channel.cut();
        rig.open(gate);
        rig.agent.wait_log_from(mark, "joined over", PATIENCE);
    }
    let execution = rig.wait_success(command);
    assert!(execution.message.contains("3 hosts delivered"), "{execution}");
    rig.wait_ips(&workspace, &ALL);
    rig.wait_online();
}

/// Stopped as by its administrator, then killed.
pub fn a_restarted_server_gets_everything(server: Server) {
    let rig = Rig::new(server, |agent| agent.executor("three", &three_hosts(), json!({})));
    let workspace = rig.server.workspace();
    let command = rig.run_one("three", json!({}), &workspace);
    rig.open("go1");
    // What the older server has acknowledged but not stored yet would be lost with it.
    rig.wait_ips(&workspace, &ALL[..1]);

    let mark = rig.agent.log_mark();
    ctl("stop", rig.server.service());
    rig.open("go2");
    rig.agent.wait_log_from(mark, "no connection", PATIENCE);
    ctl("start", rig.server.service());
    rig.agent.wait_log_from(mark, "joined over", PATIENCE);
    rig.wait_online();
    rig.wait_execution(command, "the run to be shown as running again", |execution| execution.is_running());
    rig.wait_ips(&workspace, &ALL[..2]);

    let mark = rig.agent.log_mark();
    ctl("kill", rig.server.service());
    rig.open("go3");
    rig.agent.wait_log_from(mark, "no connection", PATIENCE);
    ctl("start", rig.server.service());
    let execution = rig.wait_success(command);
    assert!(execution.message.contains("3 hosts delivered"), "{execution}");
    rig.wait_ips(&workspace, &ALL);
}

/// While the database is away every request is answered 500, and a status is not acknowledged, or makes the older server
/// hang up.
pub fn a_restarted_database_costs_nothing(server: Server) {
    let rig = Rig::new(server, |agent| agent.executor("three", &three_hosts(), json!({})));
    let workspace = rig.server.workspace();
    let command = rig.run_one("three", json!({}), &workspace);
    rig.open("go1");
    rig.wait_ips(&workspace, &ALL[..1]);
    rig.wait_running(command);

    ctl("stop", "postgres");
    let mark = rig.agent.log_mark();
    rig.open("go2");
    rig.agent.wait_log_from(mark, "500", PATIENCE);
    rig.open("go3");
    ctl("start", "postgres");
    let execution = rig.wait_success(command);
    assert!(execution.message.contains("3 hosts delivered"), "{execution}");
    rig.wait_ips(&workspace, &ALL);
    rig.wait_online();
}

/// Most hosts are printed while services are stopped and started again: posts fail in all ways that a stop and a start know.
fn streams_while(server: Server, stopped: &[&str]) {
    let stream = Stream::new(240, 40, Duration::from_millis(20));
    let rig = Rig::new(server, |agent| agent.executor("stream", &stream.script("go"), json!({})));
    let workspace = rig.server.workspace();
    let command = rig.run_one("stream", json!({}), &workspace);
    // What was acknowledged and is not stored yet, the server itself would lose.
    Stream::wait_stored(&rig, &workspace, 40);

    for service in stopped {
        ctl("stop", service);
    }
    rig.open("go");
    rig.agent.wait_log("kept, and tried again until the server takes it", PATIENCE);
    // Some seconds of it; the rest is printed while they start and later.
    rig.wait_kept(&Stream::ip(140));
    for service in stopped.iter().rev() {
        ctl("start", service);
    }
    let execution = rig.wait_success(command);
    assert!(execution.message.contains("; 240 hosts delivered"), "{execution}");
    Stream::wait_stored(&rig, &workspace, 240);
    rig.wait_online();
    rig.server.forget_events();
}

pub fn a_stream_survives_a_restart_of_the_server(server: Server) {
    let service = server.service();
    streams_while(server, &[service]);
}

pub fn a_stream_survives_a_restart_of_the_database(server: Server) {
    streams_while(server, &["postgres"]);
}

pub fn a_stream_survives_a_restart_of_both(server: Server) {
    let service = server.service();
    streams_while(server, &[service, "postgres"]);
}

/// A last status without a post before it: the server drops it while its database is away, and nothing tells the agent.
pub fn a_status_that_the_database_missed_is_told_again(server: Server) {
    let rig = Rig::new(server, |agent| {
        let path = format!("{}:/usr/bin:/bin", agent.dir().display());
        let entry = json!({"repo_executor": "nmap.py", "max_size": 65536, "varenvs": {"PATH": path}, "params": {}});
        agent.script("nmap", &format!("touch checking; {}; exit 3", gate("go"))).executor_entry("nmap", entry)
    });
    let workspace = rig.server.workspace();
    let command = rig.run_one("nmap", json!({"TARGET": ["192.0.2.1"]}), &workspace);
    rig.wait_file("checking");

    ctl("stop", "postgres");
    rig.open("go");
    rig.agent.wait_log("its check `nmap --version` failed with exit code 3", PATIENCE);
    ctl("start", "postgres");
    let message = rig.wait_failure(command);
    assert!(message.contains("its check `nmap --version` failed with exit code 3"), "{message}");
    rig.wait_online();
}

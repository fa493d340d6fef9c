//! The official nmap executor, with the real nmap, from the run button to the workspace.

use std::collections::BTreeSet;
use std::net::TcpListener;

use serde_json::json;

use super::rig::Rig;
use super::server::{Server, text};

/// As an old dispatcher.yaml has it; name and parameters come from the manifest in the agent.
fn scanner(varenvs: serde_json::Value) -> serde_json::Value {
    json!({"repo_executor": "nmap.py", "max_size": 65536, "varenvs": varenvs, "params": {}})
}

pub fn nmap_finds_the_ports_of_this_machine(server: Server) {
    let rig = Rig::new(server, |agent| agent.executor_entry("nmap", scanner(json!({}))));
    let workspace = rig.server.workspace();
    let listeners = [(); 3].map(|()| TcpListener::bind("127.0.0.1:0").expect("a free port"));
    let ports = listeners.each_ref().map(|listener| listener.local_addr().expect("it is bound").port());
    let closed = closed_port();
    let list: Vec<String> = ports.iter().chain([&closed]).map(u16::to_string).collect();
    let args = json!({"TARGET": ["127.0.0.1"], "PORT_LIST": list, "OPTION_PN": true, "OPTION_SV": false});
    let execution = rig.wait_success(rig.run_one("nmap", args, &workspace));
    assert!(execution.message.contains("1 host delivered"), "{execution}");

    rig.wait_ips(&workspace, &["127.0.0.1"]);
    let services = rig.wait("three open ports", || {
        let services = rig.server.list(&workspace, "services");
        (services.iter().filter(|service| service["status"] == "open").count() == 3).then_some(services)
    });
    let open = services.iter().filter(|service| service["status"] == "open" && service["protocol"] == "tcp");
    let found: BTreeSet<u64> = open.filter_map(|service| service["port"].as_u64()).collect();
    assert_eq!(found, ports.map(u64::from).into(), "{services:?}");
    let hosts = rig.server.list(&workspace, "hosts");
    let names: Vec<String> = hosts[0]["hostnames"].as_array().into_iter().flatten().map(text).collect();
    assert_eq!(names, ["localhost"], "{hosts:?}");
}

/// The check of the manifest fails before anything is started.
pub fn a_missing_tool_is_the_message(server: Server) {
    let entry = scanner(json!({"PATH": "/nonexistent"}));
    let rig = Rig::new(server, |agent| agent.executor_entry("nmap", entry));
    let workspace = rig.server.workspace();
    let message = rig.wait_failure(rig.run_one("nmap", json!({"TARGET": ["127.0.0.1"]}), &workspace));
    assert!(message.contains("its check `nmap --version` failed with exit code 127"), "{message}");
}

fn closed_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("it is bound").port()
}

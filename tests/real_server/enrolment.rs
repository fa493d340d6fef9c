//! Registering, joining, leaving, coming back, and being sent away.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use serde_json::{Value, json};

use super::rig::{Rig, newcomer};
use super::server::{Generation, PATIENCE, Server};

/// A requested stop without runs; the server knows of it before the process is gone.
const AT_ONCE: Duration = Duration::from_secs(5);

fn echo_params() -> Value {
    json!({
        "TARGET": {"mandatory": true, "type": "string", "base": "string"},
        "DEPTH": {"mandatory": false, "type": ["integer", "range"], "base": "string"},
    })
}

pub fn registers_joins_and_leaves(server: Server) {
    let rig = Rig::new(server, |agent| {
        let scan = json!({"repo_executor": "nmap.py", "max_size": 65536, "varenvs": {}, "params": {}});
        agent.executor("echo", "true", echo_params()).executor_entry("scan", scan)
    });
    let shown = rig.server.get(&format!("/_api/v3/agents/{}", rig.id));
    let executor = |name: &str| {
        let executors = shown["executors"].as_array().into_iter().flatten();
        executors.clone().find(|executor| executor["name"] == name).unwrap_or_else(|| panic!("{name}: {shown}")).clone()
    };
    assert_eq!(executor("echo")["parameters_metadata"], echo_params());
    let target = json!({"mandatory": true, "type": "list", "base": "list"});
    assert_eq!(executor("scan")["parameters_metadata"]["TARGET"], target);
    let channel = match rig.server.generation {
        Generation::Five => "joined over SocketIo",
        Generation::Four => "joined over WebSocket",
    };
    rig.agent.wait_log(channel, PATIENCE);
    if rig.server.generation == Generation::Five {
        let stored = "select category::text || tool from executor where name = 'scan' and agent_id =";
        let stored = rig.server.sql(&format!("{stored} {}", rig.id));
        assert_eq!(stored, r#"["Network and Vulnerability Scanners"]nmap"#);
    }
    assert_eq!(rig.server.agents(&rig.name).len(), 1);

    rig.agent.terminate();
    rig.wait_within(AT_ONCE, "the agent to be offline", || rig.is_offline());
    assert_eq!(rig.agent.wait_exit(AT_ONCE).code(), Some(0), "{}", rig.agent.report());
    assert!(!rig.agent.log().contains("ERROR"), "{}", rig.agent.log());
}

pub fn uses_its_stored_token_when_started_again(server: Server) {
    let mut rig = Rig::new(server, |agent| agent.executor("echo", "true", json!({})));
    let token = rig.agent.state_dir().join("token");
    let kept = fs::read_to_string(&token).expect("the token is stored");
    assert_eq!(kept.trim().len(), 64);
    assert_eq!(fs::metadata(&token).expect("just read").permissions().mode() & 0o777, 0o600);
    assert!(!rig.agent.log().contains(kept.trim()), "the token stands in the log");
    rig.stop();

    // Its digits are of no use any more, but nobody asks for them.
    rig.agent.start_again();
    rig.wait_online();
    rig.agent.wait_log("the registration token is not needed", PATIENCE);
    rig.stop();

    rig.agent.drop_registration();
    rig.agent.start_again();
    rig.wait_online();
    assert_eq!(fs::read_to_string(&token).expect("the token is stored"), kept);
    assert_eq!(rig.server.agents(&rig.name).len(), 1);
}

pub fn ends_with_a_clear_line_when_the_registration_token_is_wrong(server: Server) {
    let (builder, name) = newcomer(&server);
    let right = server.registration_token();
    let wrong = format!("{:06}", (right.parse::<u32>().expect("six digits") + 500_000) % 1_000_000);
    let agent = builder.registering(&wrong).start();
    assert_eq!(agent.wait_exit(PATIENCE).code(), Some(1), "{}", agent.report());
    assert!(agent.log().contains("refused the registration token with 401"), "{}", agent.log());
    assert_eq!(server.agents(&name).len(), 0);
}

pub fn ends_with_a_clear_line_when_it_was_deleted(server: Server) {
    let mut rig = Rig::new(server, |agent| agent.executor("echo", "true", json!({})));
    rig.server.delete(&format!("/_api/v3/agents/{}", rig.id));
    // The server does not tell, and the older one hangs up on the goodbye of somebody whom it does not know.
    rig.stop();
    rig.agent.drop_registration();
    rig.agent.start_again();
    assert_eq!(rig.agent.wait_exit(PATIENCE).code(), Some(1), "{}", rig.agent.report());
    let log = rig.agent.log();
    assert!(log.contains("does not know this agent's token"), "{log}");
    assert!(log.contains("to register anew, start with --token"), "{log}");
}

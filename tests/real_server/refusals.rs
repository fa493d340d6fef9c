//! Runs that must not come to life. The server checks a RUN first, by what it believes the executor to take, so that belief
//! is changed behind its back.

use serde_json::json;

use super::rig::Rig;
use super::server::Server;

pub fn arguments_that_do_not_fit_are_refused(server: Server) {
    let strict = json!({
        "PORTS": {"mandatory": true, "type": "range", "base": "string"},
        "KEY": {"mandatory": false, "type": "password", "base": "string"},
    });
    let rig = Rig::new(server, |agent| agent.executor("strict", "touch started", strict));
    let anything = |kind: &str| json!({"mandatory": false, "type": kind, "base": kind});
    let params = json!({"PORTS": anything("string"), "KEY": anything("list"), "PORT": anything("string")});
    rig.server.pretend_params(rig.id, "strict", &params);
    let workspace = rig.server.workspace();
    for (args, words) in [
        (json!({}), "mandatory argument PORTS is missing"),
        (json!({"PORTS": "many"}), "PORTS"),
        (json!({"PORTS": "1-10", "PORT": "80"}), "unexpected argument PORT;"),
        (json!({"PORTS": "1-10", "KEY": ["s3cret-v4lue"]}), "KEY"),
    ] {
        let message = rig.wait_failure(rig.run_one("strict", args.clone(), &workspace));
        assert!(message.contains(words) && message.contains("was not started"), "{args}: {message}");
        assert!(!message.contains("s3cret-v4lue"), "{message}");
    }
    // And one that fits, to be sure that what was refused was the argument.
    rig.wait_success(rig.run_one("strict", json!({"PORTS": "1-10"}), &workspace));
    assert!(!rig.agent.log().contains("s3cret-v4lue"), "{}", rig.agent.log());
}

pub fn an_unknown_executor_is_refused(server: Server) {
    let rig = Rig::new(server, |agent| agent.executor("echo", "true", json!({})));
    let renamed = rig.server.sql(&format!("update executor set name = 'ghost' where agent_id = {}", rig.id));
    assert_eq!(renamed, "UPDATE 1");
    let workspace = rig.server.workspace();
    let message = rig.wait_failure(rig.run_one("ghost", json!({}), &workspace));
    assert!(message.contains("The selected executor ghost does not exist") && message.contains("echo"), "{message}");
}

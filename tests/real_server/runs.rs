//! What becomes of a RUN: environment, ids, places, exits, limits, stops.

use std::time::Duration;

use serde_json::json;

use super::rig::{Rig, gate, print_host};
use super::server::{Generation, PATIENCE, Server};

/// An executor that leaves its environment in a file.
const SHOW: &str = "env -0 | tr '\\n\\0' '_\\n' > seen.new && mv seen.new seen";

pub fn arguments_and_options_reach_the_executor(server: Server) {
    let param = |kind: &str, base: &str| json!({"mandatory": false, "type": kind, "base": base});
    let entry = json!({
        "cmd": SHOW, "max_size": 65536, "varenvs": {"api_key": "k-123"},
        "params": {
            "TEXT": param("string", "string"), "COUNT": param("integer", "integer"), "DEEP": param("boolean", "boolean"),
            "TARGETS": param("list", "list"), "SITES": param("domains", "list"), "PORTS": param("range", "string"),
            "HOST": param("ip", "string"), "RATIO": param("float", "string"), "PAGE": param("url", "string"),
            "SECRET": param("password", "string"), "EITHER": {"mandatory": true, "type": ["ip", "url"], "base": "string"},
        },
    });
    let rig = Rig::new(server, |agent| agent.executor_entry("show", entry));
    let workspace = rig.server.workspace();
    let args = json!({
        "TEXT": "Größe 'n' $HOME", "COUNT": 7, "DEEP": false, "TARGETS": ["192.0.2.1", "a b"], "SITES": ["example.org"],
        "PORTS": "1-1024", "HOST": "2001:db8::1", "RATIO": 0.5, "PAGE": "https://example.org/?q=1", "SECRET": "p4ss-w0rd",
        "EITHER": "http://example.org",
    });
    let options = json!({
        "ignore_info": true, "resolve_hostname": false, "vuln_tag": ["v1", "v2"], "service_tag": ["s1"], "host_tag": ["h1"],
    });
    let command = rig.run_with("show", args, &[&workspace], options)[0];
    let seen = rig.wait_file("seen");
    let hosts = match rig.server.generation {
        Generation::Five => "AGENT_CONFIG_HOSTNAME_TAG=h1",
        Generation::Four => "AGENT_CONFIG_HOST_TAG=h1",
    };
    for line in [
        "EXECUTOR_CONFIG_TEXT=Größe 'n' $HOME",
        "EXECUTOR_CONFIG_COUNT=7",
        "EXECUTOR_CONFIG_DEEP=False",
        r#"EXECUTOR_CONFIG_TARGETS=["192.0.2.1","a b"]"#,
        r#"EXECUTOR_CONFIG_SITES=["example.org"]"#,
        "EXECUTOR_CONFIG_PORTS=1-1024",
        "EXECUTOR_CONFIG_HOST=2001:db8::1",
        "EXECUTOR_CONFIG_RATIO=0.5",
        "EXECUTOR_CONFIG_PAGE=https://example.org/?q=1",
        "EXECUTOR_CONFIG_SECRET=p4ss-w0rd",
        "EXECUTOR_CONFIG_EITHER=http://example.org",
        "AGENT_CONFIG_IGNORE_INFO=True",
        "AGENT_CONFIG_RESOLVE_HOSTNAME=False",
        "AGENT_CONFIG_VULN_TAG=v1,v2",
        "AGENT_CONFIG_SERVICE_TAG=s1",
        hosts,
        "API_KEY=k-123",
    ] {
        assert!(seen.lines().any(|seen| seen == line), "{line} is missing:\n{seen}");
    }
    assert!(!seen.contains("AGENT_CONFIG_MIN_SEVERITY"), "{seen}");
    rig.wait_success(command);
    assert!(!rig.agent.log().contains("p4ss-w0rd") && !rig.agent.log().contains("k-123"), "{}", rig.agent.log());
}

pub fn two_runs_at_once_keep_their_ids(server: Server) {
    let body = "until [ -e \"go$EXECUTOR_CONFIG_N\" ]; do sleep 0.05; done
        printf '{\"hosts\":[{\"ip\":\"192.0.2.%s\",\"description\":\"\"}]}\\n' \"$EXECUTOR_CONFIG_N\"
        exit $((EXECUTOR_CONFIG_N - 1))";
    let params = json!({"N": {"mandatory": true, "type": "integer", "base": "integer"}});
    let rig = Rig::new(server, |agent| agent.executor("numbered", body, params));
    let (first, second) = (rig.server.workspace(), rig.server.workspace());
    let slow = rig.run_one("numbered", json!({"N": 1}), &first);
    let quick = rig.run_one("numbered", json!({"N": 2}), &second);
    rig.wait_running(slow);
    rig.wait_running(quick);

    rig.open("go2");
    let message = rig.wait_failure(quick);
    assert!(message.contains("exit code 1"), "{message}");
    assert!(rig.server.execution(slow).is_running());
    rig.open("go1");
    rig.wait_success(slow);
    rig.wait_ips(&first, &["192.0.2.1"]);
    rig.wait_ips(&second, &["192.0.2.2"]);
    assert_eq!(rig.server.execution(quick).message, message);
}

pub fn ten_runs_at_once_go_to_their_own_workspaces(server: Server) {
    let params = json!({"N": {"mandatory": true, "type": "integer", "base": "integer"}});
    let body = format!("{}; {}", gate("go"), print_host("192.0.2.'$EXECUTOR_CONFIG_N'"));
    let rig = Rig::new(server, |agent| agent.executor("numbered", &body, params));
    let runs: Vec<_> = (10..20)
        .map(|n| {
            let workspace = rig.server.workspace();
            (n, rig.run_one("numbered", json!({"N": n}), &workspace), workspace)
        })
        .collect();
    runs.iter().for_each(|(_, command, _)| drop(rig.wait_running(*command)));
    rig.open("go");
    for (n, command, workspace) in &runs {
        rig.wait_success(*command);
        rig.wait_ips(workspace, &[&format!("192.0.2.{n}")]);
    }
}

/// With no workspace there is no execution either, so nobody is told; but the executor runs.
pub fn a_run_for_no_workspace_posts_nothing(server: Server) {
    let body = format!("{}; echo $$ > ran.new && mv ran.new ran", print_host("192.0.2.7"));
    let rig = Rig::new(server, |agent| agent.executor("alone", &body, json!({})));
    rig.run("alone", json!({}), &[]);
    rig.wait_file("ran");
    rig.agent.wait_log("1 host read, for no workspace", PATIENCE);
    rig.stop();
}

pub fn the_second_of_two_runs_waits_for_its_place(server: Server) {
    let rig = Rig::new(server, |agent| {
        agent.executor("gated", &gate("go"), json!({})).option("agent.max_concurrent_runs", 1)
    });
    let workspace = rig.server.workspace();
    let first = rig.run_one("gated", json!({}), &workspace);
    rig.wait_running(first);
    let second = rig.run_one("gated", json!({}), &workspace);
    rig.wait_execution(second, "the second run to say that it waits", |execution| {
        execution.is_running() && execution.message.contains("waits for a place")
    });
    rig.open("go");
    rig.wait_success(first);
    rig.wait_success(second);
}

pub fn a_failing_executor_says_why(server: Server) {
    let fail = format!("{}; echo 'cannot reach the lab: no route' >&2; exit 3", print_host("192.0.2.3"));
    let rig = Rig::new(server, |agent| {
        let agent = agent.executor("fail", &fail, json!({})).executor("shot", "kill -KILL $$", json!({}));
        let mumble = r#"printf 'a\000b \033[31mred\033[0m \377 "🦀\\n"\n' >&2; exit 4"#;
        let agent = agent.executor("undeutlich-🦀", mumble, json!({}));
        agent.executor("typo", "no-such-command --fast", json!({}))
    });
    let workspace = rig.server.workspace();
    for (executor, words) in [
        ("fail", &["exit code 3", "cannot reach the lab: no route", "1 host delivered"][..]),
        ("shot", &["SIGKILL"]),
        // What no database takes must not cost the message.
        ("undeutlich-🦀", &["exit code 4", "red", r#""🦀\n""#]),
        ("typo", &["exit code 127", "no-such-command"]),
    ] {
        let command = rig.run_one(executor, json!({}), &workspace);
        let message = rig.wait_failure(command);
        for words in words {
            assert!(message.contains(words), "{executor}: {words} is not in {message:?}");
        }
    }
    rig.wait_ips(&workspace, &["192.0.2.3"]);
}

pub fn a_run_that_takes_too_long_is_ended(server: Server) {
    let entry = json!({
        "cmd": format!("trap '' TERM; {}; sleep 1000 & wait; sleep 1000", print_host("192.0.2.4")),
        "max_size": 65536, "varenvs": {}, "params": {}, "timeout_s": 2,
    });
    let rig = Rig::new(server, |agent| agent.executor_entry("endless", entry));
    let workspace = rig.server.workspace();
    let message = rig.wait_failure(rig.run_one("endless", json!({}), &workspace));
    assert!(message.contains("longer than 2 s") && message.contains("SIGKILL"), "{message}");
    // All that is left is the guard, which the agent has for its own death.
    rig.wait("its processes to be gone", || (rig.agent.descendants().len() == 1).then_some(()));
    rig.wait_ips(&workspace, &["192.0.2.4"]);
}

pub fn sigterm_ends_a_run_delivers_and_leaves(server: Server) {
    let endless = format!("{}; sleep 1000", print_host("192.0.2.5"));
    let farewell = format!(
        "trap '{}; exit 0' TERM; touch ready; sleep 1000 & wait",
        print_host("192.0.2.6").replace('\'', "'\\''")
    );
    let rig = Rig::new(server, |agent| {
        agent.executor("endless", &endless, json!({})).executor("farewell", &farewell, json!({}))
    });
    let workspace = rig.server.workspace();
    let endless = rig.run_one("endless", json!({}), &workspace);
    let farewell = rig.run_one("farewell", json!({}), &workspace);
    rig.wait_ips(&workspace, &["192.0.2.5"]);
    rig.wait_running(endless);
    rig.wait_running(farewell);
    rig.wait_file("ready");

    rig.agent.terminate();
    let exit = rig.agent.wait_exit(PATIENCE);
    assert_eq!(exit.code(), Some(0), "{}", rig.agent.report());
    rig.wait_within(Duration::from_secs(5), "the agent to be offline", || rig.is_offline());
    let messages = [endless, farewell].map(|command| rig.wait_failure(command));
    for message in messages {
        assert!(message.contains("the agent was asked to stop (SIGTERM)"), "{message}");
    }
    rig.wait_ips(&workspace, &["192.0.2.5", "192.0.2.6"]);
    rig.agent.wait_no_descendants(Duration::from_secs(5));
}

//! Messages of the server that are not what they should be: they never stop the agent.
//!
//! | source                                             | test |
//! |----------------------------------------------------|------|
//! | raw-websocket.md 2.3, "replies to input it does not like" | `odd_messages_are_answered_as_recorded`, `what_is_not_json_is_not_answered` |
//! | raw-websocket.md 2.3, "no executor"                | `a_run_without_executor_is_refused` |
//! | table: missing keys, null payload                  | `a_run_that_cannot_be_used_is_answered_where_ids_are_known`, `malformed_socketio_only_leads_to_log_lines` |
//!
//! Also frames that are too large, and binary ones; RUNs beyond their bounds; and what is repeated of a message. What memory
//! messages take is in `hostile`.

use serde_json::{Value, json};

use crate::rig::{agent, ended, join, payloads, run, standin, started, with_both};
use crate::support::{AgentProcess, Generation, SOON, Standin, What};

fn start(generation: Generation) -> (Standin, AgentProcess) {
    let server = standin(generation);
    let agent = join(&server, agent(&server, "true"));
    (server, agent)
}

/// The agent is as it was: on the same link, and it runs what it is told to.
#[track_caller]
fn check_alive(server: &Standin) {
    let (id, _) = run(server);
    assert_eq!(payloads(server, id), [started(&[id]), ended(&[id], true, "exit code 0; 0 hosts delivered")]);
    assert_eq!(server.joins().len(), 1, "on the same link");
}

/// A real server of that age hangs up at each of these answers; the agent comes back.
#[test]
fn odd_messages_are_answered_as_recorded() {
    let (server, _agent) = start(Generation::Raw);
    let lacking = |key| format!("{{\"error\": \"'{key}' key is mandatory in this websocket connection\"}}");
    let table = [
        (json!({"executor": "e"}), lacking("action")),
        (json!({"action": "FOO", "executor": "e"}), r#"{"FOO_RESPONSE": "Error: Unrecognized action"}"#.to_owned()),
        (json!({"action": "RUN", "workspaces": ["ws1"], "executor": "e", "args": {}}), lacking("execution_ids")),
        (json!({"action": "RUN", "execution_ids": [1], "executor": "e", "args": {}}), lacking("workspaces")),
    ];
    for (n, (message, expected)) in table.into_iter().enumerate() {
        server.send_message(&message);
        server.wait_reply("the recorded answer", SOON, |text| text == expected);
        server.wait_joined_nth(n + 2, SOON);
    }
    let (id, _) = run(&server);
    assert_eq!(payloads(&server, id).len(), 2);
}

#[test]
fn what_is_not_json_is_not_answered() {
    let (server, agent) = start(Generation::Raw);
    let before = server.replies().len();
    let frames = ["", "not json", "[]", "null", "5", "\"RUN\"", "{\"action\":\"RUN\"", "{}{}", &"[".repeat(5000)];
    for frame in frames {
        server.send_raw(frame);
    }
    server.send_binary(b"\x00\x01");
    check_alive(&server);
    let new: Vec<String> = server.replies().drain(before..).map(|(_, text)| text).collect();
    assert!(new.iter().all(|text| text.contains("RUN_STATUS")), "{new:#?}");
    let warnings =
        agent.log().lines().filter(|line| line.contains("[WARN]") && line.contains("command channel")).count();
    assert_eq!(warnings, frames.len() + 1, "a line for each\n{}", agent.log());
}

#[test]
fn a_run_without_executor_is_refused() {
    with_both(|generation| {
        let (server, _agent) = start(generation);
        for executor in [None, Some(Value::Null), Some(json!(""))] {
            let (ids, mut message) = server.prepare_run("e", json!({}), &["ws1"]);
            match executor {
                Some(executor) => message["executor"] = executor,
                None => drop(message.as_object_mut().expect("an object").remove("executor")),
            }
            server.send_message(&message);
            server.wait_over(ids[0], SOON);
            let expected = json!({
                "action": "RUN_STATUS", "execution_ids": ids, "executor_name": "", "running": false, "successful": false,
                "message": "No executor selected to agent1 agent",
            });
            assert_eq!(payloads(&server, ids[0]), [expected]);
        }
        check_alive(&server);
    });
}

#[test]
fn a_run_that_cannot_be_used_is_answered_where_ids_are_known() {
    let table: [(&str, Value, &str); 7] = [
        ("args", json!(["x"]), "args is a list, not an object"),
        ("args", json!("x"), "args is text, not an object"),
        ("plugin_args", json!([1]), "plugin_args is a list, not an object"),
        ("executor", json!(["e"]), "executor is a list, not a name"),
        ("workspaces", json!([]), "1 execution_ids for 0 workspaces"),
        ("workspaces", json!(["ws1", "ws2"]), "1 execution_ids for 2 workspaces"),
        (
            "workspaces",
            json!([".."]),
            "workspaces has 1 entries that are not names of workspaces (text of 1 to 256 bytes without control characters)",
        ),
    ];
    with_both(|generation| {
        let (server, _agent) = start(generation);
        for (key, value, problem) in &table {
            let (ids, mut message) = server.prepare_run("e", json!({}), &["ws1"]);
            message[*key] = value.clone();
            server.send_message(&message);
            let status = server.wait_over(ids[0], SOON);
            assert_eq!((status.running, status.successful), (Some(false), Some(false)));
            assert_eq!(status.message, format!("The agent agent1 cannot use this RUN: {problem}"));
            assert_eq!(payloads(&server, ids[0]).len(), 1);
        }
        check_alive(&server);
    });
}

#[test]
fn malformed_socketio_only_leads_to_log_lines() {
    let (server, agent) = start(Generation::SocketIo);
    let before = server.replies().len();
    let frames = [
        "",
        "9",
        "x",
        "4",
        "49/dispatcher,",
        "42/dispatcher,",
        "42/dispatcher,not json",
        "42/dispatcher,{}",
        "42/dispatcher,[]",
        "42/dispatcher,[1]",
        "42/dispatcher,[\"run\"]",
        "42/dispatcher,[\"run\",null]",
        "42/dispatcher,[\"run\",[]]",
        "42/dispatcher,[\"run\",\"text\"]",
        "42/dispatcher,[\"run\",{}]",
        "42/dispatcher,[\"run\",{\"executor\":\"e\",\"workspaces\":[\"ws1\"]}]",
        "42/dispatcher,[\"run\",{\"execution_ids\":[\"1\"],\"executor\":\"e\",\"workspaces\":[\"ws1\"]}]",
        "42/dispatcher,[\"cancel\",{\"execution_ids\":[1]}]",
        "42[\"run\",{}]",
        "42/other,[\"run\",{}]",
        "41/other,",
        "451-/dispatcher,[\"run\",{\"_placeholder\":true,\"num\":0}]",
        "43/dispatcher,",
        "43/dispatcher,99999999999999999999999[]",
        "0{}",
        &format!("42/dispatcher,{}", "[".repeat(5000)),
    ];
    for frame in frames {
        server.send_raw(frame);
    }
    server.send_binary(b"\x00\x01");
    check_alive(&server);
    let new: Vec<String> = server.replies().drain(before..).map(|(_, text)| text).collect();
    assert!(new.iter().all(|text| text.contains("RUN_STATUS")), "{new:#?}");
    let warnings = agent.log().lines().filter(|line| line.contains("[WARN]")).count();
    assert_eq!(warnings, frames.len() + 1, "a line for each\n{}", agent.log());
}

#[test]
fn frames_that_mean_nothing_are_taken_in_silence() {
    let (server, agent) = start(Generation::SocketIo);
    for frame in [
        "3",
        "6",
        "43/dispatcher,777[]",
        "42/dispatcher,[\"message\",\"hello\"]",
        "42/dispatcher,5[\"message\",\"hello\"]",
    ] {
        server.send_raw(frame);
    }
    check_alive(&server);
    assert!(!agent.log().contains("[WARN]"), "{}", agent.log());
}

#[test]
fn a_message_above_all_measure_costs_the_link_alone() {
    with_both(|generation| {
        let (server, _agent) = start(generation);
        server.send_raw(&"x".repeat(17 << 20));
        server.wait_joined_nth(2, SOON);
        let (id, _) = run(&server);
        assert_eq!(payloads(&server, id).len(), 2);
    });
}

/// An execution that stands twice in a RUN, one too many of something: whatever of it is known is told.
#[test]
fn no_execution_of_a_run_beyond_its_bounds_stays_open() {
    with_both(|generation| {
        let (server, _agent) = start(generation);
        let names: Vec<String> = (0..1001).map(|n| format!("ws{n}")).collect();
        let (ids, message) = server.prepare_run("e", json!({}), &names.iter().map(String::as_str).collect::<Vec<_>>());
        server.send_message(&message);
        let status = server.wait_over(ids[1000], SOON);
        assert!(status.message.contains("execution_ids has more than 1000 entries"), "{}", status.message);
        assert!(ids.iter().all(|id| server.status(*id).is_some_and(|status| status.is_over())));

        let (ids, mut message) = server.prepare_run("e", json!({}), &["ws1"]);
        message["execution_ids"] = json!([ids[0], ids[0]]);
        message["workspaces"] = json!(["ws1", "ws1"]);
        server.send_message(&message);
        let status = server.wait_over(ids[0], SOON);
        assert!(status.message.ends_with("execution_ids has 1 entries that repeat others"), "{}", status.message);
        check_alive(&server);
    });
}

/// What stands in place of something else may be a password.
#[test]
fn no_message_is_repeated_beyond_an_excerpt_or_by_a_parser() {
    with_both(|generation| {
        let (server, agent) = start(generation);
        let (ids, mut message) = server.prepare_run("e", json!({}), &["ws1"]);
        let secret = "hunter2".repeat(20);
        message["args"] = json!(secret);
        message["plugin_args"] = json!([secret]);
        server.send_message(&message);
        server.wait_over(ids[0], SOON);
        let broken = message.to_string().replace("\"action\"", "action");
        server.send_raw(&match generation {
            Generation::SocketIo => format!("42/dispatcher,[\"run\",{broken}]"),
            Generation::Raw => broken,
        });
        server.run(&"e".repeat(200_000), json!({"x".repeat(200_000): 1}), &["ws1"]);
        check_alive(&server);
        let log = agent.log();
        let told = server.look(|state| format!("{:?}", state.statuses));
        assert!(!log.contains("hunter2") && !told.contains("hunter2"), "{log}");
        assert!(log.contains("not JSON at column "), "{log}");
        assert!(log.lines().all(|line| line.len() < 2000), "{log}");
        assert!(server.look(|state| state.statuses.iter().all(|status| status.payload.to_string().len() < 2000)));
    });
}

/// An argument is large, but a RUN all the same.
#[test]
fn a_run_of_a_megabyte_is_read() {
    let server = standin(Generation::SocketIo);
    let params = json!({"A": {"mandatory": false, "type": "list", "base": "list"}});
    let _agent = join(&server, AgentProcess::builder(&server).executor("e", "true", params));
    let id = server.run("e", json!({"A": ["x".repeat(1_000_000)]}), &["ws1"])[0];
    let status = server.wait_over(id, SOON);
    assert!(status.message.contains("A takes 1000004 bytes"), "{}", status.message);
}

/// What the server sends is quoted in the log, but never makes lines of its own there.
#[test]
fn no_message_can_forge_a_line_of_the_log() {
    let server = standin(Generation::SocketIo);
    server.workspace("ws\n1");
    let agent = join(&server, agent(&server, "true"));
    let forged = "x\n2026-01-01T00:00:00.000Z [ERROR] forged\r\u{1b}[31m";
    server.run(forged, json!({}), &["ws1"]);
    server.run("e", json!({forged: 1}), &["ws1"]);
    server.run_with("e", json!({}), &["ws1"], json!({format!("{forged}="): 1}));
    let id = server.run("e", json!({}), &["ws\n1"])[0];
    server.wait_over(id, SOON);
    let log = agent.log();
    let strange: Vec<&str> =
        log.lines().filter(|line| line.contains("[ERROR]") && line.starts_with("2026-01")).collect();
    assert_eq!(strange, [""; 0]);
    assert!(log.lines().all(|line| line.get(10..11) == Some("T") && !line.contains(['\u{1b}', '\r'])), "{log}");
    assert_eq!(log.matches("forged").count(), 3, "{log}");
}

#[test]
fn websocket_pings_are_answered() {
    with_both(|generation| {
        let (server, _agent) = start(generation);
        server.send_ping(b"sign of life");
        server.wait_event(
            "a pong",
            SOON,
            |what| matches!(what, What::Pong { payload, .. } if payload == b"sign of life"),
        );
        check_alive(&server);
    });
}

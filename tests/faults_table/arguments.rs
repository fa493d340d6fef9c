//! RUNs that must not start anything, and what the person at the server is told.
//!
//! | row of the table                                   | test |
//! |----------------------------------------------------|------|
//! | unknown arg, missing mandatory arg                 | `arguments_that_do_not_fit_are_refused_by_name` |
//! | XTARGETX (substring)                               | the same |
//! | wrong type                                         | the same |
//! | type list, none fits; nested list items            | the same |
//! | NUL in an argument; plugin_args null               | the same; `options_may_be_null_or_missing` |
//! | unknown executor                                   | `an_executor_that_is_not_there_is_refused` |
//!
//! Both generations of servers. Also what is too long for an environment.

use std::fs;

use serde_json::{Map, Value, json};

use crate::rig::{agent, check_order, join, param, payloads, standin, with_both};
use crate::support::{AgentProcess, Generation, SOON, Standin};

/// The RUN_STATUS that refuses a RUN.
fn refused(id: i64, executor: &str, message: &str) -> Value {
    json!({
        "action": "RUN_STATUS", "execution_ids": [id], "executor_name": executor, "running": false, "successful": false,
        "message": message,
    })
}

/// An agent whose executor takes one argument of every type and, if it ever runs, leaves a file.
fn start(server: &Standin) -> AgentProcess {
    let mut params = Map::new();
    for kind in ["integer", "string", "password", "boolean", "list", "domains", "range", "ip", "float", "url"] {
        params.insert(kind.to_uppercase(), param(false, kind));
    }
    params.insert("TARGET".to_owned(), param(true, json!(["ip", "url"])));
    join(server, AgentProcess::builder(server).executor("e", "touch ran", Value::Object(params)))
}

/// Arguments, and what the refusal says of them.
fn table() -> Vec<(Value, &'static str)> {
    let takes = "e takes: INTEGER, STRING, PASSWORD, BOOLEAN, LIST, DOMAINS, RANGE, IP, FLOAT, URL, TARGET";
    let unexpected = |name: &str| -> &'static str { format!("unexpected argument {name}; {takes}").leak() };
    let long = "x".repeat(257);
    let quoted = format!("\"{}…", &long[..79]);
    vec![
        (json!({}), "mandatory argument TARGET is missing"),
        (json!({"TARGET": null}), "mandatory argument TARGET is missing"),
        (json!({"BOGUS": 1}), unexpected("BOGUS")),
        (json!({"XTARGETX": "10.0.0.1"}), unexpected("XTARGETX")),
        (json!({"TARGE": "10.0.0.1"}), unexpected("TARGE")),
        (json!({"target": "10.0.0.1"}), unexpected("target")),
        (
            json!({"TARGET": 5}),
            "TARGET = 5 is not an ip or a url; expected an address such as 10.0.0.1 or 2001:db8::1 or a URL such as https://example.com/",
        ),
        (json!({"TARGET": ["10.0.0.1"]}), "TARGET = [\"10.0.0.1\"] is not an ip or a url"),
        (json!({"INTEGER": "abc"}), "INTEGER = \"abc\" is not an integer; expected a whole number such as 80"),
        (json!({"INTEGER": 1.5}), "INTEGER = 1.5 is not an integer"),
        (json!({"INTEGER": true}), "INTEGER = true is not an integer"),
        (json!({"INTEGER": "80\n-oN"}), "INTEGER = \"80\\n-oN\" is not an integer"),
        (json!({"INTEGER": " 80"}), "INTEGER = \" 80\" is not an integer"),
        (json!({"STRING": 5}), "STRING = 5 is not a string; expected text of at most 256 characters"),
        (json!({"STRING": long}), format!("STRING = {quoted} is not a string").leak()),
        (json!({"PASSWORD": 987654321}), "PASSWORD is not a password; expected text of at most 256 characters"),
        (json!({"PASSWORD": long}), "PASSWORD is not a password; expected text of at most 256 characters"),
        (json!({"BOOLEAN": "maybe"}), "BOOLEAN = \"maybe\" is not a boolean; expected true or false"),
        (json!({"LIST": "a,b"}), "LIST = \"a,b\" is not a list; expected a JSON list such as [\"10.0.0.1\"]"),
        (json!({"LIST": [["a"]]}), "LIST = [[\"a\"]] is not a list"),
        (json!({"LIST": [{}]}), "LIST = [{}] is not a list"),
        (json!({"LIST": [null]}), "LIST = [null] is not a list"),
        (json!({"LIST": ["a", "b\n-oN"]}), "LIST = [\"a\",\"b\\n-oN\"] is not a list"),
        (json!({"RANGE": [1, -1]}), "RANGE = [1,-1] is not a range"),
        (json!({"DOMAINS": ["no domain"]}), "DOMAINS = [\"no domain\"] is not a list of domains"),
        (json!({"RANGE": "10-1"}), "RANGE = \"10-1\" is not a range; expected two ascending numbers such as 1-10"),
        (json!({"IP": "10.0.0.256"}), "IP = \"10.0.0.256\" is not an ip"),
        (json!({"IP": "fe80::1%../../x"}), "IP = \"fe80::1%../../x\" is not an ip"),
        (json!({"FLOAT": "x"}), "FLOAT = \"x\" is not a float; expected a number such as 0.5"),
        (json!({"URL": "gopher://x/"}), "URL = \"gopher://x/\" is not a url"),
        (json!({"STRING": "a\u{0}b"}), "STRING holds a NUL character, which no environment variable can; remove it"),
        (json!({"LIST": ["a", "b\u{0}"]}), "LIST holds a NUL character, which no environment variable can; remove it"),
        (
            json!({"LIST": ["x".repeat(131_072)]}),
            "LIST takes 131076 bytes, but an environment variable of this name holds 131050; split it over several runs",
        ),
    ]
}

#[test]
fn arguments_that_do_not_fit_are_refused_by_name() {
    with_both(|generation| {
        let server = standin(generation);
        let agent = start(&server);
        for (args, words) in table() {
            let mut args = args;
            // Only one thing is wrong with each.
            let others_wrong = args.get("TARGET").is_none() && args != json!({});
            if others_wrong {
                args["TARGET"] = json!("10.0.0.1");
            }
            let id = server.run("e", args.clone(), &["ws1"])[0];
            let status = server.wait_over(id, SOON);
            let message = format!("Executor e was not started: {words}");
            assert!(status.message.starts_with(&message), "{args}\n{}\n{message}", status.message);
            assert_eq!(payloads(&server, id), [refused(id, "e", &status.message)], "{args}");
        }
        assert!(!agent.dir().join("ran").exists());
        assert_eq!(server.attempts("ws1").len(), 0, "nothing is posted for a RUN that was refused");
        assert!(!agent.log().contains("987654321") && !server.replies().iter().any(|(_, text)| text.contains("98765")));
    });
}

#[test]
fn everything_that_is_wrong_is_told_at_once() {
    let server = standin(Generation::SocketIo);
    let _agent = start(&server);
    let id = server.run("e", json!({"BOGUS": 1, "INTEGER": "x"}), &["ws1"])[0];
    let status = server.wait_over(id, SOON);
    let expected = "Executor e was not started: mandatory argument TARGET is missing; unexpected argument BOGUS; e takes: \
                    INTEGER, STRING, PASSWORD, BOOLEAN, LIST, DOMAINS, RANGE, IP, FLOAT, URL, TARGET; INTEGER = \"x\" is not \
                    an integer; expected a whole number such as 80";
    assert_eq!(status.message, expected);
}

#[test]
fn an_executor_that_is_not_there_is_refused() {
    with_both(|generation| {
        let server = standin(generation);
        let _agent = start(&server);
        let id = server.run("ghost", json!({}), &["ws1"])[0];
        server.wait_over(id, SOON);
        let message = "The selected executor ghost does not exist in agent1 agent; it has: e";
        assert_eq!(payloads(&server, id), [refused(id, "ghost", message)]);
    });
}

#[test]
fn options_may_be_null_or_missing() {
    let server = standin(Generation::SocketIo);
    let _agent = join(&server, agent(&server, "[ -z \"$(env | grep AGENT_CONFIG)\" ]"));
    for plugin_args in [json!(null), json!({}), json!({"ignore_info": null, "vuln_tag": []})] {
        let id = server.run_with("e", json!({}), &["ws1"], plugin_args)[0];
        assert_eq!(server.wait_over(id, SOON).successful, Some(true));
        check_order(&server, id, "ws1");
    }
    let (ids, mut message) = server.prepare_run("e", json!({}), &["ws1"]);
    let fields = message.as_object_mut().expect("an object");
    fields.remove("plugin_args");
    fields.remove("args");
    server.send_message(&message);
    assert_eq!(server.wait_over(ids[0], SOON).successful, Some(true));
}

#[test]
fn options_that_nobody_documents_are_left_out_and_logged() {
    let server = standin(Generation::SocketIo);
    let agent = join(&server, agent(&server, "env | grep ^AGENT_CONFIG | sort > given"));
    let mut plugin_args = json!({
        "ignore_info": true, "Vuln_Tag": ["a", "b"], "host_tag": "h", "max_severity": "HIGH", "min_severity": null,
        "tag": "x", "a=b": "x", "": "x", "\n[forged] line": "x", "ıgnore_ınfo": "x", "PATH": "/tmp", "unset": null, "vuln_tags": ["x"],
    });
    for number in 0..200 {
        plugin_args[format!("option_{number}{}", "x".repeat(number))] = json!("secret-value");
    }
    let id = server.run_with("e", json!({}), &["ws1"], plugin_args)[0];
    let status = server.wait_over(id, SOON);
    assert_eq!(status.successful, Some(true), "{}", status.message);
    let given = fs::read_to_string(agent.dir().join("given")).expect("what the executor wrote");
    let expected = ["HOST_TAG=h", "IGNORE_INFO=True", "MAX_SEVERITY=HIGH", "VULN_TAG=a,b"];
    assert_eq!(given.lines().collect::<Vec<_>>(), expected.map(|entry| format!("AGENT_CONFIG_{entry}")));
    let log = agent.log();
    let lines: Vec<&str> = log.lines().filter(|line| line.contains("nobody documents")).collect();
    let [line] = lines[..] else { panic!("one line for one RUN: {lines:?}") };
    assert!(line.contains("[forged] line") && line.contains("199 more") && line.len() < 1_200, "{line}");
    assert!(!log.contains("secret-value"));
}

#[test]
fn a_documented_option_with_control_characters_is_refused() {
    let server = standin(Generation::SocketIo);
    let _agent = join(&server, agent(&server, "true"));
    for plugin_args in [json!({"vuln_tag": "a\u{0}"}), json!({"vuln_tag": ["a", "b\nAGENT_CONFIG_X=1"]})] {
        let id = server.run_with("e", json!({}), &["ws1"], plugin_args)[0];
        server.wait_over(id, SOON);
        let words = "option VULN_TAG holds a control character, such as a line break; remove it";
        assert_eq!(payloads(&server, id), [refused(id, "e", &format!("Executor e was not started: {words}"))]);
    }
}

/// Each argument fits, all together do not; what numbers take grows on the way.
#[test]
fn more_than_an_environment_holds_is_refused() {
    let server = standin(Generation::SocketIo);
    let names: Vec<String> = (0..20).map(|i| format!("LIST{i}")).collect();
    let params: Map<String, Value> = names.iter().map(|name| (name.clone(), param(false, "list"))).collect();
    let _agent = join(&server, AgentProcess::builder(&server).executor("e", "true", Value::Object(params)));
    let args: Map<String, Value> = names.iter().map(|name| (name.clone(), json!("@"))).collect();
    let (ids, message) = server.prepare_run("e", Value::Object(args), &["ws1"]);
    let list = format!("[{}]", vec!["1e5"; 6500].join(","));
    server.send_raw(&format!("42/dispatcher,[\"run\",{}]", message.to_string().replace("\"@\"", &list)));
    let status = server.wait_over(ids[0], SOON);
    let expected = "Executor e was not started: its arguments and options take 1170";
    assert!(status.message.starts_with(expected), "{}", status.message);
    assert!(
        status.message.contains(" bytes together, but an environment holds 1048576; split it"),
        "{}",
        status.message
    );
    assert_eq!(payloads(&server, ids[0]).len(), 1);
}

/// With what is configured it may be too much all the same (execve(2), E2BIG).
#[test]
fn more_than_a_process_can_be_given_is_told() {
    let server = standin(Generation::SocketIo);
    let varenvs: Map<String, Value> = (0..20).map(|i| (format!("V{i}"), json!("x".repeat(120_000)))).collect();
    let entry = json!({"cmd": "true", "varenvs": varenvs});
    let _agent = join(&server, AgentProcess::builder(&server).executor_entry("e", entry));
    let id = server.run("e", json!({}), &["ws1"])[0];
    let status = server.wait_over(id, SOON);
    let expected = "Executor e from agent1 failed: it could not be started: ";
    assert!(
        status.message.starts_with(expected) && status.message.contains("rgument list too long"),
        "{}",
        status.message
    );
    assert_eq!(payloads(&server, id).len(), 1);
}

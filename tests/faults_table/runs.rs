//! What crosses the wire in a run, word for word, and several runs at once.
//!
//! | row of the table                                   | test |
//! |----------------------------------------------------|------|
//! | two runs at once, same or different executor       | `two_runs_at_once_keep_their_ids` |
//! | 4 runs back to back                                | `four_runs_back_to_back_keep_their_workspaces` |
//! | 5 runs in the same millisecond                     | `five_runs_in_the_same_millisecond_keep_their_ids` |
//! | two workspaces in one run                          | `two_workspaces_get_everything_with_their_own_ids` |
//! | workspace name `a b/../c?d`                        | `a_workspaces_name_is_percent_encoded` |
//!
//! Of issue 2, "Command channel" and "Posting": JOIN_AGENT, RUN_STATUS, bodies, their order. Also more runs than may wait.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::rig::{
    agent, await_file, check_order, ended, join, joined, line, param, payloads, posts_of, print, standin, started,
    touch, with_both,
};
use crate::support::{AgentProcess, Generation, Post, SOON, Standin};

/// The payload of the join that came first.
fn join_message(server: &Standin) -> Value {
    let frame = server.wait_reply("a join", SOON, |text| text.contains("JOIN_AGENT"));
    match server.generation() {
        Generation::Raw => serde_json::from_str(&frame).expect("JSON"),
        Generation::SocketIo => {
            let rest = frame.strip_prefix("42/dispatcher,").expect("an event of the namespace");
            let json = rest.trim_start_matches(|c: char| c.is_ascii_digit());
            assert!(json.len() < rest.len(), "a join asks for an acknowledgement");
            let event: Value = serde_json::from_str(json).expect("JSON");
            assert_eq!(event[0], "join_agent");
            event[1].clone()
        }
    }
}

#[test]
fn a_join_offers_every_executor_with_its_parameters() {
    with_both(|generation| {
        let server = standin(generation);
        let params = json!({
            "TARGET": {"mandatory": true, "type": json!(["ip", "url"]), "base": "string"},
            "N": {"mandatory": false, "type": "integer", "base": "integer"},
        });
        let builder = agent(&server, "true").executor("scan", "true", params.clone());
        let _agent = join(&server, builder.executor_entry("nmap", json!({"repo_executor": "nmap.py"})));
        let message = join_message(&server);
        assert_eq!(
            (&message["action"], message.as_object().map(|fields| fields.len())),
            (&json!("JOIN_AGENT"), Some(3))
        );
        let offers = message["executors"].as_array().expect("a list").clone();
        let plain = |name: &str, args: Value| match generation {
            Generation::SocketIo => json!({"executor_name": name, "args": args, "category": [], "tool": ""}),
            Generation::Raw => json!({"executor_name": name, "args": args}),
        };
        assert_eq!(offers[..2], [plain("e", json!({})), plain("scan", params)]);
        assert_eq!(offers[2]["executor_name"], "nmap");
        assert_eq!(offers[2]["args"]["TARGET"], json!({"mandatory": true, "type": "list", "base": "list"}));
        assert_eq!(offers[2].get("tool").is_some(), generation == Generation::SocketIo);
    });
}

/// `2026-11-23T18:10:12.940110` of a time in UTC.
fn check_start_date(text: &str, since: SystemTime) {
    let shape: String = text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    assert_eq!(shape, "0000-00-00T00:00:00.000000");
    let day_second = |time: SystemTime| time.duration_since(UNIX_EPOCH).expect("after 1970").as_secs() % 86_400;
    let number = |range: std::ops::Range<usize>| text[range].parse::<u64>().expect("digits");
    let at = number(11..13) * 3600 + number(14..16) * 60 + number(17..19);
    let passed = (at + 86_400 - day_second(since)) % 86_400;
    assert!(passed < 60, "{text} is UTC and just now");
}

#[test]
fn a_run_says_and_posts_exactly_this() {
    with_both(|generation| {
        let server = standin(generation);
        let command = format!("{}; {}; exit 0", print("10.0.0.1"), await_file("go"));
        let params =
            json!({"TARGET": param(true, "string"), "SECRET": param(false, "password"), "N": param(false, "integer")});
        let agent = join(&server, AgentProcess::builder(&server).executor("e", &command, params));
        let since = SystemTime::now();
        let id = server.run("e", json!({"TARGET": "192.0.2.1", "SECRET": "hunter2", "N": 80}), &["ws1"])[0];
        server.wait_hosts("ws1", 1, SOON);
        // The two travel by connections of their own, so the server may see either of them first.
        server.wait_status(id, |status| status.running == Some(true), SOON);
        assert_eq!(payloads(&server, id), [started(&[id])]);
        touch(&agent, "go");
        server.wait_over(id, SOON);
        check_order(&server, id, "ws1");
        assert_eq!(payloads(&server, id), [started(&[id]), ended(&[id], true, "exit code 0; 1 host delivered")]);

        let token =
            server.look(|state| state.agents.values().next().map(|agent| agent.token.clone())).expect("an agent");
        let posts = server.attempts("ws1");
        assert!(posts.iter().all(|post| post.authorization == Some(format!("Agent {token}"))));
        let [first, closing] = posts.iter().map(Post::json).collect::<Vec<_>>().try_into().expect("two posts");
        let start_date = first["command"]["start_date"].as_str().expect("a date").to_owned();
        check_start_date(&start_date, since);
        let mut command = json!({
            "tool": "agent1", "command": "e", "user": "", "hostname": "", "params": "TARGET=192.0.2.1, N=80",
            "import_source": "agent", "start_date": start_date,
        });
        let host = json!({"ip": "10.0.0.1", "description": "a host"});
        assert_eq!(first, json!({"hosts": [host], "execution_id": id, "command": command}));
        command["duration"] = closing["command"]["duration"].clone();
        assert_eq!(closing, json!({"hosts": [], "execution_id": id, "command": command}));
    });
}

#[test]
fn a_host_is_posted_byte_for_byte_as_it_was_printed() {
    let host = r#"{ "ip":"10.0.0.1" ,"description" : "é \u00e9 \/ 1e3",
        "services": [ {"port": 80.0, "protocol":"tcp", "name":null} ], "unknown":{"a":[1.10,1E5,-0]} }"#;
    let server = standin(Generation::SocketIo);
    let _agent = join(&server, agent(&server, "cat output").file("output", format!("{{\"hosts\":[{host}]}}")));
    let id = server.run("e", json!({}), &["ws1"])[0];
    assert_eq!(server.wait_over(id, SOON).successful, Some(true));
    let posts = server.attempts("ws1");
    assert!(posts[0].body.windows(host.len()).any(|bytes| bytes == host.as_bytes()));
}

#[test]
fn credentials_travel_beside_hosts() {
    let credential = r#"{"username":"u","password":"p","endpoint":"ssh"}"#;
    let output =
        format!("{{\"credentials\":[{credential}]}}\n{{\"hosts\":[],\"credentials\":null}}\n{}", line("10.0.0.1"));
    let server = standin(Generation::SocketIo);
    let _agent = join(&server, agent(&server, "cat output").file("output", output));
    let id = server.run("e", json!({}), &["ws1"])[0];
    let status = server.wait_over(id, SOON);
    let expected = "Executor e from agent1 finished successfully: exit code 0; 1 host and 1 credential delivered";
    assert_eq!(status.message, expected);
    let bodies: Vec<Value> = server.posts("ws1").iter().map(Post::json).collect();
    let sent: Vec<&Value> = bodies.iter().filter_map(|body| body["credentials"].as_array()).flatten().collect();
    assert_eq!(sent, [&serde_json::from_str::<Value>(credential).expect("JSON")]);
    assert_eq!(server.host_ips("ws1"), ["10.0.0.1"]);
}

#[test]
fn two_workspaces_get_everything_with_their_own_ids() {
    with_both(|generation| {
        let server = standin(generation);
        server.workspace("ws2");
        let command = format!("{}; {}", print("10.0.0.1"), print("10.0.0.2"));
        let _agent = join(&server, agent(&server, &command));
        let ids = server.run("e", json!({}), &["ws1", "ws2"]);
        server.wait_over(ids[1], SOON);
        for (id, workspace) in ids.iter().zip(["ws1", "ws2"]) {
            check_order(&server, *id, workspace);
            assert_eq!(server.host_ips(workspace), ["10.0.0.1", "10.0.0.2"]);
            assert!(server.attempts(workspace).iter().all(|post| post.execution_id == Some(*id)));
            assert_eq!(payloads(&server, *id), [started(&ids), ended(&ids, true, "exit code 0; 2 hosts delivered")]);
        }
    });
}

#[test]
fn a_run_for_no_workspace_runs_and_posts_nothing() {
    with_both(|generation| {
        let server = standin(generation);
        let agent = join(&server, agent(&server, &format!("{}; touch ran", print("10.0.0.1"))));
        server.run("e", json!({}), &[]);
        let line = agent.wait_log("finished successfully", SOON);
        assert!(line.ends_with("exit code 0; 1 host read, for no workspace"), "{line}");
        assert!(agent.dir().join("ran").exists());
        let posts = server.requests().into_iter().filter(|(_, target, _)| target.contains("bulk_create")).count();
        assert_eq!(posts, 0);
    });
}

#[test]
fn a_workspaces_name_is_percent_encoded() {
    let server = standin(Generation::SocketIo);
    let name = "a b/../c?d#ü%41";
    server.workspace(name);
    let _agent = join(&server, agent(&server, &print("10.0.0.1")));
    let id = server.run("e", json!({}), &[name])[0];
    assert_eq!(server.wait_over(id, SOON).successful, Some(true));
    assert_eq!(server.host_ips(name), ["10.0.0.1"]);
    let targets: Vec<String> = server.requests().into_iter().map(|(_, target, _)| target).collect();
    let expected = "/_api/v3/ws/a%20b%2F..%2Fc%3Fd%23%C3%BC%2541/bulk_create";
    assert_eq!(targets.iter().filter(|target| *target == expected).count(), 2, "{targets:?}");
}

/// An executor that prints the argument and ends when it is told to.
fn naming_executor(server: &Standin) -> AgentProcess {
    let command = format!(
        "echo \"{{\\\"hosts\\\":[{{\\\"ip\\\":\\\"$EXECUTOR_CONFIG_IP\\\",\\\"description\\\":\\\"\\\"}}]}}\"; {}",
        await_file("go$EXECUTOR_CONFIG_IP"),
    );
    let params = json!({"IP": param(true, "ip")});
    let builder = AgentProcess::builder(server).executor("e", &command, params.clone());
    join(server, builder.executor("f", &format!("{command}; exit 3"), params))
}

#[test]
fn two_runs_at_once_keep_their_ids() {
    with_both(|generation| {
        let server = standin(generation);
        let agent = naming_executor(&server);
        let ips = ["10.0.0.1", "10.0.0.2", "10.0.0.3"];
        // The same executor twice, and another one.
        let ids: Vec<i64> = ["e", "e", "f"]
            .iter()
            .zip(ips)
            .map(|(name, ip)| server.run(name, json!({"IP": ip}), &["ws1"])[0])
            .collect();
        server.wait_hosts("ws1", 3, SOON);
        for i in [1, 2, 0] {
            // It comes by another connection than the hosts, which may be faster.
            server.wait_status(ids[i], |status| status.running == Some(true), SOON);
            assert_eq!(payloads(&server, ids[i]).len(), 1, "still running");
            touch(&agent, &format!("go{}", ips[i]));
            let status = server.wait_over(ids[i], SOON);
            assert_eq!(status.successful, Some(i != 2), "{}", status.message);
        }
        for (id, ip) in ids.iter().zip(ips) {
            check_order(&server, *id, "ws1");
            let sent: Vec<Value> = posts_of(&server, *id, "ws1").iter().map(Post::json).collect();
            assert_eq!(sent[0]["hosts"][0]["ip"], ip);
            assert_eq!(sent[0]["command"]["params"], format!("IP={ip}"));
        }
    });
}

#[test]
fn four_runs_back_to_back_keep_their_workspaces() {
    let server = standin(Generation::SocketIo);
    let (_agent, workspaces) = (naming_executor(&server), ["A", "B", "C", "D"]);
    workspaces.iter().for_each(|name| server.workspace(name));
    workspaces.iter().enumerate().for_each(|(i, _)| touch(&_agent, &format!("go10.0.0.{i}")));
    let ids: Vec<i64> = workspaces
        .iter()
        .enumerate()
        .map(|(i, name)| server.run("e", json!({"IP": format!("10.0.0.{i}")}), &[name])[0])
        .collect();
    for (i, (id, name)) in ids.iter().zip(workspaces).enumerate() {
        assert_eq!(server.wait_over(*id, SOON).successful, Some(true));
        check_order(&server, *id, name);
        assert_eq!(server.host_ips(name), [format!("10.0.0.{i}")]);
        assert!(server.attempts(name).iter().all(|post| (post.status, post.execution_id) == (201, Some(*id))));
    }
}

#[test]
fn five_runs_in_the_same_millisecond_keep_their_ids() {
    with_both(|generation| {
        let server = standin(generation);
        let _agent = join(&server, agent(&server, &print("10.0.0.1")));
        let ids: Vec<i64> = (0..5).map(|_| server.run("e", json!({}), &["ws1"])[0]).collect();
        for id in &ids {
            server.wait_over(*id, SOON);
            check_order(&server, *id, "ws1");
            assert_eq!(payloads(&server, *id), [started(&[*id]), ended(&[*id], true, "exit code 0; 1 host delivered")]);
        }
        assert!(server.attempts("ws1").iter().all(|post| post.status == 201));
        assert_eq!(server.posts("ws1").len(), 10);
    });
}

/// A document of an executor that prints now and then is not kept waiting for company.
#[test]
fn a_lone_document_travels_at_once() {
    let (server, agent) = joined(&format!("{}; {}; {}", await_file("go"), print("10.0.0.1"), await_file("end")));
    let id = server.run("e", json!({}), &["ws1"])[0];
    server.wait_status(id, |status| status.running == Some(true), SOON);
    let begin = Instant::now();
    touch(&agent, "go");
    server.wait_hosts("ws1", 1, SOON);
    // The executor itself looks every 20 ms; a machine that is busy with other tests takes its time, but not seconds.
    assert!(begin.elapsed().as_millis() < 2000, "{:?}", begin.elapsed());
    touch(&agent, "end");
    server.wait_over(id, SOON);
}

/// One runs, one waits; everyone else is told why not, all of them in a few statuses.
#[test]
fn more_runs_than_may_wait_are_refused_and_none_stays_open() {
    with_both(|generation| {
        let server = standin(generation);
        let builder = agent(&server, &await_file("go")).option("agent.max_concurrent_runs", 1);
        let agent = join(&server, builder.option("agent.waiting_runs_max", 1));
        let ids: Vec<i64> = (0..200).map(|_| server.run("e", json!({}), &["ws1"])[0]).collect();
        for id in &ids[2..] {
            let status = server.wait_over(*id, SOON);
            assert_eq!(status.successful, Some(false));
            assert!(status.message.starts_with("Executor e was not started: as many runs as"), "{}", status.message);
        }
        let refused =
            server.look(|state| state.statuses.iter().filter(|status| status.payload["successful"] == false).count());
        assert!(refused <= 198 / 2, "{refused} statuses for 198 refused runs");
        let journals = std::fs::read_dir(agent.state_dir().join("runs")).expect("its directory").flatten();
        let journals =
            journals.filter(|file| file.file_name().to_string_lossy().starts_with(|c: char| c.is_ascii_digit()));
        assert_eq!(journals.count(), 2);
        touch(&agent, "go");
        for id in &ids[..2] {
            assert_eq!(server.wait_over(*id, SOON).successful, Some(true));
        }
    });
}

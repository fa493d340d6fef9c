//! bulk_create against `bulk-create.md`: who may post what where, and what is kept. Bodies: `schema.rs`.

use serde_json::{Value, json};

use crate::client::{Http, Reply, bulk_create, request};
use crate::support::{Generation, SOON, Standin, Workspace};

pub fn server(generation: Generation) -> (Standin, String, i64) {
    let server = Standin::builder().generation(generation).workspace("ws1").workspace("ws2").start();
    let agent = server.add_agent();
    let (ids, _) = server.prepare_run("ok", json!({}), &["ws1"]);
    (server, agent, ids[0])
}

pub fn body(hosts: Value) -> Value {
    let command = json!({"tool": "agent1", "command": "ok", "user": "", "hostname": "", "params": "",
        "import_source": "agent", "start_date": "2026-11-23T18:10:12.940110"});
    json!({"hosts": hosts, "execution_id": 1, "command": command})
}

pub fn host(ip: &str) -> Value {
    json!({"ip": ip, "description": ""})
}

/// `body` with one host, in which the value at `pointer` is replaced or, for `Null` where a key is to go, removed.
pub fn with(pointer: &str, value: Value) -> Value {
    let vulnerability = json!({"name": "v", "type": "Vulnerability", "severity": "high"});
    let mut full = host("10.0.0.1");
    full["services"] = json!([{"port": 80, "protocol": "tcp", "vulnerabilities": [vulnerability]}]);
    full["vulnerabilities"] = json!([vulnerability]);
    let mut whole = body(json!([full]));
    whole["credentials"] = json!([{"username": "u", "password": "p"}]);
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    let parent = whole.pointer_mut(parent).unwrap().as_object_mut().unwrap();
    match value == json!("REMOVED") {
        true => drop(parent.remove(key)),
        false => drop(parent.insert(key.to_owned(), value)),
    }
    whole
}

#[test]
fn a_post_is_taken_and_kept() {
    for generation in [Generation::SocketIo, Generation::Raw] {
        let (server, agent, id) = server(generation);
        let sent = body(json!([host("10.0.0.1"), host("10.0.0.2")]));
        let reply = bulk_create(&server, "ws1", &agent, &sent.to_string());
        assert_eq!((reply.status, reply.body.as_str()), (201, r#"{"command_id":1,"message":"Created"}"#));
        let closing = bulk_create(&server, "ws1", &agent, &with("/command/duration", json!(1036513.0)).to_string());
        assert_eq!(closing.json()["command_id"], 2);
        assert_eq!(server.wait_hosts("ws1", 3, SOON).len(), 3);
        assert_eq!(server.host_ips("ws1"), ["10.0.0.1", "10.0.0.2", "10.0.0.1"]);
        let posts = server.wait_posts("ws1", 2, SOON);
        assert_eq!((posts[0].execution_id, posts[0].hosts), (Some(id), 2));
        assert_eq!(posts[0].authorization.as_deref(), Some(format!("Agent {agent}").as_str()));
        assert_eq!(posts[0].json(), sent);
        assert_eq!(posts[1].credentials, 1);
        assert!(server.losses().is_empty());
        assert!(server.posts("ws2").is_empty());
    }
}

#[test]
fn who_may_write_where() {
    let good = body(json!([])).to_string();
    // Workspace, its state, answers of servers from 5.0 and before.
    let cases = [
        ("ws1", Some(Workspace::Active), (201, "Created"), (201, "Created")),
        ("off", Some(Workspace::Inactive), (401, "<p>"), (403, "Disabled workspace: off")),
        ("none", None, (401, "<p>"), (404, "No such workspace: none")),
        ("ro", Some(Workspace::ReadOnly), (403, "readonly workspace"), (403, "readonly workspace")),
    ];
    for (name, state, new, old) in cases {
        for (generation, wanted) in [(Generation::SocketIo, new), (Generation::Raw, old)] {
            let (server, agent, _) = server(generation);
            state.into_iter().for_each(|state| server.set_workspace(name, state));
            let reply = bulk_create(&server, name, &agent, &good);
            assert_eq!(reply.status, wanted.0, "{generation:?} {name}");
            assert!(reply.body.contains(wanted.1), "{}", reply.body);
            assert_eq!(server.attempts(name).len(), 1);
        }
    }
    let (server, agent, _) = server(Generation::SocketIo);
    assert_eq!(bulk_create(&server, "ws1", "unknown", &good).status, 403);
    assert_eq!(request(&server, "POST", "/_api/v3/ws/ws1/bulk_create", &[], &good).status, 401);
    assert_eq!(request(&server, "POST", "/_api/v3/ws/ws1/bulk_create/", &[], &good).status, 405);
    assert_eq!(request(&server, "GET", "/_api/v3/ws/ws1/bulk_create", &[], "").status, 404);
    server.workspace("a b/../c?d");
    let id = server.prepare_run("ok", json!({}), &["a b/../c?d"]).0[0];
    let mut odd = body(json!([]));
    odd["execution_id"] = json!(id);
    assert_eq!(bulk_create(&server, "a%20b%2F..%2Fc%3Fd", &agent, &odd.to_string()).status, 201);
    assert_eq!(server.posts("a b/../c?d").len(), 1);
    server.set_agent_active(&agent, false);
    assert_eq!(bulk_create(&server, "ws1", &agent, &good).status, 201, "an agent that is switched off may post");
}

#[test]
fn executions_are_checked_after_the_schema() {
    let (server, agent, _) = server(Generation::SocketIo);
    let foreign = server.prepare_run("ok", json!({}), &["ws2"]).0[0];
    let post = |id: Value| bulk_create(&server, "ws1", &agent, &with("/execution_id", id).to_string());
    let page = |reply: Reply, text: &str| {
        assert_eq!(reply.status, 400);
        assert!(reply.head.contains("text/html") && reply.body.contains(text), "{reply:?}");
    };
    page(post(json!("REMOVED")), "argument expected: execution_id");
    page(post(json!(99)), "Can not find an agent execution with that id");
    page(post(json!(foreign)), "Trying to write to the incorrect workspace");
    assert_eq!(post(json!("1")).status, 201);
    assert_eq!(post(Value::Null).body, r#"{"messages":{"json":{"execution_id":["Field may not be null."]}}}"#);
    page(bulk_create(&server, "ws1", &agent, "{"), "");
    let list = bulk_create(&server, "ws1", &agent, "[]");
    assert_eq!(list.body, r#"{"messages":{"json":{"_schema":["Invalid input type."]}}}"#);
    let missing = r#"{"messages":{"json":{"hosts":["Missing data for required field."],"command":["Missing data for required field."]}}}"#;
    assert_eq!(bulk_create(&server, "ws1", &agent, "{}").body, missing);
    let authorization = format!("Agent {agent}");
    let headers = [("Authorization", authorization.as_str()), ("Content-Type", "text/plain")];
    assert_eq!(request(&server, "POST", "/_api/v3/ws/ws1/bulk_create", &headers, "{}").body, missing);
}

#[test]
fn a_counting_server_keeps_numbers_only() {
    let server = Standin::builder().workspace("ws1").counting().start();
    let agent = server.add_agent();
    let (mut http, authorization) = (Http::connect(server.api_port()), format!("Agent {agent}"));
    let headers = [("Authorization", authorization.as_str())];
    for ids in [0..1000, 990..1500] {
        let hosts: Vec<Value> = ids.map(|id: u64| host(&id.to_string())).collect();
        http.send("POST", "/_api/v3/ws/ws1/bulk_create", &headers, body(json!(hosts)).to_string().as_bytes());
        assert_eq!(http.receive().unwrap().status, 201);
    }
    http.send("POST", "/_api/v3/ws/ws1/bulk_create", &headers, br#"{"hosts": [{"ip": "1501"}, {"ip":"x"}]}"#);
    let counts = server.wait_counted(1512, SOON);
    assert_eq!((counts.hosts, counts.repeats, counts.ids()), (1512, 10, 1501));
    assert_eq!(counts.missing(0..1502), [1500]);
    assert!(server.posts("ws1").is_empty() && server.requests().is_empty());
}

//! Reachability, registration, websocket tokens.

use std::time::Duration;

use serde_json::json;

use crate::client::{Http, request};
use crate::support::{Generation, Standin};

const BOTH: [Generation; 2] = [Generation::SocketIo, Generation::Raw];

fn server(generation: Generation) -> Standin {
    Standin::builder().generation(generation).start()
}

#[test]
fn info_answers_by_generation() {
    let new = request(&server(Generation::SocketIo), "GET", "/_api/v3/info", &[], "");
    assert_eq!(new.status, 401);
    assert!(new.head.contains("Content-Type: text/html"));
    let old = request(&server(Generation::Raw), "GET", "/_api/v3/info", &[], "");
    assert_eq!((old.status, old.body.as_str()), (200, r#"{"Faraday Server":"Running","Version":"4.6.2"}"#));
    assert!(old.head.starts_with("HTTP/1.1 200 OK\r\n"));
}

#[test]
fn registration_gives_a_token_and_names_what_is_wrong() {
    for generation in BOTH {
        let server = server(generation);
        assert_eq!(server.registration_token(), "123456");
        let register = |body: &str| request(&server, "POST", "/_api/v3/agents", &[], body);
        let first = register(r#"{"token":"123456","name":"a","workspaces":[]}"#);
        assert_eq!(first.status, 201);
        assert!(first.head.starts_with("HTTP/1.1 201 CREATED\r\n"));
        let first = first.json();
        assert_eq!((&first["id"], &first["name"]), (&json!(1), &json!("a")));
        let token = first["token"].as_str().unwrap();
        assert!(token.len() == 64 && token.bytes().all(|b| b.is_ascii_alphanumeric()));
        assert_eq!(first.get("description").is_some(), generation == Generation::SocketIo);
        let second = register(r#"{"token":"123456","name":"a"}"#).json();
        assert_eq!(second["id"], 2);
        assert_ne!(second["token"], first["token"]);

        let wrong = register(r#"{"token":"654321","name":"a"}"#);
        assert_eq!(wrong.status, 401);
        assert!(wrong.body.contains("<p>Invalid Token</p>"));
        assert!(wrong.head.contains("Content-Type: text/html"));
        let nameless = register(r#"{"token":"123456"}"#);
        assert_eq!(nameless.status, 400);
        assert_eq!(nameless.body, r#"{"messages":{"json":{"name":["Missing data for required field."]}}}"#);
        let number = register(r#"{"token":123456,"name":"a"}"#);
        assert_eq!(number.body, r#"{"messages":{"json":{"token":["Not a valid string."]}}}"#);
        assert_eq!(register("not json").status, 400);
    }
}

#[test]
fn websocket_tokens_are_for_agents_only() {
    let server = server(Generation::Raw);
    let agent = server.add_agent();
    let ask = |method: &str, target: &str, authorization: &str| {
        let headers = [("authorization", authorization)];
        let headers = if authorization.is_empty() { &[][..] } else { &headers[..] };
        request(&server, method, target, headers, "")
    };
    let path = "/_api/v3/agent_websocket_token";
    for good in [format!("Agent {agent}"), format!("agent {agent}  ")] {
        let reply = ask("POST", path, &good);
        assert_eq!(reply.status, 200);
        assert_eq!(reply.json()["token"].as_str().unwrap().split('.').count(), 3);
    }
    let good = format!("Agent {agent}");
    let cases = [
        ("POST", path, "", 401, "text/html"),
        ("POST", path, agent.as_str(), 401, "text/html"),
        ("GET", path, good.as_str(), 401, "text/html"),
        ("POST", "/_api/v3/agent_websocket_token/", good.as_str(), 401, "text/html"),
        ("GET", "/_api/v3/agents", good.as_str(), 401, "text/html"),
        ("POST", path, "Token abc", 500, "application/json"),
        ("POST", path, "Agent unknown", 403, "application/json"),
    ];
    for (method, target, authorization, status, kind) in cases {
        let reply = ask(method, target, authorization);
        assert_eq!(reply.status, status, "{method} {target} {authorization}");
        assert!(reply.head.contains(&format!("Content-Type: {kind}")));
    }
    server.set_agent_active(&agent, false);
    assert_eq!(ask("POST", path, &good).status, 403);
    server.set_agent_active(&agent, true);
    server.delete_agent(&agent);
    assert_eq!(ask("POST", path, &good).status, 403);
}

#[test]
fn a_connection_serves_many_requests_and_chunks() {
    let server = server(Generation::SocketIo);
    let mut http = Http::connect(server.api_port());
    http.send("GET", "/_api/v3/info", &[], b"");
    assert_eq!(http.receive().unwrap().status, 401);
    http.write(b"POST /_api/v3/agents HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n");
    http.write(b"6\r\n{\"name\r\n1a;x=y\r\n\":\"a\",\"token\": \"123456\" }\r\n0\r\nTrailer: x\r\n\r\n");
    assert_eq!(http.receive().unwrap().status, 201);
    http.send("POST", "/_api/v3/agents", &[("Expect", "100-continue"), ("Connection", "close")], b"{}");
    assert_eq!(http.receive().unwrap().status, 100);
    assert_eq!(http.receive().unwrap().status, 400);
    assert_eq!(http.receive_all().unwrap(), b"");
    let statuses: Vec<_> = server.requests().into_iter().map(|(_, _, status)| status).collect();
    assert_eq!(statuses, [Some(401), Some(201), Some(400)]);
}

#[test]
fn what_is_not_http_is_told_so() {
    let server = server(Generation::SocketIo);
    let mut http = Http::connect(server.api_port());
    http.write(b"\x16\x03\x01\x02\x00\x01\n");
    assert_eq!(http.receive().unwrap().status, 400);
    assert_eq!(http.receive_all().unwrap(), b"");
}

#[test]
fn the_base_route_stands_before_every_path() {
    let server = Standin::builder().base_route("/x/y/").start();
    assert!(server.url().ends_with("/x/y"));
    let status = |target: &str| request(&server, "GET", target, &[], "").status;
    assert_eq!(status("/x/y/_api/v3/info"), 401);
    assert_eq!(status("/x/y/_api/config"), 200);
    assert_eq!(status("/_api/v3/info"), 404);
}

#[test]
fn two_stand_ins_do_not_know_each_other() {
    let (a, b) = (server(Generation::Raw), server(Generation::Raw));
    let ports = [a.api_port(), a.websocket_port(), b.api_port(), b.websocket_port()];
    let different: std::collections::BTreeSet<u16> = ports.into_iter().collect();
    assert_eq!(different.len(), 4);
    a.workspace("ws1");
    assert!(b.look(|state| state.workspaces.is_empty()));
}

#[test]
#[should_panic(
    expected = "in vain for join number 1\nagent 1 \"agent1\": link None\nworkspace ws1: 0 posts, 0 hosts taken"
)]
fn a_failed_wait_says_what_was_seen() {
    let server = Standin::builder().workspace("ws1").start();
    server.add_agent();
    server.wait_joined(Duration::from_millis(1));
}

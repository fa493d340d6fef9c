//! The raw websocket channel against `raw-websocket.md`.

use serde_json::{Value, json};
use tungstenite::Message;
use tungstenite::protocol::frame::Frame;
use tungstenite::protocol::frame::coding::{Data, OpCode};

use crate::client::{End, Http, Ws, websocket_token};
use crate::support::{Generation, SOON, Standin};

fn server() -> Standin {
    Standin::builder().generation(Generation::Raw).workspace("ws1").workspace("ws2").start()
}

fn join_message(token: &str) -> Value {
    let executors = json!([{"executor_name": "ok", "args": {}}, {"executor_name": "incomplete"}]);
    json!({"action": "JOIN_AGENT", "token": token, "executors": executors})
}

fn join(server: &Standin, agent: &str) -> Ws {
    let mut ws = Ws::connect(server, "/websockets");
    let joins = server.joins().len();
    ws.send(&join_message(&websocket_token(server, agent)).to_string());
    server.wait_joined_nth(joins + 1, SOON);
    ws
}

#[test]
fn the_port_says_what_it_is_and_takes_any_path() {
    let server = server();
    assert_ne!(server.api_port(), server.websocket_port());
    let mut http = Http::connect(server.websocket_port());
    http.send("GET", "/", &[], b"");
    let reply = http.receive().unwrap();
    assert_eq!((reply.status, reply.body.as_str()), (200, "This is a websocket port."));
    let mut http = Http::connect(server.websocket_port());
    let headers = [("Upgrade", "websocket"), ("Sec-WebSocket-Key", "eEG+6qruYpxsoH5kNKEVMA==")];
    http.send("GET", "/websockets", &headers, b"");
    let reply = http.receive().unwrap();
    assert!(reply.head.contains("Upgrade: WebSocket\r\n"), "in mixed case");
    assert!(reply.head.contains("Sec-WebSocket-Accept: VRdCxaErTcGii5/DtXsOciL+k2I=\r\n"));
    Ws::connect(&server, "/foo").expect_silence();
    let mut http = Http::connect(server.api_port());
    http.send("GET", "/socket.io/?EIO=4&transport=websocket", &headers, b"");
    assert_eq!(http.receive().unwrap().status, 404);
}

#[test]
fn a_session_as_recorded() {
    let server = server();
    let agent = server.add_agent();
    let mut ws = join(&server, &agent);
    ws.expect_silence();
    let ids = server.run("ok", json!({"TARGET": "192.0.2.1"}), &["ws1", "ws2"]);
    let run: Value = serde_json::from_str(&ws.text()).unwrap();
    let plugin_args = json!({"ignore_info": false, "resolve_hostname": true, "vuln_tag": null, "service_tag": null, "host_tag": null});
    assert_eq!(
        run,
        json!({"execution_ids": ids, "agent_id": 1, "workspaces": ["ws1", "ws2"], "action": "RUN",
        "executor": "ok", "args": {"TARGET": "192.0.2.1"}, "plugin_args": plugin_args})
    );
    let mut say = |status: Value, what: &str| {
        ws.send(&status.to_string());
        let status = server.wait_status(ids[0], |status| status.message == what, SOON);
        (status.running, status.successful)
    };
    let status =
        json!({"action": "RUN_STATUS", "execution_ids": ids, "executor_name": "ok", "running": true, "message": "a"});
    assert_eq!(say(status, "a"), (Some(true), None));
    let status = json!({"action": "RUN_STATUS", "execution_ids": ids, "executor_name": "ok", "successful": true, "message": "b"});
    assert_eq!(say(status, "b"), (None, Some(true)), "an absent key becomes NULL");
    assert!(server.status(ids[1]).unwrap().is_over());
    ws.send(&json!({"action": "LEAVE_AGENT", "token": "whatever", "reason": "SIGTERM received"}).to_string());
    server.wait_offline(SOON);
    ws.say_close(1000, "SIGTERM received");
    assert_eq!(ws.end(), End::Close(Some((1000, String::new()))));
}

#[test]
fn refused_joins_are_closed_with_a_reason() {
    let server = server();
    let agent = server.add_agent();
    let end = |message: Value| {
        let mut ws = Ws::connect(&server, "/websockets");
        ws.send(&message.to_string());
        ws.end()
    };
    let closed = |reason: &str| End::Close(Some((1000, reason.to_owned())));
    assert_eq!(end(join_message("bad")), closed("Invalid agent token!"));
    let token = websocket_token(&server, &agent);
    server.refuse_joins(1);
    assert_eq!(end(join_message(&token)), closed("Invalid agent token!"));
    assert_eq!(end(json!({"action": "JOIN_AGENT", "token": token})), closed("Invalid JOIN_AGENT message"));
    assert_eq!(end(json!({"action": "JOIN_AGENT", "executors": []})), closed("Invalid JOIN_AGENT message"));
    assert_eq!(end(json!({"action": "JOIN_AGENT", "token": token, "executors": null})), End::Eof);
    server.expire_tokens();
    assert_eq!(end(join_message(&token)), closed("Invalid agent token!"));
}

#[test]
fn messages_that_the_server_cannot_handle_end_the_connection_without_close() {
    let server = server();
    let agent = server.add_agent();
    let status = |key: &str, value: Value| {
        let mut status = json!({"action": "RUN_STATUS", "execution_ids": [1], "executor_name": "ok", "running": true});
        status[key] = value;
        status.to_string()
    };
    let fatal = [
        "not json".to_owned(),
        "[]".to_owned(),
        "{\"error\":\"no action\"}".to_owned(),
        "{\"action\":\"X\"}{\"action\":\"X\"}".to_owned(),
        status("execution_ids", Value::Null),
        status("execution_id", json!(1)),
        status("successful", json!("yes")),
    ];
    for text in fatal {
        let mut ws = join(&server, &agent);
        ws.send(&text);
        assert_eq!(ws.end(), End::Eof, "{text}");
    }
    for action in ["LEAVE_AGENT", "RUN_STATUS"] {
        let mut stranger = Ws::connect(&server, "/websockets");
        stranger.send(&json!({"action": action, "execution_ids": [1]}).to_string());
        assert_eq!(stranger.end(), End::Eof, "{action} without a join");
    }
}

#[test]
fn harmless_messages_are_ignored() {
    let server = server();
    let agent = server.add_agent();
    let mut ws = join(&server, &agent);
    let id = server.run("ok", json!({}), &["ws1"])[0];
    ws.text();
    let before = server.status(id);
    ws.send("{\"action\":\"SING\"}");
    ws.send(&json!({"action": "RUN_STATUS", "execution_ids": [id], "running": true}).to_string());
    ws.send(
        &json!({"action": "RUN_STATUS", "execution_ids": [99], "executor_name": "ok", "running": true}).to_string(),
    );
    ws.send_message(Message::binary(b"{}".to_vec()));
    ws.expect_silence();
    assert_eq!(server.status(id), before);
    // Fragmented text is put together.
    let frame = |text: &str, opcode: Data, last: bool| {
        Message::Frame(Frame::message(text.as_bytes().to_vec(), OpCode::Data(opcode), last))
    };
    ws.send_message(frame("{\"action\":", Data::Text, false));
    ws.send_message(frame("\"LEAVE_AGENT\"}", Data::Continue, true));
    server.wait_offline(SOON);
    ws.expect_silence();
}

#[test]
fn the_old_connection_of_an_agent_is_no_longer_its_own() {
    let server = server();
    let agent = server.add_agent();
    let (mut old, mut new) = (join(&server, &agent), join(&server, &agent));
    let ids = server.run("ok", json!({}), &["ws1"]);
    assert!(new.text().contains("RUN"));
    old.expect_silence();
    new.send(
        &json!({"action": "RUN_STATUS", "execution_ids": ids, "executor_name": "ok", "running": true}).to_string(),
    );
    server.wait_status(ids[0], |status| status.running == Some(true), SOON);
    old.send("{\"action\":\"LEAVE_AGENT\"}");
    assert_eq!(old.end(), End::Eof);
    assert!(server.is_online());
    drop(new);
    server.wait_offline(SOON);
    assert_eq!(server.status(ids[0]).unwrap().running, Some(true), "these servers leave runs as they were");
}

//! The Socket.IO channel against `socketio.md`.

use std::time::Duration;

use serde_json::{Value, json};
use tungstenite::Message;

use crate::client::{End, Http, Ws, websocket_token};
use crate::support::{Cut, SOON, Standin};

const PATH: &str = "/socket.io/?EIO=4&transport=websocket";
const GREETING: &str = r#"42/dispatcher,["message","Connected to faraday websocket"]"#;
const JOINED: &str = r#"42/dispatcher,["message","Agent joined correctly to dispatcher namespace"]"#;
const REFUSED: &str = r#"42/dispatcher,["disconnect",{"reason":"Invalid agent token!"}]"#;

fn server() -> Standin {
    Standin::builder().workspace("ws1").workspace("ws2").start()
}

/// A client that has entered the namespace.
fn enter(server: &Standin) -> Ws {
    let mut ws = Ws::connect(server, PATH);
    assert!(ws.text().starts_with("0{"));
    ws.send("40/dispatcher,");
    ws.expect(GREETING);
    assert!(ws.text().starts_with(r#"40/dispatcher,{"sid":""#));
    ws
}

fn join_text(token: &str, ack: &str) -> String {
    let join = json!(["join_agent", {"action": "JOIN_AGENT", "token": token, "executors": [
        {"executor_name": "nmap", "args": {}, "category": ["Network Tools"], "tool": "nmap"},
    ]}]);
    format!("42/dispatcher,{ack}{join}")
}

/// An agent that has joined.
fn join(server: &Standin, agent: &str) -> Ws {
    let mut ws = enter(server);
    ws.send(&join_text(&websocket_token(server, agent), "0"));
    ws.expect(JOINED);
    ws.expect("43/dispatcher,0[]");
    ws
}

fn status_text(status: &Value, ack: &str) -> String {
    format!("42/dispatcher,{ack}{}", json!(["run_status", status.to_string()]))
}

#[test]
fn the_frames_come_in_the_recorded_order() {
    let server = server();
    let agent = server.add_agent();
    let mut ws = Ws::connect(&server, PATH);
    let open: Value = serde_json::from_str(ws.text().strip_prefix('0').unwrap()).unwrap();
    assert_eq!(
        (&open["upgrades"], &open["pingTimeout"], &open["pingInterval"], &open["maxPayload"]),
        (&json!([]), &json!(220_000), &json!(60_000), &json!(1_000_000))
    );
    ws.send("40/dispatcher,");
    ws.expect(GREETING);
    assert!(ws.text().starts_with(r#"40/dispatcher,{"sid":""#));
    ws.send(&join_text(&websocket_token(&server, &agent), ""));
    ws.expect(JOINED);
    let joined = server.wait_joined(SOON);
    assert_eq!(joined.executors[0]["executor_name"], "nmap");
    assert!(server.is_online());

    let ids = server.run("nmap", json!({"TARGET": ["10.0.0.1"], "N": 1}), &["ws1", "ws2"]);
    assert_eq!(ids, [1, 2]);
    ws.expect(concat!(
        r#"42/dispatcher,["run",{"execution_ids":[1,2],"agent_id":1,"workspaces":["ws1","ws2"],"action":"RUN","executor":"nmap","#,
        r#""args":{"TARGET":["10.0.0.1"],"N":1},"plugin_args":{"ignore_info":false,"resolve_hostname":true,"vuln_tag":null,"#,
        r#""service_tag":null,"hostname_tag":null,"min_severity":null,"max_severity":null}}]"#
    ));
    ws.send(&status_text(&json!({"action": "RUN_STATUS", "execution_ids": [1], "running": true}), "7"));
    ws.expect("43/dispatcher,7[]");
    ws.send("42/dispatcher,[\"leave_agent\"]");
    ws.expect("41/dispatcher,");
    server.wait_offline(SOON);
}

#[test]
fn handshakes_that_are_not_engine_io_4_are_closed_or_refused() {
    let server = server();
    let paths = [
        "/socket.io/?transport=websocket",
        "/socket.io/?EIO=3&transport=websocket",
        "/socket.io/?EIO=4",
        "/socket.io?EIO=4&transport=websocket",
        "/socket.io/?EIO=4&transport=websocket&sid=unknown",
    ];
    for path in paths {
        assert_eq!(Ws::connect(&server, path).end(), End::Close(None), "{path}");
    }
    let (upgrade, key, version) =
        (("Upgrade", "websocket"), ("Sec-WebSocket-Key", "eEG+6qruYpxsoH5kNKEVMA=="), ("Sec-WebSocket-Version", "13"));
    for (headers, status) in [(&[key, version][..], 400), (&[upgrade, version], 400), (&[upgrade, key], 426)] {
        let mut http = Http::connect(server.api_port());
        http.send("GET", PATH, headers, b"");
        assert_eq!(http.receive().unwrap().status, status);
    }
    let mut http = Http::connect(server.api_port());
    http.send("GET", "/websockets", &[upgrade, key, version], b"");
    assert_eq!(http.receive().unwrap().status, 404, "the raw channel is not on these servers");
}

#[test]
fn answers_are_broadcast_to_everybody_in_the_namespace() {
    let server = server();
    let agent = server.add_agent();
    let mut other = enter(&server);
    let mut ws = join(&server, &agent);
    other.expect(GREETING);
    other.expect(JOINED);
    other.send(&join_text("bad", "5"));
    other.expect(REFUSED);
    other.expect("43/dispatcher,5[]");
    ws.expect(REFUSED);
    server.refuse_stranger();
    ws.expect(REFUSED);
    assert!(server.is_online(), "a stranger's failure is not ours");
}

#[test]
fn a_refused_join_leaves_the_connection_usable() {
    let server = Standin::builder().token_lifetime(Duration::ZERO).start();
    let agent = server.add_agent();
    let mut ws = enter(&server);
    ws.send(&join_text(&websocket_token(&server, &agent), "1"));
    ws.expect(REFUSED);
    ws.expect("43/dispatcher,1[]");
    ws.send("42/dispatcher,2[\"join_agent\",{\"token\":\"x\"}]");
    ws.expect(r#"42/dispatcher,["disconnect",{"reason":"Invalid join agent message"}]"#);
    ws.expect("43/dispatcher,2[]");

    let server = self::server();
    let agent = server.add_agent();
    let mut ws = enter(&server);
    server.refuse_joins(1);
    let old = websocket_token(&server, &agent);
    ws.send(&join_text(&old, "1"));
    ws.expect(REFUSED);
    ws.expect("43/dispatcher,1[]");
    server.expire_tokens();
    ws.send(&join_text(&old, "2"));
    ws.expect(REFUSED);
    ws.expect("43/dispatcher,2[]");
    ws.send(&join_text(&websocket_token(&server, &agent), "3"));
    ws.expect(JOINED);
    ws.expect("43/dispatcher,3[]");
}

#[test]
fn statuses_merge_and_the_wrong_ones_are_dropped_without_an_ack() {
    let server = server();
    let agent = server.add_agent();
    let mut ws = join(&server, &agent);
    let id = server.run("nmap", json!({}), &["ws1"])[0];
    ws.text();
    let mut say = |status: Value| {
        ws.send(&status_text(&status, "9"));
        ws.expect("43/dispatcher,9[]");
        let status = server.status(id).unwrap();
        (status.running, status.successful, status.message, status.ended)
    };
    let started = say(json!({"execution_ids": [id], "running": true, "message": "started"}));
    assert_eq!(started, (Some(true), None, "started".to_owned(), None));
    let kept = say(json!({"execution_ids": [id, 99], "running": null, "successful": null}));
    assert_eq!(kept, started);
    let ended = say(json!({"execution_ids": [id], "running": false, "successful": true, "message": "done"}));
    assert_eq!((ended.0, ended.1, ended.2.as_str()), (Some(false), Some(true), "done"));
    let later = say(json!({"execution_ids": [id], "running": false, "successful": false}));
    assert_eq!(later, (Some(false), Some(false), "done".to_owned(), ended.3));

    let before = server.status(id);
    let dropped = [
        format!("42/dispatcher,9{}", json!(["run_status", {"execution_ids": [id], "running": true}])),
        "42/dispatcher,9[\"run_status\",\"not json\"]".to_owned(),
        status_text(&json!({"running": true}), "9"),
        status_text(&json!({"execution_ids": ["1"], "running": true}), "9"),
        status_text(&json!({"execution_ids": [id], "running": "yes"}), "9"),
        status_text(&json!({"execution_ids": [id], "running": true, "message": "a\0b"}), "9"),
        status_text(&json!({"execution_ids": [id], "running": true, "message": 5}), "9"),
        "42/dispatcher,9[\"leave_agent\",{}]".to_owned(),
    ];
    for text in dropped {
        ws.send(&text);
        ws.expect_silence();
        assert_eq!(server.status(id), before, "{text}");
    }
    assert_eq!(server.statuses(id).len(), 7, "those that were JSON with ids are kept to be looked at");
}

#[test]
fn pings_are_sent_and_missed_answers_end_the_link() {
    let server = Standin::builder().pings(Duration::from_millis(30), Duration::from_secs(1)).start();
    let agent = server.add_agent();
    server.stop_pings(true);
    let mut ws = join(&server, &agent);
    server.stop_pings(false);
    for _ in 0..3 {
        ws.expect("2");
        ws.send("3");
    }
    ws.send_message(Message::Ping(vec![1, 2].into()));
    loop {
        // The server's own pings come in between.
        match ws.message() {
            Message::Pong(payload) => break assert_eq!(payload[..], [1, 2]),
            other => assert_eq!(other, Message::text("2")),
        }
    }
    assert_eq!(ws.end(), End::Eof);
    server.wait_offline(SOON);
}

#[test]
fn pings_can_be_stopped() {
    let server = Standin::builder().pings(Duration::from_millis(20), SOON).start();
    server.stop_pings(true);
    let mut ws = enter(&server);
    ws.expect_silence();
    server.stop_pings(false);
    ws.expect("2");
}

#[test]
fn odd_frames_end_the_connection() {
    let server = Standin::builder().max_payload(1000).start();
    let close = |frame: &str| {
        let mut ws = enter(&server);
        ws.send(frame);
        ws.end()
    };
    for frame in ["", "9", "x", "1"] {
        assert_eq!(close(frame), End::Close(None), "{frame:?}");
    }
    assert_eq!(close(&format!("4{}", "x".repeat(2000))), End::Close(None));
    let mut ws = enter(&server);
    ws.say_close(1000, "bye");
    assert_eq!(ws.end(), End::Close(Some((1000, String::new()))));
    let mut ws = enter(&server);
    for harmless in ["5", "49", "42/dispatcher,{", "42/dispatcher,[\"unknown\"]", "42[\"join_agent\",{}]"] {
        ws.send(harmless);
    }
    ws.expect("6");
    ws.send_message(Message::binary(vec![1]));
    ws.expect_silence();
}

#[test]
fn a_lost_link_fails_the_running_executions() {
    let server = server();
    let agent = server.add_agent();
    for cut in [Cut::Fin, Cut::Reset] {
        let mut ws = join(&server, &agent);
        let ids = server.run("nmap", json!({}), &["ws1", "ws2"]);
        ws.text();
        ws.send(&status_text(&json!({"execution_ids": [ids[0]], "running": true, "successful": null}), ""));
        server.wait_status(ids[0], |status| status.running == Some(true), SOON);
        server.cut_links(cut);
        assert_eq!(ws.end(), if cut == Cut::Fin { End::Eof } else { End::Reset });
        server.wait_offline(SOON);
        let status = server.wait_over(ids[0], SOON);
        assert_eq!((status.running, status.successful), (Some(false), Some(false)));
        assert_eq!(status.message, "Execution terminated due to agent disconnection.");
        assert_eq!(server.status(ids[1]).unwrap().running, None, "one that had not started is left alone");

        let mut ws = join(&server, &agent);
        ws.send(&status_text(&json!({"execution_ids": [ids[0]], "running": true, "message": "alive"}), ""));
        server.wait_status(ids[0], |status| status.running == Some(true) && status.message == "alive", SOON);
    }
}

#[test]
fn the_newest_connection_counts() {
    let server = server();
    let agent = server.add_agent();
    let mut old = join(&server, &agent);
    let mut new = join(&server, &agent);
    for text in [GREETING, JOINED] {
        old.expect(text);
    }
    let ids = server.run("nmap", json!({}), &["ws1"]);
    assert!(new.text().starts_with("42/dispatcher,[\"run\""));
    old.expect_silence();
    new.send(&status_text(&json!({"execution_ids": ids, "running": true}), "1"));
    new.expect("43/dispatcher,1[]");
    old.say_close(1000, "");
    old.end();
    server.wait_for("one link", SOON, |state| (state.links.len() == 1).then_some(()));
    assert!(server.is_online());
    assert_eq!(server.status(ids[0]).unwrap().running, Some(true));
    new.send("41/dispatcher,");
    server.wait_offline(SOON);
    assert_eq!(server.status(ids[0]).unwrap().running, Some(false));
}

#[test]
fn a_join_deletes_the_history_of_executors_that_are_gone() {
    let server = server();
    let agent = server.add_agent();
    let _ws = join(&server, &agent);
    let kept = server.run("nmap", json!({}), &["ws1"])[0];
    let gone = server.run("ghost", json!({}), &["ws1"])[0];
    let _again = join(&server, &agent);
    assert!(server.status(kept).is_some());
    assert!(server.status(gone).is_none());
}

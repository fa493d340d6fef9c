//! Faults on request: REST by rule, the command channel by command.

use std::io;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::client::{End, Http, Ws, request};
use crate::support::{Cut, Endpoint, Fault, Generation, SOON, Standin};

const BODY: &str = r#"{"hosts":[{"ip":"10.0.0.1","description":""}],"execution_id":1,"command":{"tool":"t","command":"c","start_date":"2026-11-23T18:10:12"}}"#;

struct Bench {
    server: Standin,
    authorization: String,
}

fn bench() -> Bench {
    let server = Standin::builder().workspace("ws1").workspace("ws2").start();
    let authorization = format!("Agent {}", server.add_agent());
    server.prepare_run("ok", json!({}), &["ws1", "ws2"]);
    Bench { server, authorization }
}

impl Bench {
    fn send(&self, workspace: &str) -> Http {
        let mut http = Http::connect(self.server.api_port());
        let headers = [("Authorization", self.authorization.as_str()), ("Content-Type", "application/json")];
        http.send("POST", &format!("/_api/v3/ws/{workspace}/bulk_create"), &headers, BODY.as_bytes());
        http
    }

    fn post(&self) -> io::Result<u16> {
        self.send("ws1").receive().map(|reply| reply.status)
    }
}

#[test]
fn answers_come_in_the_order_of_the_rules_and_run_out() {
    let bench = bench();
    let server = &bench.server;
    server.inject(Fault::answer(503).on(Endpoint::BulkCreate).header("Retry-After", "7").times(2));
    let second = server.inject(Fault::answer(413).workspace("ws1").after(1).times(1));
    let reply = bench.send("ws1").receive().unwrap();
    assert_eq!(reply.status, 503);
    assert!(reply.head.contains("\r\nRetry-After: 7\r\n"));
    assert_eq!(request(server, "GET", "/_api/v3/info", &[], "").status, 401, "other requests are left alone");
    let statuses: Vec<u16> = (0..4).map(|_| bench.post().unwrap()).collect();
    assert_eq!(statuses, [503, 201, 413, 201]);
    assert_eq!(server.hits(second), 1);
    let tried: Vec<u16> = server.attempts("ws1").iter().map(|post| post.status).collect();
    assert_eq!(tried, [503, 503, 201, 413, 201]);
    assert_eq!(server.host_ips("ws1").len(), 2);
}

#[test]
fn rules_look_at_workspace_and_body() {
    let bench = bench();
    let server = &bench.server;
    let id = server.inject(Fault::answer(500).workspace("ws2"));
    assert_eq!(bench.post().unwrap(), 201);
    assert_eq!(bench.send("ws2").receive().unwrap().status, 500);
    server.clear_faults();
    assert_eq!(bench.send("ws2").receive().unwrap().status, 400, "execution 1 is of ws1");
    assert_eq!(server.hits(id), 1);
    let holds = |needle: &'static str| {
        move |request: &crate::support::Request| String::from_utf8_lossy(&request.body).contains(needle)
    };
    server.inject(Fault::answer(200).body("text/plain", "odd").on(Endpoint::BulkCreate).when(holds("10.9.9.9")));
    assert_eq!(bench.post().unwrap(), 201);
    server.inject(Fault::answer(302).header("Location", "/login").when(holds("10.0.0.1")));
    assert_eq!(bench.post().unwrap(), 302);
}

#[test]
fn a_lost_answer_was_processed_and_a_hang_up_was_not() {
    let bench = bench();
    let server = &bench.server;
    server.inject(Fault::lose_answer().on(Endpoint::BulkCreate).times(1));
    assert_eq!(bench.post().unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    assert_eq!(server.hosts("ws1").len(), 1);
    server.inject(Fault::lose_answer().by_reset().on(Endpoint::BulkCreate).times(1));
    assert_eq!(bench.post().unwrap_err().kind(), io::ErrorKind::ConnectionReset);
    assert_eq!(server.hosts("ws1").len(), 2);
    for after_bytes in [0, 20] {
        let id = server.inject(Fault::hang_up_after(after_bytes).workspace("ws1").times(1));
        bench.post().unwrap_err();
        assert_eq!(server.hits(id), 1);
    }
    server.inject(Fault::raw("HTTP/1.1 201 CREATED\r\nContent-Le").on(Endpoint::BulkCreate).times(1));
    let got = bench.send("ws1").receive_all().unwrap();
    assert_eq!(got, b"HTTP/1.1 201 CREATED\r\nContent-Le");
    assert_eq!(server.hosts("ws1").len(), 2);
    assert_eq!(server.requests().len(), 5);
}

#[test]
fn requests_can_be_held_and_delayed() {
    let bench = bench();
    let server = &bench.server;
    let hang = server.inject(Fault::hang().on(Endpoint::BulkCreate).times(2));
    let mut held = [bench.send("ws1"), bench.send("ws1")];
    server.wait_hits(hang, 2, SOON);
    assert!(server.posts("ws1").is_empty());
    server.release();
    held.iter_mut().for_each(|http| assert_eq!(http.receive().unwrap().status, 201));

    let delay = Duration::from_millis(80);
    server.inject(Fault::delay(delay).on(Endpoint::BulkCreate).times(1));
    let before = Instant::now();
    assert_eq!(bench.post().unwrap(), 201);
    assert!(before.elapsed() >= delay);

    server.inject(Fault::hang());
    let mut held = bench.send("ws1");
    server.stop();
    assert!(held.receive().is_err(), "a server that stops lets go");
}

#[test]
fn upgrades_have_faults_too() {
    let server = Standin::builder().start();
    server.inject(Fault::answer(502).on(Endpoint::Upgrade).times(1));
    let mut http = Http::connect(server.api_port());
    http.send("GET", "/socket.io/?EIO=4&transport=websocket", &[("Upgrade", "websocket")], b"");
    assert_eq!(http.receive().unwrap().status, 502);
    server.inject(Fault::hang_up().on(Endpoint::Upgrade).times(1));
    http.send("GET", "/socket.io/?EIO=4&transport=websocket", &[("Upgrade", "websocket")], b"");
    http.receive().unwrap_err();
}

#[test]
fn links_can_be_closed_cut_and_silenced() {
    for generation in [Generation::SocketIo, Generation::Raw] {
        let server = Standin::builder().generation(generation).start();
        let connect = || Ws::connect(&server, "/socket.io/?EIO=4&transport=websocket");
        let wait_links = |n: usize| server.wait_for("links", SOON, |state| (state.links.len() == n).then_some(()));
        let cases = [
            (Some((1000, "enough")), End::Close(Some((1000, "enough".to_owned())))),
            (Some((1011, "")), End::Close(Some((1011, String::new())))),
            (None, End::Close(None)),
        ];
        for (close, wanted) in cases {
            let mut ws = connect();
            wait_links(1);
            server.close_links(close);
            assert_eq!(ws.end(), wanted);
            drop(ws);
            wait_links(0);
        }
        for (cut, wanted) in [(Cut::Fin, End::Eof), (Cut::Reset, End::Reset)] {
            let mut ws = connect();
            wait_links(1);
            server.cut_links(cut);
            assert_eq!(ws.end(), wanted);
            wait_links(0);
        }
        let mut ws = connect();
        wait_links(1);
        if generation == Generation::SocketIo {
            ws.text();
        }
        server.silence_links();
        ws.send_message(tungstenite::Message::Ping(vec![7].into()));
        server.send_raw("in the dark");
        ws.expect_silence();
        server.resume_links();
        let mut seen = [ws.message(), ws.message()];
        seen.sort_by_key(|message| message.is_text());
        assert_eq!(seen, [tungstenite::Message::Pong(vec![7].into()), tungstenite::Message::text("in the dark")]);
        server.silence_links();
        server.cut_links(Cut::Reset);
        assert_eq!(ws.end(), End::Reset, "a silent link can still be cut");
    }
}

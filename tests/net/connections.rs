//! What becomes of connections and bodies when posts go out one after the other, side by side, or not at all.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;

use faraday_agent::config::settings::Server;
use faraday_agent::shell::net::fault::Kind;
use faraday_agent::shell::net::http::Api;
use faraday_agent::shell::net::limits::Limits;
use faraday_agent::shell::net::tls::client_config;

use crate::http::{api, assert_fault, token};
use crate::rig::{Identity, Reply, Rig, answer, params, serve, server, short};

#[test]
fn a_long_answer_is_cut_and_its_connection_dropped() {
    let rig = Rig::plain(|_| answer(400, &"x".repeat(1 << 20)));
    let api = api(rig.port);
    for _ in 0..2 {
        assert_eq!(api.bulk_create(&token(), "w", &b"{}"[..], 2).unwrap().body.len(), 64 * 1024);
    }
    assert_eq!(rig.requests().iter().map(|request| request.connection).collect::<Vec<_>>(), [0, 1]);
}

#[test]
fn a_connection_that_the_server_closed_meanwhile_loses_and_repeats_nothing() {
    let whole = b"HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\n{}";
    let rig = Rig::plain(|_| Reply::Raw(whole.to_vec()));
    let api = api(rig.port);
    let mut delivered = 0;
    for _ in 0..20 {
        match api.bulk_create(&token(), "w", &b"{}"[..], 2) {
            Ok(answer) => delivered += usize::from(answer.status == 201),
            // The end of the connection was under way when the post was.
            Err(fault) => assert_eq!(fault.kind, Kind::Transient, "{fault}"),
        }
    }
    assert!(delivered > 0);
    assert_eq!(rig.lines().len(), delivered);
}

#[test]
fn threads_post_side_by_side_over_kept_connections() {
    let identity = Identity::self_signed(&params("127.0.0.1", &[]));
    let pem = identity.pem();
    for tls in [false, true] {
        let script = |_: &crate::rig::Request| answer(201, "{}");
        let rig = if tls { Rig::tls(identity.config(), script) } else { Rig::plain(script) };
        let server = Server { tls, tls_cert: tls.then(|| pem.path.clone()), ..server(rig.port) };
        let api = Api::new(&server, tls.then(|| client_config(&server).unwrap()), &Limits::default());
        thread::scope(|scope| {
            for worker in 0..4 {
                let api = &api;
                scope.spawn(move || {
                    for number in 0..25 {
                        let body = format!("{worker}/{number}/{}", "x".repeat(100_000));
                        let posted = api.bulk_create(&token(), "w", body.as_bytes(), body.len() as u64);
                        assert_eq!(posted.unwrap().status, 201);
                    }
                });
            }
        });
        let requests = rig.requests();
        let mut bodies: Vec<_> = requests.iter().map(|request| request.body.clone()).collect();
        bodies.sort();
        bodies.dedup();
        assert_eq!((requests.len(), bodies.len()), (100, 100));
        assert!(requests.iter().all(|request| request.connection < 4), "TLS {tls}");
    }
}

/// Reads the head of one request.
fn read_head(stream: &mut TcpStream) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        assert_eq!(stream.read(&mut byte).unwrap(), 1);
        head.push(byte[0]);
    }
}

#[test]
fn a_refusal_in_the_middle_of_a_body_is_heard() {
    let port = serve(|mut stream| {
        read_head(&mut stream);
        stream.write_all(b"HTTP/1.1 413 Too Large\r\nContent-Length: 9\r\nConnection: close\r\n\r\ntoo large").unwrap();
        // Closing with the body unread resets the connection, as servers in a hurry do.
    });
    let length = 64 << 20;
    let answer = api(port).bulk_create(&token(), "w", std::io::repeat(b'x'), length).unwrap();
    assert_eq!((answer.status, answer.body.as_slice()), (413, &b"too large"[..]));
}

#[test]
fn a_post_without_an_answer_is_a_fault_that_may_pass() {
    let closes = Rig::plain(|_| Reply::Raw(Vec::new()));
    let post = |port, limits| Api::new(&server(port), None, &limits).bulk_create(&token(), "w", &b"{}"[..], 2);
    let words = ["closed the connection before it answered"];
    assert_fault("closes", post(closes.port, Limits::default()), Kind::Transient, &words);
    assert_eq!(closes.lines().len(), 1, "a post is never repeated by itself");

    let silent = Rig::plain(|_| Reply::Silence);
    assert_fault("silent", post(silent.port, short()), Kind::Transient, &["did not answer within 0.3 s"]);

    let stalls = serve(|mut stream| {
        read_head(&mut stream);
        loop {
            thread::park();
        }
    });
    let stalled = Api::new(&server(stalls), None, &short()).bulk_create(&token(), "w", std::io::repeat(b'x'), 64 << 20);
    assert_fault("stalls", stalled, Kind::Transient, &["stopped taking the request"]);
}

#[test]
fn a_body_that_is_not_as_long_as_announced_is_not_the_servers_fault() {
    let rig = Rig::plain(|_| answer(201, "{}"));
    let short_body = api(rig.port).bulk_create(&token(), "w", &b"123"[..], 5);
    assert_fault("short", short_body, Kind::Transient, &["cannot read what is to be sent", "2 bytes are missing"]);
    let long_body = api(rig.port).bulk_create(&token(), "w", &b"123456"[..], 5);
    assert_eq!(long_body.unwrap().status, 201);
    assert_eq!(rig.requests()[0].body, b"12345");
}

//! Finding the command channel among servers of both generations, proxies and silence; and what the link then carries.

use std::collections::VecDeque;
use std::io::{ErrorKind, Write};
use std::os::fd::AsRawFd;
use std::thread;
use std::time::{Duration, Instant};

use faraday_agent::config::settings::{ProtocolChoice, Server};
use faraday_agent::shell::net::dial::{Dialled, Hint, Protocol, dial};
use faraday_agent::shell::net::fault::{Fault, Kind};
use faraday_agent::shell::net::limits::Limits;
use faraday_agent::shell::net::tls::client_config;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use tungstenite::{Error, Message};

use crate::rig::{Identity, Reply, Request, Rig, answer, black_hole, closed_port, params, serve, server, short};

const GREETING: &str = r#"0{"sid":"s","upgrades":[],"pingTimeout":220000,"pingInterval":60000,"maxPayload":1000000}"#;
const SIO: &str = "GET /socket.io/?EIO=4&transport=websocket";
const RAW: &str = "GET /websockets";

type Script = fn(&Request) -> Reply;

fn socket_io(request: &Request) -> Reply {
    match request.path() {
        "/socket.io/?EIO=4&transport=websocket" => Reply::Upgrade(vec![Message::text(GREETING)]),
        _ => answer(404, "<p>not found</p>"),
    }
}

/// Takes any path, then keeps silent.
fn raw(_request: &Request) -> Reply {
    Reply::Upgrade(Vec::new())
}

/// The limits as shipped, but for the wait for a greeting that will not come.
fn patient() -> Limits {
    Limits { greeting: Duration::from_millis(300), ..Limits::default() }
}

fn dial_with(server: &Server, limits: &Limits) -> Result<Dialled, Fault> {
    dial(server, None, &Hint::default(), limits)
}

#[track_caller]
fn assert_fault(what: &str, result: Result<Dialled, Fault>, kind: Kind, words: &[&str]) {
    let fault = result.expect_err(what);
    assert_eq!(fault.kind, kind, "{what}: {fault}");
    for word in words {
        assert!(fault.words.contains(word), "{what}: {word:?} is not in: {fault}");
    }
    assert!(!fault.words.contains('\n'), "{what}: {fault}");
}

#[test]
fn socket_io_is_found_by_its_greeting() {
    let rig = Rig::plain(socket_io);
    let dialled = dial_with(&server(rig.port), &Limits::default()).unwrap();
    assert_eq!((dialled.protocol, dialled.port), (Protocol::SocketIo, rig.port));
    assert_eq!(dialled.greeting.as_deref(), Some(GREETING));
    let request = &rig.requests()[0];
    assert_eq!(request.header("host"), Some(&*format!("127.0.0.1:{}", rig.port)));
    assert_eq!(request.header("sec-websocket-extensions"), None);
    assert_eq!(request.header("sec-websocket-version"), Some("13"));
}

#[test]
fn a_server_that_upgrades_anything_and_keeps_silent_is_a_raw_one() {
    let rig = Rig::plain(raw);
    let dialled = dial_with(&server(rig.port), &patient()).unwrap();
    assert_eq!((dialled.protocol, dialled.greeting), (Protocol::WebSocket, None));
    assert_eq!(rig.lines(), [SIO, RAW]);
}

#[test]
fn whatever_else_the_first_path_answers_the_raw_one_is_tried() {
    let not_found = |_: &Request| answer(404, "");
    let page = |_: &Request| answer(200, "<html>Faraday</html>");
    let port = |_: &Request| answer(200, "This is a websocket port.");
    let closing = |_: &Request| Reply::UpgradeAndClose;
    let hangs_up = |_: &Request| Reply::Raw(Vec::new());
    let other = |_: &Request| Reply::Upgrade(vec![Message::text("hello")]);
    let bad_key = |_: &Request| {
        let head = "HTTP/1.1 101 Yes\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n";
        Reply::Raw(head.as_bytes().to_vec())
    };
    let answers: [fn(&Request) -> Reply; 7] = [not_found, page, port, closing, hangs_up, other, bad_key];
    for (index, first) in answers.into_iter().enumerate() {
        let rig = Rig::plain(move |request| match request.path() {
            "/websockets" => Reply::Upgrade(Vec::new()),
            _ => first(request),
        });
        let dialled = dial_with(&server(rig.port), &Limits::default());
        assert_eq!(dialled.unwrap_or_else(|fault| panic!("{index}: {fault}")).protocol, Protocol::WebSocket);
        assert_eq!(rig.lines(), [SIO, RAW], "{index}");
    }
}

#[test]
fn what_is_known_shortens_the_search() {
    let old = Hint { version: Some("4.6.2".to_owned()), last: None };
    let rig = Rig::plain(raw);
    let dialled = dial(&server(rig.port), None, &old, &Limits::default()).unwrap();
    assert_eq!(dialled.protocol, Protocol::WebSocket);
    let last = Hint { version: None, last: Some((Protocol::WebSocket, rig.port)) };
    let dialled = dial(&server(rig.port), None, &last, &Limits::default()).unwrap();
    assert_eq!(dialled.protocol, Protocol::WebSocket);
    assert_eq!(rig.lines(), [RAW, RAW]);
    // The server was upgraded since.
    let rig = Rig::plain(socket_io);
    let last = Hint { version: None, last: Some((Protocol::WebSocket, rig.port)) };
    assert_eq!(dial(&server(rig.port), None, &last, &Limits::default()).unwrap().protocol, Protocol::SocketIo);
}

#[test]
fn an_old_websocket_port_leads_to_the_api_port() {
    for (what, websocket_port) in [("closed", closed_port()), ("black hole", black_hole())] {
        let rig = Rig::plain(socket_io);
        let server = Server { websocket_port, ..server(rig.port) };
        let dialled = dial_with(&server, &short()).unwrap_or_else(|fault| panic!("{what}: {fault}"));
        assert_eq!((dialled.protocol, dialled.port), (Protocol::SocketIo, rig.port), "{what}");
    }
}

#[test]
fn a_configured_protocol_is_the_only_one_tried() {
    let rig = Rig::plain(raw);
    let choose = |protocol| Server { protocol, base_route: "/base".to_owned(), ..server(rig.port) };
    let dialled = dial_with(&choose(ProtocolChoice::WebSocket), &Limits::default()).unwrap();
    assert_eq!(dialled.protocol, Protocol::WebSocket);
    let words =
        ["Socket.IO on 127.0.0.1:", "/base/socket.io/ upgraded, then said nothing for 0.3 s", "server.protocol: auto"];
    let failed = dial_with(&choose(ProtocolChoice::SocketIo), &patient());
    assert_fault("raw server", failed, Kind::Transient, &words);
    assert_eq!(rig.lines(), ["GET /base/websockets", "GET /base/socket.io/?EIO=4&transport=websocket"]);
}

#[test]
fn a_failure_lists_what_each_try_met() {
    let both =
        ["Socket.IO on 127.0.0.1:", "the raw websocket on 127.0.0.1:", "server.websocket_port", "server.base_route"];
    let proxy = "a reverse proxy in between must forward websocket upgrades";
    let cases: [(Script, Kind, &[&str]); 6] = [
        (
            |_| answer(404, "<h1>Not Found</h1>"),
            Kind::Setup,
            &["/socket.io/ answered 404, a web page", "/websockets answered 404"],
        ),
        (|_| answer(200, "<html>Faraday</html>"), Kind::Setup, &["answered 200, a web page", proxy]),
        (|_| answer(200, "This is a websocket port."), Kind::Setup, &["answered 200, \"This is a websocket port.\""]),
        (|_| answer(400, ""), Kind::Setup, &["answered 400;", proxy]),
        (|_| answer(502, ""), Kind::Transient, &["answered 502;", proxy]),
        (
            |_| Reply::Answer(301, "Location: https://b.example/\r\n", String::new()),
            Kind::Setup,
            &["301, a redirect to https://b.example/"],
        ),
    ];
    for (script, kind, words) in cases {
        let rig = Rig::plain(script);
        let failed = dial_with(&server(rig.port), &Limits::default());
        assert_fault(words[0], failed, kind, &[words, &both].concat());
    }
}

#[test]
fn an_old_server_without_its_own_port_is_told_so() {
    let rig = Rig::plain(|_| answer(404, ""));
    let old = Hint { version: Some("4.6.2".to_owned()), last: None };
    let failed = dial(&server(rig.port), None, &old, &Limits::default());
    assert_fault("old", failed, Kind::Setup, &["the raw websocket on", "answered 404", "9000 unless changed"]);
}

#[test]
fn a_port_that_does_not_answer_is_tried_once() {
    let port = closed_port();
    let words = [&*format!("nothing listens on 127.0.0.1:{port}"), "server.websocket_port"];
    assert_fault("closed", dial_with(&server(port), &Limits::default()), Kind::Transient, &words);

    let silent = Rig::plain(|_| Reply::Silence);
    let words = ["does not answer a websocket upgrade within 0.3 s"];
    assert_fault("black hole", dial_with(&server(silent.port), &short()), Kind::Transient, &words);
    assert_eq!(silent.lines(), [SIO]);

    let two_ports = Server { websocket_port: closed_port(), ..server(closed_port()) };
    let words = ["no command channel: Socket.IO on 127.0.0.1:", "; Socket.IO on 127.0.0.1:", "nothing listens"];
    assert_fault("two closed ports", dial_with(&two_ports, &Limits::default()), Kind::Transient, &words);
}

#[test]
fn a_server_that_answers_byte_by_byte_does_not_hold_the_job_up() {
    let dripping = serve(|mut stream| {
        for byte in b"HTTP/1.1 101 Switching Protocols\r\nX-Padding: ".iter().chain(std::iter::repeat(&b'x')) {
            if stream.write_all(&[*byte]).is_err() {
                return;
            }
            thread::sleep(Duration::from_millis(20));
        }
    });
    let started = Instant::now();
    let words = ["does not answer a websocket upgrade within 0.3 s"];
    assert_fault("drip", dial_with(&server(dripping), &short()), Kind::Transient, &words);
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[test]
fn the_job_as_a_whole_is_bounded() {
    let rig = Rig::plain(|_| Reply::Silence);
    let server = Server { websocket_port: black_hole(), ..server(rig.port) };
    let limits = Limits { dial: Duration::from_millis(300), ..Limits::default() };
    let started = Instant::now();
    assert!(dial_with(&server, &limits).is_err());
    assert!(started.elapsed() < Duration::from_secs(5));
    assert_eq!(rig.lines().len(), 0, "no time was left for the second port");
}

/// Sends `messages` over a non-blocking channel with one edge-triggered registration, and gives back what is echoed.
fn echo(mut dialled: Dialled, messages: &[String]) -> Vec<String> {
    let mut poll = Poll::new().unwrap();
    let fd = dialled.socket.get_ref().as_raw_fd();
    let interest = Interest::READABLE | Interest::WRITABLE;
    poll.registry().register(&mut SourceFd(&fd), Token(0), interest).unwrap();
    let would_block = |result: Result<(), Error>| match result {
        Ok(()) => false,
        Err(Error::Io(error)) if error.kind() == ErrorKind::WouldBlock => true,
        Err(error) => panic!("{error}"),
    };
    let mut waiting: VecDeque<_> = messages.iter().collect();
    let mut echoed = Vec::new();
    let mut events = Events::with_capacity(4);
    loop {
        let mut blocked = would_block(dialled.socket.flush());
        while !blocked && let Some(message) = waiting.pop_front() {
            blocked = would_block(dialled.socket.send(Message::text(message)));
        }
        loop {
            match dialled.socket.read() {
                Ok(message) => echoed.push(message.into_text().unwrap().as_str().to_owned()),
                Err(error) => {
                    assert!(would_block(Err(error)));
                    break;
                }
            }
        }
        if echoed.len() == messages.len() {
            return echoed;
        }
        poll.poll(&mut events, Some(Duration::from_secs(20))).unwrap();
        assert!(!events.is_empty(), "{} of {} came back, then silence", echoed.len(), messages.len());
    }
}

#[test]
fn a_link_carries_everything_without_blocking() {
    let identity = Identity::self_signed(&params("127.0.0.1", &[]));
    let pem = identity.pem();
    // Larger than what sockets and rustls hold back, so that every write blocks somewhere in the middle.
    let messages: Vec<String> = (0..40).map(|n| format!("{n}:{}", "x".repeat(n * 20_000))).collect();
    for tls in [false, true] {
        let rig = if tls { Rig::tls(identity.config(), raw) } else { Rig::plain(raw) };
        let server = Server {
            tls,
            tls_cert: tls.then(|| pem.path.clone()),
            protocol: ProtocolChoice::WebSocket,
            ..server(rig.port)
        };
        let config = tls.then(|| client_config(&server).unwrap());
        let dialled = dial(&server, config.as_ref(), &Hint::default(), &Limits::default()).unwrap();
        assert!(echo(dialled, &messages) == messages, "TLS {tls}");
    }
}

//! Servers that go away and come back on the same ports, and TLS.

use std::io::ErrorKind;
use std::net::TcpStream;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde_json::json;

use crate::client::{End, Http, Ws, request, websocket_token};
use crate::support::{Cut, Generation, Identity, Role, SOON, Standin, What};

fn refused(port: u16) -> bool {
    TcpStream::connect(("127.0.0.1", port)).is_err_and(|e| e.kind() == ErrorKind::ConnectionRefused)
}

#[test]
fn a_server_comes_back_on_its_ports_and_knows_what_it_knew() {
    for (generation, cut) in [(Generation::SocketIo, Cut::Fin), (Generation::Raw, Cut::Reset)] {
        let server = Standin::builder().generation(generation).workspace("ws1").start();
        let agent = server.add_agent();
        let token = websocket_token(&server, &agent);
        let mut idle = Http::connect(server.api_port());
        idle.send("GET", "/_api/v3/info", &[], b"");
        idle.receive().unwrap();
        let mut ws = Ws::connect(&server, "/socket.io/?EIO=4&transport=websocket");
        server.wait_for("a link", SOON, |state| (state.links.len() == 1).then_some(()));
        for _ in 0..3 {
            server.crash(cut);
            assert!(refused(server.api_port()) && refused(server.websocket_port()));
            server.open_ports();
            assert!(request(&server, "GET", "/_api/v3/info", &[], "").status > 0);
        }
        assert_eq!(ws.end(), if cut == Cut::Fin { End::Eof } else { End::Reset });
        assert!(idle.receive().is_err());
        assert!(server.look(|state| state.agents.len() == 1));
        assert_eq!(websocket_token(&server, &agent).split('.').next(), token.split('.').next());
    }
}

#[test]
fn runs_stay_as_they_were_while_the_server_is_away() {
    let server = Standin::builder().workspace("ws1").start();
    let agent = server.add_agent();
    let mut ws = Ws::connect(&server, "/socket.io/?EIO=4&transport=websocket");
    let join = json!({"token": websocket_token(&server, &agent), "executors": [{"executor_name": "ok", "args": {}}]});
    ws.send("40/dispatcher,");
    ws.send(&format!("42/dispatcher,{}", json!(["join_agent", join])));
    server.wait_joined(SOON);
    let id = server.run("ok", json!({}), &["ws1"])[0];
    ws.send(&format!(
        "42/dispatcher,{}",
        json!(["run_status", json!({"execution_ids": [id], "running": true}).to_string()])
    ));
    server.wait_status(id, |status| status.running == Some(true), SOON);
    server.crash(Cut::Fin);
    server.wait_offline(SOON);
    assert_eq!(server.status(id).unwrap().running, Some(true));
}

#[test]
fn one_port_can_be_closed_alone() {
    let server = Standin::builder().generation(Generation::Raw).start();
    let mut ws = Ws::connect(&server, "/websockets");
    server.close_ports(Some(Role::Api));
    assert!(refused(server.api_port()) && !refused(server.websocket_port()));
    ws.expect_silence();
    server.open_ports();
    assert!(!refused(server.api_port()));
}

#[test]
fn what_happens_can_be_followed_as_it_happens() {
    let server = Standin::builder().start();
    let events = server.subscribe();
    request(&server, "GET", "/_api/v3/info", &[], "");
    let event = events.recv_timeout(SOON).unwrap();
    assert_eq!(event.what.to_string(), "GET /_api/v3/info -> 401");
    assert!(matches!(event.what, What::Request { status: Some(401), .. }));
}

#[test]
fn both_ports_speak_tls_with_the_given_certificate() {
    for generation in [Generation::SocketIo, Generation::Raw] {
        let identity = Identity::self_signed(&["localhost", "127.0.0.1"]);
        let certificate = CertificateDer::from_pem_slice(identity.trust_pem.as_bytes()).unwrap();
        let server = Standin::builder().generation(generation).tls(identity).start();
        assert!(server.url().starts_with("https://"));
        let mut roots = rustls::RootCertStore::empty();
        roots.add(certificate).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider);
        let config = config.with_safe_default_protocol_versions().unwrap();
        let config = Arc::new(config.with_root_certificates(roots).with_no_client_auth());
        let port = server.websocket_port();
        let session = rustls::ClientConnection::new(config, "localhost".try_into().unwrap()).unwrap();
        let socket = TcpStream::connect(("127.0.0.1", port)).unwrap();
        let stream = rustls::StreamOwned::new(session, socket);
        let (mut ws, _) =
            tungstenite::client(format!("ws://localhost:{port}/socket.io/?EIO=4&transport=websocket"), stream).unwrap();
        server.wait_for("a link", SOON, |state| (state.links.len() == 1).then_some(()));
        if generation == Generation::SocketIo {
            assert!(ws.read().unwrap().into_text().unwrap().starts_with("0{"));
        }
        let big = "x".repeat(3_000_000);
        server.send_raw(&big);
        assert_eq!(ws.read().unwrap().into_text().unwrap().as_str(), big);
    }
}

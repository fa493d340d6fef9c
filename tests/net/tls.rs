//! Whom the agent trusts, seen over both channels: each case runs a REST request and opens a command channel.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::path::Path;

use faraday_agent::config::settings::Server;
use faraday_agent::shell::net::dial::{Hint, dial};
use faraday_agent::shell::net::fault::{Fault, Kind};
use faraday_agent::shell::net::http::Api;
use faraday_agent::shell::net::limits::Limits;
use faraday_agent::shell::net::tls::client_config;
use rcgen::{BasicConstraints, IsCa, Issuer, date_time_ymd};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tungstenite::Message;

use crate::rig::{Identity, Reply, Request, Rig, Scratch, answer, params, serve, server, server_config, short};

const CA: IsCa = IsCa::Ca(BasicConstraints::Unconstrained);

fn script(request: &Request) -> Reply {
    match request.path().starts_with("/socket.io/") {
        true => Reply::Upgrade(vec![Message::text("0{}")]),
        false => answer(200, "{}"),
    }
}

fn tls_server(port: u16, host: &str, certificate: Option<&Path>) -> Server {
    Server { host: host.to_owned(), tls: true, tls_cert: certificate.map(Path::to_owned), ..server(port) }
}

/// A REST request and a command channel.
fn reach_within(server: &Server, limits: &Limits) -> [Result<(), Fault>; 2] {
    let tls = server.tls.then(|| client_config(server).unwrap());
    let rest = Api::new(server, tls.clone(), limits).info();
    let channel = dial(server, tls.as_ref(), &Hint::default(), limits);
    [rest.map(drop), channel.map(drop)]
}

#[track_caller]
fn assert_accepted(what: &str, server: &Server) {
    assert_eq!(reach_within(server, &Limits::default()), [Ok(()), Ok(())], "{what}");
}

/// Both channels refuse with the same kind, and words that hold each of `words`.
#[track_caller]
fn assert_refused(what: &str, server: &Server, limits: &Limits, kind: Kind, words: &[&str]) {
    for result in reach_within(server, limits) {
        let fault = result.expect_err(what);
        assert_eq!(fault.kind, kind, "{what}: {fault}");
        for word in words {
            assert!(fault.words.contains(word), "{what}: {word:?} is not in: {fault}");
        }
        assert!(!fault.words.contains('\n'), "{what}: {fault}");
    }
}

fn version_1() -> (Scratch, CertificateDer<'static>, PrivateKeyDer<'static>) {
    let pem = include_str!("v1.crt.pem");
    let certificate = CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(include_bytes!("v1.key.pem")).unwrap();
    (Scratch::file("cert.pem", pem), certificate, key)
}

#[test]
fn the_servers_own_certificate_is_accepted_whatever_its_make() {
    for (what, common_name, alternatives, is_ca, host) in [
        ("SAN address", "x", &["127.0.0.1"][..], IsCa::NoCa, "127.0.0.1"),
        ("SAN name", "x", &["localhost"], IsCa::NoCa, "localhost"),
        ("SAN name, CA:FALSE said", "x", &["localhost"], IsCa::ExplicitNoCa, "localhost"),
        ("SAN name, CA:TRUE", "x", &["a.example", "localhost"], CA, "localhost"),
        ("CN name", "LOCALHOST", &[], IsCa::NoCa, "localhost"),
        ("CN name, CA:TRUE", "localhost", &[], CA, "localhost"),
        ("CN address, CA:TRUE", "127.0.0.1", &[], CA, "127.0.0.1"),
    ] {
        let mut params = params(common_name, alternatives);
        params.is_ca = is_ca;
        let identity = Identity::self_signed(&params);
        let rig = Rig::tls(identity.config(), script);
        assert_accepted(what, &tls_server(rig.port, host, Some(&identity.pem().path)));
    }
}

#[test]
fn a_certificate_of_version_1_is_accepted_when_it_is_the_servers_own() {
    let (pem, certificate, key) = version_1();
    let rig = Rig::tls(server_config(certificate, key, &[&rustls::version::TLS13]), script);
    assert_accepted("version 1", &tls_server(rig.port, "localhost", Some(&pem.path)));
}

#[test]
fn a_certificate_of_version_1_is_refused_in_its_own_words_where_it_cannot_be_judged() {
    let (pem, certificate, key) = version_1();
    let over_1_2 = server_config(certificate.clone(), key.clone_key(), &[&rustls::version::TLS12]);
    let over_1_3 = server_config(certificate, key, &[&rustls::version::TLS13]);
    let words = ["X.509 version 1", "version 3"];
    for (config, file) in [(over_1_2, Some(&*pem.path)), (over_1_3, None)] {
        let rig = Rig::tls(config, script);
        let server = tls_server(rig.port, "localhost", file);
        assert_refused("version 1", &server, &Limits::default(), Kind::Setup, &words);
    }
}

#[test]
fn a_ca_vouches_for_its_certificates() {
    let mut ca_params = params("A private CA", &[]);
    ca_params.is_ca = CA;
    let ca = Identity::self_signed(&ca_params);
    let issuer = Issuer::from_params(&ca_params, &ca.key);
    let stranger = Identity::self_signed(&params("stranger", &["stranger.example"]));
    let bundle = Scratch::file("ca.pem", &(stranger.certificate.pem() + &ca.certificate.pem()));
    for (what, common_name, alternatives) in [("SAN", "x", &["127.0.0.1"][..]), ("CN", "127.0.0.1", &[])] {
        let leaf = Identity::signed_by(&params(common_name, alternatives), &issuer);
        let rig = Rig::tls(leaf.config(), script);
        assert_accepted(what, &tls_server(rig.port, "127.0.0.1", Some(&bundle.path)));
        assert_accepted("pinned though issued", &tls_server(rig.port, "127.0.0.1", Some(&leaf.pem().path)));
        assert_refused(
            what,
            &tls_server(rig.port, "localhost", Some(&bundle.path)),
            &Limits::default(),
            Kind::Setup,
            &["is made out to 127.0.0.1, not to localhost", "server.host"],
        );
    }
}

#[test]
fn tls_1_2_is_enough() {
    let identity = Identity::self_signed(&params("localhost", &[]));
    let key = PrivateKeyDer::try_from(identity.key.serialize_der()).unwrap();
    let config = server_config(identity.certificate.der().clone(), key, &[&rustls::version::TLS12]);
    let rig = Rig::tls(config, script);
    assert_accepted("TLS 1.2", &tls_server(rig.port, "localhost", Some(&identity.pem().path)));
}

#[test]
fn ssl_ignore_accepts_anything() {
    let mut expired = params("elsewhere.example", &["elsewhere.example"]);
    expired.not_after = date_time_ymd(2001, 1, 1);
    let (_pem, certificate, key) = version_1();
    for (what, config) in [
        ("expired, another name", Identity::self_signed(&expired).config()),
        ("version 1, TLS 1.3", server_config(certificate.clone(), key.clone_key(), &[&rustls::version::TLS13])),
        ("version 1, TLS 1.2", server_config(certificate, key, &[&rustls::version::TLS12])),
    ] {
        let rig = Rig::tls(config, script);
        assert_accepted(what, &Server { tls_verify: false, ..tls_server(rig.port, "127.0.0.1", None) });
    }
}

#[test]
fn a_name_that_does_not_fit_is_refused() {
    for (what, common_name, alternatives, host, made_out) in [
        ("SAN", "x", &["a.example", "127.0.0.2"][..], "127.0.0.1", "a.example, 127.0.0.2"),
        ("CN beside a SAN", "127.0.0.1", &["a.example"], "127.0.0.1", "a.example"),
        ("CN", "a.example", &[], "localhost", "a.example"),
    ] {
        let identity = Identity::self_signed(&params(common_name, alternatives));
        let rig = Rig::tls(identity.config(), script);
        assert_refused(
            what,
            &tls_server(rig.port, host, Some(&identity.pem().path)),
            &Limits::default(),
            Kind::Setup,
            &[&format!("is made out to {made_out}, not to {host}"), "server.host"],
        );
    }
}

#[test]
fn another_certificate_is_refused() {
    let ours = Identity::self_signed(&params("127.0.0.1", &["127.0.0.1"]));
    for is_ca in [IsCa::NoCa, CA] {
        let mut same_names = params("127.0.0.1", &["127.0.0.1"]);
        same_names.is_ca = is_ca;
        let rig = Rig::tls(Identity::self_signed(&same_names).config(), script);
        let limits = Limits::default();
        let pem = ours.pem();
        let pinned = tls_server(rig.port, "127.0.0.1", Some(&pem.path));
        assert_refused("pinned", &pinned, &limits, Kind::Setup, &["neither in the file of server.ssl_cert nor signed"]);
        let unpinned = tls_server(rig.port, "127.0.0.1", None);
        let words = ["not signed by an authority that this machine knows", "name that file in server.ssl_cert"];
        assert_refused("public roots", &unpinned, &limits, Kind::Setup, &words);
    }
}

#[test]
fn a_certificate_out_of_its_time_is_refused_but_worth_waiting_for() {
    for is_ca in [IsCa::NoCa, CA] {
        let mut params = params("127.0.0.1", &["127.0.0.1"]);
        params.is_ca = is_ca;
        params.not_after = date_time_ymd(2001, 2, 3);
        let expired = Identity::self_signed(&params);
        let rig = Rig::tls(expired.config(), script);
        let pem = expired.pem();
        let server = tls_server(rig.port, "127.0.0.1", Some(&pem.path));
        let words = ["expired on 2001-02-03", "clock", "renew it on the server"];
        assert_refused("expired", &server, &Limits::default(), Kind::Transient, &words);

        (params.not_before, params.not_after) = (date_time_ymd(3000, 1, 2), date_time_ymd(4000, 1, 1));
        let early = Identity::self_signed(&params);
        let rig = Rig::tls(early.config(), script);
        let pem = early.pem();
        let server = tls_server(rig.port, "127.0.0.1", Some(&pem.path));
        let words = ["not valid before 3000-01-02", "set the clock"];
        assert_refused("early", &server, &Limits::default(), Kind::Transient, &words);
    }
}

#[test]
fn a_copied_certificate_without_its_key_is_refused() {
    let ours = Identity::self_signed(&params("localhost", &["localhost"]));
    let (v1_pem, v1_certificate, _key) = version_1();
    let other_key = Identity::self_signed(&params("x", &[])).key;
    let other_key = PrivateKeyDer::try_from(other_key.serialize_der()).unwrap();
    for (what, certificate, file) in
        [("version 3", ours.certificate.der().clone(), ours.pem()), ("version 1", v1_certificate, v1_pem)]
    {
        let config = server_config(certificate, other_key.clone_key(), &[&rustls::version::TLS13]);
        let rig = Rig::tls(config, script);
        let server = tls_server(rig.port, "localhost", Some(&file.path));
        assert_refused(what, &server, &Limits::default(), Kind::Setup, &["without holding its key", "in between"]);
    }
}

#[test]
fn tls_to_a_plain_port_is_noticed() {
    let bad_request = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n";
    let answers = serve(move |mut stream| {
        let _ = stream.read(&mut [0; 4096]);
        let _ = stream.write_all(bad_request);
    });
    let limits = Limits::default();
    let words = ["does not speak TLS", "server.ssl: false"];
    assert_refused("answers in HTTP", &tls_server(answers, "127.0.0.1", None), &limits, Kind::Setup, &words);

    let closes = serve(|mut stream| {
        let _ = stream.read(&mut [0; 4096]);
        let _ = stream.shutdown(Shutdown::Both);
    });
    let words = ["closed the connection in the TLS handshake", "server.ssl: false"];
    assert_refused("closes", &tls_server(closes, "127.0.0.1", None), &limits, Kind::Transient, &words);

    let waits = crate::rig::black_hole();
    let words = ["does not answer a TLS handshake within 0.3 s", "server.ssl: false"];
    assert_refused("waits for a line", &tls_server(waits, "127.0.0.1", None), &short(), Kind::Transient, &words);
}

#[test]
fn plain_http_to_a_tls_port_is_noticed() {
    let identity = Identity::self_signed(&params("127.0.0.1", &[]));
    let alerts = Rig::tls(identity.config(), script);
    let words = ["speaks TLS", "set server.ssl: true"];
    assert_refused("alert", &server(alerts.port), &Limits::default(), Kind::Setup, &words);
    for complaint in [
        "<center>The plain HTTP request was sent to HTTPS port</center>",
        "Client sent an HTTP request to an HTTPS server.",
        "Reason: You're speaking plain HTTP to an SSL-enabled server port.<br />",
    ] {
        let rig = Rig::plain(move |_| answer(400, complaint));
        assert_refused(complaint, &server(rig.port), &Limits::default(), Kind::Setup, &words);
    }
}

#[test]
fn a_port_that_hangs_up_on_plain_http_may_be_a_tls_port() {
    let rig = Rig::plain(|_| Reply::Raw(Vec::new()));
    let fault = Api::new(&server(rig.port), None, &Limits::default()).info().unwrap_err();
    assert_eq!(fault.kind, Kind::Transient);
    assert!(fault.words.contains("closed the connection") && fault.words.contains("server.ssl: true"), "{fault}");
}

#[test]
fn a_certificate_file_that_cannot_be_used_is_named() {
    let identity = Identity::self_signed(&params("x", &[]));
    let der = Scratch::directory();
    let der_path = der.path.join("cert.der");
    std::fs::write(&der_path, identity.certificate.der()).unwrap();
    let pem = |text: &str| Scratch::file("cert.pem", text);
    let files = [
        pem(""),
        pem(&identity.key.serialize_pem()),
        pem("-----BEGIN CERTIFICATE-----\nMII"),
        pem("-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n"),
    ];
    for (path, words) in [
        (Path::new("/nonexistent/cert.pem"), "No such file"),
        (&der_path, "DER"),
        (&files[0].path, "holds no certificate"),
        (&files[1].path, "holds no certificate"),
        (&files[2].path, "damaged"),
        (&files[3].path, "certificate 1 cannot be read"),
    ] {
        let problem = client_config(&tls_server(1, "x", Some(path))).unwrap_err();
        assert!(problem.starts_with(&format!("server.ssl_cert: {}: ", path.display())), "{problem}");
        assert!(problem.contains(words), "{problem}");
    }
}

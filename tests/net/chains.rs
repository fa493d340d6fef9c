//! Which chains below `server.ssl_cert` are believed, each case judged by `openssl verify` as well: where the two differ, the agent is
//! the stricter one, and the table says so.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use faraday_agent::config::settings::Server;
use faraday_agent::shell::net::http::Api;
use faraday_agent::shell::net::limits::Limits;
use faraday_agent::shell::net::tls::client_config;
use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, Issuer, KeyUsagePurpose,
    NameConstraints, date_time_ymd,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

use crate::rig::{Identity, Rig, Scratch, answer, chain_config, params, server};

const HOST: &str = "localhost";

/// Root → intermediates → leaf; the file of `server.ssl_cert` holds the one at `named` (0 is the root).
struct Case {
    what: &'static str,
    authorities: Vec<CertificateParams>,
    leaf: CertificateParams,
    named: usize,
    believed: bool,
    /// Where openssl believes what the agent does not.
    is_stricter: bool,
}

impl Case {
    fn new(what: &'static str, authorities: Vec<CertificateParams>, leaf: CertificateParams, believed: bool) -> Case {
        Case { what, authorities, leaf, named: 0, believed, is_stricter: false }
    }

    fn naming(self, named: usize) -> Case {
        Case { named, ..self }
    }

    fn stricter(self) -> Case {
        Case { is_stricter: true, ..self }
    }
}

fn authority(name: &str) -> CertificateParams {
    let mut params = params(name, &[]);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn changed(mut params: CertificateParams, change: impl FnOnce(&mut CertificateParams)) -> CertificateParams {
    change(&mut params);
    params
}

/// For names below `subtree` alone.
fn constrained(name: &str, subtree: &str) -> CertificateParams {
    let permitted_subtrees = vec![GeneralSubtree::DnsName(subtree.to_owned())];
    changed(authority(name), |params| {
        params.name_constraints = Some(NameConstraints { permitted_subtrees, excluded_subtrees: Vec::new() });
    })
}

fn path_length(name: &str, intermediates: u8) -> CertificateParams {
    changed(authority(name), |params| params.is_ca = IsCa::Ca(BasicConstraints::Constrained(intermediates)))
}

fn by_alternative() -> CertificateParams {
    params("x", &[HOST])
}

fn by_common_name() -> CertificateParams {
    params(HOST, &[])
}

fn cases() -> Vec<Case> {
    [sound_chains(), name_constraints(), who_may_issue(), lengths_and_times()].into_iter().flatten().collect()
}

fn root() -> CertificateParams {
    authority("root")
}

fn sound_chains() -> Vec<Case> {
    vec![
        Case::new("a CA", vec![root()], by_alternative(), true),
        Case::new("a CA, by common name", vec![root()], by_common_name(), true),
        Case::new("a CA and one between", vec![root(), authority("between")], by_alternative(), true),
        Case::new("named is the one between", vec![root(), authority("between")], by_alternative(), true).naming(1),
    ]
}

/// openssl holds them against a common name as well, but only against one that has a dot.
fn name_constraints() -> Vec<Case> {
    let above = |subtree| vec![constrained("root", subtree)];
    let between = || vec![root(), constrained("between", "a.example")];
    vec![
        Case::new("constrained to this name", above(HOST), by_alternative(), true),
        Case::new("constrained to others", above("a.example"), by_alternative(), false),
        Case::new("constrained, by common name", above("a.example"), by_common_name(), false).stricter(),
        Case::new("constrained to the common name", above(HOST), by_common_name(), false).stricter(),
        Case::new("constrained between, by common name", between(), by_common_name(), false).stricter(),
        Case::new("named is the constrained one", between(), by_common_name(), false).naming(1).stricter(),
    ]
}

fn who_may_issue() -> Vec<Case> {
    let no_ca = |is_ca| vec![changed(root(), |params| params.is_ca = is_ca)];
    let by_leaf = || vec![root(), params("leaf", &[HOST])];
    let for_data = changed(root(), |params| params.key_usages = vec![KeyUsagePurpose::DigitalSignature]);
    let for_clients = changed(root(), |params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth]);
    vec![
        Case::new("CA:FALSE issues", no_ca(IsCa::ExplicitNoCa), by_alternative(), false),
        // openssl takes the key usage's word for it.
        Case::new("no basicConstraints issues", no_ca(IsCa::NoCa), by_alternative(), false).stricter(),
        Case::new("a leaf issues below its CA", by_leaf(), by_alternative(), false),
        Case::new("a named leaf issues", by_leaf(), by_alternative(), false).naming(1),
        Case::new("a named leaf is believed", vec![root()], by_alternative(), true).naming(1),
        Case::new("a named leaf by common name", vec![root()], by_common_name(), true).naming(1),
        Case::new("a CA that may not sign certificates", vec![for_data], by_alternative(), false),
        Case::new("a CA for clients", vec![for_clients], by_alternative(), false),
    ]
}

fn lengths_and_times() -> Vec<Case> {
    let between = |intermediates, names: &[&str]| {
        let below = names.iter().map(|name| authority(name));
        [path_length("root", intermediates)].into_iter().chain(below).collect::<Vec<_>>()
    };
    let expired =
        |params| changed(params, |params: &mut CertificateParams| params.not_after = date_time_ymd(2001, 2, 3));
    vec![
        Case::new("length 0, nobody between", between(0, &[]), by_alternative(), true),
        Case::new("length 0, one between", between(0, &["a"]), by_alternative(), false),
        Case::new("length 1, one between", between(1, &["a"]), by_alternative(), true),
        Case::new("length 1, two between", between(1, &["a", "b"]), by_alternative(), false),
        Case::new("an expired CA", vec![expired(root())], by_alternative(), false),
        Case::new("an expired leaf", vec![root()], expired(by_alternative()), false),
    ]
}

/// From the root to the leaf.
fn issue(case: &Case) -> Vec<Identity> {
    let mut chain: Vec<Identity> = Vec::new();
    let all: Vec<&CertificateParams> = case.authorities.iter().chain([&case.leaf]).collect();
    for (index, params) in all.iter().enumerate() {
        let next = match index.checked_sub(1) {
            None => Identity::self_signed(params),
            Some(above) => Identity::signed_by(params, &Issuer::from_params(all[above], &chain[above].key)),
        };
        chain.push(next);
    }
    chain
}

fn agent_believes(file: &Path, chain: &[Identity]) -> Result<(), String> {
    let leaf = chain.last().expect("a leaf");
    let presented: Vec<CertificateDer<'static>> =
        chain[1..].iter().rev().map(|identity| identity.certificate.der().clone()).collect();
    let key = PrivateKeyDer::try_from(leaf.key.serialize_der()).expect("a key");
    let key = rustls::crypto::ring::sign::any_supported_type(&key).expect("a key");
    let rig = Rig::tls(chain_config(Arc::new(CertifiedKey::new(presented, key))), |_| answer(200, "{}"));
    let server = Server { host: HOST.to_owned(), tls: true, tls_cert: Some(file.to_owned()), ..server(rig.port) };
    let tls = client_config(&server)?;
    Api::new(&server, Some(tls), &Limits::default()).info().map(drop).map_err(|fault| fault.words)
}

fn openssl_believes(file: &Path, chain: &[Identity]) -> Result<(), String> {
    let (leaf, above) = chain.split_last().expect("a leaf");
    let untrusted: String = above.iter().skip(1).map(|identity| identity.certificate.pem()).collect();
    let (leaf, untrusted) = (leaf.pem(), Scratch::file("untrusted.pem", &untrusted));
    let mut command = Command::new("openssl");
    command.args(["verify", "-partial_chain", "-purpose", "sslserver", "-verify_hostname", HOST, "-no-CApath"]);
    command.arg("-CAfile").arg(file);
    if above.len() > 1 {
        command.arg("-untrusted").arg(&untrusted.path);
    }
    let output = command.arg(&leaf.path).output().expect("this test needs openssl: apt-get install openssl");
    match output.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}

#[test]
fn chains_are_judged_as_openssl_does_or_more_strictly() {
    let mut wrong = String::new();
    for case in cases() {
        let chain = issue(&case);
        let file = chain[case.named].pem();
        let (agent, openssl) = (agent_believes(&file.path, &chain), openssl_believes(&file.path, &chain));
        if agent.is_ok() != case.believed || openssl.is_ok() != (case.believed || case.is_stricter) {
            writeln!(wrong, "{}: the agent says {agent:?}, openssl {openssl:?}", case.what).expect("written");
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn a_common_name_below_name_constraints_is_refused_with_the_reason() {
    let case = Case::new("", vec![constrained("root", "a.example")], by_common_name(), false);
    let chain = issue(&case);
    let words = agent_believes(&chain[0].pem().path, &chain).expect_err("refused");
    assert!(words.contains("has no subjectAltName") && words.contains("name constraints"), "{words}");
}

//! Certificates: the file that `server.ssl_cert` names, and what a server presents against it.

use faraday_agent::shell::net::pinned::PrivateTrust;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};

use super::input::Input;

/// In 2030.
const NOW: u64 = 1_900_000_000;

pub fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let (trusted, between) = (1 + input.below(2), input.below(3));
    let mut take = |count: usize| -> Vec<CertificateDer<'static>> {
        (0..count).map(|_| CertificateDer::from(input.stretch().to_vec())).collect()
    };
    let (file, intermediates, leaf) = (take(trusted), take(between), take(1));
    let trust = match PrivateTrust::new(file, default_provider().signature_verification_algorithms) {
        Ok(trust) => trust,
        Err(problem) => return assert!(problem.starts_with("certificate "), "{problem}"),
    };
    let host = ServerName::try_from("localhost").expect("a name");
    let now = UnixTime::since_unix_epoch(std::time::Duration::from_secs(NOW));
    let _ = trust.verify_server_cert(&leaf[0], &intermediates, &host, &[], now);
}

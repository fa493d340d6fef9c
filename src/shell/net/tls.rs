//! Whom the agent trusts: one rustls configuration for REST and the command channel, made once at start.
//! Reads certificates from disk; opens no connection.

use std::path::Path;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

use crate::config::settings::Server;

use super::pinned::PrivateTrust;

/// The configuration for every TLS connection of this agent. `Err` holds one line that names the file at fault.
pub fn client_config(server: &Server) -> Result<Arc<ClientConfig>, String> {
    // The one place where the provider of cryptography is named.
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("no TLS on this machine: {error}"))?;
    let config = if !server.tls_verify {
        builder.dangerous().with_custom_certificate_verifier(Arc::new(NoVerifier(provider)))
    } else if let Some(path) = &server.tls_cert {
        let trust = PrivateTrust::new(certificates(path)?, provider.signature_verification_algorithms)
            .map_err(|problem| format!("server.ssl_cert: {}: {problem}", path.display()))?;
        builder.dangerous().with_custom_certificate_verifier(Arc::new(trust))
    } else {
        builder.with_root_certificates(public_roots())
    };
    Ok(Arc::new(config.with_no_client_auth()))
}

/// The certificates of a PEM file, at least one.
fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let at_fault = |why: String| format!("server.ssl_cert: {}: {why}", path.display());
    let bytes = std::fs::read(path).map_err(|error| at_fault(error.to_string()))?;
    let found: Result<Vec<_>, pem::Error> = CertificateDer::pem_slice_iter(&bytes).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        // A DER file begins with a SEQUENCE.
        Ok(_) if bytes.first() == Some(&0x30) => Err(at_fault(
            "is DER, not PEM; convert it with: openssl x509 -inform der -in FILE -out FILE.pem".to_owned(),
        )),
        Ok(_) => Err(at_fault("holds no certificate (-----BEGIN CERTIFICATE-----)".to_owned())),
        Err(error) => Err(at_fault(format!("is damaged PEM: {error}"))),
    }
}

/// The system's store (or `SSL_CERT_FILE`, `SSL_CERT_DIR`); where there is none, as in an empty chroot, Mozilla's roots
/// as they were when this binary was built.
fn public_roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    let system = rustls_native_certs::load_native_certs();
    for error in &system.errors {
        log::debug!("reading the system's certificates: {error}");
    }
    let (added, _unusable) = roots.add_parsable_certificates(system.certs);
    if added == 0 {
        log::debug!("no certificate store on this system: trusting the roots built in");
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    roots
}

/// `server.ssl_ignore: true`: anybody is taken for the server. The reader of the configuration warns.
#[derive(Debug)]
struct NoVerifier(Arc<CryptoProvider>);

impl ServerCertVerifier for NoVerifier {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    // A signature by a key that nobody vouches for proves nothing, and checking it would refuse odd certificates
    // (version 1) that the user has asked to accept.
    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

//! Trust in the certificates of one file (`server.ssl_cert`) and in nobody else: a CA, or the server's own certificate,
//! which is mostly self-signed and often one that webpki would not judge: CA:TRUE, without alternative names, version 1.

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::{
    WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature, verify_tls13_signature_with_raw_key,
};
use rustls::pki_types::{CertificateDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use x509_cert::Certificate;
use x509_cert::der::{Decode, Encode};

use super::certificate::{Authority, Facts, constrains_names};

/// Accepts a server whose certificate is one of the file's, byte for byte, or was issued by a CA among them; within its time,
/// and made out to the host: by its alternative names or, where it has none, by its common name, as OpenSSL does.
#[derive(Debug)]
pub struct PrivateTrust {
    /// What the file holds.
    certificates: Vec<CertificateDer<'static>>,
    /// Those of them that may issue others.
    anchors: Vec<Anchor>,
    algorithms: WebPkiSupportedAlgorithms,
}

/// Where a chain may end.
#[derive(Debug)]
struct Anchor {
    authority: Authority,
    /// It alone, for webpki.
    store: RootCertStore,
}

impl Anchor {
    /// `None` is a certificate that may issue none.
    fn new(certificate: &CertificateDer<'static>) -> Result<Option<Anchor>, String> {
        let Some(authority) = Authority::read(certificate).map_err(|error| error.to_string())? else {
            return Ok(None);
        };
        let mut store = RootCertStore::empty();
        store.add(certificate.clone()).map_err(|error| error.to_string())?;
        Ok(Some(Anchor { authority, store }))
    }

    fn verify(&self, chain: &Chain<'_>, algorithms: &WebPkiSupportedAlgorithms, now: UnixTime) -> Result<(), Error> {
        // webpki does not ask an anchor how long a chain below it may be.
        let intermediates_max = self.authority.intermediates_max.map_or(usize::MAX, usize::from);
        let intermediates = &chain.intermediates[..chain.intermediates.len().min(intermediates_max)];
        let parsed = ParsedCertificate::try_from(chain.end_entity)?;
        verify_server_cert_signed_by_trust_anchor(&parsed, &self.store, intermediates, now, algorithms.all)?;
        self.authority.validity.check(now)?;
        // Name constraints are held against alternative names alone, so a common name would slip through them.
        if chain.is_named_by_subject && (self.authority.constrains_names || intermediates.iter().any(constrains_names))
        {
            return Err(chain.made_out_to_nobody());
        }
        Ok(())
    }
}

/// What a server presents.
struct Chain<'c> {
    end_entity: &'c CertificateDer<'c>,
    intermediates: &'c [CertificateDer<'c>],
    is_named_by_subject: bool,
    host: &'c ServerName<'c>,
}

impl Chain<'_> {
    fn made_out_to_nobody(&self) -> Error {
        CertificateError::NotValidForNameContext { expected: self.host.to_owned(), presented: Vec::new() }.into()
    }
}

impl PrivateTrust {
    /// `Err` says which certificate of the file cannot be read.
    pub fn new(
        certificates: Vec<CertificateDer<'static>>,
        algorithms: WebPkiSupportedAlgorithms,
    ) -> Result<PrivateTrust, String> {
        let mut anchors = Vec::new();
        for (index, certificate) in certificates.iter().enumerate() {
            // A pin need not be fit to issue others, nor a CA be one whose names we can read.
            match (Anchor::new(certificate), Facts::read(certificate)) {
                (Ok(anchor), _) => anchors.extend(anchor),
                (Err(_), Ok(_)) => {}
                (Err(error), Err(_)) => return Err(format!("certificate {} cannot be read: {error}", index + 1)),
            }
        }
        Ok(PrivateTrust { certificates, anchors, algorithms })
    }

    /// Whether one of the anchors has issued it; the error is the most telling one of those of all anchors.
    fn verify_chain(&self, chain: &Chain<'_>, now: UnixTime) -> Result<(), Error> {
        let unknown = Error::from(CertificateError::UnknownIssuer);
        let mut telling = unknown.clone();
        for anchor in &self.anchors {
            match anchor.verify(chain, &self.algorithms, now) {
                Ok(()) => return Ok(()),
                // A certificate made anew under the old name: its key is not the one that the old one would check with.
                Err(Error::InvalidCertificate(CertificateError::BadSignature)) => {}
                Err(error) if telling == unknown => telling = error,
                Err(_) => {}
            }
        }
        Err(telling)
    }

    fn is_pinned(&self, certificate: &CertificateDer<'_>) -> bool {
        self.certificates.iter().any(|ours| ours == certificate)
    }
}

impl ServerCertVerifier for PrivateTrust {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let facts = Facts::read(end_entity).map_err(|_| CertificateError::BadEncoding)?;
        if !self.is_pinned(end_entity) {
            let is_named_by_subject = facts.is_named_by_subject;
            self.verify_chain(&Chain { end_entity, intermediates, is_named_by_subject, host: server_name }, now)?;
        }
        facts.validity.check(now)?;
        facts.check_name(server_name)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        // webpki does not read certificates of version 1; their key is all that is needed here.
        if self.is_pinned(cert) && ParsedCertificate::try_from(cert).is_err() {
            let key = public_key(cert).ok_or(CertificateError::BadEncoding)?;
            return verify_tls13_signature_with_raw_key(message, &key, dss, &self.algorithms);
        }
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

fn public_key(certificate: &CertificateDer<'_>) -> Option<SubjectPublicKeyInfoDer<'static>> {
    let certificate = Certificate::from_der(certificate).ok()?;
    let key = certificate.tbs_certificate().subject_public_key_info().to_der().ok()?;
    Some(SubjectPublicKeyInfoDer::from(key))
}

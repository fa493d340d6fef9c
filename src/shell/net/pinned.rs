//! Trust in the certificates of one file (`server.ssl_cert`) and in nobody else: a CA, or the server's own certificate,
//! which is mostly self-signed and often one that webpki would not judge: CA:TRUE, without alternative names, version 1.

use std::net::IpAddr;

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
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::{DirectoryString, GeneralName};

/// Accepts a server whose certificate is one of the file's, byte for byte, or was issued by one of them; within its time,
/// and made out to the host: by its alternative names or, where it has none, by its common name, as OpenSSL does.
#[derive(Debug)]
pub(super) struct PrivateTrust {
    /// What the file holds.
    certificates: Vec<CertificateDer<'static>>,
    /// Those of them that can stand at the root of a chain.
    roots: RootCertStore,
    algorithms: WebPkiSupportedAlgorithms,
}

impl PrivateTrust {
    /// `Err` says which certificate of the file cannot be read.
    pub(super) fn new(
        certificates: Vec<CertificateDer<'static>>,
        algorithms: WebPkiSupportedAlgorithms,
    ) -> Result<PrivateTrust, String> {
        let mut roots = RootCertStore::empty();
        for (index, certificate) in certificates.iter().enumerate() {
            // A pin need not be fit to be a root, nor a root be one whose names we can read.
            let root = roots.add(certificate.clone());
            if let (Err(error), Err(_)) = (Facts::read(certificate), root) {
                return Err(format!("certificate {} cannot be read: {error}", index + 1));
            }
        }
        Ok(PrivateTrust { certificates, roots, algorithms })
    }

    fn verify_chain(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), Error> {
        let parsed = ParsedCertificate::try_from(end_entity)?;
        let verified =
            verify_server_cert_signed_by_trust_anchor(&parsed, &self.roots, intermediates, now, self.algorithms.all);
        verified.map_err(|error| match error {
            // A certificate made anew under the old name: its key is not the one that the old one would check with.
            Error::InvalidCertificate(CertificateError::BadSignature) => CertificateError::UnknownIssuer.into(),
            other => other,
        })
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
        if !self.is_pinned(end_entity) {
            self.verify_chain(end_entity, intermediates, now)?;
        }
        let facts = Facts::read(end_entity).map_err(|_| CertificateError::BadEncoding)?;
        facts.check_time(now)?;
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

/// What has to be known of a certificate whose issuer is settled.
#[derive(Debug, PartialEq, Eq)]
struct Facts {
    not_before: UnixTime,
    not_after: UnixTime,
    names: Vec<Subject>,
}

/// Whom a certificate is made out to.
#[derive(Debug, PartialEq, Eq)]
enum Subject {
    /// A host name; its first label may be `*`.
    Name(String),
    Address(IpAddr),
}

impl Facts {
    fn read(certificate: &CertificateDer<'_>) -> Result<Facts, x509_cert::der::Error> {
        let certificate = Certificate::from_der(certificate)?;
        let body = certificate.tbs_certificate();
        let alternatives = match body.get_extension::<SubjectAltName>()? {
            Some((_critical, SubjectAltName(names))) => names.iter().filter_map(Subject::of_alternative).collect(),
            None => Vec::new(),
        };
        let names = if alternatives.is_empty() {
            body.subject().common_name()?.map(Subject::of_common_name).into_iter().collect()
        } else {
            alternatives
        };
        let validity = body.validity();
        Ok(Facts {
            not_before: UnixTime::since_unix_epoch(validity.not_before.to_unix_duration()),
            not_after: UnixTime::since_unix_epoch(validity.not_after.to_unix_duration()),
            names,
        })
    }

    fn check_time(&self, now: UnixTime) -> Result<(), CertificateError> {
        if now < self.not_before {
            return Err(CertificateError::NotValidYetContext { time: now, not_before: self.not_before });
        }
        if now > self.not_after {
            return Err(CertificateError::ExpiredContext { time: now, not_after: self.not_after });
        }
        Ok(())
    }

    fn check_name(&self, host: &ServerName<'_>) -> Result<(), CertificateError> {
        if self.names.iter().any(|name| name.fits(host)) {
            return Ok(());
        }
        let presented = self.names.iter().map(|name| match name {
            Subject::Name(name) => name.clone(),
            Subject::Address(address) => address.to_string(),
        });
        Err(CertificateError::NotValidForNameContext { expected: host.to_owned(), presented: presented.collect() })
    }
}

impl Subject {
    fn of_alternative(name: &GeneralName) -> Option<Subject> {
        match name {
            GeneralName::DnsName(name) => Some(Subject::Name(name.to_string())),
            GeneralName::IpAddress(bytes) => {
                let bytes = bytes.as_bytes();
                let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
                v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from)).ok().map(Subject::Address)
            }
            _ => None,
        }
    }

    fn of_common_name(name: DirectoryString) -> Subject {
        let name = name.value().into_owned();
        name.parse().map_or(Subject::Name(name), Subject::Address)
    }

    fn fits(&self, host: &ServerName<'_>) -> bool {
        match (self, host) {
            (Subject::Address(ours), ServerName::IpAddress(theirs)) => *ours == IpAddr::from(*theirs),
            (Subject::Name(pattern), ServerName::DnsName(name)) => name_fits(pattern, name.as_ref()),
            _ => false,
        }
    }
}

/// Host names compare without regard to case; `*` as the whole first label stands for exactly one label (RFC 6125, 6.4).
fn name_fits(pattern: &str, name: &str) -> bool {
    let name = name.trim_end_matches('.');
    match pattern.strip_prefix("*.") {
        Some(domain) => {
            name.split_once('.').is_some_and(|(label, rest)| !label.is_empty() && rest.eq_ignore_ascii_case(domain))
        }
        None => name.eq_ignore_ascii_case(pattern),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_as_usual() {
        for (pattern, name, fits) in [
            ("faraday.example", "faraday.example", true),
            ("Faraday.Example", "faraday.eXample.", true),
            ("faraday.example", "other.example", false),
            ("*.example", "faraday.example", true),
            ("*.example", "a.b.example", false),
            ("*.example", "example", false),
            ("*.example", ".example", false),
            ("f*.example", "faraday.example", false),
            ("", "faraday.example", false),
            ("localhost", "localhost", true),
        ] {
            assert_eq!(name_fits(pattern, name), fits, "{pattern} {name}");
        }
    }
}

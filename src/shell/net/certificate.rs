//! What a certificate says of itself: whom it is made out to, when it is valid, and whether it may issue others. Reads DER;
//! believes nothing: whom to trust is `pinned`'s to say.

use std::net::IpAddr;

use rustls::CertificateError;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use x509_cert::Certificate;
use x509_cert::der::Decode;
use x509_cert::der::oid::ObjectIdentifier;
use x509_cert::ext::pkix::name::{DirectoryString, GeneralName};
use x509_cert::ext::pkix::{BasicConstraints, ExtendedKeyUsage, KeyUsage, NameConstraints, SubjectAltName};

/// Purposes of keys, RFC 5280 4.2.1.12.
const SERVER_AUTH: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.1");
const ANY_PURPOSE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.37.0");

/// Why a certificate cannot be read.
pub(super) type Unreadable = x509_cert::der::Error;

/// When and for whom a certificate is valid.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Facts {
    pub(super) validity: Validity,
    names: Vec<Subject>,
    /// The names are its common name, because it has no alternative ones.
    pub(super) is_named_by_subject: bool,
}

/// From when until when, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Validity {
    not_before: UnixTime,
    not_after: UnixTime,
}

/// Whom a certificate is made out to.
#[derive(Debug, PartialEq, Eq)]
enum Subject {
    /// A host name; its first label may be `*`.
    Name(String),
    Address(IpAddr),
}

impl Facts {
    pub(super) fn read(certificate: &CertificateDer<'_>) -> Result<Facts, Unreadable> {
        let certificate = Certificate::from_der(certificate)?;
        let body = certificate.tbs_certificate();
        let alternatives = match body.get_extension::<SubjectAltName>()? {
            Some((_critical, SubjectAltName(names))) => names.iter().filter_map(Subject::of_alternative).collect(),
            None => Vec::new(),
        };
        let is_named_by_subject = alternatives.is_empty();
        let names = if is_named_by_subject {
            body.subject().common_name()?.map(Subject::of_common_name).into_iter().collect()
        } else {
            alternatives
        };
        Ok(Facts { validity: Validity::of(&certificate), names, is_named_by_subject })
    }

    pub(super) fn check_name(&self, host: &ServerName<'_>) -> Result<(), CertificateError> {
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

impl Validity {
    fn of(certificate: &Certificate) -> Validity {
        let validity = certificate.tbs_certificate().validity();
        Validity {
            not_before: UnixTime::since_unix_epoch(validity.not_before.to_unix_duration()),
            not_after: UnixTime::since_unix_epoch(validity.not_after.to_unix_duration()),
        }
    }

    pub(super) fn check(&self, now: UnixTime) -> Result<(), CertificateError> {
        if now < self.not_before {
            return Err(CertificateError::NotValidYetContext { time: now, not_before: self.not_before });
        }
        if now > self.not_after {
            return Err(CertificateError::ExpiredContext { time: now, not_after: self.not_after });
        }
        Ok(())
    }
}

/// What a certificate that may issue others says of that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Authority {
    pub(super) validity: Validity,
    /// How many other authorities may stand between it and a server's certificate.
    pub(super) intermediates_max: Option<u8>,
    pub(super) constrains_names: bool,
}

impl Authority {
    /// `None` is a certificate that vouches for nobody but itself: it is no CA by its basicConstraints, or its key is not meant
    /// for signing certificates, or for servers.
    pub(super) fn read(certificate: &CertificateDer<'_>) -> Result<Option<Authority>, Unreadable> {
        let certificate = Certificate::from_der(certificate)?;
        let body = certificate.tbs_certificate();
        let Some((_critical, basic @ BasicConstraints { ca: true, .. })) = body.get_extension()? else {
            return Ok(None);
        };
        let signs = body.get_extension::<KeyUsage>()?.is_none_or(|(_critical, usage)| usage.key_cert_sign());
        let serves = body.get_extension::<ExtendedKeyUsage>()?.is_none_or(|(_critical, ExtendedKeyUsage(purposes))| {
            purposes.contains(&SERVER_AUTH) || purposes.contains(&ANY_PURPOSE)
        });
        let authority = Authority {
            validity: Validity::of(&certificate),
            intermediates_max: basic.path_len_constraint,
            constrains_names: has_name_constraints(&certificate),
        };
        Ok((signs && serves).then_some(authority))
    }
}

/// Whether a certificate limits the names that those it issues may have. One that cannot be read is taken for one that does.
pub(super) fn constrains_names(certificate: &CertificateDer<'_>) -> bool {
    Certificate::from_der(certificate).map_or(true, |certificate| has_name_constraints(&certificate))
}

fn has_name_constraints(certificate: &Certificate) -> bool {
    let constraints = certificate.tbs_certificate().get_extension::<NameConstraints>();
    constraints.map_or(true, |constraints| constraints.is_some())
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

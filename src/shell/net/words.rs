//! The one place where errors of the system, of TLS and of HTTP become words: what failed, why, what to do.
//! Takes errors, gives faults; does no I/O.

use std::fmt;
use std::io::{self, ErrorKind};
use std::time::Duration;

use rustls::{AlertDescription, CertificateError};

use super::fault::Fault;
use super::tcp::Place;

/// What to try when a port does not answer in TLS.
const PLAIN_HINT: &str = "if that port speaks plain HTTP, set server.ssl: false";
/// What to try when a port does not answer in plain HTTP.
pub(super) const TLS_HINT: &str = "if that port speaks TLS, set server.ssl: true";

/// Comes inside an `io::Error` when the first bytes of a plain connection are those of a TLS record.
#[derive(Debug)]
pub(super) struct SpeaksTls;

impl fmt::Display for SpeaksTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the server speaks TLS")
    }
}

impl std::error::Error for SpeaksTls {}

/// The name was not found.
pub(super) fn unresolved(place: &Place, limit: Duration, error: &io::Error) -> Fault {
    let host = &place.host;
    let why = match error.kind() {
        ErrorKind::TimedOut => format!("no answer within {}", seconds(limit)),
        _ => error.to_string(),
    };
    Fault::transient(format!("no address for the name {host}: {why}; check server.host and this machine's DNS"))
}

/// No TCP connection came about.
pub(super) fn unconnected(place: &Place, limit: Duration, error: &io::Error) -> Fault {
    let (host, key) = (&place.host, place.port_key);
    Fault::transient(match error.kind() {
        ErrorKind::ConnectionRefused if means_this_machine(host) => format!(
            "nothing listens on {place} (connection refused); check server.host and {key} (inside a container, {host} is \
             the container itself)"
        ),
        ErrorKind::ConnectionRefused => {
            format!("nothing listens on {place} (connection refused); check server.host and {key}")
        }
        ErrorKind::TimedOut => format!(
            "no connection to {place} within {}: the machine is off, or a firewall drops the packets; check server.host and {key}",
            seconds(limit)
        ),
        ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable | ErrorKind::NetworkDown => {
            format!("no way to {place} ({error}); check this machine's network and server.host")
        }
        _ => format!("cannot connect to {place}: {error}; check server.host and {key}"),
    })
}

/// The TLS handshake failed.
pub(super) fn handshake(place: &Place, limit: Duration, error: &io::Error) -> Fault {
    match tls_error(error) {
        Some(rustls::Error::InvalidMessage(_)) => Fault::setup(format!(
            "{place} does not speak TLS: set server.ssl: false, or {} to the port that does",
            place.port_key
        )),
        Some(tls) => refused_handshake(place, tls),
        None if error.kind() == ErrorKind::TimedOut => Fault::transient(format!(
            "{place} accepts connections but does not answer a TLS handshake within {}; {PLAIN_HINT}",
            seconds(limit)
        )),
        None => Fault::transient(format!("{place} closed the connection in the TLS handshake ({error}); {PLAIN_HINT}")),
    }
}

/// A connected exchange (a request, an upgrade) failed before its answer was complete.
pub(super) fn exchange(place: &Place, error: &io::Error) -> Fault {
    if error.get_ref().is_some_and(|inner| inner.is::<SpeaksTls>()) {
        return speaks_tls(place);
    }
    match (tls_error(error), error.kind()) {
        // In TLS 1.3 the server may refuse the handshake after our side of it has ended.
        (Some(tls @ rustls::Error::AlertReceived(_)), _) => refused_handshake(place, tls),
        (Some(tls), _) => Fault::transient(format!("the TLS connection to {place} broke: {tls}")),
        (None, ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe) => {
            Fault::transient(format!("{place} closed the connection before it answered"))
        }
        (None, _) => Fault::transient(format!("the connection to {place} failed: {error}")),
    }
}

/// The server speaks TLS where the configuration says plain.
pub(super) fn speaks_tls(place: &Place) -> Fault {
    Fault::setup(format!("{place} speaks TLS, this agent is set to plain HTTP: set server.ssl: true"))
}

/// Whether an answer is a web server's complaint about plain HTTP on its TLS port: nginx, Go and Apache, in this order.
pub(super) fn complains_of_plain(status: u16, body: &[u8]) -> bool {
    const COMPLAINTS: [&[u8]; 3] = [b"sent to HTTPS port", b"to an HTTPS server", b"to an SSL-enabled server port"];
    status == 400 && COMPLAINTS.iter().any(|words| memchr::memmem::find(body, words).is_some())
}

/// `10 s`, `0.2 s`.
pub(super) fn seconds(limit: Duration) -> String {
    format!("{} s", limit.as_secs_f64())
}

fn tls_error(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}

fn refused_handshake(place: &Place, error: &rustls::Error) -> Fault {
    match error {
        rustls::Error::InvalidCertificate(error) => certificate(place, error),
        rustls::Error::AlertReceived(AlertDescription::CertificateRequired) => {
            Fault::setup(format!("{place} wants a client certificate, which this agent does not have"))
        }
        rustls::Error::AlertReceived(AlertDescription::UnrecognisedName) => Fault::setup(format!(
            "{place} knows no server of the name {}: set server.host to the name it is known by",
            place.host
        )),
        rustls::Error::AlertReceived(AlertDescription::ProtocolVersion | AlertDescription::HandshakeFailure)
        | rustls::Error::PeerIncompatible(_) => Fault::setup(format!(
            "{place} and this agent have no TLS in common ({error}): the server must offer TLS 1.2 or 1.3 with ciphers of today"
        )),
        error => Fault::transient(format!("the TLS handshake with {place} failed: {error}")),
    }
}

/// A certificate was not accepted. What time or the server's keeper can put right is worth waiting for; the rest is not.
fn certificate(place: &Place, error: &CertificateError) -> Fault {
    match error {
        CertificateError::ExpiredContext { time, not_after } => Fault::transient(format!(
            "the certificate of {place} expired on {} (this machine's clock says {}): renew it on the server{}",
            day(not_after.as_secs()),
            day(time.as_secs()),
            if place.pinned { " and in the file of server.ssl_cert" } else { "" }
        )),
        CertificateError::NotValidYetContext { time, not_before } => Fault::transient(format!(
            "the certificate of {place} is not valid before {}, and this machine's clock says {}: set the clock",
            day(not_before.as_secs()),
            day(time.as_secs())
        )),
        CertificateError::NotValidForNameContext { presented, .. } => Fault::setup(format!(
            "the certificate of {place} is made out to {}, not to {}: set server.host to a name in the certificate, or \
             have it made anew for {}",
            names(presented),
            place.host,
            place.host
        )),
        CertificateError::BadSignature => Fault::setup(format!(
            "{place} presents a certificate without holding its key, or a forged one: somebody may be in between"
        )),
        // webpki reads version 3 only; of what is pinned, version 1 is read too, but only TLS 1.3 gives us the means.
        error if error.to_string().contains("UnsupportedCertVersion") => Fault::setup(format!(
            "{place} presents a certificate of X.509 version 1, which is accepted only over TLS 1.3 and from the file of \
             server.ssl_cert: have it made anew as version 3"
        )),
        error if place.pinned => Fault::setup(format!(
            "{place} presents a certificate that is neither in the file of server.ssl_cert nor signed by a CA that is \
             ({}): put the server's present certificate, or its CA, into that file; if nobody has changed it, somebody \
             may be in between",
            distrust(error)
        )),
        error => Fault::setup(format!(
            "the certificate of {place} is not signed by an authority that this machine knows ({}): save the server's \
             certificate, or its CA, as a PEM file and name that file in server.ssl_cert",
            distrust(error)
        )),
    }
}

fn distrust(error: &CertificateError) -> String {
    match error {
        CertificateError::UnknownIssuer => "unknown issuer".to_owned(),
        // A CA's own certificate where a server's should be: what `openssl req -x509` makes by itself.
        CertificateError::Other(other) if other.to_string().contains("CaUsedAsEndEntity") => "self-signed".to_owned(),
        other => other.to_string(),
    }
}

/// rustls names them as `DnsName("a.example")` and `IpAddress(10.0.0.1)`.
fn names(presented: &[String]) -> String {
    let bare = |name: &String| {
        let inner = name.split_once('(').map_or(name.as_str(), |(_kind, rest)| rest.trim_end_matches(')'));
        inner.trim_matches('"').to_owned()
    };
    match presented {
        [] => "nobody (it has no subjectAltName, and a common name does not count where its CA has name constraints)"
            .to_owned(),
        names => names.iter().map(bare).collect::<Vec<_>>().join(", "),
    }
}

fn day(unix_seconds: u64) -> String {
    let moment = i64::try_from(unix_seconds).ok().and_then(|s| time::OffsetDateTime::from_unix_timestamp(s).ok());
    moment.map_or_else(|| "a day out of reckoning".to_owned(), |moment| moment.date().to_string())
}

fn means_this_machine(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost") || host.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
}

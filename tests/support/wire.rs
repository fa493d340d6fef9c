//! A connection's byte stream, plain or TLS, and the two ways of ending it badly.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use socket2::SockRef;

/// How a connection is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// An ordinary end of TCP, without a websocket Close frame or an HTTP answer before it.
    Fin,
    /// A reset (RST).
    Reset,
}

pub enum Wire {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ServerConnection, TcpStream>>),
}

impl Wire {
    pub fn new(stream: TcpStream, tls: Option<&Arc<ServerConfig>>) -> io::Result<Wire> {
        stream.set_nodelay(true)?;
        let Some(config) = tls else {
            return Ok(Wire::Plain(stream));
        };
        let session = ServerConnection::new(config.clone()).map_err(io::Error::other)?;
        Ok(Wire::Tls(Box::new(StreamOwned::new(session, stream))))
    }

    pub fn socket(&self) -> &TcpStream {
        match self {
            Wire::Plain(stream) => stream,
            Wire::Tls(stream) => &stream.sock,
        }
    }

    /// Ends the connection; a reset takes effect when the last clone of the socket is dropped.
    pub fn cut(self, cut: Cut) {
        self::cut(self.socket(), cut);
    }

    /// Ends the connection as a well-behaved server does.
    pub fn close(mut self) {
        if let Wire::Tls(stream) = &mut self {
            stream.conn.send_close_notify();
            let _ = stream.flush();
        }
        self.cut(Cut::Fin);
    }
}

/// Ends a connection from outside its thread, which then sees the end of the stream.
pub fn cut(socket: &TcpStream, cut: Cut) {
    if cut == Cut::Reset {
        // With a linger of zero the close(2) that follows resets the connection (socket(7)).
        let _ = SockRef::from(socket).set_linger(Some(Duration::ZERO));
    }
    // A shutdown for writing would send FIN before the reset.
    let how = if cut == Cut::Reset { Shutdown::Read } else { Shutdown::Both };
    let _ = socket.shutdown(how);
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Wire::Plain(stream) => stream.read(buffer),
            Wire::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Wire::Plain(stream) => stream.write(bytes),
            Wire::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Wire::Plain(stream) => stream.flush(),
            Wire::Tls(stream) => stream.flush(),
        }
    }
}

/// A certificate chain with its key, and what an agent needs to trust it.
pub struct Identity {
    pub chain: Vec<CertificateDer<'static>>,
    pub key: PrivateKeyDer<'static>,
    /// PEM of what the agent's `ssl_cert` names.
    pub trust_pem: String,
}

impl Identity {
    /// A self-signed certificate for these names or addresses, as Faraday set-ups usually have.
    pub fn self_signed(names: &[&str]) -> Identity {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let made = rcgen::generate_simple_self_signed(names).expect("a certificate for plain names");
        Identity {
            chain: vec![made.cert.der().clone()],
            key: PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into()),
            trust_pem: made.cert.pem(),
        }
    }

    pub fn server_config(self) -> Arc<ServerConfig> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("ring speaks every version that rustls has")
            .with_no_client_auth()
            .with_single_cert(self.chain, self.key)
            .expect("the key fits the certificate");
        Arc::new(config)
    }
}

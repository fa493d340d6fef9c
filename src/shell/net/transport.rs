//! How ureq gets at the server: through a [`Link`], with our deadlines and our TLS. Called by ureq only.

use std::fmt;
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::ClientConfig;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::time::Duration as Left;
use ureq::unversioned::transport::{Buffers, ConnectionDetails, Connector, LazyBuffers, NextTimeout, Transport};

use super::limits::Limits;
use super::link::Link;
use super::tcp::Place;

/// Opens links to one place, whatever URL ureq holds in its hands.
pub(super) struct Doorway {
    pub(super) place: Place,
    pub(super) tls: Option<Arc<ClientConfig>>,
    pub(super) limits: Limits,
}

impl Connector for Doorway {
    type Out = LinkTransport;

    fn connect(&self, details: &ConnectionDetails, _chained: Option<()>) -> Result<Option<LinkTransport>, ureq::Error> {
        let link = Link::open(&self.place, self.tls.as_ref(), &self.limits, None)
            .map_err(|fault| ureq::Error::Other(Box::new(fault)))?;
        let buffers = LazyBuffers::new(details.config.input_buffer_size(), details.config.output_buffer_size());
        Ok(Some(LinkTransport { link, buffers, secure: self.tls.is_some(), unsent: None }))
    }
}

impl fmt::Debug for Doorway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Doorway({})", self.place)
    }
}

/// ureq asks for addresses before it looks for an idle connection; ours are looked up by the link, when there is one to open.
#[derive(Debug)]
pub(super) struct NoResolver;

impl Resolver for NoResolver {
    fn resolve(&self, _: &Uri, _: &Config, _: NextTimeout) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let nowhere = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);
        let mut addresses = ResolvedSocketAddrs::from_fn(|_| nowhere);
        addresses.push(nowhere);
        Ok(addresses)
    }
}

/// A link as ureq wants it.
#[derive(Debug)]
pub(super) struct LinkTransport {
    link: Link,
    buffers: LazyBuffers,
    secure: bool,
    /// Why sending failed. A server that refuses a body early (413, 401) answers before it closes: the rest of the body
    /// goes nowhere, and this error counts only if no answer is there to be read.
    unsent: Option<ureq::Error>,
}

impl LinkTransport {
    fn send(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), ureq::Error> {
        let name = |error: std::io::Error| match error.kind() {
            ErrorKind::TimedOut => ureq::Error::Timeout(timeout.reason),
            _ => ureq::Error::Io(error),
        };
        self.link.set_deadline(deadline(timeout));
        self.link.write_all(&self.buffers.output()[..amount]).map_err(name)?;
        self.link.flush().map_err(name)
    }
}

impl Transport for LinkTransport {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), ureq::Error> {
        if self.unsent.is_some() {
            return Ok(());
        }
        match self.send(amount, timeout.for_write()) {
            Err(error @ ureq::Error::Io(_)) => {
                self.unsent = Some(error);
                Ok(())
            }
            other => other,
        }
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, ureq::Error> {
        let timeout = timeout.for_read();
        self.link.set_deadline(deadline(timeout));
        let received = self.link.read(self.buffers.input_append_buf());
        match (received, self.unsent.take()) {
            (Ok(0) | Err(_), Some(unsent)) => Err(unsent),
            (Ok(count), unsent) => {
                self.unsent = unsent;
                self.buffers.input_appended(count);
                Ok(count > 0)
            }
            (Err(error), None) if error.kind() == ErrorKind::TimedOut => Err(ureq::Error::Timeout(timeout.reason)),
            (Err(error), None) => Err(ureq::Error::Io(error)),
        }
    }

    fn is_open(&mut self) -> bool {
        self.unsent.is_none() && self.link.is_idle()
    }

    fn is_tls(&self) -> bool {
        self.secure
    }
}

/// Every phase of a request has its limit (`Api::new`); should one be missing, an hour is still not for ever.
fn deadline(timeout: NextTimeout) -> Instant {
    let left = match timeout.after {
        Left::Exact(left) => left,
        Left::NotHappening => Duration::from_secs(3600),
    };
    Instant::now() + left
}

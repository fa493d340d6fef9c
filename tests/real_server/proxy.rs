//! A TCP proxy on the way to a server, whose connections can be cut.

use std::io;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use socket2::SockRef;

/// Lives until the test process ends.
pub struct Proxy {
    pub port: u16,
    open: Arc<Mutex<Vec<TcpStream>>>,
}

impl Proxy {
    /// Passes everything on to a port of this machine.
    pub fn to(target: u16) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("it is bound").port();
        let open: Arc<Mutex<Vec<TcpStream>>> = Arc::default();
        let register = open.clone();
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if let Err(error) = connect(&client, target, &register) {
                    eprintln!("proxy to port {target}: {error}");
                }
            }
        });
        Proxy { port, open }
    }

    /// Resets every connection, on both sides.
    pub fn cut(&self) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        for stream in open.drain(..) {
            let _ = SockRef::from(&stream).set_linger(Some(Duration::ZERO));
            // Wakes the thread that reads; the last clone, which it drops, resets.
            let _ = stream.shutdown(Shutdown::Read);
        }
    }
}

fn connect(client: &TcpStream, target: u16, open: &Mutex<Vec<TcpStream>>) -> io::Result<()> {
    let server = TcpStream::connect(("127.0.0.1", target))?;
    let mut open = open.lock().unwrap_or_else(PoisonError::into_inner);
    for (from, to) in [(client, &server), (&server, client)] {
        open.push(from.try_clone()?);
        let (mut from, mut to) = (from.try_clone()?, to.try_clone()?);
        thread::spawn(move || {
            let _ = io::copy(&mut from, &mut to);
            let _ = to.shutdown(Shutdown::Write);
        });
    }
    Ok(())
}

//! Listening sockets that can be closed and opened again on the same port, as a server that restarts does.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use super::connection;
use super::shared::Shared;

/// What is served on a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// REST, and on servers from 5.0 Socket.IO too.
    Api,
    /// The raw websocket.
    Websocket,
}

pub struct Port {
    role: Role,
    address: SocketAddr,
    door: Door,
}

enum Door {
    Open {
        closing: Arc<AtomicBool>,
        acceptor: JoinHandle<(TcpListener, TcpStream)>,
    },
    /// No longer listening; the pair of sockets keeps the kernel from giving the port to anybody else.
    Reserved {
        _pair: (TcpStream, TcpStream),
    },
    Closed,
}

impl Port {
    /// Listens on a port of the kernel's choice.
    pub fn open(role: Role, shared: &Arc<Shared>) -> io::Result<Port> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        Ok(Port { role, address, door: Door::accept(listener, role, shared) })
    }

    pub fn number(&self) -> u16 {
        self.address.port()
    }

    pub fn role(&self) -> Role {
        self.role
    }

    /// Listens again after `close`.
    pub fn reopen(&mut self, shared: &Arc<Shared>) -> io::Result<()> {
        if !matches!(self.door, Door::Open { .. }) {
            let listener = TcpListener::bind(self.address)?;
            self.door = Door::accept(listener, self.role, shared);
        }
        Ok(())
    }

    /// Stops listening; connections that were accepted stay as they are.
    pub fn close(&mut self) -> io::Result<()> {
        let Door::Open { closing, acceptor } = std::mem::replace(&mut self.door, Door::Closed) else {
            return Ok(());
        };
        closing.store(true, Ordering::SeqCst);
        // The acceptor blocks in accept(2); a connection of our own wakes it, and then holds the port.
        let ours = TcpStream::connect(self.address)?;
        let (listener, mut accepted) = acceptor.join().map_err(|_| io::Error::other("the acceptor panicked"))?;
        while accepted.peer_addr()? != ours.local_addr()? {
            accepted = listener.accept()?.0;
        }
        self.door = Door::Reserved { _pair: (ours, accepted) };
        Ok(())
    }
}

impl Door {
    fn accept(listener: TcpListener, role: Role, shared: &Arc<Shared>) -> Door {
        let closing = Arc::new(AtomicBool::new(false));
        let (flag, shared) = (closing.clone(), shared.clone());
        let acceptor = std::thread::spawn(move || {
            loop {
                // An error here is a connection that went away before it was accepted (accept(2)).
                let Ok((stream, _)) = listener.accept() else {
                    continue;
                };
                if flag.load(Ordering::SeqCst) {
                    return (listener, stream);
                }
                connection::spawn(stream, role, shared.clone());
            }
        });
        Door::Open { closing, acceptor }
    }
}

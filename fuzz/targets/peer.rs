//! A server on a port of 127.0.0.1 that says what the input says, to one connection after the other.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Sender, channel};
use std::sync::{LazyLock, Mutex};
use std::thread;
use std::time::Duration;

use faraday_agent::config::settings::{ProtocolChoice, Server};
use faraday_agent::shell::net::limits::Limits;
use tungstenite::handshake::derive_accept_key;

/// What to say to the next connection.
pub struct Speech {
    /// A proper answer to a websocket upgrade goes before.
    pub upgrades: bool,
    pub bytes: Vec<u8>,
}

struct Peer {
    address: SocketAddr,
    speeches: Mutex<Sender<Speech>>,
}

static PEER: LazyLock<Peer> = LazyLock::new(|| {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("its address");
    let (speeches, next) = channel::<Speech>();
    thread::spawn(move || {
        for speech in next {
            let Ok((stream, _)) = listener.accept() else { return };
            let _ = speak(stream, &speech);
        }
    });
    Peer { address, speeches: Mutex::new(speeches) }
});

fn speak(mut stream: TcpStream, speech: &Speech) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(1)))?;
    let head = read_head(&mut stream)?;
    if speech.upgrades {
        let key = head
            .lines()
            .find_map(|line| line.strip_prefix("Sec-WebSocket-Key: ").or(line.strip_prefix("sec-websocket-key: ")));
        let accept = derive_accept_key(key.unwrap_or_default().trim().as_bytes());
        write!(
            stream,
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
        )?;
    }
    stream.write_all(&speech.bytes)?;
    stream.shutdown(Shutdown::Write)?;
    // Whoever closes with bytes unread resets the connection, and takes back what was said.
    let mut rest = [0; 4096];
    while stream.read(&mut rest)? > 0 {}
    Ok(())
}

fn read_head(stream: &mut TcpStream) -> std::io::Result<String> {
    let (mut head, mut buffer) = (Vec::new(), [0; 2048]);
    while !head.windows(4).any(|four| four == b"\r\n\r\n") {
        match stream.read(&mut buffer)? {
            0 => break,
            bytes => head.extend_from_slice(&buffer[..bytes]),
        }
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}

/// Settings that lead to the peer, which will say this to the next connection.
pub fn expect(speech: Speech, protocol: ProtocolChoice) -> Server {
    let port = PEER.address.port();
    let speeches = PEER.speeches.lock().expect("nobody panics with it");
    speeches.send(speech).expect("the peer lives");
    Server {
        host: "127.0.0.1".to_owned(),
        api_port: port,
        websocket_port: port,
        tls: false,
        tls_cert: None,
        tls_verify: true,
        base_route: String::new(),
        protocol,
    }
}

pub fn limits() -> Limits {
    let brief = Duration::from_secs(1);
    Limits {
        upgrade: brief,
        greeting: brief,
        answer: brief,
        post: brief,
        stall: brief,
        dial: brief,
        ..Limits::default()
    }
}

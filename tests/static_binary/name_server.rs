//! A name server on loopback that answers every question for an IPv4 address with 127.0.0.1. Source: RFC 1035 4.1.

use std::io;
use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

pub struct NameServer {
    stopped: Arc<AtomicBool>,
}

const TYPE_A: [u8; 2] = [0, 1];

impl NameServer {
    /// Loopback, and not where a resolver of this machine would be.
    pub const ADDRESS: &str = "127.53.53.53";

    /// `None` if this process may not listen on port 53.
    pub fn start() -> Option<NameServer> {
        let socket = match UdpSocket::bind((NameServer::ADDRESS, 53)) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return None,
            bound => bound.expect("the address is nobody else's"),
        };
        socket.set_read_timeout(Some(Duration::from_millis(100))).expect("not zero");
        let stopped = Arc::new(AtomicBool::new(false));
        let seen = stopped.clone();
        std::thread::spawn(move || {
            let mut question = [0; 512];
            while !seen.load(Ordering::Relaxed) {
                if let Ok((length, asker)) = socket.recv_from(&mut question) {
                    // Who asks again gets another answer.
                    let _ = socket.send_to(&answer(&question[..length]), asker);
                }
            }
        });
        Some(NameServer { stopped })
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Relaxed);
    }
}

/// The same message as a response, without what followed the question.
fn answer(question: &[u8]) -> Vec<u8> {
    let name = question[12..].iter().position(|length| *length == 0).expect("a name ends with an empty label");
    let kind = &question[12 + name + 1..][..2];
    let has_answer = kind == TYPE_A;
    let mut message = question[..12 + name + 5].to_vec();
    // A response, recursion available; one question, no other sections but perhaps an answer.
    message[2..12].copy_from_slice(&[0x81, 0x80, 0, 1, 0, u8::from(has_answer), 0, 0, 0, 0]);
    if has_answer {
        // The name above, type A, class IN, a minute, four bytes.
        message.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 127, 0, 0, 1]);
    }
    message
}

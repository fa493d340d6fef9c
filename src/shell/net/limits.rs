//! How long each step towards the server may take. Numbers only; whoever takes the step keeps to them.

use std::time::Duration;

/// Limits in time, each from the start of its own step unless said otherwise.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Name lookup and TCP connect together, over all addresses of the name.
    pub connect: Duration,
    /// TLS handshake.
    pub handshake: Duration,
    /// Answer to a websocket upgrade.
    pub upgrade: Duration,
    /// First frame after an upgrade: a Socket.IO server sends it at once, a raw one never.
    pub greeting: Duration,
    /// All of `dial`, whatever it has to try.
    pub dial: Duration,
    /// Answer to the small requests of the start: info, registration, websocket token.
    pub answer: Duration,
    /// Answer to a `bulk_create`, counted from the end of the body. A server without its task queue takes 20 s for each.
    pub post: Duration,
    /// No byte of a request's body could be sent for so long.
    pub stall: Duration,
    /// Sending a whole body: 64 MiB over 1 Mbit/s take nine minutes.
    pub send: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        let seconds = Duration::from_secs;
        Limits {
            connect: seconds(10),
            handshake: seconds(10),
            upgrade: seconds(10),
            greeting: seconds(5),
            dial: seconds(30),
            answer: seconds(30),
            post: seconds(120),
            stall: seconds(60),
            send: seconds(900),
        }
    }
}

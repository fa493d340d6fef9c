//! What this machine can do at all: the executor without an agent, and the server without one. The two share the processors
//! with the agent in every other scenario.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Stdio;
use std::time::Instant;

use super::generator::{Job, SHORT_BYTES};
use super::measure;
use super::remote::Server;
use super::scenarios::Size;
use super::sheet::{Goal, Sheet};

/// Whose figures these are.
pub const MACHINE: &str = "limit";
pub const CONNECTIONS: u64 = 4;

pub fn limits(size: Size, sheet: &mut Sheet) {
    generator(size.pick(2_000_000, 200_000), sheet);
    posts(500, size.pick(4000, 400), sheet);
    posts(1, size.pick(100_000, 5_000), sheet);
}

/// The generator, with a reader that throws everything away.
fn generator(documents: u64, sheet: &mut Sheet) {
    let begun = Instant::now();
    let mut child = Job { documents, ..Job::default() }.start(0, Stdio::piped());
    let mut out = child.stdout.take().expect("a pipe");
    let (mut buffer, mut bytes) = (vec![0; 64 << 10], 0);
    while let Ok(read @ 1..) = out.read(&mut buffer) {
        bytes += read as u64;
    }
    let took = begun.elapsed();
    let _ = child.wait();
    assert_eq!(bytes, documents * SHORT_BYTES as u64);
    sheet.put_of(MACHINE, "generator alone", "documents/s", documents as f64 / took.as_secs_f64(), Goal::None);
}

/// Ready-made posts of so many documents each, on a few connections that are kept.
fn posts(documents: u64, posts: u64, sheet: &mut Sheet) {
    let server = Server::start(false);
    let host = format!(r#"{{"ip":"0","description":"{}"}}"#, "x".repeat(SHORT_BYTES - 50));
    let body = format!("{{\"hosts\":[{}]}}", vec![host; documents as usize].join(","));
    let request = format!("{}{body}", head(&server.token, body.len()));
    let (cpu, begun) = (measure::cpu(server.pid()), Instant::now());
    std::thread::scope(|scope| {
        for _ in 0..CONNECTIONS {
            scope.spawn(|| keep_posting(server.port, request.as_bytes(), posts / CONNECTIONS));
        }
    });
    let took = begun.elapsed();
    let all = (posts * documents) as f64;
    let name = if documents == 1 { "server alone, one a post" } else { "server alone, 500 a post" };
    sheet.put_of(MACHINE, name, "documents/s", all / took.as_secs_f64(), Goal::None);
    let cpu_us = (measure::cpu(server.pid()) - cpu).as_secs_f64() * 1e6;
    sheet.put_of(MACHINE, &format!("{name}: CPU a document"), "µs", cpu_us / all, Goal::None);
}

fn keep_posting(port: u16, request: &[u8], posts: u64) {
    let mut stream = connect(port);
    for _ in 0..posts {
        exchange(&mut stream, request);
    }
}

/// The head of a post with a body of so many bytes.
pub fn head(token: &str, body_bytes: usize) -> String {
    format!(
        "POST /_api/v3/ws/ws/bulk_create HTTP/1.1\r\nHost: bench\r\nAuthorization: Agent {token}\r\n\
         Content-Type: application/json\r\nContent-Length: {body_bytes}\r\n\r\n"
    )
}

pub fn connect(port: u16) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", port)).expect("the server listens");
    stream.set_nodelay(true).expect("a socket");
    stream
}

/// One post and its answer.
pub fn exchange(stream: &mut TcpStream, request: &[u8]) {
    stream.write_all(request).expect("the server reads");
    // An answer is small and comes in one piece.
    let mut room = [0; 4096];
    let read = stream.read(&mut room).expect("the server answers");
    assert!(room[..read].starts_with(b"HTTP/1.1 201"), "{}", String::from_utf8_lossy(&room[..read]));
}

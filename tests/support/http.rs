//! HTTP/1.1 by hand, as much as an agent needs: heads, bodies by length or in chunks, answers.
//! Knows nothing of Faraday.

use std::io::{self, BufRead, Read, Write};
use std::time::Instant;

use serde_json::Value;

const HEAD_BYTES_MAX: u64 = 64 * 1024;
const BODY_BYTES_MAX: u64 = 4 << 30;

pub struct Request {
    pub method: String,
    /// As it stood in the request line, still percent-encoded.
    pub target: String,
    pub headers: Vec<(String, String)>,
    /// Empty until the body has been read.
    pub body: Vec<u8>,
    /// When the head, and later the body, was complete.
    pub at: Instant,
}

impl Request {
    /// The value of a header; its name in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    /// The value of `key` in the query.
    pub fn query(&self, key: &str) -> Option<&str> {
        let (_, query) = self.target.split_once('?')?;
        let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        pairs.find(|(k, _)| *k == key).map(|(_, value)| value)
    }

    pub fn wants_close(&self) -> bool {
        self.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"))
    }

    /// Whether the request asks for a websocket.
    pub fn upgrades(&self) -> bool {
        self.header("upgrade").is_some_and(|value| value.eq_ignore_ascii_case("websocket"))
    }
}

/// Reads a request's head; `None` when the client has closed instead.
pub fn read_head(reader: &mut impl BufRead) -> io::Result<Option<Request>> {
    let mut head = reader.take(HEAD_BYTES_MAX);
    let Some(first) = read_line(&mut head)? else {
        return Ok(None);
    };
    let mut words = first.split(' ');
    let (Some(method), Some(target), Some("HTTP/1.1" | "HTTP/1.0")) = (words.next(), words.next(), words.next()) else {
        return Err(io::Error::other(format!("not a request line: {first:?}")));
    };
    let (method, target) = (method.to_owned(), target.to_owned());
    let mut headers = Vec::new();
    loop {
        let line = read_line(&mut head)?.ok_or(io::ErrorKind::UnexpectedEof)?;
        if line.is_empty() {
            return Ok(Some(Request { method, target, headers, body: Vec::new(), at: Instant::now() }));
        }
        let (name, value) = line.split_once(':').ok_or_else(|| io::Error::other("a header without a colon"))?;
        headers.push((name.to_owned(), value.trim().to_owned()));
    }
}

/// One line without its end; `None` at the end of the stream.
fn read_line(reader: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut line = Vec::new();
    if reader.read_until(b'\n', &mut line)? == 0 {
        return Ok(None);
    }
    if line.pop() != Some(b'\n') {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    if line.last() == Some(&b'\r') {
        line.pop();
    }
    String::from_utf8(line).map(Some).map_err(io::Error::other)
}

/// Reads the body of `request` into it, using `room` as memory.
pub fn read_body(reader: &mut impl BufRead, request: &mut Request, mut room: Vec<u8>) -> io::Result<()> {
    room.clear();
    let chunked = request.header("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked"));
    if chunked {
        while read_chunk(reader, &mut room)? {}
    } else if let Some(length) = request.header("content-length") {
        read_exactly(reader, length.parse().map_err(io::Error::other)?, &mut room)?;
    }
    request.body = room;
    request.at = Instant::now();
    Ok(())
}

/// Reads one chunk; false when it was the last, whose trailers are read too.
fn read_chunk(reader: &mut impl BufRead, body: &mut Vec<u8>) -> io::Result<bool> {
    let line = read_line(reader)?.ok_or(io::ErrorKind::UnexpectedEof)?;
    let size = line.split(';').next().unwrap_or_default().trim();
    let size = u64::from_str_radix(size, 16).map_err(io::Error::other)?;
    if size > 0 {
        read_exactly(reader, size, body)?;
        read_line(reader)?;
        return Ok(true);
    }
    while read_line(reader)?.is_some_and(|trailer| !trailer.is_empty()) {}
    Ok(false)
}

fn read_exactly(reader: &mut impl BufRead, length: u64, body: &mut Vec<u8>) -> io::Result<()> {
    if length > BODY_BYTES_MAX {
        return Err(io::Error::other("the body is too long for the stand-in"));
    }
    body.reserve(length as usize);
    let read = reader.take(length).read_to_end(body)?;
    if (read as u64) < length { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
}

/// What is sent back.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub content_type: &'static str,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn json(status: u16, body: &Value) -> Answer {
        let body = body.to_string().into_bytes();
        Answer { status, content_type: "application/json", headers: Vec::new(), body }
    }

    /// `{"message": …}`, as the server words most of its refusals.
    pub fn message(status: u16, text: &str) -> Answer {
        Answer::json(status, &serde_json::json!({ "message": text }))
    }

    /// The page that Flask makes of an error.
    pub fn page(status: u16, text: &str) -> Answer {
        let title = reason(status);
        let page = format!(
            "<!doctype html>\n<html lang=en>\n<title>{status} {title}</title>\n<h1>{title}</h1>\n<p>{text}</p>\n"
        );
        Answer::html(status, &page)
    }

    pub fn html(status: u16, body: &str) -> Answer {
        let body = body.as_bytes().to_vec();
        Answer { status, content_type: "text/html", headers: Vec::new(), body }
    }

    pub fn write_to(&self, writer: &mut impl Write) -> io::Result<()> {
        let mut bytes = format!(
            "HTTP/1.1 {} {}\r\nContent-Type: {}\r\nContent-Length: {}\r\n",
            self.status,
            reason(self.status).to_uppercase(),
            self.content_type,
            self.body.len()
        );
        for (name, value) in &self.headers {
            bytes.push_str(&format!("{name}: {value}\r\n"));
        }
        bytes.push_str("\r\n");
        let mut bytes = bytes.into_bytes();
        bytes.extend_from_slice(&self.body);
        writer.write_all(&bytes)?;
        writer.flush()
    }
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        302 => "Found",
        400 => "Bad Request",
        401 => "Unauthorized",
        402 => "Payment Required",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        413 => "Request Entity Too Large",
        426 => "Upgrade Required",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => "Unknown",
    }
}

//! The smallest possible clients: HTTP over a TCP stream, and a websocket that reads with a deadline.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;
use tungstenite::protocol::frame::CloseFrame;
use tungstenite::{Error, Message, WebSocket};

use crate::support::{SOON, Standin};

/// Long enough to notice an answer that should not come.
pub const A_WHILE: Duration = Duration::from_millis(150);

/// A keep-alive connection.
pub struct Http {
    reader: BufReader<TcpStream>,
}

#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Reply {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e} in {self:?}"))
    }
}

impl Http {
    pub fn connect(port: u16) -> Http {
        let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        Http { reader: BufReader::new(stream) }
    }

    pub fn write(&mut self, bytes: &[u8]) {
        self.reader.get_mut().write_all(bytes).unwrap();
    }

    pub fn send(&mut self, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) {
        let mut head = format!("{method} {target} HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n", body.len());
        headers.iter().for_each(|(name, value)| head.push_str(&format!("{name}: {value}\r\n")));
        head.push_str("\r\n");
        self.write(head.as_bytes());
        self.write(body);
    }

    pub fn receive(&mut self) -> io::Result<Reply> {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if self.reader.read_line(&mut head)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
        let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
        self.reader.read_exact(&mut body)?;
        Ok(Reply { status, head, body: String::from_utf8(body).unwrap() })
    }

    /// What the server sends until it ends the connection.
    pub fn receive_all(&mut self) -> io::Result<Vec<u8>> {
        let mut all = Vec::new();
        self.reader.read_to_end(&mut all)?;
        Ok(all)
    }
}

/// One request on a connection of its own.
pub fn request(server: &Standin, method: &str, target: &str, headers: &[(&str, &str)], body: &str) -> Reply {
    let mut http = Http::connect(server.api_port());
    http.send(method, target, headers, body.as_bytes());
    http.receive().unwrap()
}

pub fn websocket_token(server: &Standin, token: &str) -> String {
    let agent = format!("Agent {token}");
    let reply = request(server, "POST", "/_api/v3/agent_websocket_token", &[("Authorization", &agent)], "");
    reply.json()["token"].as_str().unwrap().to_owned()
}

pub fn bulk_create(server: &Standin, workspace: &str, token: &str, body: &str) -> Reply {
    let (target, agent) = (format!("/_api/v3/ws/{workspace}/bulk_create"), format!("Agent {token}"));
    let headers = [("Authorization", agent.as_str()), ("Content-Type", "application/json")];
    request(server, "POST", &target, &headers, body)
}

pub struct Ws {
    socket: WebSocket<TcpStream>,
}

/// How a websocket ended.
#[derive(Debug, PartialEq, Eq)]
pub enum End {
    Close(Option<(u16, String)>),
    /// FIN without a Close frame.
    Eof,
    Reset,
}

impl Ws {
    pub fn connect(server: &Standin, path: &str) -> Ws {
        let port = server.websocket_port();
        let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        let (socket, _) = tungstenite::client(format!("ws://127.0.0.1:{port}{path}"), stream).unwrap();
        Ws { socket }
    }

    pub fn send(&mut self, text: &str) {
        self.socket.send(Message::text(text)).unwrap();
    }

    pub fn send_message(&mut self, message: Message) {
        self.socket.send(message).unwrap();
    }

    fn read(&mut self) -> Result<Message, Error> {
        loop {
            let message = self.socket.read();
            if !matches!(message, Ok(Message::Ping(_))) {
                return message;
            }
        }
    }

    #[track_caller]
    pub fn text(&mut self) -> String {
        match self.read() {
            Ok(Message::Text(text)) => text.as_str().to_owned(),
            other => panic!("no text but {other:?}"),
        }
    }

    #[track_caller]
    pub fn expect(&mut self, text: &str) {
        assert_eq!(self.text(), text);
    }

    pub fn message(&mut self) -> Message {
        self.read().unwrap()
    }

    /// Nothing comes for a while, and the connection stays.
    #[track_caller]
    pub fn expect_silence(&mut self) {
        self.socket.get_ref().set_read_timeout(Some(A_WHILE)).unwrap();
        match self.read() {
            Err(Error::Io(e)) if e.kind() == io::ErrorKind::WouldBlock => {}
            other => panic!("not silence but {other:?}"),
        }
        self.socket.get_ref().set_read_timeout(Some(SOON)).unwrap();
    }

    pub fn say_close(&mut self, code: u16, reason: &str) {
        let reason = reason.to_owned().into();
        self.socket.close(Some(CloseFrame { code: code.into(), reason })).unwrap();
    }

    /// Reads to the end; texts on the way are passed over.
    #[track_caller]
    pub fn end(&mut self) -> End {
        loop {
            match self.read() {
                Ok(Message::Close(close)) => {
                    let close = close.map(|frame| (frame.code.into(), frame.reason.as_str().to_owned()));
                    let _ = self.socket.flush();
                    return End::Close(close);
                }
                Ok(_) => {}
                Err(Error::Protocol(_)) => return End::Eof,
                Err(Error::Io(e)) if e.kind() == io::ErrorKind::ConnectionReset => {
                    return End::Reset;
                }
                Err(e) => panic!("{e}"),
            }
        }
    }
}

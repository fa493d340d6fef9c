//! One TCP connection: HTTP requests one after the other, each past the faults, until it ends or becomes a link.

use std::io::{self, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use super::faults::Deed;
use super::http::{self, Answer, Request};
use super::link;
use super::ports::Role;
use super::rest;
use super::shared::Shared;
use super::upgrade::{self, Handshake};
use super::wire::{Cut, Wire};

/// Bodies longer than this give their memory back after use.
const ROOM_BYTES_KEPT: usize = 4 << 20;

type Reader = BufReader<Wire>;

/// What is done about a request.
enum Response {
    Answer(Answer),
    /// These bytes, then the end of the connection.
    Last(Vec<u8>),
    /// These bytes, then the connection is a websocket.
    Upgrade(Vec<u8>),
    Cut(Cut),
}

/// Serves a connection on a thread of its own.
pub fn spawn(stream: TcpStream, role: Role, shared: Arc<Shared>) {
    let Ok(control) = stream.try_clone() else {
        return;
    };
    let id = shared.change(|state| {
        let id = state.next_id("connection") as u64;
        let refused = state.stopped || state.down;
        if !refused {
            state.connections.insert(id, control);
        }
        (!refused).then_some(id)
    });
    let Some(id) = id else { return };
    std::thread::spawn(move || {
        // What ends a connection is the client's doing or a fault's; nobody here can do better than close it.
        let _ = Wire::new(stream, shared.options.tls.as_ref()).and_then(|wire| serve(&shared, role, id, wire));
        shared.change(|state| state.connections.remove(&id));
    });
}

fn serve(shared: &Arc<Shared>, role: Role, id: u64, wire: Wire) -> io::Result<()> {
    let mut reader = BufReader::with_capacity(64 * 1024, wire);
    let mut room = Vec::new();
    while let Some(mut request) = read_head(&mut reader)? {
        let response = match strike_head(shared, &mut reader, &request)? {
            Some(cut) => Response::Cut(cut),
            None => {
                read_body(&mut reader, &mut request, room)?;
                respond(shared, role, &mut request)
            }
        };
        record(shared, &request, &response);
        match response {
            Response::Answer(answer) => answer.write_to(reader.get_mut())?,
            Response::Upgrade(head) => {
                reader.get_mut().write_all(&head)?;
                reader.get_mut().flush()?;
                return link::serve(shared, id, reader);
            }
            Response::Last(bytes) => {
                reader.get_mut().write_all(&bytes)?;
                break;
            }
            Response::Cut(cut) => {
                reader.into_inner().cut(cut);
                return Ok(());
            }
        }
        if request.wants_close() {
            break;
        }
        room = request.body;
        room.truncate(0);
        room.shrink_to(ROOM_BYTES_KEPT);
    }
    reader.into_inner().close();
    Ok(())
}

/// The next request's head; what is not HTTP is told so.
fn read_head(reader: &mut Reader) -> io::Result<Option<Request>> {
    let head = http::read_head(reader);
    if head.as_ref().is_err_and(|e| e.kind() == io::ErrorKind::Other) {
        Answer::page(400, "Bad request").write_to(reader.get_mut())?;
    }
    head
}

/// Hangs up if a fault says so, after as much of the body as it allows.
fn strike_head(shared: &Shared, reader: &mut Reader, request: &Request) -> io::Result<Option<Cut>> {
    let struck = shared.change(|state| state.faults.strike_head(request, &shared.options.base_route));
    let Some(Deed::HangUp { after_bytes, cut }) = struck else {
        return Ok(None);
    };
    io::copy(&mut reader.take(after_bytes), &mut io::sink())?;
    Ok(Some(cut))
}

fn read_body(reader: &mut Reader, request: &mut Request, room: Vec<u8>) -> io::Result<()> {
    if request.header("expect").is_some_and(|value| value.eq_ignore_ascii_case("100-continue")) {
        reader.get_mut().write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        reader.get_mut().flush()?;
    }
    http::read_body(reader, request, room)
}

/// Lets the faults have the request, then processes it if they leave it.
fn respond(shared: &Shared, role: Role, request: &mut Request) -> Response {
    let base = &shared.options.base_route;
    let (struck, releases) = shared.change(|state| {
        let struck = state.faults.strike_body(request, base);
        (struck, state.faults.releases)
    });
    match struck {
        None | Some(Deed::HangUp { .. }) => process(shared, role, request),
        Some(Deed::Hold(limit)) => match shared.hold(limit, releases) {
            true => process(shared, role, request),
            false => Response::Cut(Cut::Fin),
        },
        Some(Deed::LoseAnswer(cut)) => {
            process(shared, role, request);
            Response::Cut(cut)
        }
        Some(Deed::Answer(answer)) => {
            rest::keep_attempt(shared, request, answer.status);
            Response::Answer(answer)
        }
        Some(Deed::Raw(bytes)) => Response::Last(bytes),
    }
}

fn process(shared: &Shared, role: Role, request: &mut Request) -> Response {
    match upgrade::judge(shared, role, request) {
        Some(Handshake::Answer(answer)) => Response::Answer(answer),
        Some(Handshake::Refuse(bytes)) => Response::Last(bytes),
        Some(Handshake::Accept(head)) => Response::Upgrade(head),
        None => Response::Answer(rest::answer(shared, request)),
    }
}

/// Before the answer is written: whoever has it finds it in the timeline. Posts that are only counted leave no trace.
fn record(shared: &Shared, request: &Request, response: &Response) {
    let status = match response {
        Response::Answer(answer) => Some(answer.status),
        Response::Upgrade(_) => Some(101),
        Response::Last(_) | Response::Cut(_) => None,
    };
    let counted = shared.options.on_body.is_some() && status == Some(201);
    if !counted {
        shared.record_answer(request, status);
    }
}

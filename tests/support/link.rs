//! One websocket, on the thread of its connection: frames in, orders out, and every way of ending it.
//! What frames mean is the channel's business (`socketio.rs`, `raw.rs`).

use std::collections::VecDeque;
use std::io::{self, BufReader, Write};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::{Duration, Instant};

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token, Waker};
use tungstenite::protocol::frame::CloseFrame;
use tungstenite::protocol::{Role, WebSocketConfig};
use tungstenite::{Error, Message, WebSocket};

use super::events::What;
use super::raw::Raw;
use super::shared::Shared;
use super::socketio::SocketIo;
use super::state::Generation;
use super::upgrade::CLOSE_FRAME;
use super::wire::{Cut, Wire};

const SOCKET: Token = Token(0);
const WAKE: Token = Token(1);

/// How long the other side may take to answer a Close.
const CLOSE_WAIT: Duration = Duration::from_secs(2);

/// Close 1000 without a reason: how servers before 5.0 answer a Close.
const CLOSE_1000: [u8; 4] = [0x88, 0x02, 0x03, 0xe8];

/// What the link's thread is told to do.
pub enum Order {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    /// A Close frame, with code and reason or with nothing in it.
    Close(Option<(u16, String)>),
    Cut(Cut),
    /// Neither reads nor writes until told otherwise; TCP stays up.
    Freeze(bool),
}

/// By which others reach a link.
pub struct LinkHandle {
    orders: Sender<Order>,
    waker: Arc<Waker>,
    /// Whether it has entered the namespace, where everything is broadcast.
    pub in_namespace: bool,
    /// Whether it has become a black hole, as ordered.
    pub frozen: bool,
}

impl LinkHandle {
    pub fn order(&self, order: Order) {
        // A link that has just ended takes no orders; it is about to leave the map.
        let _ = self.orders.send(order);
        let _ = self.waker.wake();
    }
}

/// What a channel wants done after a message.
pub enum Flow {
    Keep,
    /// Say Close with this code and reason, or with none, then end.
    Close(Option<(u16, &'static str)>),
    /// End TCP without a Close frame.
    Drop,
}

pub trait Channel {
    fn handle_open(&mut self);
    fn handle_text(&mut self, text: &str) -> Flow;
    fn handle_timeout(&mut self, now: Instant) -> Flow;
    /// When `handle_timeout` is due.
    fn timeout(&self) -> Option<Instant>;
}

/// Turns an upgraded connection into a link and serves it to its end.
pub fn serve(shared: &Arc<Shared>, connection: u64, reader: BufReader<Wire>) -> io::Result<()> {
    let leftover = reader.buffer().to_vec();
    let wire = reader.into_inner();
    wire.socket().set_nonblocking(true)?;
    let poll = Poll::new()?;
    let waker = Arc::new(Waker::new(poll.registry(), WAKE)?);
    let fd = wire.socket().as_raw_fd();
    poll.registry().register(&mut SourceFd(&fd), SOCKET, Interest::READABLE | Interest::WRITABLE)?;

    let (sender, orders) = mpsc::channel();
    let id = shared.change(|state| {
        let id = state.next_id("link") as u64;
        state.links.insert(id, LinkHandle { orders: sender, waker, in_namespace: false, frozen: false });
        state.record(What::Opened { link: id });
        id
    });
    let (channel, bytes_max): (Box<dyn Channel>, usize) = match shared.options.generation {
        Generation::SocketIo => (Box::new(SocketIo::new(shared.clone(), id)), shared.options.max_payload),
        Generation::Raw => (Box::new(Raw::new(shared.clone(), id)), 64 << 20),
    };
    let config = WebSocketConfig::default()
        .read_buffer_size(16 * 1024)
        .max_message_size(Some(bytes_max))
        .max_frame_size(Some(bytes_max));
    let socket = WebSocket::from_partially_read(wire, leftover, Role::Server, Some(config));
    let mut link = Link {
        shared: shared.clone(),
        id,
        socket,
        poll,
        orders,
        held: VecDeque::new(),
        frozen: false,
        closing: None,
        channel,
    };
    let (how, cut) = link.run();
    shared.change(|state| {
        state.offline(id);
        state.links.remove(&id);
        state.connections.remove(&connection);
        state.record(What::Closed { link: id, how });
    });
    match cut {
        Some(cut) => link.socket.into_inner().cut(cut),
        None => link.socket.into_inner().close(),
    }
    Ok(())
}

struct Link {
    shared: Arc<Shared>,
    id: u64,
    socket: WebSocket<Wire>,
    poll: Poll,
    orders: Receiver<Order>,
    /// What was ordered while frozen.
    held: VecDeque<Order>,
    frozen: bool,
    /// Set once a Close was said: until then the answer is awaited.
    closing: Option<Instant>,
    channel: Box<dyn Channel>,
}

/// How a link ended, for the timeline, and how its socket is to be cut, unless it is closed properly.
type End = (String, Option<Cut>);

fn ended(how: impl Into<String>) -> End {
    (how.into(), None)
}

impl Link {
    fn run(&mut self) -> End {
        self.channel.handle_open();
        let mut events = Events::with_capacity(8);
        loop {
            if let Err(end) = self.turn() {
                return end;
            }
            let due = self.closing.or_else(|| self.channel.timeout()).filter(|_| !self.frozen);
            let timeout = due.map(|due| due.saturating_duration_since(Instant::now()));
            match self.poll.poll(&mut events, timeout) {
                Err(e) if e.kind() != io::ErrorKind::Interrupted => return ended(e.to_string()),
                _ => {}
            }
        }
    }

    /// Does all that can be done without waiting.
    fn turn(&mut self) -> Result<(), End> {
        self.take_orders()?;
        if self.frozen {
            return Ok(());
        }
        self.read()?;
        let now = Instant::now();
        match self.closing {
            Some(due) if due <= now => return Err(ended("no answer to Close")),
            None if self.channel.timeout().is_some_and(|due| due <= now) => {
                let flow = self.channel.handle_timeout(now);
                self.follow(flow)?;
            }
            _ => {}
        }
        // What was written to this link by its own channel.
        self.take_orders()?;
        blocked_is_fine(self.socket.flush())
    }

    fn take_orders(&mut self) -> Result<(), End> {
        while let Ok(order) = self.orders.try_recv() {
            match order {
                Order::Freeze(frozen) => self.freeze(frozen),
                Order::Cut(cut) => return Err((format!("cut by the test ({cut:?})"), Some(cut))),
                order => self.held.push_back(order),
            }
        }
        while !self.frozen
            && let Some(order) = self.held.pop_front()
        {
            self.obey(order)?;
        }
        Ok(())
    }

    fn freeze(&mut self, frozen: bool) {
        self.frozen = frozen;
        self.shared.change(|state| {
            let handle = state.links.get_mut(&self.id);
            handle.into_iter().for_each(|handle| handle.frozen = frozen);
        });
    }

    fn obey(&mut self, order: Order) -> Result<(), End> {
        match order {
            Order::Text(text) => blocked_is_fine(self.socket.send(Message::text(text))),
            Order::Binary(bytes) => blocked_is_fine(self.socket.send(Message::binary(bytes))),
            Order::Ping(payload) => blocked_is_fine(self.socket.send(Message::Ping(payload.into()))),
            Order::Close(close) => self.say_close(close),
            Order::Cut(_) | Order::Freeze(_) => Ok(()),
        }
    }

    fn read(&mut self) -> Result<(), End> {
        loop {
            match self.socket.read() {
                Ok(Message::Text(text)) if self.closing.is_none() => {
                    let (link, text) = (self.id, text.as_str().to_owned());
                    self.shared.change(|state| state.record(What::Received { link, text: text.clone() }));
                    let flow = self.channel.handle_text(&text);
                    self.follow(flow)?;
                }
                Ok(Message::Pong(payload)) => {
                    let (link, payload) = (self.id, payload.to_vec());
                    self.shared.change(|state| state.record(What::Pong { link, payload }));
                }
                Ok(Message::Close(close)) => return Err(self.answer_close(close)),
                Ok(_) => {}
                Err(Error::Io(e)) if e.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(Error::Capacity(e)) => {
                    let _ = self.write_frame(&CLOSE_FRAME);
                    return Err(ended(e.to_string()));
                }
                Err(e) => return Err(ended(format!("by the agent: {e}"))),
            }
        }
    }

    fn follow(&mut self, flow: Flow) -> Result<(), End> {
        match flow {
            Flow::Keep => Ok(()),
            Flow::Drop => Err(("dropped by the server".to_owned(), Some(Cut::Fin))),
            Flow::Close(close) => {
                self.take_orders()?;
                self.say_close(close.map(|(code, reason)| (code, reason.to_owned())))
            }
        }
    }

    fn say_close(&mut self, close: Option<(u16, String)>) -> Result<(), End> {
        self.closing = Some(Instant::now() + CLOSE_WAIT);
        let frame = close.map(|(code, reason)| CloseFrame { code: code.into(), reason: reason.into() });
        blocked_is_fine(self.socket.close(frame))
    }

    /// The other side has said Close, or answered ours.
    fn answer_close(&mut self, close: Option<CloseFrame>) -> End {
        if self.closing.is_none() {
            // By hand, because tungstenite would repeat the agent's reason and the servers do not.
            let _ = self.write_frame(&CLOSE_1000);
        }
        match close {
            Some(frame) => ended(format!("Close {} {:?}", u16::from(frame.code), frame.reason.as_str())),
            None => ended("Close without a code"),
        }
    }

    fn write_frame(&mut self, frame: &[u8]) -> io::Result<()> {
        let wire = self.socket.get_mut();
        wire.write_all(frame)?;
        wire.flush()
    }
}

fn blocked_is_fine(result: tungstenite::Result<()>) -> Result<(), End> {
    match result {
        Err(Error::Io(e)) if e.kind() == io::ErrorKind::WouldBlock => Ok(()),
        // Whether the other side has closed is for `read` to find out.
        Err(Error::ConnectionClosed | Error::AlreadyClosed | Error::Protocol(_)) | Ok(()) => Ok(()),
        Err(e) => Err(ended(e.to_string())),
    }
}

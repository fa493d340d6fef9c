//! The command channel's life: dial, handshake, join, stay alive, leave. Decides when to dial and when a link is dead; it knows
//! nothing of runs. What concerns the rest of the engine comes back as `News`.

use std::time::Duration;

use crate::bounds::EXCERPT_BYTES_MAX;
use crate::config::settings::Secret;
use crate::proto::channel::{Heard, Protocol};
use crate::proto::excerpt::excerpt;
use crate::proto::message::{BadRun, ExecutorOffer, RunCommand};

use super::agenda::Agenda;
use super::backoff::Backoff;
use super::event::{Action, Failure};
use super::timers::Timer;

/// A dead link is noticed at most this long after its last sign of life: one ping interval and one wait for the pong.
const PING_EVERY: Duration = Duration::from_secs(15);
const PONG_WITHIN: Duration = Duration::from_secs(10);
/// Each word of the handshake, and the join's acknowledgement.
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(15);
/// A fresh token; longer than the shell waits for it.
const TOKEN_WITHIN: Duration = Duration::from_secs(45);
/// The server's answer to LEAVE_AGENT.
const LEAVE_WITHIN: Duration = Duration::from_secs(2);
/// Joins with a fresh token on one connection before it is given up.
const JOINS_MAX: u32 = 3;
const RECONNECT_FIRST: Duration = Duration::from_secs(1);
const RECONNECT_MAX: Duration = Duration::from_secs(60);

/// What the rest of the engine has to know.
#[derive(Debug)]
pub enum News<'m> {
    /// From now on statuses can be sent.
    Joined,
    /// Nothing that was sent and not acknowledged can be counted on.
    Lost,
    /// The server has said no for good.
    Refused(String),
    Run(RunCommand<'m>),
    BadRun(BadRun),
    /// The status of that number has arrived.
    Acked(u32),
    /// The statuses up to that number have arrived.
    AckedUpto(u32),
    /// The connection has been taken down as asked.
    Gone,
}

#[derive(Debug, PartialEq, Eq)]
enum State {
    /// Waiting for `Timer::Connect`.
    Down,
    Dialling,
    /// Socket.IO: waiting for the open packet, then for the namespace.
    Opening,
    /// JOIN_AGENT went out with this number. A `disconnect` that comes before its acknowledgement refuses the join.
    Joining {
        number: u32,
        refused: Option<String>,
    },
    /// Waiting for a fresh token for another join on this connection.
    Renewing,
    Joined,
    Leaving,
    Gone,
}

#[derive(Debug)]
pub struct Session {
    state: State,
    protocol: Protocol,
    token: Secret,
    offers: Vec<ExecutorOffer>,
    joins: u32,
    /// How long the server may keep silent by its own word.
    promise: Duration,
    backoff: Backoff,
    /// The last trouble that was logged, so that it is said once.
    said: Option<String>,
}

impl Session {
    pub fn new(offers: Vec<ExecutorOffer>) -> Session {
        Session {
            state: State::Down,
            protocol: Protocol::SocketIo,
            token: Secret::new(String::new()),
            offers,
            joins: 0,
            promise: Duration::ZERO,
            backoff: Backoff::new(RECONNECT_FIRST, RECONNECT_MAX),
            said: None,
        }
    }

    pub fn is_joined(&self) -> bool {
        self.state == State::Joined
    }

    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    pub fn dial(&mut self, agenda: &mut Agenda) {
        self.state = State::Dialling;
        agenda.act(Action::Connect);
    }

    /// There is not much time: a dial that waits for its pause to end need not.
    pub fn hurry(&mut self, agenda: &mut Agenda) {
        if self.state == State::Down {
            agenda.timers.clear(Timer::Connect);
            self.dial(agenda);
        }
    }

    pub fn on_connected(&mut self, protocol: Protocol, token: Secret, agenda: &mut Agenda) {
        self.protocol = protocol;
        self.token = token;
        self.joins = 0;
        self.promise = Duration::ZERO;
        agenda.after(PING_EVERY, Timer::Ping);
        agenda.after(HANDSHAKE_WITHIN, Timer::Handshake);
        match protocol {
            Protocol::SocketIo => self.state = State::Opening,
            Protocol::WebSocket => self.join(agenda),
        }
    }

    pub fn on_connect_failed(&mut self, failure: Failure, agenda: &mut Agenda) -> Option<News<'static>> {
        if failure.fatal {
            self.fall(agenda);
            return Some(News::Refused(failure.words));
        }
        self.retry(&failure.words, agenda);
        None
    }

    /// There is no token for another join. It may come late, when the connection that it was for is gone.
    pub fn on_token_failed(&mut self, failure: Failure, agenda: &mut Agenda) -> Option<News<'static>> {
        match self.state {
            State::Renewing if failure.fatal => Some(News::Refused(failure.words)),
            State::Renewing => self.give_up(&failure.words, agenda),
            _ => None,
        }
    }

    pub fn on_token(&mut self, token: Secret, agenda: &mut Agenda) {
        if self.state == State::Renewing {
            self.token = token;
            self.join(agenda);
        }
    }

    pub fn on_link_lost(
        &mut self,
        words: &str,
        close_reason: Option<&str>,
        agenda: &mut Agenda,
    ) -> Option<News<'static>> {
        match self.state {
            State::Down | State::Dialling | State::Gone => return None,
            State::Leaving => return Some(self.go(agenda)),
            State::Opening | State::Joining { .. } | State::Renewing | State::Joined => {}
        }
        let words = match close_reason {
            Some(reason) if !reason.is_empty() => {
                format!("the server closed the connection: {}", excerpt(reason, EXCERPT_BYTES_MAX))
            }
            _ => words.to_owned(),
        };
        self.retry(&words, agenda);
        Some(News::Lost)
    }

    /// A text frame.
    pub fn on_frame<'m>(&mut self, frame: &'m str, agenda: &mut Agenda) -> Option<News<'m>> {
        agenda.timers.clear(Timer::Pong);
        match self.protocol.hear(frame) {
            Heard::Opened { ping_interval, ping_timeout } => self.on_opened(ping_interval + ping_timeout, agenda),
            Heard::Connected => self.on_namespace(agenda),
            Heard::Ping => self.on_server_ping(agenda),
            Heard::Ack(number) => return self.on_ack(number, agenda),
            Heard::Run(command) => return Some(News::Run(command)),
            Heard::BadRun(bad) => return Some(News::BadRun(bad)),
            Heard::Disconnect(reason) => self.on_disconnect(reason),
            Heard::Notice(text) => log::debug!("the server says: {text}"),
            Heard::ConnectRefused(reason) => {
                return self.give_up(&format!("the server refused the namespace: {reason}"), agenda);
            }
            Heard::Left if self.state == State::Leaving => agenda.act(Action::Close),
            Heard::Left | Heard::Closed => return self.give_up("the server ended the session", agenda),
            Heard::Odd { note, reply } => {
                log::warn!("command channel: {note}");
                if let Some(reply) = reply {
                    agenda.act(Action::Send(reply));
                }
            }
            Heard::Nothing => {}
        }
        None
    }

    fn on_opened(&mut self, promise: Duration, agenda: &mut Agenda) {
        self.promise = promise;
        agenda.after(promise, Timer::Promise);
        if let Some(connect) = self.protocol.connect() {
            agenda.act(Action::Send(connect));
        }
    }

    fn on_namespace(&mut self, agenda: &mut Agenda) {
        if self.state == State::Opening {
            self.join(agenda);
        }
    }

    fn on_server_ping(&mut self, agenda: &mut Agenda) {
        if !self.promise.is_zero() {
            agenda.after(self.promise, Timer::Promise);
        }
        if let Some(pong) = self.protocol.pong() {
            agenda.act(Action::Send(pong.to_owned()));
        }
    }

    /// The server broadcasts the refusal of anybody's join to everybody, so only one that comes between our join and its
    /// acknowledgement is taken for ours.
    fn on_disconnect(&mut self, reason: String) {
        match &mut self.state {
            State::Joining { refused, .. } => *refused = Some(reason),
            _ => log::info!("the server says `disconnect`: {reason} (some other agent's, or late)"),
        }
    }

    fn on_ack(&mut self, number: u64, agenda: &mut Agenda) -> Option<News<'static>> {
        let number = u32::try_from(number).ok()?;
        match &mut self.state {
            State::Joining { number: join, refused } if *join == number => match refused.take() {
                None => Some(self.joined(agenda)),
                Some(reason) => self.on_join_refused(&reason, agenda),
            },
            _ => Some(News::Acked(number)),
        }
    }

    /// On the raw channel nothing is acknowledged; a pong after a message shows that the server has read it.
    pub fn on_pong(&mut self, number: u32, agenda: &mut Agenda) -> Option<News<'static>> {
        agenda.timers.clear(Timer::Pong);
        if self.state == State::Joined && number == 0 {
            // Only a link that has held for a while is a success; one that falls at once is tried again ever more slowly.
            self.backoff.reset();
            self.said = None;
        }
        match self.state {
            State::Joining { number: join, .. } if join == number && self.protocol == Protocol::WebSocket => {
                Some(self.joined(agenda))
            }
            _ if number != 0 => Some(News::AckedUpto(number)),
            _ => None,
        }
    }

    fn on_join_refused(&mut self, reason: &str, agenda: &mut Agenda) -> Option<News<'static>> {
        if self.joins >= JOINS_MAX {
            return self.give_up(&format!("the server refused {JOINS_MAX} joins: {reason}"), agenda);
        }
        log::warn!("the server refused the join: {reason} Joining again with a fresh token.");
        self.state = State::Renewing;
        agenda.after(TOKEN_WITHIN, Timer::Handshake);
        agenda.act(Action::FetchToken);
        None
    }

    /// One of the session's timers is due.
    pub fn on_timer(&mut self, timer: Timer, agenda: &mut Agenda) -> Option<News<'static>> {
        match timer {
            Timer::Connect => self.dial(agenda),
            Timer::Handshake => return self.give_up("the server did not finish the handshake", agenda),
            Timer::Ping => {
                agenda.act(Action::Ping(0));
                agenda.after(PING_EVERY, Timer::Ping);
                if !agenda.timers.is_set(Timer::Pong) {
                    agenda.after(PONG_WITHIN, Timer::Pong);
                }
            }
            Timer::Pong => return self.give_up("the link is dead: no answer to a ping", agenda),
            Timer::Promise => {
                return self.give_up("the link is dead: the server kept silent longer than it promised", agenda);
            }
            Timer::Leave => {
                agenda.act(Action::Disconnect);
                return Some(self.go(agenda));
            }
            _ => debug_assert!(false, "{timer:?} is not the session's"),
        }
        None
    }

    /// Says goodbye; `News::Gone` follows, at once if there is nobody to say it to.
    pub fn leave(&mut self, reason: &str, agenda: &mut Agenda) -> Option<News<'static>> {
        match self.state {
            State::Leaving | State::Gone => return None,
            State::Joined => {}
            _ => {
                agenda.act(Action::Disconnect);
                return Some(self.go(agenda));
            }
        }
        agenda.act(Action::Send(self.protocol.leave(self.token.reveal(), reason)));
        agenda.after(LEAVE_WITHIN, Timer::Leave);
        self.state = State::Leaving;
        if self.protocol == Protocol::WebSocket {
            agenda.act(Action::Close);
        }
        None
    }

    fn join(&mut self, agenda: &mut Agenda) {
        let number = agenda.outbox.number();
        self.joins += 1;
        self.state = State::Joining { number, refused: None };
        let join = self.protocol.join(self.token.reveal(), &self.offers, u64::from(number));
        agenda.act(Action::Send(join));
        agenda.after(HANDSHAKE_WITHIN, Timer::Handshake);
        if self.protocol == Protocol::WebSocket {
            agenda.act(Action::Ping(number));
        }
    }

    fn joined(&mut self, agenda: &mut Agenda) -> News<'static> {
        self.state = State::Joined;
        agenda.timers.clear(Timer::Handshake);
        log::info!("joined over {:?}; ready to run {} executors", self.protocol, self.offers.len());
        News::Joined
    }

    fn give_up(&mut self, words: &str, agenda: &mut Agenda) -> Option<News<'static>> {
        agenda.act(Action::Disconnect);
        if self.state == State::Leaving {
            return Some(self.go(agenda));
        }
        self.retry(words, agenda);
        Some(News::Lost)
    }

    fn retry(&mut self, words: &str, agenda: &mut Agenda) {
        self.fall(agenda);
        let pause = agenda.back_off(&mut self.backoff, Duration::ZERO, Timer::Connect);
        if self.said.as_deref() == Some(words) {
            log::debug!("{words}; trying again in {:.1} s", pause.as_secs_f32());
        } else {
            log::warn!("no connection: {words}; trying again, with pauses of up to {} s", RECONNECT_MAX.as_secs());
            self.said = Some(words.to_owned());
        }
    }

    fn go(&mut self, agenda: &mut Agenda) -> News<'static> {
        self.fall(agenda);
        self.state = State::Gone;
        News::Gone
    }

    fn fall(&mut self, agenda: &mut Agenda) {
        self.state = State::Down;
        for timer in [Timer::Connect, Timer::Handshake, Timer::Ping, Timer::Pong, Timer::Promise, Timer::Leave] {
            agenda.timers.clear(timer);
        }
    }
}

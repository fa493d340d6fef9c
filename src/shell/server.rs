//! The server as the reactor's workers share it: one enrolment, which dials and fetches tokens, and the token that posts carry.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tungstenite::WebSocket;

use crate::config::settings::{AgentToken, Secret};
use crate::engine::event::Failure;
use crate::proto::channel::Protocol;

use super::enrol::Enrolment;
use super::net::fault::Fault;
use super::net::http::Api;
use super::net::link::Link;

pub struct Server {
    pub api: Api,
    /// Locked for as long as a dial takes; only one dials at a time.
    enrolment: Mutex<Enrolment>,
    /// The agent token of the last connection.
    token: Mutex<Option<AgentToken>>,
}

/// An open websocket and what goes with it.
pub struct Connection {
    pub socket: WebSocket<Link>,
    pub protocol: Protocol,
    /// For the join.
    pub token: Secret,
    /// A frame that came while the server was being recognised.
    pub greeting: Option<String>,
}

impl Server {
    pub fn new(enrolment: Enrolment) -> Server {
        Server { api: enrolment.api(), enrolment: Mutex::new(enrolment), token: Mutex::new(None) }
    }

    /// Everything from the name lookup to an open websocket; blocks.
    pub fn connect(&self) -> Result<Connection, Failure> {
        let connected = lock(&self.enrolment).connect().map_err(failure)?;
        *lock(&self.token) = Some(connected.agent_token);
        let dialled = connected.dialled;
        Ok(Connection {
            socket: dialled.socket,
            protocol: dialled.protocol,
            token: connected.websocket_token,
            greeting: dialled.greeting,
        })
    }

    /// A fresh token for another join; blocks.
    pub fn websocket_token(&self) -> Result<Secret, Failure> {
        lock(&self.enrolment).websocket_token().map_err(failure)
    }

    /// What posts carry; `None` before the first connection.
    pub fn token(&self) -> Option<AgentToken> {
        lock(&self.token).clone()
    }
}

fn failure(fault: Fault) -> Failure {
    Failure { fatal: fault.is_fatal(), words: fault.words }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

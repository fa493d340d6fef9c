//! What the server knows: workspaces, agents, tokens, links, posts. Pure bookkeeping behind one lock;
//! the meaning of runs and their statuses is in `runs.rs`, sockets are elsewhere.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::agent_log::AgentLog;
use super::events::{Event, What};
use super::faults::Faults;
use super::link::{LinkHandle, Order};
use super::runs::{Execution, RunStatus};

/// Which servers the stand-in stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Generation {
    /// From 5.0: Socket.IO on the API port. Recorded from 5.25.2.
    SocketIo,
    /// Before 5.0: a raw websocket on its own port. Recorded from 4.6.2.
    Raw,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Workspace {
    Active,
    /// Switched off by a user.
    Inactive,
    ReadOnly,
}

pub struct Agent {
    pub name: String,
    pub token: String,
    /// False: its next websocket token is refused, as on a server where somebody switched it off.
    pub active: bool,
    /// The newest link on which it joined and has not left.
    pub link: Option<u64>,
    pub executors: Value,
}

/// A JOIN_AGENT that was accepted.
#[derive(Clone, Debug)]
pub struct Joined {
    pub at: Instant,
    pub agent: i64,
    pub link: u64,
    /// The list as the agent sent it.
    pub executors: Value,
}

/// A POST to bulk_create whose body was read.
#[derive(Clone, Debug)]
pub struct Post {
    /// When the body was complete.
    pub at: Instant,
    pub workspace: String,
    pub authorization: Option<String>,
    pub execution_id: Option<i64>,
    /// What the server answered, or would have where the answer was lost.
    pub status: u16,
    pub body: Arc<Vec<u8>>,
    /// How many hosts and credentials the body held.
    pub hosts: usize,
    pub credentials: usize,
    /// What a real server would have accepted and then lost or spoilt.
    pub lost: Vec<String>,
    /// Whether that is all of the body.
    pub body_lost: bool,
}

impl Post {
    /// How many hosts the server took from it.
    pub fn hosts_taken(&self) -> usize {
        if self.status == 201 && !self.body_lost { self.hosts } else { 0 }
    }

    /// The body as JSON; `Null` where it is not.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

struct Issued {
    agent: i64,
    at: Instant,
}

pub struct State {
    pub generation: Generation,
    pub born: Instant,
    pub registration_token: String,
    pub token_lifetime: Duration,
    pub workspaces: BTreeMap<String, Workspace>,
    pub agents: BTreeMap<i64, Agent>,
    pub executions: BTreeMap<i64, Execution>,
    /// Every RUN_STATUS that could be read, in order.
    pub statuses: Vec<RunStatus>,
    pub joins: Vec<Joined>,
    pub posts: Vec<Post>,
    pub events: Vec<Event>,
    pub subscribers: Vec<Sender<Event>>,
    pub links: BTreeMap<u64, LinkHandle>,
    /// Clones of the sockets of open connections, by which they can be shut.
    pub connections: BTreeMap<u64, TcpStream>,
    pub faults: Faults,
    /// So many joins are refused as if their token were bad.
    pub joins_refused: usize,
    pub pings_stopped: bool,
    /// The server is "killed": what its links' ends mean is not noticed by anybody.
    pub down: bool,
    pub stopped: bool,
    /// Of agents that run against this server, for the report of a failed wait.
    pub logs: Vec<Arc<AgentLog>>,
    tokens: HashMap<String, Issued>,
    ids: BTreeMap<&'static str, i64>,
}

impl State {
    pub fn new(generation: Generation, token_lifetime: Duration) -> State {
        State {
            generation,
            born: Instant::now(),
            registration_token: "123456".to_owned(),
            token_lifetime,
            workspaces: BTreeMap::new(),
            agents: BTreeMap::new(),
            executions: BTreeMap::new(),
            statuses: Vec::new(),
            joins: Vec::new(),
            posts: Vec::new(),
            events: Vec::new(),
            subscribers: Vec::new(),
            links: BTreeMap::new(),
            connections: BTreeMap::new(),
            faults: Faults::default(),
            joins_refused: 0,
            pings_stopped: false,
            down: false,
            stopped: false,
            logs: Vec::new(),
            tokens: HashMap::new(),
            ids: BTreeMap::new(),
        }
    }

    /// The next id of a kind, from 1.
    pub fn next_id(&mut self, kind: &'static str) -> i64 {
        let id = self.ids.entry(kind).or_default();
        *id += 1;
        *id
    }

    pub fn record(&mut self, what: What) {
        let event = Event { at: Instant::now(), what };
        self.subscribers.retain(|subscriber| subscriber.send(event.clone()).is_ok());
        self.events.push(event);
    }

    /// Registers an agent; a name that exists already makes a second one, as on a real server.
    pub fn register(&mut self, name: &str) -> i64 {
        let id = self.next_id("agent");
        let token = letters(id as u64, 64);
        let name = name.to_owned();
        self.agents.insert(id, Agent { name, token, active: true, link: None, executors: Value::Null });
        id
    }

    /// The agent of that token.
    pub fn agent_of(&self, token: &str) -> Option<i64> {
        self.agents.iter().find(|(_, agent)| agent.token == token).map(|(id, _)| *id)
    }

    /// Makes a websocket token, good for any number of joins until it is too old.
    pub fn issue(&mut self, agent: i64) -> String {
        let n = self.next_id("websocket token");
        let token = format!("{agent}.{}.{}", letters(n as u64 + 1000, 6), letters(n as u64 + 2000, 27));
        self.tokens.insert(token.clone(), Issued { agent, at: Instant::now() });
        token
    }

    pub fn expire_tokens(&mut self) {
        self.tokens.clear();
    }

    /// The agent whom a websocket token lets in, now.
    pub fn admitted(&mut self, token: &Value) -> Option<i64> {
        if self.joins_refused > 0 {
            self.joins_refused -= 1;
            return None;
        }
        let issued = self.tokens.get(token.as_str()?)?;
        let fresh = issued.at.elapsed() < self.token_lifetime;
        (fresh && self.agents.contains_key(&issued.agent)).then_some(issued.agent)
    }

    /// A join: the list replaces the agent's executors, and the history of those that are missing goes with them.
    pub fn join(&mut self, id: i64, link: u64, executors: Value) {
        let entries = executors.as_array().into_iter().flatten();
        let known =
            entries.filter(|entry| entry.get("args").is_some()).filter_map(|entry| entry["executor_name"].as_str());
        let known: BTreeSet<&str> = known.collect();
        self.executions.retain(|_, run| run.agent != id || known.contains(run.executor.as_str()));
        if let Some(agent) = self.agents.get_mut(&id) {
            agent.link = Some(link);
            agent.executors = executors.clone();
        }
        self.joins.push(Joined { at: Instant::now(), agent: id, link, executors });
        self.record(What::Joined { agent: id, link });
    }

    /// The agent that joined on this link and whose newest link it is.
    pub fn agent_on(&self, link: u64) -> Option<i64> {
        self.agents.iter().find(|(_, agent)| agent.link == Some(link)).map(|(id, _)| *id)
    }

    /// The agent of this link, if any, is no longer there.
    pub fn offline(&mut self, link: u64) {
        let Some(id) = self.agent_on(link) else {
            return;
        };
        if let Some(agent) = self.agents.get_mut(&id) {
            agent.link = None;
        }
        if self.generation == Generation::SocketIo && !self.down {
            self.fail_running(id);
        }
        self.record(What::Offline { agent: id });
    }

    pub fn send(&mut self, link: u64, text: String) {
        if let Some(handle) = self.links.get(&link) {
            handle.order(Order::Text(text.clone()));
            self.record(What::Sent { link, text });
        }
    }

    /// Sends to every client in the Socket.IO namespace, as the server does with its answers.
    pub fn broadcast(&mut self, text: &str) {
        let members = self.links.iter().filter(|(_, handle)| handle.in_namespace);
        for link in members.map(|(link, _)| *link).collect::<Vec<_>>() {
            self.send(link, text.to_owned());
        }
    }
}

/// Letters and digits that look like a secret and are the same in every run.
fn letters(seed: u64, count: usize) -> String {
    const ALPHABET: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let mut x = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut letter = || {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        char::from(ALPHABET[(x % 62) as usize])
    };
    (0..count).map(|_| letter()).collect()
}

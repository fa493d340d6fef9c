//! A stand-in of a Faraday server, and a way to run the agent against it. Shared by tests, quickstart and benches:
//! `#[path = "../tests/support/mod.rs"] mod support;`
//!
//! It answers as the recordings in the specification do: REST, Socket.IO (servers from 5.0) and the raw websocket
//! (before 5.0), on 127.0.0.1 and ports of the kernel's choice. Any number may run in one process.
//!
//! ```ignore
//! let server = Standin::builder().workspace("ws1").start();
//! let agent = AgentProcess::builder(&server).executor("echo", "cat found.json", json!({})).start();
//! server.wait_joined(SOON);
//! let ids = server.run("echo", json!({}), &["ws1"]);
//! server.wait_over(ids[0], SOON);
//! ```
//!
//! | file | owns |
//! |---|---|
//! | `mod` | building, starting and stopping |
//! | `control`, `watch` | what a test does to the server; what it asks and waits for |
//! | `state`, `runs` | what the server knows, and what it makes of a RUN_STATUS |
//! | `shared`, `events` | the lock, the one way of waiting, the timeline |
//! | `ports`, `wire`, `connection`, `http` | sockets, TLS, requests |
//! | `rest`, `bulk`, `schema`, `kinds`, `losses`, `counter` | the REST side and its judgement of bodies |
//! | `upgrade`, `link`, `socketio`, `raw` | the command channel |
//! | `faults` | what goes wrong with requests, by rule |
//! | `agent`, `process`, `agent_log`, `dir` | the agent: how it is started, and the process |
//! | `stray` | what executors leave behind |
//!
//! Nothing here knows the agent's insides, and nothing waits without a deadline.

// Each of the crates that include this uses a part of it.
#![allow(dead_code, unused_imports)]

mod agent;
mod agent_log;
mod bulk;
mod connection;
mod control;
mod counter;
mod dir;
mod events;
mod faults;
pub mod hostile;
mod http;
mod kinds;
mod link;
mod losses;
mod ports;
mod process;
mod raw;
mod rest;
mod runs;
mod schema;
mod shared;
mod socketio;
mod state;
mod stray;
mod upgrade;
mod watch;
mod wire;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

pub use agent::AgentBuilder;
pub use counter::{Counter, Counts};
pub use dir::TempDir;
pub use events::{Event, What};
pub use faults::{Endpoint, Fault, FaultId};
pub use http::{Answer, Request};
pub use ports::Role;
pub use process::AgentProcess;
pub use runs::{Execution, RunStatus, Status};
pub use shared::Incoming;
pub use state::{Generation, Joined, Post, State, Workspace};
pub use stray::{
    Bystander, MARKED, START_MARKED, START_UNMARKED, STRAY, Stray, UNMARKED, children, guard_of, guards_of,
};
pub use wire::{Cut, Identity};

use link::Order;
use ports::Port;
use shared::{Options, Shared};

/// A deadline for what should happen at once, with room for a machine that is busy with other tests.
pub const SOON: Duration = Duration::from_secs(20);

/// How long `stop` waits for connections to end.
const STOP_WAIT: Duration = Duration::from_secs(5);

/// A running stand-in; dropping it stops it.
pub struct Standin {
    shared: Arc<Shared>,
    ports: Mutex<Vec<Port>>,
}

pub struct Builder {
    options: Options,
    workspaces: Vec<String>,
}

impl Builder {
    /// Servers from 5.0 unless told otherwise.
    pub fn generation(mut self, generation: Generation) -> Builder {
        self.options.generation = generation;
        self
    }

    /// Serves TLS on every port.
    pub fn tls(mut self, identity: Identity) -> Builder {
        self.options.trust_pem = Some(identity.trust_pem.clone());
        self.options.tls = Some(identity.server_config());
        self
    }

    /// Put before every path: `/one/or/more`.
    pub fn base_route(mut self, base: &str) -> Builder {
        self.options.base_route = base.trim_end_matches('/').to_owned();
        self
    }

    /// A workspace that exists from the start.
    pub fn workspace(mut self, name: &str) -> Builder {
        self.workspaces.push(name.to_owned());
        self
    }

    /// Engine.IO's promises; 60 s and 220 s unless told otherwise.
    pub fn pings(mut self, interval: Duration, timeout: Duration) -> Builder {
        self.options.ping_interval = interval;
        self.options.ping_timeout = timeout;
        self
    }

    /// The longest text frame that is taken; 1,000,000 bytes unless told otherwise.
    pub fn max_payload(mut self, bytes: usize) -> Builder {
        self.options.max_payload = bytes;
        self
    }

    /// How long a websocket token is good for; 60 s unless told otherwise.
    pub fn token_lifetime(mut self, lifetime: Duration) -> Builder {
        self.options.token_lifetime = lifetime;
        self
    }

    /// Bodies of posts go here instead of being checked and kept; they are answered 201.
    /// Called by several threads at once.
    pub fn on_body(mut self, consume: impl Fn(&Incoming) + Send + Sync + 'static) -> Builder {
        self.options.on_body = Some(Box::new(consume));
        self
    }

    /// Only counts the hosts of posts: see `Standin::counts`.
    pub fn counting(mut self) -> Builder {
        let counter = Arc::new(Counter::default());
        self.options.counter = Some(counter.clone());
        self.on_body(move |incoming| counter.count(incoming.body, incoming.at))
    }

    pub fn start(self) -> Standin {
        let generation = self.options.generation;
        let shared = Arc::new(Shared::new(self.options));
        let roles: &[Role] = match generation {
            Generation::SocketIo => &[Role::Api],
            Generation::Raw => &[Role::Api, Role::Websocket],
        };
        let open = |role: &Role| Port::open(*role, &shared).expect("a free port on loopback");
        let ports = roles.iter().map(open).collect();
        let server = Standin { shared, ports: Mutex::new(ports) };
        for name in &self.workspaces {
            server.workspace(name);
        }
        server.shared.change(|state| state.record(What::Listening(true)));
        server
    }
}

impl Standin {
    pub fn builder() -> Builder {
        let options = Options {
            generation: Generation::SocketIo,
            base_route: String::new(),
            tls: None,
            trust_pem: None,
            ping_interval: Duration::from_secs(60),
            ping_timeout: Duration::from_secs(220),
            max_payload: 1_000_000,
            token_lifetime: Duration::from_secs(60),
            on_body: None,
            counter: None,
        };
        Builder { options, workspaces: Vec::new() }
    }

    pub fn generation(&self) -> Generation {
        self.shared.options.generation
    }

    pub fn api_port(&self) -> u16 {
        self.port(Role::Api)
    }

    /// Where the command channel is: the API port on servers from 5.0.
    pub fn websocket_port(&self) -> u16 {
        self.port(Role::Websocket)
    }

    fn port(&self, role: Role) -> u16 {
        let ports = self.ports.lock().unwrap_or_else(PoisonError::into_inner);
        let exact = ports.iter().find(|port| port.role() == role);
        exact.or(ports.first()).map_or(0, Port::number)
    }

    /// Of the API, with the base route and without a slash at the end.
    pub fn url(&self) -> String {
        let scheme = if self.shared.options.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://127.0.0.1:{}{}", self.api_port(), self.shared.options.base_route)
    }

    /// Closes the listening sockets of `role`, or all. Connections that are open stay.
    pub fn close_ports(&self, role: Option<Role>) {
        let mut ports = self.ports.lock().unwrap_or_else(PoisonError::into_inner);
        for port in ports.iter_mut().filter(|port| role.is_none_or(|role| role == port.role())) {
            port.close().expect("closing a port of our own");
        }
        self.shared.change(|state| state.record(What::Listening(false)));
    }

    /// Listens again on the same ports.
    pub fn open_ports(&self) {
        let mut ports = self.ports.lock().unwrap_or_else(PoisonError::into_inner);
        for port in ports.iter_mut() {
            port.reopen(&self.shared).expect("the port was kept for us");
        }
        self.shared.change(|state| {
            state.down = false;
            state.record(What::Listening(true));
        });
    }

    /// Kills the server: nobody listens and every connection ends. What it knows stays, as in its database.
    pub fn crash(&self, cut: Cut) {
        self.shared.change(|state| state.down = true);
        self.close_ports(None);
        self.end_connections(cut);
    }

    fn end_connections(&self, cut: Cut) {
        self.shared.change(|state| {
            state.faults.releases += 1;
            for handle in state.links.values() {
                handle.order(Order::Cut(cut));
            }
            for socket in state.connections.values() {
                wire::cut(socket, cut);
            }
        });
        self.shared.wait(STOP_WAIT, |state| state.connections.is_empty().then_some(()));
    }

    /// Ends everything; what was seen stays readable.
    pub fn stop(&self) {
        self.shared.change(|state| state.stopped = true);
        let mut ports = self.ports.lock().unwrap_or_else(PoisonError::into_inner);
        for port in ports.iter_mut() {
            // In a drop after a failed test there is nobody left to tell.
            let _ = port.close();
        }
        ports.clear();
        drop(ports);
        self.end_connections(Cut::Fin);
    }
}

impl Drop for Standin {
    fn drop(&mut self) {
        self.stop();
    }
}

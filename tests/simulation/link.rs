//! The command channel: dials, frames on their way, cuts, and black holes that swallow everything. And the server's half of the
//! conversation on it, in both protocols: joins, statuses, acknowledgements, the end of whoever was joined.

use std::time::Duration;

use faraday_agent::config::settings::Secret;
use faraday_agent::engine::event::{Event, Failure};
use faraday_agent::proto::channel::Protocol;
use serde_json::{Map, Value, json};

use super::job::{Form, Told};
use super::world::{Happening, World};

/// A link that is dead has to be noticed within this.
const NOTICED_WITHIN: Duration = Duration::from_secs(30);
/// The server notices a machine that is gone after this.
const SERVER_NOTICES: Duration = Duration::from_secs(280);
const TOKEN_LIVES: Duration = Duration::from_secs(60);

#[derive(Clone, Debug)]
pub enum ToServer {
    Text(String),
    Ping(u32),
    Close,
}

#[derive(Clone, Debug)]
pub enum ToAgent {
    Text(String),
    /// The RUN of a job.
    Run(usize, String),
    Pong(u32),
    Close(String),
}

#[derive(Debug)]
pub struct Conn {
    pub number: u32,
    protocol: Protocol,
    pub agent_end: bool,
    server_end: bool,
    /// Since when everything is swallowed.
    pub hole: Option<Duration>,
    joined: bool,
    token_from: Duration,
    /// Nothing overtakes on a connection.
    to_server: Duration,
    to_agent: Duration,
}

#[derive(Debug, Default)]
pub struct Link {
    pub conns: Vec<Conn>,
    /// Who gets the runs.
    pub joined: Option<u32>,
    pub joined_since: Duration,
}

impl Link {
    pub fn conn(&mut self, number: u32) -> Option<&mut Conn> {
        self.conns.iter_mut().find(|conn| conn.number == number)
    }

    /// The connection as the agent sees it.
    pub fn of_agent(&mut self) -> Option<&mut Conn> {
        self.conns.iter_mut().find(|conn| conn.agent_end)
    }
}

impl World {
    pub fn dialled(&mut self) {
        if self.is_chaos() && self.random.chance(self.plan.faults.dials_fail) {
            let fatal = self.random.chance(100);
            self.is_barred |= fatal;
            self.stats.fault(if fatal { "dials refused for good" } else { "dials failed" });
            return self.tell(Event::ConnectFailed(Failure { words: "connection refused".into(), fatal }));
        }
        let number = self.link.conns.last().map_or(1, |last| last.number + 1);
        let now = self.now;
        let protocol = self.plan.protocol;
        self.link.conns.retain(|conn| conn.agent_end || conn.server_end);
        self.link.conns.push(Conn {
            number,
            protocol,
            agent_end: true,
            server_end: true,
            hole: None,
            joined: false,
            token_from: now,
            to_server: now,
            to_agent: now,
        });
        self.tell(Event::Connected { protocol, token: Secret::new("token".into()) });
        if protocol == Protocol::SocketIo {
            self.server_says(number, r#"0{"sid":"s","upgrades":[],"pingTimeout":220000,"pingInterval":60000}"#.into());
            self.always(Duration::from_secs(60), Happening::ServerPings(number));
        }
    }

    pub fn token_came(&mut self) {
        let now = self.now;
        if let Some(conn) = self.link.of_agent() {
            conn.token_from = now;
        }
        self.tell(Event::TokenFetched(Secret::new("token".into())));
    }

    /// From the agent.
    pub fn agent_says(&mut self, what: ToServer) {
        let (now, pause, late) = (self.now, self.random.millis(0, 60), self.random.millis(0, 300));
        let Some(conn) = self.link.of_agent() else { return };
        conn.to_server = conn.to_server.max(now + pause);
        // A Socket.IO server handles events side by side.
        let is_loose =
            conn.protocol == Protocol::SocketIo && matches!(&what, ToServer::Text(text) if text.contains("run_status"));
        let (number, at) = (conn.number, conn.to_server + if is_loose { late } else { Duration::ZERO });
        if conn.hole.is_none() {
            self.always(at - now, Happening::AtServer(number, what));
        }
    }

    pub fn server_says(&mut self, number: u32, text: String) {
        self.server_sends(number, ToAgent::Text(text));
    }

    fn server_sends(&mut self, number: u32, what: ToAgent) {
        let (now, pause) = (self.now, self.random.millis(0, 60));
        let Some(conn) = self.link.conn(number).filter(|conn| conn.server_end && conn.hole.is_none()) else { return };
        conn.to_agent = conn.to_agent.max(now + pause);
        let at = conn.to_agent;
        self.always(at - now, Happening::AtAgent(number, what));
    }

    pub fn at_agent(&mut self, number: u32, what: ToAgent) {
        let Some(conn) = self.link.conn(number).filter(|conn| conn.agent_end && conn.hole.is_none()) else { return };
        match what {
            ToAgent::Text(text) => self.tell(Event::Frame(&text)),
            ToAgent::Run(job, text) => {
                self.jobs[job].heard = Some(self.life);
                self.tell(Event::Frame(&text));
            }
            ToAgent::Pong(number) => self.tell(Event::Pong(number)),
            ToAgent::Close(reason) => {
                conn.agent_end = false;
                self.tell(Event::LinkLost { words: "closed".into(), close_reason: Some(reason) });
            }
        }
    }

    pub fn at_server(&mut self, number: u32, what: ToServer) {
        let Some(conn) = self.link.conn(number).filter(|conn| conn.server_end && conn.hole.is_none()) else { return };
        match (what, conn.protocol) {
            (ToServer::Ping(ping), _) => self.server_sends(number, ToAgent::Pong(ping)),
            (ToServer::Close, _) => {
                self.server_sends(number, ToAgent::Close(String::new()));
                self.server_sees_end(number);
            }
            (ToServer::Text(text), Protocol::SocketIo) => self.at_socketio(number, &text),
            (ToServer::Text(text), Protocol::WebSocket) => self.at_websocket(number, &text),
        }
    }

    fn at_socketio(&mut self, number: u32, text: &str) {
        if text == "40/dispatcher," {
            self.server_says(number, r#"42/dispatcher,["message","Connected to faraday websocket"]"#.into());
            return self.server_says(number, r#"40/dispatcher,{"sid":"t"}"#.into());
        }
        let Some(event) = text.strip_prefix("42/dispatcher,") else { return };
        let digits = event.bytes().take_while(u8::is_ascii_digit).count();
        let parsed: Value = serde_json::from_str(&event[digits..]).expect("the agent's JSON");
        match parsed[0].as_str() {
            Some("join_agent") => {
                if !self.joins(number) {
                    self.server_says(
                        number,
                        r#"42/dispatcher,["disconnect",{"reason":"Invalid agent token!"}]"#.into(),
                    );
                }
            }
            Some("run_status") => {
                if self.is_chaos() && self.random.chance(self.plan.faults.statuses_dropped) {
                    return self.stats.fault("statuses dropped");
                }
                self.server_told(parsed[1].as_str().expect("a JSON text"));
            }
            _ => {
                self.agent_left(number);
                return self.server_says(number, "41/dispatcher,".into());
            }
        }
        self.server_says(number, format!("43/dispatcher,{}[]", &event[..digits]));
    }

    fn at_websocket(&mut self, number: u32, text: &str) {
        let message: Value = serde_json::from_str(text).expect("the agent's JSON");
        match message["action"].as_str() {
            Some("JOIN_AGENT") => {
                if !self.joins(number) {
                    self.server_sends(number, ToAgent::Close("Invalid agent token!".into()));
                    self.server_sees_end(number);
                }
            }
            Some("RUN_STATUS") => {
                assert_eq!(self.link.joined, Some(number), "a status from nobody who is joined");
                self.server_told(text);
            }
            _ => self.agent_left(number),
        }
    }

    /// Whether the join is accepted.
    fn joins(&mut self, number: u32) -> bool {
        let (now, is_refused) = (self.now, self.is_chaos() && self.random.chance(self.plan.faults.joins_refused));
        let Some(conn) = self.link.conn(number) else { return false };
        if is_refused || now > conn.token_from + TOKEN_LIVES {
            self.stats.fault("joins refused");
            return false;
        }
        conn.joined = true;
        (self.link.joined, self.link.joined_since) = (Some(number), now);
        true
    }

    fn server_told(&mut self, text: &str) {
        let status: Value = serde_json::from_str(text).expect("the agent's JSON");
        let told = Told {
            running: status["running"].as_bool().expect("a boolean"),
            successful: status["successful"].as_bool(),
            message: status["message"].as_str().unwrap_or_default().to_owned(),
        };
        self.stats.statuses += 1;
        for id in status["execution_ids"].as_array().expect("a list") {
            let id = id.as_i64().expect("a number");
            let place = self.jobs.iter().find_map(|job| {
                let place = job.ways.iter().position(|way| way.execution == id)?;
                Some((job.number, place))
            });
            match place {
                Some((job, place)) => self.jobs[job].on_told(place, told.clone()),
                None => assert!(!told.running && told.successful == Some(false), "{told:?} of a RUN that is no use"),
            }
        }
    }

    /// Whoever was joined is not any more: what ran has failed, as far as the server knows.
    fn agent_left(&mut self, number: u32) {
        if self.link.joined != Some(number) {
            return;
        }
        self.link.joined = None;
        for way in self.jobs.iter_mut().flat_map(|job| &mut job.ways) {
            if let Some(shown) = way.shown.as_mut().filter(|shown| shown.running) {
                shown.running = false;
                shown.successful = Some(false);
                shown.message = "Execution terminated due to agent disconnection.".into();
            }
        }
    }

    pub fn server_sees_end(&mut self, number: u32) {
        self.agent_left(number);
        self.link.conn(number).into_iter().for_each(|conn| conn.server_end = false);
    }

    pub fn agent_sees_end(&mut self, number: u32) {
        if let Some(conn) = self.link.conn(number).filter(|conn| conn.agent_end) {
            conn.agent_end = false;
            self.tell(Event::LinkLost { words: "connection reset by peer".into(), close_reason: None });
        }
    }

    /// The agent has let go of its connection, or has died.
    pub fn agent_hangs_up(&mut self) {
        let (pause, now) = (self.random.millis(0, 200), self.now);
        let Some(conn) = self.link.of_agent() else { return };
        conn.agent_end = false;
        if let Some(since) = conn.hole {
            assert!(now <= since + NOTICED_WITHIN, "a dead link was noticed after {:?}", now - since);
        }
        let (number, pause) = (conn.number, if conn.hole.is_some() { SERVER_NOTICES } else { pause });
        self.always(pause, Happening::ServerSeesEnd(number));
    }

    /// A cut: each side sees it soon. What is on its way is lost from some point on.
    pub fn cut_link(&mut self) {
        let Some(conn) = self.link.of_agent() else { return };
        let number = conn.number;
        self.stats.fault("links cut");
        let (soon, later) = (self.random.millis(0, 100), self.random.millis(0, 3000));
        let (agent, server) = if self.random.chance(500) { (soon, later) } else { (later, soon) };
        self.always(agent, Happening::AgentSeesEnd(number));
        self.always(server, Happening::ServerSeesEnd(number));
    }

    pub fn open_hole(&mut self) {
        let now = self.now;
        if let Some(conn) = self.link.of_agent() {
            conn.hole.get_or_insert(now);
            self.stats.fault("black holes");
        }
    }

    pub fn server_pings(&mut self, number: u32) {
        if self.link.conn(number).is_some_and(|conn| conn.server_end && conn.agent_end) {
            self.server_says(number, "2".into());
            self.always(Duration::from_secs(60), Happening::ServerPings(number));
        }
    }

    /// The command of a job, to whoever is joined. False if nobody is.
    pub fn send_run(&mut self, job: usize) -> bool {
        let Some(number) = self.link.joined else { return false };
        let sent = &self.jobs[job];
        let mut ids: Vec<i64> = sent.ways.iter().map(|way| way.execution).collect();
        let mut workspaces: Vec<&str> = sent.ways.iter().map(|way| &*way.workspace).collect();
        if sent.form == Form::Repeats {
            ids.push(ids[0]);
            workspaces.push(workspaces[0]);
        }
        let arguments = if sent.form == Form::Overloaded { 300 } else { 0 };
        let args: Map<String, Value> = (0..arguments).map(|n| (format!("A{n}"), json!(n))).collect();
        let command = json!({
            "execution_ids": ids, "agent_id": 1, "workspaces": workspaces, "action": "RUN", "executor": sent.executor,
            "args": args, "plugin_args": {},
        });
        let text = match self.plan.protocol {
            Protocol::SocketIo => format!("42/dispatcher,{}", json!(["run", command])),
            Protocol::WebSocket => command.to_string(),
        };
        self.server_sends(number, ToAgent::Run(job, text));
        true
    }
}

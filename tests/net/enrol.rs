//! From settings to an open channel: which token is presented, when the agent registers, and what it says about it.

use std::collections::HashSet;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use faraday_agent::config::settings::{Agent, AgentToken, Server, Settings};
use faraday_agent::shell::enrol::{Connected, Enrolment, RegistrationToken};
use faraday_agent::shell::net::dial::Protocol;
use faraday_agent::shell::net::fault::{Fault, Kind};
use faraday_agent::shell::net::limits::Limits;
use faraday_agent::shell::state_dir::StateDir;
use tungstenite::Message;

use crate::rig::{Reply, Request, Rig, Scratch, answer, closed_port, logged, server};

const DIGITS: &str = "493027";
const INFO: &str = "GET /_api/v3/info";
const AGENTS: &str = "POST /_api/v3/agents";
const TICKET: &str = "POST /_api/v3/agent_websocket_token";
const CHANNEL: &str = "GET /socket.io/?EIO=4&transport=websocket";

/// What a server remembers.
#[derive(Default)]
struct Memory {
    /// Tokens of agents.
    agents: Mutex<HashSet<String>>,
    /// Websocket tokens given out.
    tickets: AtomicUsize,
    /// Answer to a websocket token in place of the usual one.
    ticket_status: AtomicUsize,
    /// The channel is not to be found.
    deaf: AtomicUsize,
}

/// A server with memory, and one agent's state directory.
struct World {
    rig: Rig,
    memory: Arc<Memory>,
    scratch: Scratch,
}

impl World {
    fn new(known: &[char]) -> World {
        let memory = Arc::new(Memory::default());
        memory.agents.lock().unwrap().extend(known.iter().map(|filler| token(*filler).reveal().to_owned()));
        let shared = Arc::clone(&memory);
        let rig = Rig::plain(move |request| shared.reply(request));
        World { rig, memory, scratch: Scratch::directory() }
    }

    fn state(&self) -> StateDir {
        StateDir::open(&agent(&self.scratch.path)).unwrap()
    }

    fn stored(&self) -> Option<AgentToken> {
        self.state().token().unwrap()
    }

    fn enrolment(&self, configured: Option<char>, digits: Option<&str>) -> Enrolment {
        enrolment_with(server(self.rig.port), &self.scratch.path, configured, digits).unwrap()
    }
}

impl Memory {
    fn reply(&self, request: &Request) -> Reply {
        match request.line.trim_end_matches(" HTTP/1.1") {
            INFO => answer(200, r#"{"Version":"5.25.2"}"#),
            AGENTS if String::from_utf8_lossy(&request.body).contains(DIGITS) => {
                let mut agents = self.agents.lock().unwrap();
                let new = token('N').reveal().to_owned();
                agents.insert(new.clone());
                answer(201, &format!(r#"{{"id":1,"name":"a","token":"{new}"}}"#))
            }
            AGENTS => answer(401, "<p>Invalid Token</p>"),
            TICKET => self.ticket(request),
            CHANNEL if self.deaf.load(Ordering::SeqCst) == 0 => Reply::Upgrade(vec![Message::text("0{}")]),
            _ => answer(404, ""),
        }
    }

    fn ticket(&self, request: &Request) -> Reply {
        let presented = request.header("authorization").unwrap().strip_prefix("Agent ").unwrap().to_owned();
        match self.ticket_status.load(Ordering::SeqCst) {
            0 if self.agents.lock().unwrap().contains(&presented) => {
                let number = self.tickets.fetch_add(1, Ordering::SeqCst);
                answer(200, &format!(r#"{{"token":"ticket {number}"}}"#))
            }
            0 => answer(403, r#"{"message":"You don't have the permission"}"#),
            status => answer(u16::try_from(status).unwrap(), ""),
        }
    }
}

fn token(filler: char) -> AgentToken {
    AgentToken::parse(&filler.to_string().repeat(64)).unwrap()
}

fn agent(state_dir: &Path) -> Agent {
    Agent { name: "scanner".to_owned(), state_dir: Some(state_dir.to_owned()), ..Agent::default() }
}

fn enrolment_with(
    server: Server,
    state_dir: &Path,
    configured: Option<char>,
    digits: Option<&str>,
) -> Result<Enrolment, Fault> {
    let agent = agent(state_dir);
    let state = StateDir::open(&agent).unwrap();
    let settings = Settings { server, token: configured.map(token), agent };
    let registration = digits.map(|digits| RegistrationToken::parse(digits).unwrap());
    Enrolment::new(&settings, state, registration, None, Limits::default())
}

#[track_caller]
fn assert_fault(result: Result<Connected, Fault>, kind: Kind, words: &[&str]) {
    let fault = result.expect_err("a fault");
    assert_eq!(fault.kind, kind, "{fault}");
    for word in words {
        assert!(fault.words.contains(word), "{word:?} is not in: {fault}");
    }
    assert!(!fault.words.contains('\n') && !fault.words.contains(DIGITS), "{fault}");
    for filler in ['C', 'S', 'N'] {
        assert!(!fault.words.contains(token(filler).reveal()), "{fault}");
    }
}

#[track_caller]
fn assert_logged(level: &str, words: &[&str]) {
    let lines = logged();
    let fits = |line: &&String| line.starts_with(level) && words.iter().all(|word| line.contains(word));
    assert_eq!(lines.iter().filter(fits).count(), 1, "{level} {words:?} in {lines:#?}");
}

#[test]
fn six_digits_are_a_registration_token() {
    for (text, fits) in [
        ("493027", true),
        ("000000", true),
        ("49302", false),
        ("4930277", false),
        ("49302a", false),
        ("４９３０２７", false),
        ("", false),
    ] {
        assert_eq!(RegistrationToken::parse(text).is_some(), fits, "{text}");
    }
}

#[test]
fn a_new_agent_registers_once_and_is_known_from_then_on() {
    logged();
    let world = World::new(&[]);
    let connected = world.enrolment(None, Some(DIGITS)).connect().unwrap();
    assert_eq!(connected.agent_token, token('N'));
    assert_eq!(connected.websocket_token.reveal(), "ticket 0");
    assert_eq!(connected.dialled.protocol, Protocol::SocketIo);
    assert_eq!(world.stored(), Some(token('N')));
    assert_eq!(world.rig.lines(), [INFO, AGENTS, TICKET, CHANNEL]);
    assert_logged("INFO", &["registered as scanner", &world.scratch.path.to_string_lossy()]);

    let connected = world.enrolment(None, None).connect().unwrap();
    assert_eq!(connected.agent_token, token('N'));
    assert_eq!(world.rig.lines()[4..], [INFO, TICKET, CHANNEL]);
}

#[test]
fn a_token_that_still_works_makes_registering_needless() {
    logged();
    let world = World::new(&['S']);
    world.state().store_token(&token('S')).unwrap();
    let connected = world.enrolment(None, Some(DIGITS)).connect().unwrap();
    assert_eq!(connected.agent_token, token('S'));
    assert_eq!(world.rig.lines(), [INFO, TICKET, CHANNEL]);
    assert_logged("INFO", &["the registration token is not needed", &world.scratch.path.to_string_lossy()]);
}

#[test]
fn a_stored_token_that_is_refused_is_replaced_by_registering_anew() {
    logged();
    let world = World::new(&[]);
    world.state().store_token(&token('S')).unwrap();
    let connected = world.enrolment(None, Some(DIGITS)).connect().unwrap();
    assert_eq!(connected.agent_token, token('N'));
    assert_eq!(world.stored(), Some(token('N')));
    assert_eq!(world.rig.lines(), [INFO, TICKET, AGENTS, TICKET, CHANNEL]);
    assert_logged("WARN", &["does not know this agent's token", "registering anew"]);
}

#[test]
fn a_configured_token_is_honoured_and_goes_before_a_stored_one() {
    let world = World::new(&['C', 'S']);
    let connected = world.enrolment(Some('C'), None).connect().unwrap();
    assert_eq!((connected.agent_token, world.stored()), (token('C'), None));
    world.state().store_token(&token('S')).unwrap();
    assert_eq!(world.enrolment(Some('C'), None).connect().unwrap().agent_token, token('C'));
}

#[test]
fn a_configured_token_that_is_refused_gives_way_to_the_stored_one() {
    logged();
    let world = World::new(&['S']);
    world.state().store_token(&token('S')).unwrap();
    let mut enrolment = world.enrolment(Some('C'), Some(DIGITS));
    assert_eq!(enrolment.connect().unwrap().agent_token, token('S'));
    let origin = format!("using the one in the state directory {}", world.scratch.path.display());
    assert_logged("WARN", &["does not know the token in tokens.agent of the configuration", &origin]);
    enrolment.connect().unwrap();
    // The refused one is presented once, not at every reconnect.
    assert_eq!(world.rig.lines(), [INFO, TICKET, TICKET, CHANNEL, INFO, TICKET, CHANNEL]);
}

#[test]
fn refused_tokens_are_named_by_where_they_come_from() {
    let world = World::new(&[]);
    world.state().store_token(&token('S')).unwrap();
    let state = format!("the one in the state directory {}", world.scratch.path.display());
    let configuration = "the one in tokens.agent of the configuration";
    let help = "start with --token";
    assert_fault(world.enrolment(None, None).connect(), Kind::Refused, &[&state, help, "permission"]);
    let both = format!("{configuration} nor {state}");
    assert_fault(world.enrolment(Some('C'), None).connect(), Kind::Refused, &[&both, help]);
    assert_eq!(world.stored(), Some(token('S')), "a refusal deletes nothing");
}

#[test]
fn without_any_token_nothing_is_sent() {
    let world = World::new(&[]);
    let state = world.scratch.path.to_string_lossy();
    let words = ["not registered yet", "tokens.agent", &state, "--token"];
    assert_fault(world.enrolment(None, None).connect(), Kind::Refused, &words);
    assert!(world.rig.lines().is_empty());
}

#[test]
fn a_wrong_registration_token_ends_the_start() {
    let world = World::new(&[]);
    let words = ["refused the registration token", "start again with --token"];
    assert_fault(world.enrolment(None, Some("111111")).connect(), Kind::Refused, &words);
    assert_eq!(world.stored(), None);
}

#[test]
fn no_agent_is_registered_whose_token_cannot_be_kept() {
    let world = World::new(&[]);
    // Where the draft would be written stands a directory: that stops root too.
    std::fs::create_dir(world.scratch.path.join("token.new")).unwrap();
    let words = ["cannot write to the state directory", "agent.state_dir"];
    assert_fault(world.enrolment(None, Some(DIGITS)).connect(), Kind::Refused, &words);
    assert_eq!(world.rig.lines(), [INFO]);
}

#[test]
fn a_token_file_without_a_token_is_said_at_once() {
    let world = World::new(&[]);
    std::fs::write(world.scratch.path.join("token"), "half a tok").unwrap();
    let fault = enrolment_with(server(world.rig.port), &world.scratch.path, None, Some(DIGITS)).unwrap_err();
    assert_eq!(fault.kind, Kind::Refused);
    assert!(fault.words.contains("does not hold an agent token"), "{fault}");
}

#[test]
fn an_expired_licence_is_a_refusal_and_a_server_in_trouble_is_not() {
    let world = World::new(&['S']);
    world.state().store_token(&token('S')).unwrap();
    let mut enrolment = world.enrolment(None, Some(DIGITS));
    for (status, kind, words) in
        [(402, Kind::Refused, "licence"), (503, Kind::Transient, "503"), (401, Kind::Setup, "proxy")]
    {
        world.memory.ticket_status.store(status, Ordering::SeqCst);
        assert_fault(enrolment.connect(), kind, &[words]);
    }
    assert!(!world.rig.lines().iter().any(|line| line == AGENTS), "only a 403 leads to a registration");
    world.memory.ticket_status.store(0, Ordering::SeqCst);
    enrolment.connect().unwrap();

    let mut nowhere = enrolment_with(server(closed_port()), &world.scratch.path, None, None).unwrap();
    assert_fault(nowhere.connect(), Kind::Transient, &["nothing listens"]);
}

#[test]
fn every_join_has_a_fresh_websocket_token_and_the_version_is_said_once() {
    logged();
    let world = World::new(&['S']);
    world.state().store_token(&token('S')).unwrap();
    let mut enrolment = world.enrolment(None, None);
    assert_eq!(enrolment.connect().unwrap().websocket_token.reveal(), "ticket 0");
    assert_eq!(enrolment.websocket_token().unwrap().reveal(), "ticket 1");
    assert_eq!(enrolment.connect().unwrap().websocket_token.reveal(), "ticket 2");
    assert_logged("INFO", &["Faraday server 5.25.2 at 127.0.0.1:"]);
    assert!(!format!("{enrolment:?}").contains(token('S').reveal()));
}

#[test]
fn a_channel_that_is_not_there_is_fatal_only_before_it_ever_was() {
    let world = World::new(&['S']);
    world.state().store_token(&token('S')).unwrap();
    let mut enrolment = world.enrolment(None, None);
    world.memory.deaf.store(1, Ordering::SeqCst);
    assert_fault(enrolment.connect(), Kind::Setup, &["no command channel", "answered 404"]);
    world.memory.deaf.store(0, Ordering::SeqCst);
    enrolment.connect().unwrap();
    world.memory.deaf.store(1, Ordering::SeqCst);
    assert_fault(enrolment.connect(), Kind::Transient, &["no command channel", "answered 404"]);
}

#[test]
fn an_agent_that_is_deleted_while_it_runs_does_not_come_back_by_old_digits() {
    let world = World::new(&['S']);
    world.state().store_token(&token('S')).unwrap();
    let mut enrolment = world.enrolment(None, Some(DIGITS));
    enrolment.connect().unwrap();
    world.memory.agents.lock().unwrap().clear();
    assert_fault(enrolment.connect(), Kind::Refused, &["does not know this agent's token"]);
    assert!(!world.rig.lines().iter().any(|line| line == AGENTS));
}

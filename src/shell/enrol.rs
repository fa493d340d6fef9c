//! From a configuration to an open command channel and the token to join it with: find the server, have an agent token
//! (stored, configured or freshly registered), fetch a websocket token, dial. One blocking job for a worker thread, the
//! same for the first start and for every reconnect. It tries once; when to try again is the engine's to say.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::ClientConfig;

use crate::config::settings::{AgentToken, Secret, Server, Settings};

use super::net::dial::{Dialled, Hint, Protocol, dial};
use super::net::fault::{Fault, Kind};
use super::net::http::Api;
use super::net::limits::Limits;
use super::net::tcp::Place;
use super::state_dir::StateDir;

/// How a person hands over the digits, and where he finds them.
const FRESH_TOKEN: &str = "--token-file or --token and the six digits that the server's Agents page shows";
/// The environment variable that gives the digits as well. It is not handed down to other programs.
pub const REGISTRATION_VARIABLE: &str = "FARADAY_AGENT_REGISTRATION_TOKEN";

/// What `--token` gives: the six digits by which a server lets an agent register. Good for about a minute.
#[derive(Clone, Debug, PartialEq)]
pub struct RegistrationToken(Secret);

impl RegistrationToken {
    /// `None` unless it is six digits.
    pub fn parse(text: &str) -> Option<RegistrationToken> {
        let fits = text.len() == 6 && text.bytes().all(|b| b.is_ascii_digit());
        fits.then(|| RegistrationToken(Secret::new(text.to_owned())))
    }

    /// The digits themselves, for the request that carries them and for handing them on.
    pub fn reveal(&self) -> &str {
        self.0.reveal()
    }
}

/// An agent's standing with its server.
#[derive(Debug)]
pub struct Enrolment {
    server: Server,
    tls: Option<Arc<ClientConfig>>,
    limits: Limits,
    api: Api,
    state: StateDir,
    name: String,
    description: String,
    /// Tokens of this agent, the one to present first in front.
    known: Vec<Known>,
    /// Until it is used, or seen not to be needed.
    registration: Option<RegistrationToken>,
    /// The first of `known` could not be written to disk.
    unsaved: bool,
    /// What the server last said about its version, once it has answered.
    version: Option<Option<String>>,
    /// Where the command channel was last found; set means that everything has worked once.
    last: Option<(Protocol, u16)>,
}

/// All that the engine needs to join and to post.
#[derive(Debug)]
pub struct Connected {
    pub dialled: Dialled,
    pub agent_token: AgentToken,
    /// For one join, within 60 s.
    pub websocket_token: Secret,
}

#[derive(Debug)]
struct Known {
    token: AgentToken,
    origin: Origin,
}

/// Where an agent token comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Origin {
    Configuration,
    State(PathBuf),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Configuration => f.write_str("tokens.agent of the configuration"),
            Origin::State(path) => write!(f, "the state directory {}", path.display()),
        }
    }
}

impl Enrolment {
    /// Reads the stored token; sends nothing yet. `tls` as made by `client_config` if `server.tls` is set.
    pub fn new(
        settings: &Settings,
        state: StateDir,
        registration: Option<RegistrationToken>,
        tls: Option<Arc<ClientConfig>>,
        limits: Limits,
    ) -> Result<Enrolment, Fault> {
        // What a person wrote into the configuration goes before what an earlier start left behind.
        let configured = settings.token.clone().map(|token| Known { token, origin: Origin::Configuration });
        let stored = state.token().map_err(Fault::refused)?;
        let stored = stored.map(|token| Known { token, origin: Origin::State(state.path().to_owned()) });
        let mut known: Vec<Known> = configured.into_iter().chain(stored).collect();
        known.dedup_by(|later, earlier| later.token == earlier.token);
        Ok(Enrolment {
            api: Api::new(&settings.server, tls.clone(), &limits),
            server: settings.server.clone(),
            tls,
            limits,
            state,
            name: settings.agent.name.clone(),
            description: settings.agent.description.clone(),
            known,
            registration,
            unsaved: false,
            version: None,
            last: None,
        })
    }

    /// The REST interface, for the threads that post.
    pub fn api(&self) -> Api {
        self.api.clone()
    }

    /// All the steps to a command channel, once. A fatal fault before the first success ends the agent; afterwards only a
    /// refusal does, because then the configuration has been right before.
    pub fn connect(&mut self) -> Result<Connected, Fault> {
        let connected_before = self.last.is_some();
        self.try_connect().map_err(|fault| match fault.kind {
            Kind::Setup if connected_before => Fault { kind: Kind::Transient, ..fault },
            _ => fault,
        })
    }

    /// A fresh websocket token, for another join on a channel that is open already.
    pub fn websocket_token(&mut self) -> Result<Secret, Fault> {
        let mut refused = Vec::new();
        for index in 0..self.known.len() {
            match self.api.websocket_token(&self.known[index].token) {
                Ok(token) => {
                    self.prefer(index);
                    return Ok(token);
                }
                Err(fault) if fault.status == Some(403) => refused.push((self.known[index].origin.clone(), fault)),
                Err(fault) => return Err(fault),
            }
        }
        Err(self.unknown(&refused))
    }

    fn try_connect(&mut self) -> Result<Connected, Fault> {
        if self.known.is_empty() && self.registration.is_none() {
            return Err(self.unknown(&[]));
        }
        let info = self.api.info()?;
        self.note_version(info.version);
        self.save_again();
        let websocket_token = self.token_or_registration()?;
        let hint = Hint { version: self.version.clone().flatten(), last: self.last };
        let dialled = dial(&self.server, self.tls.as_ref(), &hint, &self.limits)?;
        self.last = Some((dialled.protocol, dialled.port));
        Ok(Connected { dialled, agent_token: self.known[0].token.clone(), websocket_token })
    }

    /// A websocket token by the tokens that are known, or else by registering.
    fn token_or_registration(&mut self) -> Result<Secret, Fault> {
        match (self.websocket_token(), self.registration.clone()) {
            (Ok(token), registration) => {
                if registration.is_some() {
                    log::info!(
                        "the registration token is not needed: registered already, by the token in {}",
                        self.known[0].origin
                    );
                    // Its minute has passed when it might be needed again.
                    self.registration = None;
                }
                Ok(token)
            }
            (Err(fault), Some(registration)) if fault.status == Some(403) => {
                if !self.known.is_empty() {
                    log::warn!("{fault}; registering anew now");
                }
                self.register(&registration)?;
                self.websocket_token()
            }
            (Err(fault), _) => Err(fault),
        }
    }

    fn register(&mut self, RegistrationToken(digits): &RegistrationToken) -> Result<(), Fault> {
        self.state.prove_writable().map_err(Fault::refused)?;
        let token = self.api.register(digits, &self.name, &self.description)?;
        self.registration = None;
        if self.known.iter().any(|known| known.origin == Origin::Configuration) {
            log::warn!("tokens.agent of the configuration is of no use any more: remove it there");
        }
        self.unsaved = match self.state.store_token(&token) {
            Ok(()) => {
                log::info!("registered as {}; the agent token is kept in {}", self.name, self.state.path().display());
                false
            }
            Err(problem) => {
                log::error!(
                    "registered as {}, but {problem}; the agent works on, and tries to keep it later",
                    self.name
                );
                true
            }
        };
        self.known = vec![Known { token, origin: Origin::State(self.state.path().to_owned()) }];
        Ok(())
    }

    /// The disk may have room again.
    fn save_again(&mut self) {
        if self.unsaved {
            match self.state.store_token(&self.known[0].token) {
                Ok(()) => self.unsaved = false,
                Err(problem) => log::error!("{problem}"),
            }
        }
    }

    /// The token at `index` is the one that the server takes.
    fn prefer(&mut self, index: usize) {
        if index > 0 {
            self.known[..=index].rotate_right(1);
            log::warn!(
                "the server does not know the token in {}; using the one in {}",
                self.known[1].origin,
                self.known[0].origin
            );
        }
    }

    fn note_version(&mut self, version: Option<String>) {
        if self.version.as_ref() == Some(&version) {
            return;
        }
        let place = Place::api(&self.server);
        match &version {
            Some(version) => log::info!("Faraday server {version} at {place}"),
            None => log::info!("server at {place}; it does not tell its version"),
        }
        self.version = Some(version);
    }

    /// The server knows none of this agent's tokens: says which ones were presented.
    fn unknown(&self, refused: &[(Origin, Fault)]) -> Fault {
        let words = match refused {
            [] => format!(
                "this agent is not registered yet: there is no agent token in tokens.agent of the configuration nor in \
                 {}; start it once with {FRESH_TOKEN}",
                self.state.path().display()
            ),
            [(_, first), ..] => {
                let origins = refused.iter().map(|(origin, _)| format!("the one in {origin}"));
                format!(
                    "{first}: {}. The agent was deleted there, or it is another server; to register anew, start with \
                     {FRESH_TOKEN}",
                    origins.collect::<Vec<_>>().join(" nor ")
                )
            }
        };
        Fault::refused(words).with_status(403)
    }
}

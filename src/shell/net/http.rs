//! REST: the five requests an agent makes. Blocking, safe to call from several threads at once, over a pool of keep-alive
//! connections. A request that fails is reported, never repeated: the caller knows whether it may be.

use std::io::{self, Read};
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use serde_json::json;
use ureq::SendBody;

use crate::config::settings::{AgentToken, Secret, Server};
use crate::proto::bulk;

pub use super::answer::Answer;
use super::body::{BadBody, Exactly};
use super::fault::{Fault, Kind};
use super::limits::Limits;
use super::tcp::Place;
use super::transport::{Doorway, NoResolver};
use super::words;

/// What this program calls itself to a server.
pub const USER_AGENT: &str = concat!("faraday-agent/", env!("CARGO_PKG_VERSION"));
/// How long an idle connection is kept. The Python agent's HTTP client drops them after the same time, so servers and
/// proxies in the field are used to it.
const IDLE_MAX: Duration = Duration::from_secs(15);
/// How many idle connections are kept: more than there are threads that post.
const IDLE_CONNECTIONS_MAX: usize = 16;

/// The server's REST interface.
#[derive(Clone, Debug)]
pub struct Api {
    agent: ureq::Agent,
    place: Place,
    /// `http://HOST:PORT` and `server.base_route`.
    base: String,
    limits: Limits,
}

/// What the server says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Info {
    /// `5.25.2`; servers from 5.0 on do not tell it without a login.
    pub version: Option<String>,
    /// Status of the answer.
    pub status: u16,
}

/// A request that brought no answer.
struct Unanswered {
    fault: Fault,
    /// Whether the server may have got the request and acted on it.
    sent: bool,
}

impl Api {
    /// `tls` as made by [`super::tls::client_config`] if `server.tls` is set. Opens no connection yet.
    pub fn new(server: &Server, tls: Option<Arc<ClientConfig>>, limits: &Limits) -> Api {
        let place = Place::api(server);
        let scheme = if tls.is_some() { "https" } else { "http" };
        let base = format!("{scheme}://{}{}", place.authority(), server.base_route);
        let config = ureq::Agent::config_builder()
            .user_agent(USER_AGENT)
            .http_status_as_error(false)
            .max_redirects(0)
            // Commands come over a websocket that goes to the server directly; REST through a proxy that the environment
            // happens to name would reach another place, or none.
            .proxy(None)
            .max_idle_age(IDLE_MAX)
            .max_idle_connections(IDLE_CONNECTIONS_MAX)
            .max_idle_connections_per_host(IDLE_CONNECTIONS_MAX)
            .timeout_per_write(Some(limits.stall))
            .timeout_send_request(Some(limits.stall))
            .timeout_send_body(Some(limits.send))
            .timeout_recv_body(Some(limits.answer))
            .build();
        let doorway = Doorway { place: place.clone(), tls, limits: limits.clone() };
        Api { agent: ureq::Agent::with_parts(config, doorway, NoResolver), place, base, limits: limits.clone() }
    }

    /// `GET /_api/v3/info`: any HTTP answer means that there is a server.
    pub fn info(&self) -> Result<Info, Fault> {
        let answer = self.get("/_api/v3/info").map_err(|unanswered| self.hint_at_tls(unanswered.fault))?;
        if words::complains_of_plain(answer.status, &answer.body) {
            return Err(words::speaks_tls(&self.place));
        }
        Ok(Info { version: answer.member("Version"), status: answer.status })
    }

    /// `POST /_api/v3/agents`: makes this agent known to the server, under a new token. Not to be repeated lightly: the
    /// server takes every registration for another agent, whatever its name. So an answer that got lost is `Refused`, not
    /// `Transient`: a person has to look.
    pub fn register(&self, registration_token: &Secret, name: &str, description: &str) -> Result<AgentToken, Fault> {
        let mut body = json!({ "token": registration_token.reveal(), "name": name });
        if !description.is_empty() {
            body["description"] = description.into();
        }
        let body = body.to_string();
        let answer = self
            .post("/_api/v3/agents", None, &mut body.as_bytes(), body.len() as u64, self.limits.answer)
            .map_err(|Unanswered { fault, sent }| match sent {
                false => fault,
                true => Fault::refused(format!(
                    "the answer to the registration got lost: {fault}. Look at the server's Agents page: if {name} is \
                     there now, delete it; then start again with --token and fresh digits"
                )),
            })?;
        match answer.status {
            200 | 201 => answer.member("token").and_then(|token| AgentToken::parse(&token)).ok_or_else(|| {
                Fault::refused(format!(
                    "{} accepted the registration, but its answer holds no agent token of 64 letters and digits; \
                     is it a Faraday server?",
                    self.place
                ))
            }),
            status @ (401 | 403) => Err(Fault::refused(format!(
                "{} refused the registration token with {status}: it is mistyped, or older than its minute; start again \
                 with --token and the digits that the server's Agents page shows now",
                self.place
            ))
            .with_status(status)),
            402 => Err(self.unlicensed(&answer)),
            _ => Err(answer.unexpected(&self.place, "registration")),
        }
    }

    /// `POST /_api/v3/agent_websocket_token`: a token for one join, good for 60 s. A fault with status 403 means that the
    /// server does not know the agent token (any more).
    pub fn websocket_token(&self, token: &AgentToken) -> Result<Secret, Fault> {
        let answer = self
            .post("/_api/v3/agent_websocket_token", Some(token), &mut io::empty(), 0, self.limits.answer)
            .map_err(|unanswered| unanswered.fault)?;
        match answer.status {
            200 | 201 => answer.member("token").map(Secret::new).ok_or_else(|| {
                Fault::transient(format!("{} answered the request for a websocket token without one", self.place))
            }),
            401 => Err(Fault::setup(format!(
                "{} saw no agent token in the request for a websocket token: does a proxy in between drop or replace the \
                 Authorization header?",
                self.place
            ))
            .with_status(401)),
            402 => Err(self.unlicensed(&answer)),
            403 => Err(Fault::refused(format!(
                "{} does not know this agent's token{}",
                self.place,
                answer.said()
            ))
            .with_status(403)),
            _ => Err(answer.unexpected(&self.place, "request for a websocket token")),
        }
    }

    /// `POST /_api/v3/ws/WORKSPACE/bulk_create` with the `length` bytes that `body` yields. Any answer is `Ok`, for the
    /// caller to judge by its status; a fault means that there was none, and that the server may have taken the body
    /// nevertheless.
    pub fn bulk_create(
        &self,
        token: &AgentToken,
        workspace: &str,
        mut body: impl Read,
        length: u64,
    ) -> Result<Answer, Fault> {
        let path = bulk::path("", workspace);
        self.post(&path, Some(token), &mut body, length, self.limits.post).map_err(|unanswered| unanswered.fault)
    }

    fn get(&self, path: &str) -> Result<Answer, Unanswered> {
        let patience = self.limits.answer;
        let request = self.agent.get(format!("{}{path}", self.base)).config();
        let sent = request.timeout_recv_response(Some(patience)).build().call();
        sent.map(|response| Answer::read(response, None)).map_err(|error| self.unanswered(error, patience))
    }

    fn post(
        &self,
        path: &str,
        token: Option<&AgentToken>,
        body: &mut dyn Read,
        length: u64,
        patience: Duration,
    ) -> Result<Answer, Unanswered> {
        let mut request = self.agent.post(format!("{}{path}", self.base)).header("Content-Length", length);
        if length > 0 {
            request = request.header("Content-Type", "application/json");
        }
        if let Some(token) = token {
            request = request.header("Authorization", format!("Agent {}", token.reveal()));
        }
        let mut body = Exactly::new(body, length);
        let request = request.config().timeout_recv_response(Some(patience)).build();
        let sent = request.send(SendBody::from_reader(&mut body));
        sent.map(|response| Answer::read(response, token)).map_err(|error| self.unanswered(error, patience))
    }

    fn unanswered(&self, error: ureq::Error, patience: Duration) -> Unanswered {
        let place = &self.place;
        let fault = match error {
            // The link could not be opened.
            ureq::Error::Other(inner) if inner.is::<Fault>() => {
                return Unanswered { fault: *inner.downcast().expect("just looked"), sent: false };
            }
            ureq::Error::BadUri(_) | ureq::Error::Http(_) => {
                let words = format!("{}: no such URL is possible; check server.host and server.base_route", self.base);
                return Unanswered { fault: Fault::setup(words), sent: false };
            }
            ureq::Error::Io(error) if error.get_ref().is_some_and(|inner| inner.is::<BadBody>()) => {
                Fault::transient(format!("cannot read what is to be sent to {place}: {error}"))
            }
            ureq::Error::Io(error) => words::exchange(place, &error),
            ureq::Error::Timeout(ureq::Timeout::RecvResponse) => Fault::transient(format!(
                "{place} took the request but did not answer within {}",
                words::seconds(patience)
            )),
            ureq::Error::Timeout(_) => {
                Fault::transient(format!("{place} stopped taking the request, and it was given up"))
            }
            ureq::Error::Protocol(error) => Fault::transient(format!(
                "{place} did not answer in HTTP ({error}); check server.host and {}",
                place.port_key
            )),
            other => Fault::transient(format!("the request to {place} failed: {other}")),
        };
        Unanswered { fault, sent: true }
    }

    /// A port that hangs up on plain HTTP may be one for TLS.
    fn hint_at_tls(&self, fault: Fault) -> Fault {
        if self.place.tls || fault.kind != Kind::Transient || !fault.words.contains("closed the connection") {
            return fault;
        }
        Fault { words: format!("{fault}; {}", words::TLS_HINT), ..fault }
    }

    fn unlicensed(&self, answer: &Answer) -> Fault {
        let words = format!(
            "{} says that its licence has expired or allows no more agents{}: renew it on the server, then start again",
            self.place,
            answer.said()
        );
        Fault::refused(words).with_status(answer.status)
    }
}

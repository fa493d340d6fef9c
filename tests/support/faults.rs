//! Faults of the REST side, as a list of rules that tests add to: which requests, how often, what is done to them.
//! Faults of the command channel are methods of `Standin`, in `control.rs`.

use std::time::Duration;

use super::http::{Answer, Request};
use super::wire::Cut;

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint {
    Info,
    Register,
    WebsocketToken,
    BulkCreate,
    /// The handshake of a websocket, on either generation.
    Upgrade,
    Other,
}

impl Endpoint {
    /// The endpoint of `request` on a server whose paths begin with `base`.
    pub fn of(request: &Request, base: &str) -> Endpoint {
        if request.upgrades() {
            return Endpoint::Upgrade;
        }
        match request.path().strip_prefix(base).unwrap_or_default() {
            "/_api/v3/info" => Endpoint::Info,
            "/_api/v3/agents" => Endpoint::Register,
            "/_api/v3/agent_websocket_token" => Endpoint::WebsocketToken,
            path if path.starts_with("/_api/v3/ws/") && path.ends_with("/bulk_create") => Endpoint::BulkCreate,
            _ => Endpoint::Other,
        }
    }
}

/// What is done to a request that a rule fits.
#[derive(Clone, Debug)]
pub enum Deed {
    /// Answered with this, and not processed.
    Answer(Answer),
    /// Processed, then the connection is cut without an answer.
    LoseAnswer(Cut),
    /// The connection is cut after this many bytes of the body, nothing is processed.
    HangUp { after_bytes: u64, cut: Cut },
    /// Held for so long, or until `Standin::release`, then processed and answered.
    Hold(Option<Duration>),
    /// These bytes instead of an answer, then the connection is closed; not processed.
    Raw(Vec<u8>),
}

type Predicate = Box<dyn Fn(&Request) -> bool + Send>;

/// A rule. Made by one of the constructors, narrowed by the methods after it:
/// `Fault::answer(503).on(Endpoint::BulkCreate).header("Retry-After", "1").times(2)`.
pub struct Fault {
    deed: Deed,
    endpoint: Option<Endpoint>,
    workspace: Option<String>,
    predicate: Option<Predicate>,
    skip: usize,
    times: usize,
    hits: usize,
}

impl Fault {
    fn new(deed: Deed) -> Fault {
        Fault { deed, endpoint: None, workspace: None, predicate: None, skip: 0, times: usize::MAX, hits: 0 }
    }

    /// Answers with this status and the body that Faraday or the proxy before it usually sends with it.
    pub fn answer(status: u16) -> Fault {
        let answer = match status {
            200 => Answer::json(200, &serde_json::json!({})),
            403 => Answer::message(403, "You don't have the permission to access the requested resource."),
            500 => Answer::json(500, &serde_json::json!({"message": "Internal Server Error", "success": false})),
            _ => Answer::page(status, "by a fault of the stand-in"),
        };
        Fault::new(Deed::Answer(answer))
    }

    pub fn lose_answer() -> Fault {
        Fault::new(Deed::LoseAnswer(Cut::Fin))
    }

    pub fn hang_up() -> Fault {
        Fault::new(Deed::HangUp { after_bytes: 0, cut: Cut::Fin })
    }

    pub fn hang_up_after(after_bytes: u64) -> Fault {
        Fault::new(Deed::HangUp { after_bytes, cut: Cut::Fin })
    }

    pub fn hang() -> Fault {
        Fault::new(Deed::Hold(None))
    }

    pub fn delay(by: Duration) -> Fault {
        Fault::new(Deed::Hold(Some(by)))
    }

    pub fn raw(bytes: impl Into<Vec<u8>>) -> Fault {
        Fault::new(Deed::Raw(bytes.into()))
    }

    /// Replaces the body of an answer.
    pub fn body(mut self, content_type: &'static str, body: impl Into<Vec<u8>>) -> Fault {
        if let Deed::Answer(answer) = &mut self.deed {
            answer.content_type = content_type;
            answer.body = body.into();
        }
        self
    }

    /// Adds a header to an answer.
    pub fn header(mut self, name: &str, value: &str) -> Fault {
        if let Deed::Answer(answer) = &mut self.deed {
            answer.headers.push((name.to_owned(), value.to_owned()));
        }
        self
    }

    /// Ends the connection by a reset where the rule would close it.
    pub fn by_reset(mut self) -> Fault {
        if let Deed::LoseAnswer(cut) | Deed::HangUp { cut, .. } = &mut self.deed {
            *cut = Cut::Reset;
        }
        self
    }

    pub fn on(mut self, endpoint: Endpoint) -> Fault {
        self.endpoint = Some(endpoint);
        self
    }

    /// Only posts to this workspace.
    pub fn workspace(mut self, name: &str) -> Fault {
        self.workspace = Some(name.to_owned());
        self.on(Endpoint::BulkCreate)
    }

    /// Only requests for which this holds. The body is there, except where the rule hangs up before it.
    pub fn when(mut self, predicate: impl Fn(&Request) -> bool + Send + 'static) -> Fault {
        self.predicate = Some(Box::new(predicate));
        self
    }

    /// Leaves the first `count` fitting requests alone.
    pub fn after(mut self, count: usize) -> Fault {
        self.skip = count;
        self
    }

    /// Strikes so often and never again; without it, until `Standin::clear_faults`.
    pub fn times(mut self, count: usize) -> Fault {
        self.times = count;
        self
    }

    fn fits(&self, request: &Request, base: &str) -> bool {
        let endpoint = Endpoint::of(request, base);
        self.endpoint.is_none_or(|wanted| wanted == endpoint)
            && self
                .workspace
                .as_ref()
                .is_none_or(|name| super::rest::workspace_of(request, base).as_ref() == Some(name))
            && self.predicate.as_ref().is_none_or(|holds| holds(request))
    }
}

/// Names a fault that was injected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FaultId(usize);

/// All rules; the first that fits a request and is not used up strikes.
#[derive(Default)]
pub struct Faults {
    rules: Vec<Fault>,
    cleared: usize,
    /// How often held requests have been let go.
    pub releases: u64,
}

impl Faults {
    pub fn add(&mut self, fault: Fault) -> FaultId {
        self.rules.push(fault);
        FaultId(self.rules.len() - 1)
    }

    /// Puts every rule out of force; their hits stay readable.
    pub fn clear(&mut self) {
        self.cleared = self.rules.len();
    }

    pub fn hits(&self, id: FaultId) -> usize {
        self.rules[id.0].hits
    }

    /// The rule to hang up on this request, of which only the head was read.
    pub fn strike_head(&mut self, request: &Request, base: &str) -> Option<Deed> {
        self.strike(request, base, |deed| matches!(deed, Deed::HangUp { .. }))
    }

    /// What is to be done to this request, now complete.
    pub fn strike_body(&mut self, request: &Request, base: &str) -> Option<Deed> {
        self.strike(request, base, |deed| !matches!(deed, Deed::HangUp { .. }))
    }

    fn strike(&mut self, request: &Request, base: &str, kind: impl Fn(&Deed) -> bool) -> Option<Deed> {
        let live = self.rules.iter_mut().skip(self.cleared);
        for rule in live.filter(|rule| kind(&rule.deed) && rule.hits < rule.times) {
            if !rule.fits(request, base) {
                continue;
            }
            if rule.skip > 0 {
                rule.skip -= 1;
                continue;
            }
            rule.hits += 1;
            return Some(rule.deed.clone());
        }
        None
    }
}

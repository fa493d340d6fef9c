//! What a test does to the server: workspaces, agents, runs, and everything that goes wrong with the command channel.

use serde_json::{Value, json};

use super::faults::{Fault, FaultId};
use super::link::Order;
use super::socketio;
use super::state::{Generation, State, Workspace};
use super::wire::Cut;
use super::{SOON, Standin};

impl Standin {
    /// Makes a workspace, or switches it on again.
    pub fn workspace(&self, name: &str) {
        self.set_workspace(name, Workspace::Active);
    }

    pub fn set_workspace(&self, name: &str, to: Workspace) {
        self.shared.change(|state| state.workspaces.insert(name.to_owned(), to));
    }

    pub fn delete_workspace(&self, name: &str) {
        self.shared.change(|state| state.workspaces.remove(name));
    }

    /// The six digits with which an agent registers.
    pub fn registration_token(&self) -> String {
        self.shared.lock().registration_token.clone()
    }

    /// From now on other digits are needed.
    pub fn set_registration_token(&self, token: &str) {
        self.shared.change(|state| state.registration_token = token.to_owned());
    }

    /// Registers an agent as if it had happened earlier; gives its token of 64 characters.
    pub fn add_agent(&self) -> String {
        self.shared.change(|state| {
            let id = state.register("agent1");
            state.agents[&id].token.clone()
        })
    }

    /// Deletes an agent. It is not told, and its next websocket token is refused.
    pub fn delete_agent(&self, token: &str) {
        self.shared.change(|state| state.agents.retain(|_, agent| agent.token != token));
    }

    /// Switches an agent off (it may still post) or on.
    pub fn set_agent_active(&self, token: &str, active: bool) {
        self.shared.change(|state| {
            let found = state.agents.values_mut().find(|agent| agent.token == token);
            found.into_iter().for_each(|agent| agent.active = active);
        });
    }

    /// Sends RUN to the agent that joined last and is online; gives the execution ids, one for each workspace.
    #[track_caller]
    pub fn run(&self, executor: &str, args: Value, workspaces: &[&str]) -> Vec<i64> {
        let plugin_args = self.shared.lock().plugin_args();
        self.run_with(executor, args, workspaces, plugin_args)
    }

    #[track_caller]
    pub fn run_with(&self, executor: &str, args: Value, workspaces: &[&str], plugin_args: Value) -> Vec<i64> {
        let sent = self.shared.change(|state| send_run(state, executor, &args, workspaces, &plugin_args));
        sent.unwrap_or_else(|| panic!("RUN {executor}: no agent is online\n{}", self.shared.report()))
    }

    /// As `run`, if an agent is online.
    pub fn try_run(&self, executor: &str, args: Value, workspaces: &[&str]) -> Option<Vec<i64>> {
        self.shared.change(|state| {
            let plugin_args = state.plugin_args();
            send_run(state, executor, &args, workspaces, &plugin_args)
        })
    }

    /// Makes executions as a RUN does without sending it: for messages that a test writes itself.
    pub fn prepare_run(&self, executor: &str, args: Value, workspaces: &[&str]) -> (Vec<i64>, Value) {
        self.shared.change(|state| {
            let agent = joined(state).map_or(1, |(agent, _)| agent);
            let plugin_args = state.plugin_args();
            state.prepare_run(agent, executor, &args, workspaces, &plugin_args)
        })
    }

    /// Sends a message in the envelope of a RUN.
    #[track_caller]
    pub fn send_message(&self, message: &Value) {
        self.on_link(|state, link| send_message(state, link, message));
    }

    /// Sends a text frame as it is.
    #[track_caller]
    pub fn send_raw(&self, text: &str) {
        self.on_link(|state, link| state.send(link, text.to_owned()));
    }

    #[track_caller]
    pub fn send_binary(&self, bytes: &[u8]) {
        self.order_newest(|| Order::Binary(bytes.to_vec()));
    }

    /// Sends a ping of the websocket itself; its answer is an event.
    #[track_caller]
    pub fn send_ping(&self, payload: &[u8]) {
        self.order_newest(|| Order::Ping(payload.to_vec()));
    }

    #[track_caller]
    fn order_newest(&self, order: impl FnOnce() -> Order) {
        self.on_link(|state, link| {
            if let Some(handle) = state.links.get(&link) {
                handle.order(order());
            }
        });
    }

    #[track_caller]
    fn on_link(&self, act: impl FnOnce(&mut State, u64)) {
        let acted = self.shared.change(|state| {
            let newest = state.links.keys().next_back().copied();
            let link = joined(state).map(|(_, link)| link).or(newest);
            link.map(|link| act(state, link))
        });
        acted.unwrap_or_else(|| panic!("no link is open\n{}", self.shared.report()));
    }

    /// Adds a rule to what goes wrong with requests.
    pub fn inject(&self, fault: Fault) -> FaultId {
        self.shared.change(|state| state.faults.add(fault))
    }

    pub fn clear_faults(&self) {
        self.shared.change(|state| state.faults.clear());
    }

    /// Lets go of all requests that are held now.
    pub fn release(&self) {
        self.shared.change(|state| state.faults.releases += 1);
    }

    /// Refuses the next joins as if their token were bad.
    pub fn refuse_joins(&self, count: usize) {
        self.shared.change(|state| state.joins_refused = count);
    }

    /// Every websocket token given out so far is too old now.
    pub fn expire_tokens(&self) {
        self.shared.change(State::expire_tokens);
    }

    /// Ends the TCP connection of every link, without a Close frame, and waits until that is done.
    #[track_caller]
    pub fn cut_links(&self, cut: Cut) {
        let cut_off = self.order_links(|| Order::Cut(cut));
        self.shared.expect("links to be cut", SOON, |state| {
            let gone = cut_off.iter().all(|link| !state.links.contains_key(link));
            gone.then_some(())
        });
    }

    /// Sends a Close frame on every link.
    pub fn close_links(&self, close: Option<(u16, &str)>) {
        self.order_links(|| Order::Close(close.map(|(code, reason)| (code, reason.to_owned()))));
    }

    /// Makes a black hole of the links that are open now: TCP stays up, nothing is read, nothing comes. Links that are
    /// opened later work; hold `Endpoint::Upgrade` with a fault if they should not.
    #[track_caller]
    pub fn silence_links(&self) {
        self.freeze_links(true);
    }

    /// Ends the black hole; what was sent into it arrives.
    #[track_caller]
    pub fn resume_links(&self) {
        self.freeze_links(false);
    }

    #[track_caller]
    fn freeze_links(&self, frozen: bool) {
        let ordered = self.order_links(|| Order::Freeze(frozen));
        self.shared.expect("links to take an order", SOON, |state| {
            let mut links = ordered.iter().filter_map(|link| state.links.get(link));
            links.all(|handle| handle.frozen == frozen).then_some(())
        });
    }

    /// Stops (true) or resumes the server's own Engine.IO pings.
    pub fn stop_pings(&self, stopped: bool) {
        self.shared.change(|state| state.pings_stopped = stopped);
    }

    /// Orders every link that is open now; gives their ids.
    fn order_links(&self, order: impl Fn() -> Order) -> Vec<u64> {
        self.shared.change(|state| {
            state.links.values().for_each(|handle| handle.order(order()));
            state.links.keys().copied().collect()
        })
    }

    /// Broadcasts a `disconnect` event as a stranger's refused join on the same server does.
    pub fn refuse_stranger(&self) {
        let text = socketio::event("disconnect", &json!({"reason": "Invalid agent token!"}));
        self.shared.change(|state| state.broadcast(&text));
    }
}

/// The agent that joined last of those that are online, with its link.
fn joined(state: &State) -> Option<(i64, u64)> {
    let online = state.agents.iter().filter_map(|(id, agent)| Some((*id, agent.link?)));
    online.max_by_key(|(_, link)| *link)
}

fn send_run(
    state: &mut State,
    executor: &str,
    args: &Value,
    workspaces: &[&str],
    plugin_args: &Value,
) -> Option<Vec<i64>> {
    let (agent, link) = joined(state)?;
    let (ids, message) = state.prepare_run(agent, executor, args, workspaces, plugin_args);
    send_message(state, link, &message);
    Some(ids)
}

fn send_message(state: &mut State, link: u64, message: &Value) {
    let text = match state.generation {
        Generation::SocketIo => socketio::event("run", message),
        Generation::Raw => message.to_string(),
    };
    state.send(link, text);
}

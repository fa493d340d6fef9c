//! What a test asks of the server and waits for. Every wait has a deadline and panics with all that was seen.

use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::Standin;
use super::counter::Counts;
use super::events::{Event, What};
use super::faults::FaultId;
use super::runs::{RunStatus, Status};
use super::state::{Joined, Post, State};

impl Standin {
    /// Waits until `probe` finds something in the server's state.
    #[track_caller]
    pub fn wait_for<T>(&self, what: &str, within: Duration, probe: impl FnMut(&State) -> Option<T>) -> T {
        self.shared.expect(what, within, probe)
    }

    /// Looks at the server's state.
    pub fn look<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.shared.lock())
    }

    /// Everything that was seen, as a failed wait prints it.
    pub fn report(&self) -> String {
        self.shared.report()
    }

    /// Everything from now on, as it happens.
    pub fn subscribe(&self) -> Receiver<Event> {
        let (sender, receiver) = mpsc::channel();
        self.shared.change(|state| state.subscribers.push(sender));
        receiver
    }

    pub fn events(&self) -> Vec<Event> {
        self.shared.lock().events.clone()
    }

    /// Waits for an event, from the first on.
    #[track_caller]
    pub fn wait_event(&self, what: &str, within: Duration, fits: impl Fn(&What) -> bool) -> Event {
        let mut looked = 0;
        self.shared.expect(what, within, |state| {
            let new = &state.events[looked..];
            looked = state.events.len();
            new.iter().find(|event| fits(&event.what)).cloned()
        })
    }

    /// Method, target and status of every request that was answered or cut off, in order. Counted posts leave no trace.
    pub fn requests(&self) -> Vec<(String, String, Option<u16>)> {
        let state = self.shared.lock();
        let requests = state.events.iter().filter_map(|event| match &event.what {
            What::Request { method, target, status, .. } => Some((method.clone(), target.clone(), *status)),
            _ => None,
        });
        requests.collect()
    }

    /// Waits for the first join.
    #[track_caller]
    pub fn wait_joined(&self, within: Duration) -> Joined {
        self.wait_joined_nth(1, within)
    }

    /// Waits for the nth join, counted from 1.
    #[track_caller]
    pub fn wait_joined_nth(&self, n: usize, within: Duration) -> Joined {
        self.shared.expect(&format!("join number {n}"), within, |state| state.joins.get(n - 1).cloned())
    }

    pub fn joins(&self) -> Vec<Joined> {
        self.shared.lock().joins.clone()
    }

    pub fn is_online(&self) -> bool {
        self.shared.lock().agents.values().any(|agent| agent.link.is_some())
    }

    #[track_caller]
    pub fn wait_offline(&self, within: Duration) {
        self.shared.expect("every agent to be offline", within, |state| {
            state.agents.values().all(|agent| agent.link.is_none()).then_some(())
        });
    }

    /// How many websockets are open.
    pub fn links_open(&self) -> usize {
        self.shared.lock().links.len()
    }

    /// All text frames that came from agents, with the time.
    pub fn replies(&self) -> Vec<(Instant, String)> {
        let state = self.shared.lock();
        let texts = state.events.iter().filter_map(|event| Some((event.at, event.what.received()?.to_owned())));
        texts.collect()
    }

    /// Waits for a text frame from an agent.
    #[track_caller]
    pub fn wait_reply(&self, what: &str, within: Duration, fits: impl Fn(&str) -> bool) -> String {
        let event = self.wait_event(what, within, |what| what.received().is_some_and(&fits));
        event.what.received().unwrap_or_default().to_owned()
    }

    /// The state of an execution as the server shows it; `None` when there is no such execution (any more).
    pub fn status(&self, id: i64) -> Option<Status> {
        self.shared.lock().executions.get(&id).map(|run| run.status.clone())
    }

    #[track_caller]
    pub fn wait_status(&self, id: i64, fits: impl Fn(&Status) -> bool, within: Duration) -> Status {
        self.shared.expect(&format!("a status of execution {id}"), within, |state| {
            state.executions.get(&id).map(|run| run.status.clone()).filter(&fits)
        })
    }

    /// Waits until the server shows the execution as over.
    #[track_caller]
    pub fn wait_over(&self, id: i64, within: Duration) -> Status {
        self.wait_status(id, Status::is_over, within)
    }

    /// Every RUN_STATUS that named this execution, in order.
    pub fn statuses(&self, id: i64) -> Vec<RunStatus> {
        let state = self.shared.lock();
        state.statuses.iter().filter(|status| status.ids.contains(&id)).cloned().collect()
    }

    /// The posts to a workspace that were taken, in order.
    pub fn posts(&self, workspace: &str) -> Vec<Post> {
        self.attempts(workspace).into_iter().filter(|post| post.status == 201).collect()
    }

    /// All posts to a workspace whose body was read, refused and faulted ones too.
    pub fn attempts(&self, workspace: &str) -> Vec<Post> {
        let state = self.shared.lock();
        state.posts.iter().filter(|post| post.workspace == workspace).cloned().collect()
    }

    #[track_caller]
    pub fn wait_posts(&self, workspace: &str, n: usize, within: Duration) -> Vec<Post> {
        let taken = |post: &&Post| post.workspace == workspace && post.status == 201;
        self.shared.expect(&format!("{n} posts in {workspace}"), within, |state| {
            (state.posts.iter().filter(taken).count() >= n).then_some(())
        });
        self.posts(workspace)
    }

    /// The hosts that the server took, in order of arrival, repeats included.
    pub fn hosts(&self, workspace: &str) -> Vec<Value> {
        let posts = self.posts(workspace);
        let bodies = posts.iter().filter(|post| post.hosts_taken() > 0).map(Post::json);
        let lists = bodies.filter_map(|mut body| Some(std::mem::take(body["hosts"].as_array_mut()?)));
        lists.flatten().collect()
    }

    pub fn host_ips(&self, workspace: &str) -> Vec<String> {
        let hosts = self.hosts(workspace);
        hosts.iter().map(|host| host["ip"].as_str().unwrap_or_default().to_owned()).collect()
    }

    /// Waits for at least `n` hosts.
    #[track_caller]
    pub fn wait_hosts(&self, workspace: &str, n: usize, within: Duration) -> Vec<Value> {
        let (mut looked, mut taken) = (0, 0);
        self.shared.expect(&format!("{n} hosts in {workspace}"), within, |state| {
            let new = state.posts[looked..].iter().filter(|post| post.workspace == workspace);
            taken += new.map(Post::hosts_taken).sum::<usize>();
            looked = state.posts.len();
            (taken >= n).then_some(())
        });
        self.hosts(workspace)
    }

    /// Everything in accepted posts that a real server would have lost or spoilt.
    pub fn losses(&self) -> Vec<String> {
        self.shared.lock().posts.iter().flat_map(|post| post.lost.clone()).collect()
    }

    /// How often a fault has struck.
    pub fn hits(&self, id: FaultId) -> usize {
        self.shared.lock().faults.hits(id)
    }

    #[track_caller]
    pub fn wait_hits(&self, id: FaultId, n: usize, within: Duration) {
        self.shared.expect(&format!("{n} hits of a fault"), within, |state| (state.faults.hits(id) >= n).then_some(()));
    }

    /// What was counted so far, on a server that counts.
    #[track_caller]
    pub fn counts(&self) -> Counts {
        self.shared.options.counter.as_ref().expect("a server that counts").counts()
    }

    /// Waits until so many hosts were counted, repeats included.
    #[track_caller]
    pub fn wait_counted(&self, hosts: u64, within: Duration) -> Counts {
        let counter = self.shared.options.counter.as_ref().expect("a server that counts");
        self.shared.expect(&format!("{hosts} counted hosts"), within, |_| (counter.hosts() >= hosts).then_some(()));
        counter.counts()
    }
}

//! Whose post goes next. Some posts are out at once, one at most per run and workspace; whoever has something to post stands in
//! the queue of its workspace and goes to its end after each post, and workspaces take turns, so that no run starves another. A
//! post that is out for long does not count as one of those that may be out: a worker more takes its place. While the server
//! cannot be reached, and those that are out have come back, one post at a time asks for it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use crate::bounds::{POST_SLOW_AFTER, POSTS_AT_ONCE_MAX, POSTS_OUT_MAX, POSTS_PER_WORKSPACE_MAX, WORKERS_MAX};

use super::agenda::Agenda;
use super::delivery::Sending;
use super::event::{Action, PostId, Posted, RunId};
use super::run::{Cause, Run};
use super::timers::Timer;

/// An answer so soon after its post was handed out is quick. With a slower server whoever waits in line would go out with less
/// than there is to send by then, and with one that hangs all of them would have to be waited for.
const QUICK: Duration = Duration::from_millis(50);

/// A post that a worker has, or will have.
#[derive(Debug)]
struct Out {
    id: PostId,
    workspace: Arc<str>,
    /// When it was handed out.
    at: Duration,
}

impl Out {
    fn is_slow(&self, now: Duration) -> bool {
        now >= self.at + POST_SLOW_AFTER
    }
}

#[derive(Debug, Default)]
pub struct Posts {
    /// Who has something to post, by workspace; none of the queues is empty.
    queues: BTreeMap<Arc<str>, VecDeque<PostId>>,
    /// The workspaces that have a queue, in the order of their turns.
    turns: VecDeque<Arc<str>>,
    /// Those whose last post got no answer.
    unreached: BTreeSet<PostId>,
    out: Vec<Out>,
    /// How many workers were asked for beyond those that there always are.
    workers_added: usize,
    /// There is a token to post with.
    pub ready: bool,
    /// The last post got no answer.
    unreachable: bool,
    /// The last answer came soon, and there is time for more.
    is_quick: bool,
    /// What is handed out and not answered by the end is sent again by the next agent: no more of it than has to be.
    is_stopping: bool,
    /// How many posts were sent: the number of the newest one.
    sent: u64,
    /// The number of the newest one with pieces in it that the server has taken.
    passed: u64,
}

impl Posts {
    /// Queues those of the run's deliveries that have something to post and need not wait.
    pub fn queue(&mut self, run: &mut Run, agenda: &Agenda) {
        let has_ended = run.took().is_some();
        for id in run.deliveries.take_ready(&run.journal, has_ended, agenda) {
            self.push(run.deliveries[id.workspace].workspace(), id);
        }
    }

    fn push(&mut self, workspace: &Arc<str>, id: PostId) {
        match self.queues.get_mut(workspace) {
            Some(queue) => queue.push_back(id),
            None => {
                self.queues.insert(workspace.clone(), VecDeque::from([id]));
                self.turns.push_back(workspace.clone());
            }
        }
    }

    /// The first one of the workspace whose turn it is; those that have as many posts out as they may are passed over.
    fn pop(&mut self) -> Option<PostId> {
        for _ in 0..self.turns.len() {
            let workspace = self.turns.pop_front()?;
            let out = self.out.iter().filter(|out| out.workspace == workspace).count();
            let Some(queue) = self.queues.get_mut(&workspace) else {
                debug_assert!(false, "a turn without a queue");
                continue;
            };
            if out >= POSTS_PER_WORKSPACE_MAX {
                self.turns.push_back(workspace);
                continue;
            }
            let id = queue.pop_front();
            match queue.is_empty() {
                true => drop(self.queues.remove(&workspace)),
                false => self.turns.push_back(workspace),
            }
            return id;
        }
        None
    }

    /// Sends as many posts on their way as may be.
    pub fn dispatch(&mut self, runs: &mut BTreeMap<RunId, Run>, agenda: &mut Agenda) {
        let now = agenda.now.up;
        let slow = self.out.iter().filter(|out| out.is_slow(now)).count();
        let out_max = match (self.ready, self.unreachable, self.is_quick && !self.is_stopping) {
            (false, ..) => 0,
            (true, true, _) => 1,
            (true, false, false) => (POSTS_AT_ONCE_MAX + slow).min(POSTS_OUT_MAX),
            (true, false, true) => POSTS_OUT_MAX,
        };
        while self.out.len() < out_max {
            let Some(id) = self.pop() else { break };
            let Some(run) = runs.get_mut(&id.run) else { continue };
            let took = run.took();
            let sending = Sending { number: self.sent + 1, passed: self.passed, at: now };
            if let Some(post) = run.deliveries.next_post(id.workspace, &run.journal, took, sending, agenda) {
                let workspace = run.deliveries[id.workspace].workspace().clone();
                self.out.push(Out { id, workspace, at: now });
                self.sent += 1;
                agenda.act(post);
            }
        }
        self.ask_for_workers(slow, agenda);
    }

    /// A slow post has its worker for itself, and somebody else takes the place of that one. Looks again when the next post is
    /// slow, if somebody waits for a worker then.
    fn ask_for_workers(&mut self, slow: usize, agenda: &mut Agenda) {
        let added = slow.min(WORKERS_MAX - POSTS_AT_ONCE_MAX);
        let workers = POSTS_AT_ONCE_MAX + added;
        if std::mem::replace(&mut self.workers_added, added) != added {
            agenda.act(Action::Workers(workers));
        }
        let waits = self.ready && !self.unreachable && (self.out.len() > workers || !self.turns.is_empty());
        if waits && !agenda.timers.is_set(Timer::SlowPost) {
            let now = agenda.now.up;
            let next = self.out.iter().filter(|out| !out.is_slow(now)).map(|out| out.at).min();
            next.into_iter().for_each(|at| agenda.timers.set(Timer::SlowPost, at + POST_SLOW_AFTER));
        }
    }

    /// A worker is done with a post.
    pub fn on_posted(&mut self, posted: Posted, runs: &mut BTreeMap<RunId, Run>, agenda: &mut Agenda) {
        let id = posted.id;
        self.out.retain(|out| out.id != id);
        let Some(run) = runs.get_mut(&id.run) else { return };
        // The server may repeat what it was sent, and its words outlive what is known to be secret in them.
        let redactor = &run.intake.redactor;
        let outcome = posted.outcome.map_words(|words| redactor.apply(words).into_owned());
        let posted = Posted { outcome, ..posted };
        let Some(answered) = run.deliveries.on_posted(posted, &run.journal, self.sent, agenda) else { return };
        self.passed = self.passed.max(answered.took.unwrap_or(0));
        if run.deliveries.have_notes() {
            agenda.write(run.id);
        }
        if answered.news {
            run.on_delivery_news(agenda);
        }
        if run.deliveries[id.workspace].is_unreadable() {
            run.end(Cause::Unreadable, agenda);
        }
        self.is_quick = answered.after.is_some_and(|after| after <= QUICK);
        let Some(reachable) = answered.reachable else { return };
        if !reachable {
            self.unreached.insert(id);
        }
        if reachable && self.unreachable {
            self.on_reachable(runs, agenda);
        }
        self.unreachable = !reachable;
    }

    /// The server can be reached again: whoever waits because it could not be need not.
    pub fn on_reachable(&mut self, runs: &mut BTreeMap<RunId, Run>, agenda: &mut Agenda) {
        for id in std::mem::take(&mut self.unreached) {
            let Some(run) = runs.get_mut(&id.run) else { continue };
            if run.deliveries[id.workspace].is_unreached() {
                run.deliveries.hurry(id.workspace, agenda);
                self.queue(run, agenda);
            }
        }
    }

    /// There is not much time: whoever waits is to try once more.
    pub fn on_stop(&mut self, runs: &mut BTreeMap<RunId, Run>, agenda: &mut Agenda) {
        self.is_stopping = true;
        for run in runs.values_mut() {
            (0..run.deliveries.len()).for_each(|place| run.deliveries.hurry(place, agenda));
            self.queue(run, agenda);
        }
    }
}

//! Whose post goes next. Some posts are out at once, one at most per run and workspace; whoever has something to post stands in
//! a queue and goes to its end after each post, so that no run starves another. While the server cannot be reached, and those
//! that are out have come back, one post at a time asks for it.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::agenda::Agenda;
use super::delivery::{Delivery, Sending};
use super::event::{PostId, Posted, RunId};
use super::run::{Cause, Run};
use super::timers::Timer;

/// As many as the shell has workers.
pub const POSTS_AT_ONCE_MAX: usize = 4;
/// As many are handed out while answers are quick: with a thousand executors each post is small, and a worker that had to wait
/// for the next one to be handed out would stand still for most of the time.
pub const POSTS_OUT_MAX: usize = 32;
/// An answer so soon after its post was handed out is quick. With a slower server whoever waits in line would go out with less
/// than there is to send by then, and with one that hangs all of them would have to be waited for.
const QUICK: Duration = Duration::from_millis(50);

#[derive(Debug, Default)]
pub struct Posts {
    queue: VecDeque<PostId>,
    /// How many are out.
    out: usize,
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
        for delivery in &mut run.deliveries {
            let waits = agenda.timers.is_set(Timer::Post(delivery.id));
            if !delivery.queued && !waits && delivery.has_post(&run.journal, has_ended) {
                delivery.queued = true;
                self.queue.push_back(delivery.id);
            }
        }
    }

    /// Sends as many posts on their way as may be.
    pub fn dispatch(&mut self, runs: &mut BTreeMap<RunId, Run>, agenda: &mut Agenda) {
        let out_max = match (self.ready, self.unreachable, self.is_quick && !self.is_stopping) {
            (false, ..) => 0,
            (true, true, _) => 1,
            (true, false, false) => POSTS_AT_ONCE_MAX,
            (true, false, true) => POSTS_OUT_MAX,
        };
        while self.out < out_max {
            let Some(id) = self.queue.pop_front() else { return };
            let Some(run) = runs.get_mut(&id.run) else { continue };
            let took = run.took();
            let Some(delivery) = run.deliveries.get_mut(id.workspace) else {
                continue;
            };
            delivery.queued = false;
            let sending = Sending { number: self.sent + 1, passed: self.passed, at: agenda.now.up };
            if let Some(post) = delivery.next_post(&run.journal, took, sending, agenda) {
                self.out += 1;
                self.sent += 1;
                agenda.act(post);
            }
        }
    }

    /// A worker is done with a post.
    pub fn on_posted(&mut self, posted: Posted, runs: &mut BTreeMap<RunId, Run>, agenda: &mut Agenda) {
        self.out -= 1;
        let Some(run) = runs.get_mut(&posted.id.run) else { return };
        let Some(delivery) = run.deliveries.get_mut(posted.id.workspace) else {
            return;
        };
        // The server may repeat what it was sent, and its words outlive what is known to be secret in them.
        let redactor = &run.intake.redactor;
        let outcome = posted.outcome.map_words(|words| redactor.apply(words).into_owned());
        let answered = delivery.on_posted(Posted { outcome, ..posted }, &run.journal, self.sent, agenda);
        self.passed = self.passed.max(answered.took.unwrap_or(0));
        let is_unreadable = delivery.is_unreadable();
        if delivery.note_is_due {
            agenda.write(run.id);
        }
        if answered.news {
            run.tell_present(agenda);
        }
        if is_unreadable {
            run.end(Cause::Unreadable, agenda);
        }
        self.is_quick = answered.after.is_some_and(|after| after <= QUICK);
        let Some(reachable) = answered.reachable else { return };
        if reachable && self.unreachable {
            self.on_reachable(runs, agenda);
        }
        self.unreachable = !reachable;
    }

    /// The server can be reached again: whoever waits because it could not be need not.
    pub fn on_reachable(&mut self, runs: &mut BTreeMap<RunId, Run>, agenda: &mut Agenda) {
        self.hurry(runs, agenda, Delivery::is_unreached);
    }

    /// There is not much time: whoever waits is to try once more.
    pub fn on_stop(&mut self, runs: &mut BTreeMap<RunId, Run>, agenda: &mut Agenda) {
        self.is_stopping = true;
        self.hurry(runs, agenda, |_| true);
    }

    fn hurry(&mut self, runs: &mut BTreeMap<RunId, Run>, agenda: &mut Agenda, whom: impl Fn(&Delivery) -> bool) {
        for run in runs.values_mut() {
            for delivery in run.deliveries.iter_mut().filter(|delivery| whom(delivery)) {
                delivery.hurry(agenda);
            }
            self.queue(run, agenda);
        }
    }
}

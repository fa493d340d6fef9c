//! The agent's worker threads: posts that read the journal, reach the server and are answered, each after a while, in any order; and
//! pieces that are copied into the list of refused ones.

use std::sync::Arc;
use std::time::Duration;

use faraday_agent::bounds::{POSTS_AT_ONCE_MAX, POSTS_OUT_MAX, POSTS_PER_WORKSPACE_MAX};
use faraday_agent::engine::event::{Event, Outcome, Post, PostId, Posted, SetAside};
use faraday_agent::proto::repair::Repairs;

use super::script::Tag;
use super::server::Mood;
use super::world::{Happening, World};

#[derive(Debug)]
pub enum Work {
    Post(Post),
    SetAside(SetAside),
    /// What it came to.
    Done(Posted),
}

impl Work {
    /// Of what is not done yet.
    fn workspace(&self) -> Option<Arc<str>> {
        match self {
            Work::Post(post) => Some(post.workspace.clone()),
            Work::SetAside(asked) => Some(asked.workspace.clone()),
            Work::Done(_) => None,
        }
    }
}

impl World {
    pub fn work(&mut self, id: PostId, work: Work) {
        assert!(self.works.len() < POSTS_OUT_MAX, "more posts out than there may be");
        let workspace = work.workspace();
        let same = self.works.values().filter(|other| other.workspace() == workspace).count();
        assert!(same < POSTS_PER_WORKSPACE_MAX, "more posts out to one workspace than there may be");
        assert!(self.works.insert(id, work).is_none(), "two posts at once for {id:?}");
        // There are fewer workers, and what they are at may take its time.
        let pause_max = match (self.works.len() > POSTS_AT_ONCE_MAX, self.server.mood) {
            (false, _) => 50,
            (true, Mood::Silent) => 60_000,
            (true, _) => 500,
        };
        let pause = self.random.millis(0, pause_max);
        self.later(pause, Happening::WorkBegins(id));
    }

    pub fn work_begins(&mut self, id: PostId) {
        let work = self.works.remove(&id).expect("it is under way");
        let posted = match work {
            Work::Post(post) => self.post(&post),
            Work::SetAside(asked) => self.set_aside(&asked),
            Work::Done(_) => unreachable!("it begins once"),
        };
        let pause = match self.server.mood {
            Mood::Silent if !matches!(posted.outcome, Outcome::SetAside) => Duration::from_secs(60),
            _ if self.random.chance(50) => self.random.millis(0, 10_000),
            _ => self.random.millis(0, 200),
        };
        self.works.insert(id, Work::Done(posted));
        self.later(pause, Happening::WorkEnds(id));
    }

    fn post(&mut self, post: &Post) -> Posted {
        let (id, repairs) = (post.id, Repairs::default());
        if self.is_chaos() && self.random.chance(self.plan.faults.unreadable) {
            self.stats.fault("journal unreadable");
            let outcome = Outcome::Unreadable { words: "the journal cannot be read back: EIO".into() };
            return Posted { id, upto: post.range.from, pieces: 0, repairs, outcome };
        }
        let (found, upto) = match post.range.from < post.range.upto {
            true => self.disk.batch(id.run, post.range, post.pieces_max, post.bytes_max),
            false => (Vec::new(), post.range.from),
        };
        let outcome = self.server_hears(post, &found);
        Posted { id, upto, pieces: found.len() as u32, repairs, outcome }
    }

    fn set_aside(&mut self, asked: &SetAside) -> Posted {
        let (id, repairs) = (asked.id, Repairs::default());
        if self.disk.is_full || (self.is_chaos() && self.random.chance(self.plan.faults.unwritable)) {
            self.stats.fault("refused pieces not written");
            let outcome = Outcome::Hindered { words: "refused/1.jsonl: No space left on device".into() };
            return Posted { id, upto: asked.range.from, pieces: 0, repairs, outcome };
        }
        let (found, upto) = self.disk.batch(id.run, asked.range, u32::MAX, u64::MAX);
        assert_eq!(upto, asked.range.upto);
        let (job, now, retry_max) = (self.job_of(id.run), self.now, self.plan.retry_max);
        for piece in &found {
            let is_too_large = self.plan.body_bytes_max.is_some_and(|max| piece.bytes > max);
            self.jobs[job].on_refused(id.workspace, piece.tag, &asked.words, is_too_large, retry_max, now);
        }
        self.stats.refused += found.len() as u64;
        Posted { id, upto, pieces: found.len() as u32, repairs, outcome: Outcome::SetAside }
    }

    pub fn work_ends(&mut self, id: PostId) {
        let Some(Work::Done(posted)) = self.works.remove(&id) else { panic!("{id:?} is not done") };
        let is_taken = matches!(posted.outcome, Outcome::Answer { status: 201, .. });
        let (job, now) = (self.job_of(id.run), self.now);
        let ends_before = |(end, _): &&(u64, Tag)| *end <= posted.upto;
        let count = self.jobs[job].booked.iter().take_while(ends_before).count();
        if is_taken && posted.pieces > 0 && self.jobs[job].unsettled(id.workspace).is_none_or(|first| first >= count) {
            self.jobs[job].ways[id.workspace].progress = now;
        }
        self.tell(Event::Posted(posted));
    }

    /// The agent dies: some posts arrive all the same, and nobody hears their answers.
    pub fn works_die(&mut self) {
        for (id, work) in std::mem::take(&mut self.works) {
            let job = self.job_of(id.run);
            self.jobs[job].ways[id.workspace].may_repeat = true;
            match work {
                Work::Post(post) if self.random.chance(500) => drop(self.post(&post)),
                Work::SetAside(asked) if self.random.chance(500) => drop(self.set_aside(&asked)),
                _ => {}
            }
        }
    }
}

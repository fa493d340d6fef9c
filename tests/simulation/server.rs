//! The server's REST half: what it takes, what it refuses and when it is in trouble. Its truth about each execution is in `job`.

use std::collections::BTreeMap;
use std::time::Duration;

use faraday_agent::engine::event::{Outcome, Post};

use super::disk::Found;
use super::random::Random;
use super::script::Quality;
use super::world::World;

/// What is wrong with all of it at present.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    Fine,
    /// Nobody listens.
    Down,
    /// Bodies are taken in and never answered, and kept or not.
    Silent,
    Status(u16, Option<Duration>),
    /// Bodies with pieces are answered 500, empty ones are taken.
    DiskFull,
}

#[derive(Debug)]
pub struct Server {
    pub mood: Mood,
    /// Workspaces that are missing, switched off, read-only.
    pub workspaces: BTreeMap<String, u16>,
    /// Moods with 5xx come once: two of them at the wrong times look like one bad piece.
    pub has_failed: bool,
}

impl Server {
    pub fn new() -> Server {
        Server { mood: Mood::Fine, workspaces: BTreeMap::new(), has_failed: false }
    }

    pub fn change_mood(&mut self, random: &mut Random) {
        let pause = random.chance(500).then(|| Duration::from_secs(random.between(0, 100)));
        self.mood = match random.below(8) {
            0 | 1 => Mood::Down,
            2 => Mood::Silent,
            3 => Mood::Status(429, pause),
            4 => Mood::Status(408, None),
            5 => Mood::Status(random.pick(&[301, 200, 402]), None),
            _ if std::mem::replace(&mut self.has_failed, true) => Mood::Down,
            6 => Mood::Status(random.pick(&[500, 502, 503]), pause),
            _ => Mood::DiskFull,
        };
    }
}

/// What a post comes to at the server.
enum Answer {
    Status(u16, Option<Duration>),
    None,
}

impl World {
    /// A body has reached the server, or would have.
    pub fn server_hears(&mut self, post: &Post, found: &[Found]) -> Outcome {
        let answer = self.server_answers(post, found);
        let place = post.id.workspace;
        let job = self.job_of(post.id.run);
        let way = &mut self.jobs[job].ways[place];
        match answer {
            Answer::None => {
                self.stats.fault("no answer");
                Outcome::NoAnswer { words: "connection reset".into() }
            }
            Answer::Status(status, retry_after) => {
                way.may_overtake |= status >= 500;
                if status != 201 {
                    self.stats.fault("posts not taken");
                }
                Outcome::Answer { status, words: format!("words of {status}"), retry_after }
            }
        }
    }

    fn server_answers(&mut self, post: &Post, found: &[Found]) -> Answer {
        let (mood, chance) = (self.server.mood, self.plan.faults.clone());
        match mood {
            Mood::Down => return Answer::None,
            Mood::Silent if self.random.chance(500) => return Answer::None,
            Mood::Status(status, retry_after) => return Answer::Status(status, retry_after),
            Mood::DiskFull if !found.is_empty() => return Answer::Status(500, None),
            _ => {}
        }
        if let Some(status) = self.server.workspaces.get(&*post.workspace) {
            return Answer::Status(*status, None);
        }
        if self.is_chaos() && self.random.chance(chance.single_5xx) {
            return Answer::Status(503, None);
        }
        let status = self.server_judges(post, found);
        let is_lost = mood == Mood::Silent || (self.is_chaos() && self.random.chance(chance.answers_lost));
        if status == 201 {
            self.server_takes(post, found, is_lost);
        }
        if is_lost { Answer::None } else { Answer::Status(status, None) }
    }

    fn server_judges(&mut self, post: &Post, found: &[Found]) -> u16 {
        let bytes: usize = found.iter().map(|found| found.bytes).sum();
        let job = self.job_of(post.id.run);
        let way = &self.jobs[job].ways[post.id.workspace];
        assert_eq!((way.execution, &*way.workspace), (post.envelope.execution_id, &*post.workspace));
        let holds = |quality| found.iter().any(|found| found.tag.quality == quality);
        match () {
            () if self.plan.body_bytes_max.is_some_and(|max| bytes > max) => 413,
            () if way.is_deleted => 400,
            () if holds(Quality::Bad) => 400,
            () if holds(Quality::Poison) => 500,
            () => 201,
        }
    }

    fn server_takes(&mut self, post: &Post, found: &[Found], is_lost: bool) {
        let job = self.job_of(post.id.run);
        let tags: Vec<_> = found.iter().map(|found| found.tag).collect();
        self.stats.pieces += tags.len() as u64;
        self.jobs[job].on_arrived(post.id.workspace, &tags, post.duration.is_some());
        self.jobs[job].ways[post.id.workspace].may_repeat |= is_lost;
    }
}

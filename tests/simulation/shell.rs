//! Carries out what the engine asks for, as `src/shell/reactor.rs` does: what is done at once is answered at once, what takes time
//! is answered later.

use std::time::Duration;

use faraday_agent::bounds::{POSTS_AT_ONCE_MAX, WORKERS_MAX};
use faraday_agent::engine::event::{Action, Event, Kill, RunId, Spawn};
use faraday_agent::engine::note::{Ended, Group, Head, Settled};
use faraday_agent::frame::record::Kind;

use super::child::Child;
use super::disk::Disk;
use super::link::ToServer;
use super::script::{Script, Tag};
use super::worker::Work;
use super::world::{Happening, World};

impl World {
    pub fn perform(&mut self, action: Action) {
        self.trace(|_| format!("    {}", shown(&action)));
        match action {
            Action::Connect => {
                self.agent_hangs_up();
                let pause = self.random.millis(400, 3000);
                self.later(pause, Happening::Dialled);
            }
            Action::FetchToken => self.later(Duration::from_millis(100), Happening::TokenCame),
            Action::Send(text) => self.agent_says(ToServer::Text(text)),
            Action::Ping(number) => self.agent_says(ToServer::Ping(number)),
            Action::Close => self.agent_says(ToServer::Close),
            Action::Disconnect => self.agent_hangs_up(),
            Action::Spawn(spawn) => self.spawn(&spawn),
            Action::Kill { run, signal } => {
                self.note_kill(run, signal);
                self.child_signalled(run, signal);
            }
            Action::Read { run, wanted } => {
                let child = self.children.get_mut(&run).unwrap_or_else(|| panic!("run {run}: nobody to read from"));
                child.wanted = wanted;
                // It may have nothing left to write, and so nothing to find out with.
                self.is_disk_failing &= !wanted;
                let serial = child.serial;
                self.child_changed(run, serial);
            }
            Action::Release { run } => self.child_released(run),
            Action::KillLeftover { .. } => self.stats.fault("groups left behind"),
            Action::Append { run, segment, bytes } => self.append(run, segment, bytes),
            Action::Sync { runs } => {
                let lengths = self.disk.lengths(&runs);
                let pause = self.random.millis(0, 100);
                self.later(pause, Happening::Synced(lengths, self.now));
            }
            Action::Trim { run, before } => self.disk.trim(run, before),
            Action::Forget { run, .. } => {
                let job = self.job_of(run);
                self.jobs[job].is_forgotten = true;
                self.disk.forget(run);
            }
            Action::Workers(count) => assert!((POSTS_AT_ONCE_MAX..=WORKERS_MAX).contains(&count), "{count} workers"),
            Action::Post(post) => self.work(post.id, Work::Post(post)),
            Action::SetAside(asked) => self.work(asked.id, Work::SetAside(asked)),
            Action::Quit { code } => self.quit(code),
        }
    }

    fn spawn(&mut self, spawn: &Spawn) {
        let run = spawn.run;
        assert!(!self.children.contains_key(&run), "run {run}: two children at once");
        // With nobody to read from, and nothing left to write, the next child is how it finds out.
        self.is_disk_failing &= !self.children.is_empty();
        if self.is_chaos() && self.random.chance(self.plan.faults.starts_fail) {
            let passing = self.random.chance(800);
            let job = self.job_of(run);
            // So many failures in a row are final too.
            self.jobs[job].start_failed = true;
            self.stats.fault("starts failed");
            return self.tell(Event::StartFailed { run, words: "EAGAIN".into(), passing });
        }
        let job = self.job_of(run);
        let is_check = spawn.command.starts_with("check");
        let script = match is_check {
            true => Script::of_check(spawn.command == "check well", &mut self.random),
            false => self.jobs[job].script.clone(),
        };
        self.next_run += 1;
        let serial = self.next_run;
        self.children.insert(run, Child::new(serial, script, is_check, self.now));
        let most = self.plan.concurrent_runs_max.unwrap_or(usize::MAX);
        assert!(self.children.len() <= most, "{} children at once", self.children.len());
        self.later(Duration::ZERO, Happening::Child(run, serial));
        self.tell(Event::Started { run, group: Group { id: 1000 + run.0 as i32, birth: "boot/1".into() } });
    }

    /// The agent ends a run: that is how it will have gone.
    fn note_kill(&mut self, run: RunId, signal: Kill) {
        let job = self.job_of(run);
        if signal == Kill::Gently {
            self.jobs[job].is_killed = true;
        }
    }

    fn append(&mut self, run: RunId, segment: u64, bytes: Vec<u8>) {
        // A journal that cannot be made is its run's own trouble.
        let is_others = self.disk.files.keys().any(|(whose, _)| *whose == run);
        let result = self.disk.append(run, segment, &bytes, self.now);
        self.is_disk_failing = result.is_err() && (is_others || self.is_disk_failing);
        // A disk that takes nothing of one run is not asked to take the others.
        for job in self.jobs.iter_mut().filter(|job| (result.is_err() && is_others) || job.run == Some(run)) {
            job.is_written = result.is_ok();
        }
        if result.is_ok() {
            self.note_append(run, segment, &bytes);
        } else {
            self.stats.fault("writes failed");
        }
        self.tell(Event::Journaled { run, bytes, result });
    }

    /// What the journal says now has to be true.
    pub fn note_append(&mut self, run: RunId, segment: u64, bytes: &[u8]) {
        let start = segment + (self.disk.files[&(run, segment)].bytes.len() - bytes.len()) as u64;
        let (now, retry_max) = (self.now, self.plan.retry_max);
        Disk::records(bytes, |kind, payload, end| match kind {
            Kind::Run => {
                let head: Head = serde_json::from_slice(payload).expect("a head");
                let job = self.jobs.iter_mut().find(|job| job.ways[0].execution == head.execution_ids[0]);
                let job = job.expect("some job's head");
                assert!(job.run.is_none_or(|known| known == run), "job {}: two journals", job.number);
                (job.run, job.is_accepted) = (Some(run), true);
            }
            kind => {
                let job = self.jobs.iter_mut().find(|job| job.run == Some(run)).expect("a head comes first");
                match kind {
                    Kind::Settled => {
                        let note: Settled = serde_json::from_slice(payload).expect("a note");
                        let may_expire = now > job.ways[note.workspace].progress + retry_max;
                        job.on_settled(&note, may_expire);
                        let way = &mut job.ways[note.workspace];
                        way.is_given_up |= note.closed && may_expire;
                        way.noted = (note.upto, note.closed);
                    }
                    Kind::Ended => {
                        let ended: Ended = serde_json::from_slice(payload).expect("a note");
                        job.ended = Some(ended);
                    }
                    Kind::Process => {}
                    _ => {
                        job.on_booked(Tag::of(payload), start + end as u64);
                        job.unwritten = 0;
                    }
                }
            }
        });
    }

    pub fn synced(&mut self, lengths: &[((RunId, u64), usize)], began: Duration) {
        if self.is_chaos() && self.random.chance(self.plan.faults.syncs_fail) {
            self.stats.fault("syncs failed");
            return self.tell(Event::Synced { result: Err("EIO".into()) });
        }
        self.disk.synced(lengths, began);
        self.tell(Event::Synced { result: Ok(()) });
    }
}

/// An action on one line.
fn shown(action: &Action) -> String {
    match action {
        Action::Append { run, segment, bytes } => {
            let mut words = format!("Append to {run}-{segment}:");
            Disk::records(bytes, |kind, payload, _| {
                let text = if kind.is_piece() { "" } else { std::str::from_utf8(payload).unwrap_or_default() };
                words.push_str(&format!(" {kind:?}{text}"));
            });
            words
        }
        Action::Post(post) => format!(
            "Post {:?} {:?} pieces_max {} bytes_max {} closing {}",
            post.id,
            post.range,
            post.pieces_max,
            post.bytes_max,
            post.duration.is_some()
        ),
        other => format!("{other:?}"),
    }
}

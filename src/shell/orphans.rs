//! Processes that have lost their parent: this agent becomes their parent (a child subreaper, prctl(2)), so that whatever an
//! executor starts stays below the agent, whichever group, session, environment or output it chooses. They are reaped when
//! they have ended, known by the mark of their run, told to the guard, and ended with their agent at the latest.
//!
//! The kernel does not tell when one is adopted, so the list of children is gone through after every SIGCHLD, and now and then as
//! long as there may be somebody; a few in one turn.

use std::collections::{HashMap, HashSet};
use std::io;
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::prctl;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::bounds::{LAST_KILLS_TIME_MAX, ORPHANS_PER_TURN_MAX};
use crate::engine::event::RunId;

use super::guard::Guard;
use super::processes::{self, Process, RUN_VARIABLE, run_of};

/// An orphan whose parent was no child of ours comes without a signal.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Nobody tells of the end of one process within a time.
const WAIT_STEP: Duration = Duration::from_millis(1);

#[derive(Debug, Default)]
struct Orphan {
    /// Whose mark it carried when it was looked at last. That changes: `env -u` takes it off, and while a program is executed
    /// the kernel shows no environment at all.
    run: Option<RunId>,
    is_ended: bool,
}

#[derive(Debug)]
pub struct Orphans {
    /// Children that somebody else waits for: the executors.
    others: HashSet<i32>,
    /// Children that this process had before it became the agent, of whoever started it. They may live on.
    earlier: HashSet<i32>,
    adopted: HashMap<i32, Orphan>,
    /// Children that are to be looked at still.
    unseen: Vec<i32>,
    /// Something has happened since `unseen` was filled.
    is_stale: bool,
    looked: Instant,
    is_reaper: bool,
}

impl Orphans {
    /// From now on orphans become children of this process, where it can see them.
    pub fn adopt() -> Orphans {
        let earlier = processes::children().and_then(|children| {
            prctl::set_child_subreaper(true)?;
            Ok(children)
        });
        if let Err(error) = &earlier {
            log::info!(
                "orphans of executors cannot be watched ({error}): one that leaves its process group and changes its \
                 environment may live on when this agent ends; mount /proc to help it"
            );
        }
        Orphans {
            others: HashSet::new(),
            is_reaper: earlier.is_ok(),
            earlier: earlier.unwrap_or_default().into_iter().collect(),
            adopted: HashMap::new(),
            unseen: Vec::new(),
            is_stale: false,
            looked: Instant::now(),
        }
    }

    /// A child that somebody else waits for, until `forget`.
    pub fn except(&mut self, child: i32) {
        self.others.insert(child);
    }

    pub fn forget(&mut self, child: i32) {
        self.others.remove(&child);
    }

    /// A child has ended, and with it perhaps the parent of somebody; or a run is over.
    pub fn on_change(&mut self) {
        self.is_stale = true;
    }

    /// When to look, from now on; never if there can be nobody.
    pub fn look_in(&self) -> Option<Duration> {
        if self.is_stale || !self.unseen.is_empty() {
            return Some(Duration::ZERO);
        }
        let may_come = self.is_reaper && !(self.others.is_empty() && self.adopted.is_empty());
        may_come.then(|| LOOK_EVERY.saturating_sub(self.looked.elapsed()))
    }

    /// Looks at some children: reaps them, takes note of them, and ends those whose run is over.
    pub fn look(&mut self, guard: &mut Guard, is_over: impl Fn(RunId) -> bool) {
        if self.unseen.is_empty() {
            self.is_stale = false;
            self.looked = Instant::now();
            // A list that cannot be read now will be read the next time.
            self.unseen = processes::children().unwrap_or_default();
            self.unseen.retain(|child| !self.others.contains(child) && !guard.is(*child));
        }
        let mut ended = 0;
        for child in self.unseen.split_off(self.unseen.len().saturating_sub(ORPHANS_PER_TURN_MAX)) {
            // What was an orphan's number may be an executor's by now.
            if self.others.contains(&child) || guard.is(child) {
                continue;
            }
            if has_ended(child) {
                self.earlier.remove(&child);
                self.adopted.remove(&child);
                guard.remove(child);
            } else if !self.earlier.contains(&child) {
                let orphan = self.adopted.entry(child).or_insert_with(|| tell_of(child, guard));
                orphan.run = run_of(child);
                if orphan.run.is_some_and(&is_over) && !orphan.is_ended {
                    let _ = kill(Pid::from_raw(child), Signal::SIGKILL);
                    orphan.is_ended = true;
                    ended += 1;
                }
            }
        }
        if ended > 0 {
            log::info!(
                "{ended} processes that runs had left behind were ended; one that is to stay until the agent ends takes \
                 {RUN_VARIABLE} out of its environment"
            );
        }
    }

    /// To those that carry the mark of the run, as many as fit into a turn; the rest ends when the run is over.
    pub fn signal(&self, run: RunId, signal: Signal) {
        let of_run = self.adopted.iter().filter(|(_, orphan)| orphan.run == Some(run)).map(|(child, _)| *child);
        for child in of_run.take(ORPHANS_PER_TURN_MAX).filter(|child| run_of(*child) == Some(run)) {
            // A child of ours that only we reap, so the number is its own.
            let _ = kill(Pid::from_raw(child), signal);
        }
    }

    /// Kills all children but the guard, and theirs in turn, which become ours. For the end of the program: nobody is reaped
    /// by others any more.
    pub fn end_all(&mut self, guard: &Guard) {
        let begun = Instant::now();
        let mut kept: HashSet<i32> = HashSet::new();
        while let Ok(mut left) = self.living(guard) {
            left.retain(|child| match kill(Pid::from_raw(*child), Signal::SIGKILL) {
                Err(Errno::EPERM) => {
                    kept.insert(*child);
                    false
                }
                _ => true,
            });
            if left.is_empty() || begun.elapsed() >= LAST_KILLS_TIME_MAX {
                kept.extend(left);
                break;
            }
            sleep(WAIT_STEP);
        }
        if !kept.is_empty() {
            log::warn!("processes of executors cannot be ended and outlive this agent: {kept:?}; end them as root");
        }
    }

    fn living(&self, guard: &Guard) -> io::Result<Vec<i32>> {
        if !self.is_reaper {
            return Ok(Vec::new());
        }
        let mut children = processes::children()?;
        children.retain(|child| !guard.is(*child) && !self.earlier.contains(child) && !has_ended(*child));
        Ok(children)
    }
}

fn tell_of(child: i32, guard: &mut Guard) -> Orphan {
    if let Some(process) = Process::find(child) {
        guard.add(child, process.born);
    }
    log::debug!("process {child} has lost its parent; this agent is its parent now");
    Orphan::default()
}

/// Reaps it if so. Of no child at all, and of one that a real-time signal has ended, waitpid(2) says something else.
fn has_ended(child: i32) -> bool {
    waitpid(Pid::from_raw(child), Some(WaitPidFlag::WNOHANG)) != Ok(WaitStatus::StillAlive)
}

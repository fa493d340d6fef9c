//! Processes that an agent left behind when it was killed together with its guard: how they are known again. Numbers of
//! processes are used again, so a group is ended only if its leader is the process that was started then, or, where the leader
//! is gone, if a member carries the mark of the run in its environment. Whoever else carries the mark of the agent is ended too.

use crate::engine::event::RunId;
use crate::engine::note::Group;

use super::processes::{INSTANCE_VARIABLE, Process, run_of};
use super::sweep::{self, Told};

/// Ends what is left of the runs of an earlier agent of this state directory, before this one has started any.
pub fn end(groups: &[(RunId, Group)], instance: &str) {
    if groups.is_empty() {
        return;
    }
    let all = Process::all();
    let left = groups.iter().filter(|(run, group)| is_left(*run, group, instance, &all)).map(|(_, group)| {
        let leader = all.iter().find(|process| process.id == group.id);
        (group.id, leader.map_or(0, |leader| leader.born))
    });
    let count = sweep::end(&left.collect::<Told>(), instance);
    if count > 0 {
        log::warn!("an earlier agent left {count} processes of its runs behind; they were killed");
    }
}

fn is_left(run: RunId, group: &Group, instance: &str, all: &[Process]) -> bool {
    if group.birth.is_empty() || group.id <= 1 {
        return false;
    }
    match all.iter().find(|process| process.id == group.id) {
        // A dead leader that nobody has reaped keeps the number, and tells nothing of the others.
        Some(leader) if !leader.is_dead => leader.birth() == group.birth,
        // As long as a group has a member, its number is nobody else's.
        _ => all
            .iter()
            .filter(|process| process.group == group.id)
            .any(|member| run_of(member.id) == Some(run) && member.carries(INSTANCE_VARIABLE, instance)),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::CommandExt;
    use std::process::{Child, Command, Stdio};
    use std::time::{Duration, Instant};

    use nix::sys::signal::{Signal, killpg};
    use nix::unistd::Pid;

    use super::super::processes::RUN_VARIABLE;
    use super::*;

    /// A group whose leader waits for the end of its input, or is gone and has left somebody who does.
    fn group(run: u64, instance: &str, leader_stays: bool) -> (Child, Group) {
        // A shell gives what runs in the background no input but by name.
        let command = if leader_stays { "cat >/dev/null; exit" } else { "exec 3<&0; (cat <&3 >/dev/null) & exit" };
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", command]).env(RUN_VARIABLE, run.to_string()).env(INSTANCE_VARIABLE, instance);
        let mut child = shell.stdin(Stdio::piped()).process_group(0).spawn().expect("a shell");
        let id = child.id().cast_signed();
        let birth = Process::find(id).expect("a child of ours").birth();
        if !leader_stays {
            // Keeps our end of the pipe open.
            let input = child.stdin.take();
            child.wait().expect("ended");
            child.stdin = input;
        }
        (child, Group { id, birth })
    }

    fn is_alive(group: &Group) -> bool {
        killpg(Pid::from_raw(group.id), None).is_ok()
    }

    fn wait_until(what: &str, holds: impl Fn() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(10);
        while !holds() {
            assert!(Instant::now() < deadline, "{what}");
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_group_is_ended_by_its_leaders_birth() {
        let (mut child, group) = group(7, "x-1", true);
        end(&[(RunId(7), Group { birth: format!("{}0", group.birth), ..group.clone() })], "x-2");
        assert!(child.try_wait().expect("asked").is_none(), "another process of the same number");
        end(&[(RunId(7), group)], "x-2");
        assert!(!child.wait().expect("ended").success());
    }

    #[test]
    fn a_group_of_which_nothing_but_a_zombie_is_left_is_none() {
        let (mut child, group) = group(10, "x-3", true);
        let is_left = || is_left(RunId(10), &group, "x-3", &Process::all());
        assert!(is_left());
        killpg(Pid::from_raw(group.id), Signal::SIGKILL).expect("it lives");
        wait_until("a zombie is none", || !is_left());
        assert!(is_alive(&group));
        child.wait().expect("ended");
    }

    #[test]
    fn a_group_without_leader_is_ended_by_its_mark() {
        let (mut child, group) = group(8, "x-4", false);
        for (run, instance, whose) in [(9, "x-5", "of another run"), (8, "x-5", "of another agent")] {
            end(&[(RunId(run), group.clone())], instance);
            assert!(is_alive(&group), "{whose}");
        }
        end(&[(RunId(8), group.clone())], "x-4");
        wait_until("its end", || !is_alive(&group));
        drop(child.stdin.take());
    }

    #[test]
    fn whoever_carries_the_mark_of_the_agent_is_ended() {
        let (mut child, stray) = group(11, "x-6", true);
        let (mut other, _) = group(11, "x-7", true);
        end(&[(RunId(12), Group { id: stray.id, birth: String::new() })], "x-6");
        assert!(!child.wait().expect("ended").success());
        assert!(other.try_wait().expect("asked").is_none(), "of another agent");
        drop(other.stdin.take());
        other.wait().expect("ended");
    }
}

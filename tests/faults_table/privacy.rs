//! Another user of this machine, or an executor, who wants to look into the agent's process: its memory and its environment.

use std::fs;
use std::os::unix::fs::MetadataExt;

use serde_json::json;

use crate::rig::{agent, check_run, join, print, standin};
use crate::support::{AgentBuilder, Generation, SOON, Stray};

/// Who is nobody in particular, on every Debian.
const NOBODY: u32 = 65534;

/// With a copy of the agent's program that runs as an ordinary user: root may look into everything.
fn ordinary(builder: AgentBuilder) -> AgentBuilder {
    let program = builder.dir().join("program");
    fs::copy(env!("CARGO_BIN_EXE_agent"), &program).expect("room for a copy of the agent");
    let as_nobody = format!("setpriv --reuid={NOBODY} --regid={NOBODY} --clear-groups");
    let start = format!("chown -R {NOBODY}:{NOBODY} . && exec {as_nobody} {} \"$@\"", program.display());
    let wrapper = builder.dir().join("wrapper");
    builder.script("wrapper", &start).binary(wrapper)
}

fn is_root() -> bool {
    let is_root = fs::metadata("/proc/self").expect("/proc").uid() == 0;
    if !is_root {
        eprintln!("skipped: only root can start an agent as another user");
    }
    is_root
}

/// An executor runs as the agent's own user. What it may read of a process of its own shows that the test can fail.
#[test]
fn an_executor_cannot_look_into_its_agent() {
    if !is_root() {
        return;
    }
    let server = standin(Generation::SocketIo);
    let look = "agent=$(cut -d' ' -f4 /proc/$$/stat); for process in $$ $agent; do for file in environ mem maps; do \
                head -c 1 /proc/$process/$file >/dev/null 2>denied; grep -q 'Permission denied' denied && \
                echo $file of $process is denied >> seen; done; done";
    let command = format!("{look}; {}", print("10.0.0.1"));
    let agent = join(&server, ordinary(agent(&server, &command)));
    check_run(&server, &["10.0.0.1"], true, "exit code 0; 1 host delivered");
    let owner = fs::metadata(agent.dir().join("seen")).map(|about| about.uid());
    assert_eq!(owner.ok(), Some(NOBODY), "something was denied to an ordinary user");
    let seen = fs::read_to_string(agent.dir().join("seen")).expect("the executor has written");
    let expected: Vec<String> =
        ["environ", "mem", "maps"].iter().map(|file| format!("{file} of {} is denied", agent.pid())).collect();
    assert_eq!(seen.lines().collect::<Vec<_>>(), expected);
    agent.terminate();
    assert_eq!(agent.wait_exit(SOON).code(), Some(0), "{}", agent.log());
}

/// What a run left behind is found by one who is not root, too.
#[test]
fn strays_of_an_ordinary_users_agent_end_with_it() {
    if !is_root() {
        return;
    }
    let closed = "</dev/null >/dev/null 2>&1";
    let start = format!("setsid sleep 600 {closed} & (env -i setsid sleep 601 {closed} &)");
    for is_killed in [false, true] {
        let server = standin(Generation::SocketIo);
        let command = format!("{start}; {}; sleep 602", print("10.0.0.1"));
        let agent = join(&server, ordinary(agent(&server, &command)));
        server.run("e", json!({}), &["ws1"]);
        server.wait_hosts("ws1", 1, SOON);
        let line = agent.wait_log("has lost its parent", SOON);
        let id = line.split_once("process ").and_then(|(_, rest)| rest.split(' ').next()?.parse().ok());
        let bare = [Stray::of(id.expect("its id"))];
        if is_killed {
            agent.kill();
        } else {
            agent.terminate();
        }
        agent.wait_exit(SOON);
        agent.wait_no_descendants(SOON);
        Stray::wait_ends(&bare, SOON);
    }
}

/// The files of a process that is not dumpable belong to root, proc_pid(5).
#[test]
fn the_agents_process_is_roots_own_whoever_runs_it() {
    let server = standin(Generation::SocketIo);
    let builder = agent(&server, "true");
    let agent = join(&server, if is_root() { ordinary(builder) } else { builder });
    let environment = fs::metadata(format!("/proc/{}/environ", agent.pid())).expect("a process of ours");
    assert_eq!(environment.uid(), 0);
}

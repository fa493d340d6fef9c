//! The disk is full, or the journals hold as much as they may: executors wait, nothing is dropped, and people are told why.
//!
//! A full disk is a small tmpfs, mounted in a mount namespace of the test's own: so the mount goes with the test however that
//! ends, and nobody else sees it. Each such test therefore starts itself again under unshare(1). Where namespaces are not
//! permitted it says so and tests nothing.

use std::path::Path;
use std::process::Command;

use serde_json::json;

use crate::ledger::Ledger;
use crate::rig::{
    LATER, agent, cut_off, journal_bytes, kill, numbered, rejoin, run, slowly, wait_told, wait_until, well,
};
use crate::support::{AgentBuilder, AgentProcess, Cut, Endpoint, Fault, SOON, Standin, TempDir};

/// Set for a test that has its namespace.
const INSIDE: &str = "FAULTS_NAMESPACE";

/// Runs `test`, which is the body of the test of that name, in a mount namespace.
pub fn in_namespace(name: &str, test: impl FnOnce()) {
    if std::env::var_os(INSIDE).is_some() {
        return test();
    }
    let unshare = || {
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--mount"]);
        command
    };
    if !unshare().arg("true").status().is_ok_and(|status| status.success()) {
        eprintln!("NOT TESTED: {name}: unshare(1) may not make a mount namespace here");
        return;
    }
    let program = std::env::current_exe().expect("this program has a file");
    let mut inside = unshare();
    inside.arg(program).args([name, "--exact", "--include-ignored", "--nocapture"]).env(INSIDE, "1");
    let output = inside.output().expect("it could be started just now");
    println!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{name} failed in its namespace");
}

/// A disk of a few MiB.
pub struct SmallDisk(TempDir);

impl SmallDisk {
    pub fn mount(mib: u32) -> SmallDisk {
        let disk = SmallDisk(TempDir::new());
        disk.run("mount", &["-t", "tmpfs", "-o", &format!("size={mib}m,mode=700"), "tmpfs"]);
        disk
    }

    pub fn resize(&self, mib: u32) {
        self.run("mount", &["-o", &format!("remount,size={mib}m")]);
    }

    fn run(&self, program: &str, args: &[&str]) {
        let done = Command::new(program).args(args).arg(self.0.path()).status();
        assert!(done.is_ok_and(|status| status.success()), "{program} {args:?}");
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    pub fn agent(&self, server: &Standin, command: &str) -> AgentBuilder {
        agent(server, command).option("agent.state_dir", json!(self.path()))
    }

    /// Takes all the room that is left.
    pub fn fill(&self) {
        let full = std::fs::write(self.path().join("filling"), vec![0; 64 << 20]);
        assert!(full.is_err(), "no disk is that large");
    }

    pub fn clear(&self) {
        std::fs::remove_file(self.path().join("filling")).expect("it was filled");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.path()).status();
    }
}

/// Waits until the log and the server's page say why a run waits.
#[track_caller]
fn wait_paused(server: &Standin, agent: &AgentProcess, id: i64, why: &str) {
    agent.wait_log(why, LATER);
    let paused = server.wait_status(id, |status| status.message.contains(why), SOON);
    assert!(paused.message.starts_with("Executor e from agent1 is paused: "), "{}", paused.message);
    assert!(paused.message.ends_with("; it goes on when there is room"), "{}", paused.message);
    assert_eq!(paused.running, Some(true));
}

const NO_SPACE: &str = "No space left on device";

#[test]
fn a_full_disk_makes_executors_wait_and_more_room_lets_them_go_on() {
    in_namespace("disk::a_full_disk_makes_executors_wait_and_more_room_lets_them_go_on", || {
        const HOSTS: u64 = 100_000;
        let disk = SmallDisk::mount(2);
        let (server, ledger) = Ledger::server(Standin::builder());
        server.inject(Fault::hang().on(Endpoint::BulkCreate));
        let agent = disk.agent(&server, &format!("{}; touch printed", numbered("0", HOSTS))).start();
        server.wait_joined(SOON);
        let id = run(&server);
        wait_paused(&server, &agent, id, NO_SPACE);
        assert!(!agent.dir().join("printed").exists(), "the executor waits");
        disk.resize(32);
        agent.wait_log("the journals take data again", SOON);
        wait_until("the executor's end", LATER, || agent.dir().join("printed").exists());
        server.clear_faults();
        server.release();
        assert_eq!(wait_told(&server, id, LATER), well(HOSTS));
        let arrivals = ledger.of(id);
        assert!(arrivals.is_prefix() && arrivals.count() == HOSTS, "{} of {HOSTS} hosts", arrivals.count());
    });
}

/// Nobody makes room but the server, by taking what is there.
#[test]
fn a_full_disk_is_emptied_by_delivering_what_is_on_it() {
    in_namespace("disk::a_full_disk_is_emptied_by_delivering_what_is_on_it", || {
        const HOSTS: u64 = 100_000;
        let disk = SmallDisk::mount(2);
        let (server, ledger) = Ledger::server(Standin::builder());
        server.inject(Fault::hang().on(Endpoint::BulkCreate));
        let agent = disk.agent(&server, &numbered("0", HOSTS)).start();
        server.wait_joined(SOON);
        let id = run(&server);
        wait_paused(&server, &agent, id, NO_SPACE);
        server.clear_faults();
        server.release();
        assert_eq!(wait_told(&server, id, LATER), well(HOSTS));
        let arrivals = ledger.of(id);
        assert!(arrivals.is_prefix() && arrivals.count() == HOSTS, "{} of {HOSTS} hosts", arrivals.count());
    });
}

/// What is on the full disk is delivered by the next agent, though that one has no room for a word of its own.
#[test]
fn an_agent_that_is_killed_on_a_full_disk_loses_nothing() {
    in_namespace("disk::an_agent_that_is_killed_on_a_full_disk_loses_nothing", || {
        let disk = SmallDisk::mount(2);
        let (server, ledger) = Ledger::server(Standin::builder());
        server.inject(Fault::hang().on(Endpoint::BulkCreate));
        let mut agent = disk.agent(&server, &numbered("0", 100_000)).start();
        server.wait_joined(SOON);
        let id = run(&server);
        wait_paused(&server, &agent, id, NO_SPACE);
        kill(&agent);
        disk.fill();
        rejoin(&server, &mut agent);
        server.clear_faults();
        server.release();
        let told = wait_told(&server, id, LATER);
        let arrivals = ledger.of(id);
        assert!(arrivals.is_prefix() && arrivals.count() > 10_000, "{}", arrivals.count());
        assert_eq!(told, cut_off(arrivals.count()));
        disk.clear();
        let next = run(&server);
        assert_eq!(wait_told(&server, next, LATER), well(100_000));
    });
}

#[test]
fn a_journal_that_holds_its_share_makes_its_executor_wait() {
    const HOSTS: u64 = 100_000;
    const MIB: u64 = 1 << 20;
    let (server, ledger) = Ledger::server(Standin::builder());
    let command = format!("{}; touch printed", slowly(HOSTS));
    let agent = agent(&server, &command).option("agent.journal_bytes_max", MIB).start();
    server.wait_joined(SOON);
    let id = run(&server);
    server.wait_status(id, |status| status.running == Some(true), SOON);
    server.inject(Fault::hang().on(Endpoint::BulkCreate));
    server.crash(Cut::Fin);
    let why = "MiB that the server has not taken yet, its share of what agent.journal_bytes_max leaves";
    agent.wait_log(why, LATER);
    // Alone it may hold half; one read of a pipe and one head may stand above that.
    let most = MIB / 2 + (192 << 10);
    assert!((MIB / 2..most).contains(&journal_bytes(&agent.state_dir())), "{}", journal_bytes(&agent.state_dir()));
    server.open_ports();
    wait_paused(&server, &agent, id, why);
    assert!(!agent.dir().join("printed").exists(), "the executor waits");
    server.clear_faults();
    server.release();
    agent.wait_log("its journal has room again", LATER);
    let mut largest = 0;
    wait_until("the executor's end", LATER, || {
        largest = largest.max(journal_bytes(&agent.state_dir()));
        agent.dir().join("printed").exists()
    });
    assert_eq!(wait_told(&server, id, LATER), well(HOSTS));
    println!("the journals took {largest} bytes at most");
    assert!(largest < most, "{largest} bytes");
    let arrivals = ledger.of(id);
    assert!(arrivals.is_prefix() && arrivals.count() == HOSTS, "{} of {HOSTS} hosts", arrivals.count());
}

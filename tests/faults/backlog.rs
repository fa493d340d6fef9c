//! What waits for the server is on disk: memory does not grow with it.

use crate::ledger::Ledger;
use crate::rig::{LATER, agent, journal_bytes, kill, run, wait_ended, wait_no_journals, wait_told, well};
use crate::support::{Cut, Endpoint, Fault, SOON, Standin};

/// Of one host with its description.
const HOST_BYTES: u64 = 1100;

/// The server goes away before anything is delivered, and comes back when everything is in the journal. Gives the agent's peak
/// of memory while the backlog grows, and of another agent while it is read back and delivered, in MiB.
fn check_backlog(mib: u64) -> (f64, f64) {
    let hosts = (mib << 20) / HOST_BYTES;
    let (server, ledger) = Ledger::server(Standin::builder());
    server.inject(Fault::hang().on(Endpoint::BulkCreate));
    let words = "x".repeat(HOST_BYTES as usize - 60);
    let print = format!(r#"seq -f '{{"hosts":[{{"ip":"%.0f","description":"{words}"}}]}}' 0 {}"#, hosts - 1);
    let mut agent = agent(&server, &format!("until [ -e go ]; do sleep 0.01; done; {print}")).start();
    server.wait_joined(SOON);
    let id = run(&server);
    server.wait_status(id, |status| status.running == Some(true), SOON);
    server.crash(Cut::Fin);
    std::fs::write(agent.dir().join("go"), "").expect("a directory of our own");
    wait_ended(&agent.state_dir());
    let bytes = journal_bytes(&agent.state_dir());
    assert!(bytes > (mib << 20) * 9 / 10, "{bytes} bytes in the journal");
    let growing = agent.peak_rss_kb() as f64 / 1024.0;
    kill(&agent);
    server.clear_faults();
    server.open_ports();
    agent.start_again();
    assert_eq!(wait_told(&server, id, LATER * 10), well(hosts));
    wait_no_journals(&agent);
    let draining = agent.peak_rss_kb() as f64 / 1024.0;
    println!("{mib} MiB of backlog: peak {growing:.1} MiB while it grew, {draining:.1} MiB while it was delivered");
    let arrivals = ledger.of(id);
    assert!(arrivals.is_prefix() && arrivals.count() == hosts, "{} of {hosts} hosts", arrivals.count());
    (growing, draining)
}

#[track_caller]
fn check_growth(small_mib: u64, large_mib: u64) {
    let (small, large) = (check_backlog(small_mib), check_backlog(large_mib));
    for (small, large) in [(small.0, large.0), (small.1, large.1)] {
        // Of allocators and of chance; the backlog is many times that.
        assert!(large < small + 8.0, "{large:.1} MiB after {small:.1}");
    }
}

#[test]
fn a_backlog_takes_disk_and_no_memory() {
    check_growth(2, 64);
}

#[test]
#[ignore = "long; see the head of tests/faults.rs"]
fn a_backlog_of_a_gibibyte_takes_no_memory() {
    check_growth(2, 1024);
}

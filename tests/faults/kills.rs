//! The agent is killed again and again.

use std::time::Duration;

use crate::ledger::Ledger;
use crate::random::Random;
use crate::rig::{
    LATER, agent, cut_off, in_file, journals, kill, numbered, rejoin, run, slowly, wait_ended, wait_no_journals,
    wait_told, well,
};
use crate::support::{Endpoint, Fault, Generation, SOON, Standin};

/// Everything is in the journal when the first kill comes; so every host arrives, and the run is told as what it was.
fn check_kills_while_delivering(generation: Generation, hosts: u64, kills: u32) {
    let mut random = Random::new();
    let (server, ledger) = Ledger::server(Standin::builder().generation(generation));
    // So that it takes longer than all the kills together.
    server.inject(Fault::delay(Duration::from_millis(30)).on(Endpoint::BulkCreate));
    let mut agent = agent(&server, &numbered("0", hosts)).start();
    server.wait_joined(SOON);
    let id = run(&server);
    wait_ended(&agent.state_dir());
    for _ in 0..kills {
        random.moment(Duration::from_millis(200));
        kill(&agent);
        agent.start_again();
    }
    let before = ledger.count(id);
    assert!(before < hosts, "the last kill came too late");
    server.clear_faults();
    assert_eq!(wait_told(&server, id, LATER), well(hosts));
    wait_no_journals(&agent);
    let arrivals = ledger.of(id);
    println!("{kills} kills, {before} hosts before the last, {} repeats", arrivals.repeats);
    assert!(arrivals.is_prefix() && arrivals.count() == hosts, "{} of {hosts} hosts", arrivals.count());
    assert!(arrivals.repeats <= u64::from(kills) * 500, "more repeats than answers that were lost");
}

#[test]
fn fifty_kills_while_a_hundred_thousand_hosts_are_delivered_cost_none() {
    check_kills_while_delivering(Generation::SocketIo, 100_000, 50);
}

#[test]
#[ignore = "long; see the head of tests/faults.rs"]
fn three_hundred_kills_cost_no_host_on_either_server() {
    for generation in [Generation::SocketIo, Generation::Raw] {
        check_kills_while_delivering(generation, 600_000, 300);
    }
}

/// The executor dies with its agent. What had been read of it arrives, and the server is told how much that was.
fn check_kills_while_printing(generation: Generation, kills: u32) {
    let mut random = Random::new();
    let (server, ledger) = Ledger::server(Standin::builder().generation(generation));
    let mut agent = agent(&server, &slowly(u64::from(u32::MAX))).start();
    server.wait_joined(SOON);
    let mut runs = Vec::new();
    for _ in 0..kills {
        let id = run(&server);
        server.wait_status(id, |status| status.running == Some(true), SOON);
        random.moment(Duration::from_millis(300));
        let acknowledged = ledger.count(id);
        kill(&agent);
        let saved = in_file(journals(&agent.state_dir()).last().expect("the run's journal"), "\"ip\":");
        rejoin(&server, &mut agent);
        runs.push((id, acknowledged, saved));
    }
    for (id, acknowledged, saved) in runs {
        let told = wait_told(&server, id, LATER);
        let arrivals = ledger.of(id);
        assert_eq!(told, cut_off(arrivals.count()));
        assert!(arrivals.is_prefix(), "the first hosts that were printed, without a gap");
        assert!(arrivals.count() >= acknowledged);
        // The last host in the journal may have been torn.
        assert!((saved.saturating_sub(1)..=saved).contains(&arrivals.count()), "{} of {saved}", arrivals.count());
    }
    wait_no_journals(&agent);
}

#[test]
fn kills_while_executors_print_leave_what_was_read_without_a_gap() {
    check_kills_while_printing(Generation::SocketIo, 10);
    check_kills_while_printing(Generation::Raw, 5);
}

#[test]
#[ignore = "long; see the head of tests/faults.rs"]
fn a_hundred_kills_while_executors_print() {
    check_kills_while_printing(Generation::SocketIo, 100);
    check_kills_while_printing(Generation::Raw, 100);
}

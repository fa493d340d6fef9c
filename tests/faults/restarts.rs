//! The server goes away and comes back, answers are lost, links are cut; and the agent is killed as well.

use std::time::Duration;

use crate::ledger::Ledger;
use crate::random::Random;
use crate::rig::{
    LATER, agent, kill, numbered, run, side_by_side, slowly, wait_ended, wait_no_journals, wait_told, well,
};
use crate::support::{Cut, Endpoint, Fault, Generation, SOON, Standin};

const GENERATIONS: [Generation; 2] = [Generation::SocketIo, Generation::Raw];

/// One kind of trouble; all of them leave the server as it should be.
fn trouble(server: &Standin, random: &mut Random) {
    let cut = random.cut();
    match random.below(5) {
        0 => {
            server.crash(cut);
            random.moment(Duration::from_millis(100));
            server.open_ports();
        }
        1 => server.cut_links(cut),
        2 => drop(server.inject(Fault::answer(503).on(Endpoint::BulkCreate).times(1))),
        3 => drop(server.inject(Fault::hang_up_after(random.below(200)).by_reset().on(Endpoint::BulkCreate).times(1))),
        _ => drop(server.inject(Fault::lose_answer().on(Endpoint::BulkCreate).times(1))),
    }
}

/// One trouble after the other, each as soon as data flow again.
fn check_troubles(generation: Generation, hosts: u64, troubles: u32) {
    let mut random = Random::new();
    let (server, ledger) = Ledger::server(Standin::builder().generation(generation));
    let agent = agent(&server, &slowly(hosts)).start();
    server.wait_joined(SOON);
    let id = run(&server);
    server.wait_status(id, |status| status.running == Some(true), SOON);
    for _ in 0..troubles {
        random.moment(Duration::from_millis(50));
        trouble(&server, &mut random);
        let before = ledger.count(id);
        ledger.wait(&server, id, hosts.min(before + 1), LATER);
        server.clear_faults();
    }
    assert_eq!(wait_told(&server, id, LATER * 5), well(hosts));
    wait_no_journals(&agent);
    let arrivals = ledger.of(id);
    println!("{generation:?}: {troubles} troubles, {} repeats", arrivals.repeats);
    assert!(arrivals.is_prefix() && arrivals.count() == hosts, "{} of {hosts} hosts", arrivals.count());
}

#[test]
fn a_server_that_comes_and_goes_gets_everything() {
    side_by_side(GENERATIONS, |generation| check_troubles(generation, 50_000, 12));
}

#[test]
#[ignore = "long; see the head of tests/faults.rs"]
fn a_server_that_comes_and_goes_two_hundred_times_gets_everything() {
    side_by_side(GENERATIONS, |generation| check_troubles(generation, 800_000, 200));
}

/// The agent comes back first, and has nobody to deliver to; or the server does, and nobody delivers.
#[test]
fn an_agent_and_a_server_that_are_both_killed_lose_nothing() {
    const HOSTS: u64 = 20_000;
    side_by_side(GENERATIONS.into_iter().zip([true, false]), |(generation, agent_first)| {
        let mut random = Random::new();
        let (server, ledger) = Ledger::server(Standin::builder().generation(generation));
        server.inject(Fault::delay(Duration::from_millis(50)).on(Endpoint::BulkCreate));
        let mut agent = agent(&server, &numbered("0", HOSTS)).start();
        server.wait_joined(SOON);
        let id = run(&server);
        wait_ended(&agent.state_dir());
        for round in 0..4 {
            random.moment(Duration::from_millis(200));
            server.crash(Cut::Reset);
            kill(&agent);
            let mark = agent.log_mark();
            if !agent_first {
                server.open_ports();
            }
            agent.start_again();
            if agent_first {
                agent.wait_log_from(mark, "no connection", SOON);
                server.open_ports();
            }
            server.wait_joined_nth(round + 2, SOON);
        }
        server.clear_faults();
        assert_eq!(wait_told(&server, id, LATER), well(HOSTS));
        wait_no_journals(&agent);
        let arrivals = ledger.of(id);
        assert!(arrivals.is_prefix() && arrivals.count() == HOSTS, "{} of {HOSTS} hosts", arrivals.count());
    });
}

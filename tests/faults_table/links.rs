//! The command channel goes away, or pretends to be there.
//!
//! | row of the table                                   | test |
//! |----------------------------------------------------|------|
//! | connection cut, refused, server restart/crash, idle | `an_idle_agent_comes_back_after_every_end_of_a_link`, `an_idle_agent_comes_back_after_a_restart` |
//! | the same during a run                              | `a_run_lives_through_a_restart`, `after_a_lost_link_the_server_is_told_that_runs_are_alive` |
//! | only the WebSocket dies, REST fine                 | `posts_go_on_while_the_websocket_is_away` |
//! | black hole 20 s / for ever                         | `a_black_hole_is_noticed_within_half_a_minute` |
//! | a bad join by anybody on the server                | `a_strangers_refused_join_changes_nothing`, `a_refused_join_is_repeated_with_a_fresh_token` |
//!
//! Of issue 2, "Command channel": statuses that were not acknowledged, and only those, are sent again; pings; promises.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::rig::{
    GENERATIONS, agent, await_file, check_order, ended, join, payloads, posts_of, print, run, standin, started, touch,
    wait_at_work, with_both,
};
use crate::support::{AgentProcess, Cut, Endpoint, Fault, Generation, SOON, Standin, What};

/// An agent that waits for the file `go` between two hosts.
fn slow(server: &Standin) -> AgentProcess {
    let command = format!("{}; {}; {}", print("10.0.0.1"), await_file("go"), print("10.0.0.2"));
    join(server, agent(server, &command))
}

/// No two joins came with the same token.
#[track_caller]
fn check_fresh_tokens(server: &Standin) {
    let joins: Vec<String> =
        server.replies().into_iter().map(|(_, text)| text).filter(|text| text.contains("JOIN_AGENT")).collect();
    let token =
        |text: &String| text.split("\"token\":\"").nth(1).and_then(|rest| rest.split('"').next().map(str::to_owned));
    let tokens: BTreeSet<String> = joins.iter().map(|text| token(text).expect("a token")).collect();
    assert_eq!(tokens.len(), joins.len(), "{joins:#?}");
}

#[test]
fn an_idle_agent_comes_back_after_every_end_of_a_link() {
    with_both(|generation| {
        let server = standin(generation);
        let agent = join(&server, agent(&server, "true"));
        let ends: [&dyn Fn(); 3] = match generation {
            Generation::SocketIo => [&|| server.cut_links(Cut::Fin), &|| server.close_links(None), &|| {
                server.close_links(Some((1011, "keepalive ping timeout")))
            }],
            Generation::Raw => [&|| server.cut_links(Cut::Reset), &|| server.close_links(Some((1000, "bye"))), &|| {
                server.close_links(Some((1001, "")))
            }],
        };
        for (n, end) in ends.iter().enumerate() {
            end();
            server.wait_joined_nth(n + 2, SOON);
        }
        check_fresh_tokens(&server);
        let (id, _) = run(&server);
        assert_eq!(payloads(&server, id), [started(&[id]), ended(&[id], true, "exit code 0; 0 hosts delivered")]);
        assert_eq!(server.links_open(), 1);
        let words = if generation == Generation::Raw { "bye" } else { "keepalive ping timeout" };
        agent.wait_log(&format!("the server closed the connection: {words}"), SOON);
    });
}

#[test]
fn socketio_goodbyes_of_the_server_lead_to_a_new_link() {
    let server = standin(Generation::SocketIo);
    let _agent = join(&server, agent(&server, "true"));
    for (n, goodbye) in ["1", "41/dispatcher,", "44/dispatcher,{\"message\":\"no\"}"].iter().enumerate() {
        server.send_raw(goodbye);
        server.wait_joined_nth(n + 2, SOON);
    }
    check_fresh_tokens(&server);
    run(&server);
}

#[test]
fn an_idle_agent_comes_back_after_a_restart() {
    with_both(|generation| {
        let server = standin(generation);
        let agent = join(&server, agent(&server, "true"));
        server.crash(Cut::Reset);
        // Refused at least once.
        agent.wait_log("trying again", SOON);
        server.open_ports();
        server.wait_joined_nth(2, SOON);
        check_fresh_tokens(&server);
        run(&server);
    });
}

#[test]
fn a_run_lives_through_a_restart() {
    with_both(|generation| {
        let server = standin(generation);
        let agent = slow(&server);
        let id = server.run("e", json!({}), &["ws1"])[0];
        wait_at_work(&server, id);
        server.crash(Cut::Fin);
        touch(&agent, "go");
        agent.wait_log("kept, and tried again", SOON);
        server.open_ports();
        server.wait_over(id, SOON);
        let mut ips = server.host_ips("ws1");
        // The answer to the first one may have been lost in the crash.
        ips.dedup();
        assert_eq!(ips, ["10.0.0.1", "10.0.0.2"], "nothing lost, and in order");
        let end = ended(&[id], true, "exit code 0; 2 hosts delivered");
        let statuses = payloads(&server, id);
        assert_eq!((statuses.first(), statuses.last()), (Some(&started(&[id])), Some(&end)));
        assert_eq!(statuses.iter().filter(|status| **status == end).count(), 1);
        let closing = posts_of(&server, id, "ws1").pop().expect("a post");
        assert!(closing.json()["command"]["duration"].is_u64());
        check_fresh_tokens(&server);
    });
}

/// A server from 5.0 takes runs for dead whose link it lost; an older one keeps what it was told.
#[test]
fn after_a_lost_link_the_server_is_told_that_runs_are_alive() {
    with_both(|generation| {
        let server = standin(generation);
        let agent = slow(&server);
        let id = server.run("e", json!({}), &["ws1"])[0];
        wait_at_work(&server, id);
        server.cut_links(Cut::Reset);
        if generation == Generation::SocketIo {
            let gone = server.wait_over(id, SOON);
            assert_eq!(gone.message, "Execution terminated due to agent disconnection.");
        }
        server.wait_joined_nth(2, SOON);
        server.wait_for("a second status", SOON, |state| (state.statuses.len() == 2).then_some(()));
        let status = server.status(id).expect("known");
        assert_eq!((status.running, status.message.as_str()), (Some(true), "Running e executor from agent1 agent"));
        touch(&agent, "go");
        server.wait_status(id, |status| status.message.contains("finished successfully"), SOON);
        let status = server.status(id).expect("known");
        assert_eq!((status.running, status.successful), (Some(false), Some(true)));
        let end = ended(&[id], true, "exit code 0; 2 hosts delivered");
        assert_eq!(payloads(&server, id), [started(&[id]), started(&[id]), end]);
    });
}

#[test]
fn posts_go_on_while_the_websocket_is_away() {
    with_both(|generation| {
        let server = standin(generation);
        let agent = slow(&server);
        let id = server.run("e", json!({}), &["ws1"])[0];
        wait_at_work(&server, id);
        server.inject(Fault::answer(502).on(Endpoint::Upgrade));
        server.cut_links(Cut::Fin);
        touch(&agent, "go");
        server.wait_posts("ws1", 3, SOON);
        assert_eq!(payloads(&server, id), [started(&[id])], "nobody could be told yet");
        server.clear_faults();
        server.wait_status(id, |status| status.message.contains("finished successfully"), SOON);
        assert_eq!(server.host_ips("ws1"), ["10.0.0.1", "10.0.0.2"]);
        let end = ended(&[id], true, "exit code 0; 2 hosts delivered");
        assert_eq!(payloads(&server, id), [started(&[id]), end]);
    });
}

/// The last status goes into a link that swallows everything.
#[test]
fn a_status_that_was_not_acknowledged_is_sent_again() {
    with_both(|generation| {
        let server = standin(generation);
        let agent = slow(&server);
        let id = server.run("e", json!({}), &["ws1"])[0];
        server.wait_status(id, |status| status.running == Some(true), SOON);
        server.silence_links();
        touch(&agent, "go");
        agent.wait_log("finished successfully", SOON);
        server.cut_links(Cut::Fin);
        server.wait_status(id, |status| status.message.contains("finished successfully"), SOON);
        let end = ended(&[id], true, "exit code 0; 2 hosts delivered");
        assert_eq!(payloads(&server, id), [started(&[id]), end]);
    });
}

/// And none twice: the statuses of a run that is over do not come again with the next join.
#[test]
fn a_status_that_was_acknowledged_is_not_sent_again() {
    with_both(|generation| {
        let server = standin(generation);
        let _agent = join(&server, agent(&server, "true"));
        let (first, _) = run(&server);
        // What follows it on the same link shows that it has been acknowledged.
        run(&server);
        server.cut_links(Cut::Fin);
        server.wait_joined_nth(2, SOON);
        run(&server);
        assert_eq!(payloads(&server, first).len(), 2);
    });
}

/// A run that starts while its status cannot be sent is reported once, not once for each reason.
#[test]
fn a_status_that_waits_for_a_join_is_sent_once() {
    with_both(|generation| {
        let server = standin(generation);
        let agent = slow(&server);
        server.silence_links();
        let id = server.run("e", json!({}), &["ws1"])[0];
        // The RUN is held back by the link's silence; it arrives, and then the link is gone.
        server.resume_links();
        agent.wait_log("e started", SOON);
        server.cut_links(Cut::Fin);
        server.wait_joined_nth(2, SOON);
        touch(&agent, "go");
        server.wait_status(id, |status| status.message.contains("finished successfully"), SOON);
        let links: Vec<(u64, Value)> =
            server.statuses(id).into_iter().map(|status| (status.link, status.payload["running"].clone())).collect();
        let again = links.iter().filter(|(link, running)| *link > 1 && *running == true).count();
        assert!(again <= 1, "{links:?}");
    });
}

#[test]
fn a_black_hole_is_noticed_within_half_a_minute() {
    let servers = GENERATIONS.map(standin);
    let agents: Vec<AgentProcess> = servers.iter().map(slow).collect();
    let begin = Instant::now();
    let ids: Vec<i64> = servers
        .iter()
        .map(|server| {
            let id = server.run("e", json!({}), &["ws1"])[0];
            wait_at_work(server, id);
            server.silence_links();
            id
        })
        .collect();
    for ((server, agent), id) in servers.iter().zip(&agents).zip(ids) {
        server.wait_joined_nth(2, Duration::from_secs(40));
        assert!(begin.elapsed() < Duration::from_secs(32), "{:?}", begin.elapsed());
        assert!(agent.log().contains("no answer to a ping"), "{}", agent.log());
        touch(agent, "go");
        server.wait_status(id, |status| status.message.contains("finished successfully"), SOON);
        assert_eq!(server.host_ips("ws1"), ["10.0.0.1", "10.0.0.2"]);
        check_fresh_tokens(server);
    }
}

#[test]
fn engine_io_pings_are_answered() {
    let server =
        Standin::builder().workspace("ws1").pings(Duration::from_millis(100), Duration::from_millis(1500)).start();
    let _agent = join(&server, agent(&server, "true"));
    server.wait_for("ten pongs", SOON, |state| {
        let pongs = state.events.iter().filter(|event| event.what.received() == Some("3")).count();
        (pongs >= 10).then_some(())
    });
    run(&server);
    assert_eq!(server.joins().len(), 1);
}

/// It promised a ping within interval and timeout; nothing else came either.
#[test]
fn a_server_that_breaks_its_promise_of_pings_is_left() {
    let server =
        Standin::builder().workspace("ws1").pings(Duration::from_millis(1000), Duration::from_millis(1000)).start();
    let agent = join(&server, agent(&server, "true"));
    server.stop_pings(true);
    server.wait_joined_nth(2, SOON);
    agent.wait_log("kept silent longer than it promised", SOON);
    server.stop_pings(false);
    run(&server);
}

#[test]
fn a_strangers_refused_join_changes_nothing() {
    let server = standin(Generation::SocketIo);
    let agent = slow(&server);
    let id = server.run("e", json!({}), &["ws1"])[0];
    for _ in 0..5 {
        server.refuse_stranger();
    }
    touch(&agent, "go");
    server.wait_over(id, SOON);
    check_order(&server, id, "ws1");
    assert_eq!(server.joins().len(), 1);
    assert!(server.is_online());
}

#[test]
fn a_refused_join_is_repeated_with_a_fresh_token() {
    with_both(|generation| {
        let server = standin(generation);
        server.refuse_joins(2);
        let _agent = join(&server, agent(&server, "true"));
        check_fresh_tokens(&server);
        let refused = server.events().iter().filter(|event| matches!(event.what, What::JoinRefused { .. })).count();
        assert_eq!(refused, 2);
        run(&server);
        // The newer servers let it be tried on the same link, the older ones close it.
        let links = server.events().iter().filter(|event| matches!(event.what, What::Opened { .. })).count();
        assert_eq!(links, if generation == Generation::SocketIo { 1 } else { 3 });
    });
}

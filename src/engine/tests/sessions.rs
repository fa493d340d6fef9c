//! The command channel: joining, staying alive, losing and finding the server, leaving.

use super::*;

fn dials(actions: &[Action]) -> usize {
    actions.iter().filter(|action| matches!(action, Action::Connect)).count()
}

fn has_disconnected(actions: &[Action]) -> bool {
    actions.iter().any(|action| matches!(action, Action::Disconnect))
}

#[test]
fn it_dials_at_once_and_joins_in_the_recorded_order() {
    let mut world = World::new(vec![executor("ok", &[("T", ParamType::String, true)])]);
    assert_eq!(dials(&world.take()), 1);
    world.connect();
    assert_eq!(world.sent(), [""; 0]);
    world.hear(r#"0{"sid":"s","upgrades":[],"pingTimeout":220000,"pingInterval":60000,"maxPayload":1000000}"#);
    assert_eq!(world.sent(), ["40/dispatcher,"]);
    world.hear(r#"42/dispatcher,["message","Connected to faraday websocket"]"#);
    world.hear(r#"40/dispatcher,{"sid":"t"}"#);
    let join = world.sent().pop().expect("a join");
    assert!(join.contains(r#""token":"ws-token""#), "{join}");
    assert!(join.contains(r#""executor_name":"ok""#), "{join}");
}

#[test]
fn a_failed_dial_is_tried_again_with_growing_pauses() {
    let mut world = World::new(vec![]);
    world.take();
    for longest in [1, 2, 4, 8] {
        world.handle(Event::ConnectFailed(Failure { words: "refused".into(), fatal: false }));
        world.pass(Duration::from_millis(longest * 500 - 1));
        assert_eq!(dials(&world.take()), 0, "too early before {longest} s");
        world.pass(Duration::from_millis(longest * 500 + 1));
        assert_eq!(dials(&world.take()), 1, "not within {longest} s");
    }
}

#[test]
fn a_refusal_for_good_ends_the_program() {
    let mut world = World::new(vec![]);
    world.handle(Event::ConnectFailed(Failure { words: "unknown agent".into(), fatal: true }));
    assert!(matches!(world.take().last(), Some(Action::Quit { code: 1 })));
}

#[test]
fn a_refusal_does_not_end_runs_that_are_alive() {
    let mut world = World::joined(vec![executor("ok", &[])]);
    world.run("ok");
    lose(&mut world);
    world.pass(Duration::from_secs(2));
    world.handle(Event::ConnectFailed(Failure { words: "licence".into(), fatal: true }));
    assert!(!world.take().iter().any(|action| matches!(action, Action::Quit { .. } | Action::Kill { .. })));
    world.pass(Duration::from_secs(5));
    assert_eq!(dials(&world.take()), 1);
}

#[test]
fn a_refused_join_is_repeated_with_a_fresh_token_on_the_same_connection() {
    let mut world = World::new(vec![]);
    world.open();
    world.hear(r#"42/dispatcher,["disconnect",{"reason":"Invalid agent token!"}]"#);
    let ack = world.join_ack();
    world.take();
    world.hear(&format!("43/dispatcher,{ack}[]"));
    assert!(matches!(world.take()[..], [Action::FetchToken]));
    world.handle(Event::TokenFetched(Secret::new("second".into())));
    assert!(world.sent()[0].contains("second"));
    let ack = world.join_ack();
    world.hear(&format!("43/dispatcher,{ack}[]"));
    world.run("nothing");
    assert_eq!(world.statuses().len(), 1, "it has joined");
}

#[test]
fn somebody_elses_refusal_is_not_taken_for_ours() {
    let mut world = World::joined(vec![executor("ok", &[])]);
    world.hear(r#"42/dispatcher,["disconnect",{"reason":"Invalid agent token!"}]"#);
    assert!(world.take().is_empty());
    world.run("ok");
    assert_eq!(world.statuses().len(), 1);
}

#[test]
fn joins_that_are_refused_again_and_again_lead_to_a_new_connection() {
    let mut world = World::new(vec![]);
    world.open();
    for _ in 0..2 {
        world.hear(r#"42/dispatcher,["disconnect",{"reason":"Invalid agent token!"}]"#);
        let ack = world.join_ack();
        world.hear(&format!("43/dispatcher,{ack}[]"));
        world.handle(Event::TokenFetched(Secret::new("next".into())));
    }
    world.hear(r#"42/dispatcher,["disconnect",{"reason":"Invalid agent token!"}]"#);
    let ack = world.join_ack();
    world.take();
    world.hear(&format!("43/dispatcher,{ack}[]"));
    assert!(has_disconnected(&world.take()));
    world.pass(Duration::from_secs(2));
    assert_eq!(dials(&world.take()), 1);
}

#[test]
fn engine_io_pings_are_answered() {
    let mut world = World::joined(vec![]);
    world.hear("2");
    assert_eq!(world.sent(), ["3"]);
}

#[test]
fn a_link_without_a_sign_of_life_is_dead_within_30_seconds() {
    let mut world = World::joined(vec![]);
    world.pass(Duration::from_secs(30));
    let actions = world.take();
    assert!(actions.iter().any(|action| matches!(action, Action::Ping(0))));
    assert!(has_disconnected(&actions));
    assert_eq!(dials(&actions), 1);
}

#[test]
fn a_link_that_answers_pings_lives_until_the_servers_promise_is_broken() {
    let mut world = World::joined(vec![]);
    for _ in 0..27 {
        world.pass(Duration::from_secs(10));
        world.handle(Event::Pong(0));
    }
    assert!(!has_disconnected(&world.take()));
    world.pass(Duration::from_secs(10));
    assert!(has_disconnected(&world.take()), "280 s without the server's own ping");
}

#[test]
fn a_server_that_does_not_finish_the_handshake_is_left() {
    let mut world = World::new(vec![]);
    world.connect();
    world.pass(Duration::from_secs(15));
    assert!(has_disconnected(&world.take()));
}

#[test]
fn statuses_that_were_not_acknowledged_are_sent_again_after_the_join() {
    let mut world = World::joined(vec![executor("ok", &[])]);
    world.acknowledges = false;
    world.run("ghost");
    let first = world.sent().pop().expect("a status");
    lose(&mut world);
    world.take();
    world.join();
    let again = world.statuses();
    assert_eq!(again, [status_of(&first).expect("a status")]);
    let ack = ack_id(&world.sent().pop().expect("a status"));
    world.hear(&format!("43/dispatcher,{ack}[]"));
    lose(&mut world);
    world.take();
    world.join();
    assert_eq!(world.statuses().len(), 0);
}

#[test]
fn a_run_that_lived_through_a_lost_link_is_reported_as_running_again() {
    let mut world = World::joined(vec![executor("ok", &[])]);
    world.run("ok");
    let ack = ack_id(&world.sent().pop().expect("a status"));
    world.hear(&format!("43/dispatcher,{ack}[]"));
    lose(&mut world);
    world.take();
    world.join();
    assert_eq!(world.last_status()["running"], true);
    assert_eq!(world.last_status()["execution_ids"], json!([7]));
}

#[test]
fn a_status_that_the_server_drops_without_a_word_is_sent_again() {
    let mut world = World::joined(vec![executor("ok", &[])]);
    world.acknowledges = false;
    world.run("ghost");
    let first = world.statuses();
    world.take();
    let live = |world: &mut World, seconds: u64| {
        for _ in 0..seconds {
            world.pass(Duration::from_secs(1));
            world.handle(Event::Pong(0));
        }
    };
    live(&mut world, 29);
    assert_eq!(world.statuses().len(), 0, "too early");
    live(&mut world, 1);
    assert_eq!(world.statuses(), first);
    let ack = ack_id(&world.sent().pop().expect("a status"));
    world.hear(&format!("43/dispatcher,{ack}[]"));
    world.take();
    live(&mut world, 60);
    assert_eq!(world.statuses().len(), 0);
}

#[test]
fn the_last_status_of_a_run_waits_until_the_server_has_the_first() {
    let mut world = World::joined(vec![executor("ok", &[])]);
    world.acknowledges = false;
    world.run_command("ok", json!([7]), json!(["ws1"]), json!({}));
    let started = ack_id(&world.sent().pop().expect("a status"));
    world.take();
    world.end(Exit::Code(0));
    let closing = world.posts().remove(0);
    world.answer(&closing, 0, 201);
    assert_eq!(world.statuses().len(), 0, "the server may handle the two in any order");
    world.hear(&format!("43/dispatcher,{started}[]"));
    assert_eq!(world.last_status()["successful"], true);
}

#[test]
fn on_the_raw_channel_a_pong_acknowledges() {
    let mut world = World::new(vec![executor("ok", &[])]);
    world.protocol = Protocol::WebSocket;
    world.connect();
    assert!(world.sent()[0].contains("JOIN_AGENT"));
    let Some(&Action::Ping(join)) = world.actions.last() else { panic!("no ping after the join") };
    world.handle(Event::Pong(join));
    world.take();
    world.run("ghost");
    let Some(&Action::Ping(number)) = world.actions.last() else { panic!("no ping after the status") };
    world.handle(Event::Pong(number));
    lose(&mut world);
    world.take();
    world.connect();
    let Some(&Action::Ping(join)) = world.actions.last() else { panic!("no ping after the join") };
    world.handle(Event::Pong(join));
    assert_eq!(world.statuses().len(), 0, "the status had arrived");
}

#[test]
fn odd_messages_on_the_raw_channel_get_the_recorded_answers() {
    let mut world = World::new(vec![]);
    world.protocol = Protocol::WebSocket;
    world.connect();
    world.take();
    for (message, answer) in [
        (r#"{"x":1}"#, r#"{"error":"'action' key is mandatory in this websocket connection"}"#),
        (r#"{"action":"FOO"}"#, r#"{"FOO_RESPONSE":"Error: Unrecognized action"}"#),
        (r#"{"action":"RUN"}"#, r#"{"error":"'execution_ids' key is mandatory in this websocket connection"}"#),
        (
            r#"{"action":"RUN","execution_ids":[1]}"#,
            r#"{"error":"'workspaces' key is mandatory in this websocket connection"}"#,
        ),
    ] {
        world.hear(message);
        let sent: Vec<Value> = world.sent().iter().map(|text| serde_json::from_str(text).expect("JSON")).collect();
        assert_eq!(sent, [serde_json::from_str::<Value>(answer).expect("JSON")], "{message}");
        world.take();
    }
    world.hear("not JSON");
    world.hear("[1,2]");
    assert!(!has_disconnected(&world.take()));
}

#[test]
fn a_stop_leaves_and_quits() {
    let mut world = World::joined(vec![]);
    world.handle(Event::Stop { signal: "SIGTERM" });
    assert_eq!(world.sent(), [r#"42/dispatcher,["leave_agent"]"#]);
    world.take();
    world.hear("41/dispatcher,");
    assert!(matches!(world.take()[..], [Action::Close]));
    lose(&mut world);
    assert!(matches!(world.take()[..], [Action::Quit { code: 0 }]));
}

#[test]
fn a_stop_does_not_wait_for_a_server_that_is_silent() {
    let mut world = World::joined(vec![]);
    world.handle(Event::Stop { signal: "SIGTERM" });
    world.pass(Duration::from_secs(2));
    assert!(matches!(world.take()[..], [.., Action::Disconnect, Action::Quit { code: 0 }]));
}

#[test]
fn a_stop_while_the_link_is_down_dials_at_once_and_reports_before_it_leaves() {
    let mut world = World::joined(vec![executor("ok", &[])]);
    world.run("ok");
    for _ in 0..5 {
        lose(&mut world);
        world.pass(Duration::from_secs(61));
        world.handle(Event::ConnectFailed(Failure { words: "refused".into(), fatal: false }));
    }
    world.take();
    world.handle(Event::Stop { signal: "SIGTERM" });
    assert_eq!(dials(&world.take()), 1);
    world.end(Exit::Signal(15));
    let closing = world.posts().remove(0);
    world.answer(&closing, 0, 201);
    assert!(!world.actions.iter().any(|action| matches!(action, Action::Quit { .. })));
    world.join();
    assert_eq!(world.last_status()["successful"], false);
    let frames = world.sent();
    let status = frames.iter().rfind(|text| text.contains("run_status")).expect("a status");
    world.hear(&format!("43/dispatcher,{}[]", ack_id(status)));
    assert!(world.sent().iter().any(|text| text.contains("leave_agent")));
}

#[test]
fn a_stop_does_not_wait_long_for_a_link_that_does_not_come_back() {
    let mut world = World::joined(vec![executor("ok", &[])]);
    world.run("ok");
    lose(&mut world);
    world.handle(Event::Stop { signal: "SIGTERM" });
    world.end(Exit::Signal(15));
    let closing = world.posts().remove(0);
    world.answer(&closing, 0, 201);
    world.pass(Duration::from_millis(4_999));
    assert!(!world.actions.iter().any(|action| matches!(action, Action::Quit { .. })));
    world.pass(Duration::from_millis(1));
    assert!(matches!(world.actions.last(), Some(Action::Quit { code: 0 })));
}

#[test]
fn a_stop_before_the_first_join_quits_at_once() {
    let mut world = World::new(vec![]);
    world.handle(Event::Stop { signal: "SIGINT" });
    assert!(matches!(world.take()[..], [.., Action::Quit { code: 0 }]));
}

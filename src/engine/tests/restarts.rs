//! What an agent does with the journals of an earlier one, and what the server is told.

use super::*;

/// The agent is killed and started again.
fn restarted(world: World) -> World {
    let mut world = World::after(world.journals, vec![executor("ok", &[])], |_| {});
    world.join();
    world
}

#[test]
fn what_was_read_is_delivered_and_the_run_is_told_as_cut_off() {
    let mut world = running(3);
    let first = the_post(&mut world);
    world.answer(&first, 2, 201);
    let mut world = restarted(world);
    assert!(message(&world.told[0]).contains("cut off"), "{}", message(&world.told[0]));
    assert_eq!(world.told[0]["running"], true);
    let post = world.posts().remove(0);
    assert_eq!((world.pieces_before(&post), world.pieces(&post)), (2, 1), "what was acknowledged is not sent again");
    assert_eq!((&*post.workspace, post.envelope.execution_id), ("ws1", 7));
    assert_eq!(&*post.envelope.start_date, "2023-11-14T22:13:20.000000");
    world.take();
    world.answer(&post, 1, 201);
    let closing = the_post(&mut world);
    assert!(closing.duration.is_some());
    world.answer(&closing, 0, 201);
    let expected = "Executor ok from a1 failed: the agent was restarted while it ran; 3 hosts were saved and delivered";
    assert_eq!(message(&world.last_status()), expected);
    assert_eq!((&world.last_status()["running"], &world.last_status()["successful"]), (&json!(false), &json!(false)));
    assert!(world.actions.iter().any(|action| matches!(action, Action::Forget { damaged: false, .. })));
}

#[test]
fn a_run_that_had_ended_well_before_the_crash_is_told_as_it_was() {
    let mut world = running(3);
    world.end(Exit::Code(0));
    let mut world = restarted(world);
    let post = world.posts().remove(0);
    world.take();
    world.answer(&post, 3, 201);
    let closing = the_post(&mut world);
    world.answer(&closing, 0, 201);
    let expected = "Executor ok from a1 finished successfully: exit code 0; 3 hosts delivered";
    assert_eq!(message(&world.last_status()), expected);
}

#[test]
fn a_last_status_that_was_not_acknowledged_is_told_again() {
    let mut world = World::joined(vec![executor("ok", &[])]);
    world.run("ok");
    lose(&mut world);
    world.take();
    world.end(Exit::Code(3));
    let post = the_post(&mut world);
    world.answer(&post, 0, 201);
    assert!(!world.actions.iter().any(|action| matches!(action, Action::Forget { .. })), "nobody knows yet");
    let world = restarted(world);
    assert_eq!(world.posts().len(), 0, "everything had arrived");
    assert!(message(&world.last_status()).contains("failed: exit code 3"), "{}", message(&world.last_status()));
    assert!(world.actions.iter().any(|action| matches!(action, Action::Forget { .. })));
}

#[test]
fn refusals_of_before_the_crash_are_still_told() {
    let mut world = running(1);
    let post = the_post(&mut world);
    world.answer(&post, 1, 400);
    let probe = the_post(&mut world);
    world.answer(&probe, 0, 201);
    world.output(&document(1));
    world.end(Exit::Code(0));
    let mut world = restarted(world);
    let post = world.posts().remove(0);
    assert_eq!(world.pieces_before(&post), 1);
    world.take();
    world.answer(&post, 1, 201);
    let closing = the_post(&mut world);
    world.answer(&closing, 0, 201);
    let told = message(&world.last_status()).to_owned();
    assert!(
        told.contains("failed: exit code 0; 2 hosts read, workspace ws1 refused 1 of 2 (the first: 400: words"),
        "{told}"
    );
    assert!(told.contains("what was refused is in refused/1.jsonl"), "{told}");
}

#[test]
fn a_run_that_waited_for_a_place_is_told_as_never_started_and_posts_nothing() {
    let mut world = World::with(vec![executor("ok", &[])], |profile| profile.concurrent_runs_max = Some(1));
    world.join();
    world.run("ok");
    world.run_command("ok", json!([8]), json!(["ws1"]), json!({}));
    let mut journals = world.journals;
    journals.remove(&RUN);
    let mut world = World::after(journals, vec![executor("ok", &[])], |_| {});
    world.join();
    assert_eq!(world.posts().len(), 0);
    let told = "Executor ok from a1 failed: the agent was restarted before it was started";
    assert_eq!(message(&world.last_status()), told);
    assert_eq!(world.last_status()["execution_ids"], json!([8]));
}

/// The server may know the end already, so it must not hear of anything before it.
#[test]
fn an_end_that_is_in_the_journal_is_the_first_thing_that_a_fast_server_is_told() {
    let mut world = World::joined(vec![executor("ok", &[])]);
    world.run("ok");
    world.take();
    world.end(Exit::Code(0));
    let closing = the_post(&mut world);
    world.answer(&closing, 0, 201);
    let mut world = World::after(world.journals, vec![executor("ok", &[])], |_| {});
    // Within the first turn.
    let in_turn = |world: &mut World, event: Event<'_>| {
        let now = world.now();
        world.engine.handle_event(event, now);
        world.drain();
    };
    let token = Secret::new("ws-token".into());
    in_turn(&mut world, Event::Connected { protocol: Protocol::SocketIo, token });
    in_turn(&mut world, Event::Frame(r#"0{"sid":"s","upgrades":[],"pingTimeout":220000,"pingInterval":60000}"#));
    in_turn(&mut world, Event::Frame(r#"40/dispatcher,{"sid":"t"}"#));
    let joined = format!("43/dispatcher,{}[]", world.join_ack());
    in_turn(&mut world, Event::Frame(&joined));
    world.end_turn();
    let told: Vec<&str> = world.told.iter().map(message).collect();
    assert_eq!(told, ["Executor ok from a1 finished successfully: exit code 0; 0 hosts delivered"]);
}

/// A write that is torn may lose the note behind the pieces.
#[test]
fn what_was_read_is_delivered_though_the_journal_does_not_say_that_the_executor_was_started() {
    let world = running(3);
    let (journal, mut torn) = (&world.journals[&RUN], Vec::new());
    let mut at = 0;
    while at < journal.len() {
        let found = record::decode(&journal[at..]).expect("sound");
        if found.kind != record::Kind::Process {
            torn.extend_from_slice(&journal[at..at + found.bytes_used]);
        }
        at += found.bytes_used;
    }
    let mut world = World::after(BTreeMap::from([(RUN, torn)]), vec![executor("ok", &[])], |_| {});
    world.join();
    let post = world.posts().remove(0);
    world.take();
    world.answer(&post, 3, 201);
    let closing = the_post(&mut world);
    world.answer(&closing, 0, 201);
    let expected = "Executor ok from a1 failed: the agent was restarted while it ran; 3 hosts were saved and delivered";
    assert_eq!(message(&world.last_status()), expected);
}

#[test]
fn a_group_that_may_live_on_is_ended_once() {
    let mut world = running(1);
    let kills = |world: &World| {
        let kills = world.actions.iter().filter_map(|action| match action {
            Action::KillLeftover { run, group } => Some((*run, group.clone())),
            _ => None,
        });
        kills.collect::<Vec<_>>()
    };
    world.take();
    let world = restarted(world);
    assert_eq!(kills(&world), [(RUN, Group { id: 1001, birth: "boot/1".into() })]);
    assert_eq!(kills(&restarted(world)), [], "its end is in the journal by now");
}

#[test]
fn an_executor_that_is_not_configured_any_more_is_settled_all_the_same() {
    let world = running(1);
    let mut world = World::after(world.journals, Vec::new(), |_| {});
    world.join();
    let post = world.posts().remove(0);
    world.take();
    world.answer(&post, 1, 201);
    let closing = the_post(&mut world);
    world.answer(&closing, 0, 201);
    assert!(message(&world.last_status()).starts_with("Executor ok from a1 failed"));
    assert_eq!(world.last_status()["executor_name"], "ok");
}

#[test]
fn nothing_is_posted_before_there_is_a_token_to_post_with() {
    let world = running(1);
    let mut world = World::after(world.journals, Vec::new(), |_| {});
    assert_eq!(world.posts().len(), 0);
    world.connect();
    assert_eq!(world.posts().len(), 1);
}

#[test]
fn new_runs_are_numbered_above_those_that_were_left() {
    let mut world = running(1);
    let left = std::mem::take(&mut world.journals);
    let mut world = restarted(World::after(BTreeMap::from([(RunId(41), left[&RUN].clone())]), Vec::new(), |_| {}));
    world.take();
    world.run("ok");
    assert!(world.actions.iter().any(|action| matches!(action, Action::Spawn(Spawn { run: RunId(42), .. }))));
}

#[test]
fn nothing_is_told_of_an_end_that_a_restarted_agent_would_not_know() {
    let last = |world: &World| world.told.iter().filter(|status| !status["successful"].is_null()).count();
    let event = |world: &mut World, event: Event<'_>| {
        let now = world.now();
        world.engine.handle_event(event, now);
        world.drain();
    };
    let mut world = running(1);
    world.end(Exit::Code(0));
    let post = the_post(&mut world);
    world.answer(&post, 1, 201);
    let PostId { run, workspace } = the_post(&mut world).id;
    let outcome = Outcome::Answer { status: 201, words: String::new(), retry_after: None };
    let (id, upto, repairs) = (PostId { run, workspace }, post.range.upto, Repairs::default());
    event(&mut world, Event::Posted(Posted { id, upto, pieces: 0, repairs, outcome }));
    assert_eq!(last(&world), 0, "the turn has not ended, and the journal does not know");
    world.end_turn();
    assert_eq!(last(&world), 1);

    let mut world = World::joined(vec![executor("ok", &[])]);
    world.run("ok");
    event(&mut world, Event::StartFailed { run: RUN, words: "no".into(), passing: false });
    assert_eq!(last(&world), 0);
    world.end_turn();
    assert_eq!(last(&world), 1);
}

//! Journals: when they are written, how much they may hold, when they go; and what cannot be delivered.

use super::*;

fn appends(world: &World) -> usize {
    world.actions.iter().filter(|action| matches!(action, Action::Append { .. })).count()
}

/// Hands in bytes without ending the turn.
fn output_in_turn(world: &mut World, bytes: &[u8]) {
    let now = world.now();
    world.engine.handle_event(Event::Output { run: RUN, bytes }, now);
    world.drain();
}

#[test]
fn everything_that_a_turn_reads_is_one_write_at_its_end() {
    let mut world = World::joined(vec![executor("ok", &[])]);
    world.run("ok");
    world.take();
    for _ in 0..10 {
        output_in_turn(&mut world, &document(3));
    }
    assert_eq!(appends(&world), 0);
    assert_eq!(world.engine.poll_timeout(), Some(world.up), "the turn has to end");
    world.end_turn();
    assert_eq!(appends(&world), 1);
    assert_eq!(world.pieces(&world.posts()[0]), 30);
}

#[test]
fn writes_are_synced_within_the_time_and_not_while_a_sync_is_under_way() {
    let syncs = |world: &World| world.actions.iter().filter(|action| matches!(action, Action::Sync { .. })).count();
    for (sync_after, within) in [(Duration::ZERO, Duration::ZERO), (Duration::from_secs(1), Duration::from_secs(1))] {
        let mut world = World::with(vec![executor("ok", &[])], |profile| profile.disk.sync_after = sync_after);
        world.join();
        world.run("ok");
        world.pass(within);
        let before = syncs(&world);
        world.output(&document(1));
        world.pass(within);
        assert_eq!(syncs(&world), before + 1);
        world.pass(10 * within);
        assert_eq!(syncs(&world), before + 1, "nothing new was written");
    }
}

#[test]
fn what_is_settled_leaves_the_disk_though_the_run_goes_on() {
    let mut world = World::with(vec![executor("ok", &[])], |profile| profile.disk.bytes_max = 1 << 20);
    world.join();
    world.run("ok");
    world.take();
    let mut on_disk = Vec::new();
    for _ in 0..200 {
        world.output(&document(400));
        for action in world.take() {
            match action {
                Action::Append { segment, .. } if !on_disk.contains(&segment) => on_disk.push(segment),
                Action::Trim { before, .. } => on_disk.retain(|segment| *segment >= before),
                Action::Post(post) => {
                    assert!(on_disk.contains(&post.range.segment), "its file is gone");
                    let outcome = Outcome::Answer { status: 201, words: String::new(), retry_after: None };
                    let (upto, repairs) = (post.range.upto, Repairs::default());
                    let posted = Posted { id: post.id, upto, pieces: 1, repairs, outcome };
                    world.handle(Event::Posted(posted));
                }
                _ => {}
            }
        }
        assert!(on_disk.len() <= 3, "{on_disk:?}");
    }
    assert!(on_disk[0] > 1 << 20, "what was written first is gone: {on_disk:?}");
    assert!(!world.told.iter().any(|status| message(status).contains("paused")));
}

#[test]
fn a_disk_that_works_again_is_found_by_one_journal_for_all() {
    let mut world = World::joined(vec![executor("ok", &[])]);
    for id in 1..=100 {
        world.run_command("ok", json!([id]), json!(["ws1"]), json!({}));
    }
    world.journal_full = true;
    for id in 1..=100 {
        output_in_turn(&mut world, &document(1));
        let now = world.now();
        world.engine.handle_event(Event::Output { run: RunId(id), bytes: &document(1) }, now);
    }
    world.end_turn();
    world.take();
    world.pass(Duration::from_secs(1));
    assert_eq!(appends(&world), 1);
    world.journal_full = false;
    world.pass(Duration::from_secs(1));
    world.pass(Duration::ZERO);
    assert!(appends(&world) >= 101, "{}", appends(&world));
}

/// Run 1 has something that waits for the server, run 2 is through with all that it had written.
#[test]
fn a_full_disk_is_emptied_by_whoever_has_settled_all_of_a_file() {
    let mut world = World::printing(2, 100);
    let post = world.posts().pop().expect("of run 2");
    (world.journal_full, world.room) = (true, 1000);
    world.answer(&post, 100, 201);
    for id in 1..=2 {
        world.handle(Event::Output { run: RunId(id), bytes: &document(100) });
    }
    world.take();
    world.pass(Duration::from_secs(1));
    let trimmed = |action: &Action| matches!(action, Action::Trim { run: RunId(2), .. });
    let freed = world.actions.iter().position(trimmed).expect("the file that is not needed");
    let (before, after) = world.actions.split_at(freed);
    let begins = |action: &Action| matches!(action, Action::Append { run: RunId(2), segment: 1.., .. });
    assert!(before.iter().any(begins), "the next one is there first");
    assert!(after.iter().any(begins), "what waits is tried with the room that there is now");
}

#[test]
fn a_disk_that_fails_one_journal_is_tried_by_the_others_too() {
    let mut world = World::joined(vec![executor("ok", &[])]);
    for id in 1..=3 {
        world.run_command("ok", json!([id]), json!(["ws1"]), json!({}));
    }
    world.journal_full = true;
    for id in 1..=3 {
        let now = world.now();
        world.engine.handle_event(Event::Output { run: RunId(id), bytes: &document(1) }, now);
    }
    world.end_turn();
    world.take();
    world.pass(Duration::from_secs(3));
    let tried = world.actions.iter().filter_map(|action| match action {
        Action::Append { run, .. } => Some(run.0),
        _ => None,
    });
    assert_eq!(tried.collect::<std::collections::BTreeSet<_>>().len(), 3);
}

#[test]
fn what_still_waits_after_the_grace_is_told_and_told_again_when_it_arrives() {
    let mut world = running(12);
    world.end(Exit::Code(0));
    let mut post = the_post(&mut world);
    while world.up < Duration::from_secs(61) {
        let pieces = world.pieces(&post);
        world.outcome(&post, pieces, Outcome::Answer { status: 503, words: "busy".into(), retry_after: None });
        while world.posts().is_empty() {
            world.pass_alive(Duration::from_secs(1));
        }
        post = the_post(&mut world);
    }
    let waiting = world.told.last().expect("a status").clone();
    let expected = "Executor ok from a1 finished, 12 hosts wait for the server: workspace ws1 (503: busy); exit code 0";
    assert_eq!(message(&waiting), expected);
    assert_eq!((&waiting["running"], &waiting["successful"]), (&json!(false), &json!(false)));
    lose(&mut world);
    world.join();
    assert_eq!(message(world.told.last().expect("a status")), expected, "and after a lost link");
    world.actions.push(Action::Post(post));
    play_500(&mut world, &[]);
    assert_eq!(world.told.last().expect("a status")["successful"], true);
}

#[test]
fn what_the_server_has_not_taken_for_retry_days_is_set_aside() {
    let day = Duration::from_secs(86_400);
    let mut world = World::with(vec![executor("ok", &[])], |profile| profile.retry_max = 2 * day);
    world.join();
    world.run("ok");
    world.take();
    world.output(&document(3));
    let mut post = the_post(&mut world);
    let mut aside = Vec::new();
    while aside.is_empty() {
        assert!(world.up < 3 * day);
        world.answer(&post, 3, 403);
        aside = set_aside(&world);
        if aside.is_empty() {
            while world.posts().is_empty() {
                world.pass_alive(Duration::from_secs(30));
            }
            post = the_post(&mut world);
        }
    }
    assert!(world.up >= 2 * day);
    assert!(aside[0].words.contains("agent.retry_days: 403: words of 403"), "{}", aside[0].words);
    world.end(Exit::Code(0));
    let closing = world.posts().pop().expect("a closing post");
    world.take();
    world.answer(&closing, 0, 201);
    let told = message(&world.last_status()).to_owned();
    assert!(told.contains("failed: exit code 0; 3 hosts read, workspace ws1 refused 3 of 3"), "{told}");
}

#[test]
fn the_days_are_counted_through_restarts() {
    let day = Duration::from_secs(86_400);
    let mut world = running(1);
    let mut post = the_post(&mut world);
    while world.up < 5 * day {
        world.answer(&post, 1, 403);
        while world.posts().is_empty() {
            world.pass_alive(Duration::from_secs(30));
        }
        post = the_post(&mut world);
    }
    let mut world = World::after(world.journals, Vec::new(), |_| {});
    world.join();
    post = world.posts().remove(0);
    world.take();
    while set_aside(&world).is_empty() {
        assert!(world.up < 3 * day, "7 days in all");
        world.answer(&post, 1, 403);
        while world.posts().is_empty() && set_aside(&world).is_empty() {
            world.pass_alive(Duration::from_secs(30));
        }
        post = world.posts().pop().unwrap_or(post);
        world.actions.retain(|action| matches!(action, Action::SetAside(_)));
    }
    assert!(world.up > day, "{:?}", world.up);
}

fn set_aside(world: &World) -> Vec<SetAside> {
    let asides = world.actions.iter().filter_map(|action| match action {
        Action::SetAside(asked) => Some(asked.clone()),
        _ => None,
    });
    asides.collect()
}

/// Plays a server that answers 500 to every body with one of the hosts numbered `bad`; gives the posts it took and the numbers
/// of hosts that were set aside.
fn play_500(world: &mut World, bad: &[u32]) -> (u32, Vec<u32>) {
    let (mut posts, mut aside) = (0, Vec::new());
    let deadline = world.up + Duration::from_secs(3600);
    loop {
        for asked in set_aside(world) {
            let before = Range { segment: 0, from: 0, upto: asked.range.from };
            aside.push(world.ends(RUN, before).len() as u32);
        }
        let Some(post) = world.posts().first().cloned() else {
            if world.actions.iter().any(|action| matches!(action, Action::Forget { .. })) {
                return (posts, aside);
            }
            assert!(world.up < deadline, "it does not end: {posts} posts, {aside:?} set aside");
            world.take();
            world.pass_alive(Duration::from_secs(1));
            continue;
        };
        world.take();
        posts += 1;
        let (first, pieces) = (world.pieces_before(&post), world.pieces(&post));
        let is_bad = bad.iter().any(|host| (first..first + pieces).contains(host));
        world.answer(&post, pieces, if is_bad { 500 } else { 201 });
    }
}

#[test]
fn a_500_that_speaks_of_one_host_is_found_and_the_others_arrive() {
    for bad in [vec![0], vec![7], vec![19], vec![0, 1, 19]] {
        let mut world = running(20);
        world.end(Exit::Code(0));
        // The last of all can be blamed only because others have passed since.
        let (posts, aside) = play_500(&mut world, &bad);
        assert_eq!(aside, bad, "{posts} posts");
        assert!(posts < 100, "{posts} posts");
        let told = message(world.told.last().expect("a status")).to_owned();
        assert!(told.contains(&format!("refused {} of 20 (the first: 500: words of 500)", bad.len())), "{told}");
    }
}

#[test]
fn a_server_in_trouble_is_not_taken_for_a_bad_host() {
    let mut world = running(20);
    world.end(Exit::Code(0));
    let mut post = the_post(&mut world);
    for _ in 0..40 {
        let pieces = world.pieces(&post);
        world.answer(&post, pieces, 500);
        while world.posts().is_empty() {
            world.pass_alive(Duration::from_secs(1));
            assert_eq!(set_aside(&world).len(), 0);
        }
        post = the_post(&mut world);
    }
    let pieces = world.pieces(&post);
    world.answer(&post, pieces, 500);
    let (_, aside) = play_500(&mut world, &[]);
    assert!(aside.is_empty(), "{aside:?}");
    assert!(message(world.told.last().expect("a status")).contains("20 hosts delivered"));
}

#[test]
fn a_server_whose_disk_fills_up_during_a_search_is_not_taken_for_a_bad_host() {
    let mut world = World::joined(vec![executor("ok", &[])]);
    world.run("ok");
    world.take();
    // Something has passed before.
    world.output(&document(1));
    let post = the_post(&mut world);
    world.answer(&post, 1, 201);
    world.output(&document(2));
    let post = the_post(&mut world);
    world.answer(&post, 2, 400);
    let mut post = the_post(&mut world);
    // From now on it takes empty bodies only.
    for _ in 0..40 {
        let pieces = world.pieces(&post);
        world.answer(&post, pieces, if pieces == 0 { 201 } else { 500 });
        while world.posts().is_empty() {
            world.pass_alive(Duration::from_secs(1));
        }
        assert_eq!(set_aside(&world).len(), 0);
        post = the_post(&mut world);
    }
}

#[test]
fn a_host_that_is_answered_500_while_empty_bodies_pass_is_asked_for_ever_more_slowly_and_not_for_ever() {
    let mut world = World::with(vec![executor("ok", &[])], |profile| profile.retry_max = Duration::from_secs(3600));
    world.join();
    world.run("ok");
    world.output(&document(1));
    world.end(Exit::Code(0));
    let mut posts = 0;
    while set_aside(&world).is_empty() {
        assert!(world.up < Duration::from_secs(2 * 3600), "{posts} posts");
        if let Some(post) = world.posts().last().cloned() {
            posts += 1;
            world.take();
            let pieces = world.pieces(&post);
            world.answer(&post, pieces, if pieces == 0 { 201 } else { 500 });
        } else {
            world.pass_alive(Duration::from_secs(1));
        }
    }
    assert!(world.up >= Duration::from_secs(3600), "{:?}", world.up);
    assert!(posts < 200, "{posts} posts");
}

#[test]
fn what_was_sent_ahead_of_a_host_that_is_given_up_does_not_keep_the_run_from_its_end() {
    // In one of these the second has passed, which clears the server of suspicion, and the first is not blamed yet.
    for seconds in 5..60 {
        let retry_max = Duration::from_secs(seconds);
        let mut world = World::with(vec![executor("ok", &[])], |profile| profile.retry_max = retry_max);
        world.join();
        world.run("ok");
        world.output(&document(2));
        world.end(Exit::Code(0));
        let (_, aside) = play_500(&mut world, &[0]);
        assert_eq!(aside, [0], "{seconds} s");
    }
}

#[test]
fn what_passes_while_a_slow_answer_is_awaited_blames_no_host() {
    let mut world = running(1);
    world.run_command("ok", json!([8]), json!(["ws1"]), json!({}));
    let mut post = world.posts().remove(0);
    // The server's disk is full: it takes empty bodies.
    for _ in 0..20 {
        world.take();
        let pieces = world.pieces(&post);
        world.answer(&post, pieces, if pieces == 0 { 201 } else { 500 });
        while world.posts().is_empty() {
            world.pass_alive(Duration::from_secs(1));
        }
        post = world.posts().remove(0);
    }
    if world.pieces(&post) == 0 {
        world.take();
        world.answer(&post, 0, 201);
        post = world.posts().remove(0);
    }
    // It is full no more, and somebody else's body passes before the last 500 is heard.
    world.take();
    world.handle(Event::Output { run: RunId(2), bytes: &document(1) });
    let other = the_post(&mut world);
    world.answer(&other, 1, 201);
    world.answer(&post, 1, 500);
    assert_eq!(set_aside(&world).len(), 0);
}

#[test]
fn what_the_server_took_before_it_failed_blames_no_host_however_late_its_word_comes() {
    let mut world = running(1);
    world.run_command("ok", json!([8]), json!(["ws1"]), json!({}));
    let mut post = world.posts().remove(0);
    world.handle(Event::Output { run: RunId(2), bytes: &document(1) });
    let other = world.posts().pop().expect("the other run's");
    for turn in 0..20 {
        world.take();
        let pieces = world.pieces(&post);
        world.answer(&post, pieces, if pieces == 0 { 201 } else { 500 });
        if turn == 0 {
            world.answer(&other, 1, 201);
        }
        while world.posts().is_empty() {
            assert_eq!(set_aside(&world).len(), 0);
            world.pass_alive(Duration::from_secs(1));
        }
        post = world.posts().remove(0);
    }
}

#[test]
fn an_executor_whose_journal_cannot_be_read_back_is_ended_and_takes_no_room_from_others() {
    let mut world = running(1);
    for _ in 0..6 {
        let post = world.posts().pop().expect("a post");
        world.take();
        world.outcome(&post, 0, Outcome::Unreadable { words: "Input/output error".into() });
        world.pass_alive(Duration::from_secs(20));
    }
    assert!(world.actions.iter().any(|action| matches!(action, Action::Kill { signal: Kill::Gently, .. })));
    world.end(Exit::Signal(15));
    let told = message(world.told.last().expect("a status")).to_owned();
    assert!(told.contains("it was ended because its journal cannot be read back"), "{told}");
    assert!(world.actions.iter().any(|action| matches!(action, Action::Forget { damaged: true, .. })));
}

#[test]
fn what_a_full_disk_did_not_take_before_a_stop_is_told_as_lost() {
    let mut world = running(1);
    let post = the_post(&mut world);
    world.answer(&post, 1, 201);
    world.journal_full = true;
    world.output(&document(2));
    world.handle(Event::Stop { signal: "SIGTERM" });
    world.end(Exit::Signal(15));
    world.pass_alive(Duration::from_secs(60));
    let told = message(world.told.last().expect("a status")).to_owned();
    assert!(told.contains("2 hosts of them could not be written to it and are lost"), "{told}");
    assert!(told.contains("No space left on device"), "{told}");
}

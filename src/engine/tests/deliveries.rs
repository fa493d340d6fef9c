//! Posts: what goes when, and what each answer leads to.

use super::*;

/// Plays a server that refuses exactly the hosts numbered `bad`; gives the numbers of posts it took.
fn play(world: &mut World, hosts: u32, bad: &[u32]) -> u32 {
    let mut posts = 0;
    while let Some(post) = world.posts().first().cloned() {
        posts += 1;
        assert!(posts < 10_000, "it does not end");
        world.take();
        let (first, pieces) = (world.pieces_before(&post), world.pieces(&post));
        let refused = bad.iter().any(|host| (first..first + pieces).contains(host));
        world.answer(&post, pieces, if refused { 400 } else { 201 });
    }
    assert!(hosts > 0);
    posts
}

#[test]
fn the_first_host_travels_at_once_and_the_others_together() {
    let mut world = running(1);
    let first = the_post(&mut world);
    assert_eq!(first.pieces_max, 500);
    world.output(&document(1));
    world.output(&document(1));
    assert_eq!(world.posts().len(), 0, "one post at a time");
    world.answer(&first, 1, 201);
    let second = the_post(&mut world);
    assert_eq!(world.pieces(&second), 2);
}

#[test]
fn a_host_that_is_complete_travels_before_its_document_ends() {
    let mut world = World::joined(vec![executor("ok", &[])]);
    world.run("ok");
    world.take();
    world.output(b"{\"hosts\":[{\"ip\":\"1\",\"description\":\"\"},{\"ip\":");
    assert_eq!(world.posts().len(), 1);
}

#[test]
fn every_workspace_gets_everything_with_its_own_id() {
    let mut world = World::joined(vec![executor("ok", &[])]);
    world.run_command("ok", json!([7, 8]), json!(["ws1", "ws2"]), json!({"x": null}));
    world.take();
    world.output(&document(1));
    let posts = world.posts();
    let envelopes: Vec<_> = posts.iter().map(|post| (&*post.workspace, post.envelope.execution_id)).collect();
    assert_eq!(envelopes, [("ws1", 7), ("ws2", 8)]);
    assert_eq!(&*posts[0].envelope.tool, "a1");
    assert_eq!(&*posts[0].envelope.command, "ok");
    assert_eq!(&*posts[0].envelope.start_date, "2023-11-14T22:13:20.000000");
}

#[test]
fn one_bad_host_is_found_and_the_others_arrive() {
    for bad in [0, 1, 37, 498, 499] {
        let mut world = running(500);
        world.end(Exit::Code(0));
        let posts = play(&mut world, 500, &[bad]);
        assert!(posts <= 30, "{posts} posts for host {bad}");
        world.pass(Duration::ZERO);
        let status = last(&mut world);
        assert_eq!(status["successful"], false);
        assert!(
            message(&status).contains("workspace ws1 refused 1 of 500 (the first: 400: words of 400)"),
            "{}",
            message(&status)
        );
    }
}

/// The last status of a run that has ended.
fn last(world: &mut World) -> Value {
    world.told.pop().expect("a status")
}

#[test]
fn many_bad_hosts_cost_about_two_posts_each() {
    let bad: Vec<u32> = (0..100).collect();
    let mut world = running(100);
    world.end(Exit::Code(0));
    let posts = play(&mut world, 100, &bad);
    assert!(posts <= 220, "{posts} posts");
    let status = last(&mut world);
    assert!(message(&status).contains("workspace ws1 refused 100 of 100"), "{}", message(&status));
}

#[test]
fn an_execution_that_the_server_does_not_know_costs_two_posts() {
    let mut world = running(500);
    world.end(Exit::Code(0));
    let post = the_post(&mut world);
    world.answer(&post, 500, 400);
    let probe = the_post(&mut world);
    assert_eq!((probe.range.from, probe.duration), (probe.range.upto, None));
    world.answer(&probe, 0, 400);
    assert_eq!(world.posts().len(), 0);
    let status = world.last_status();
    assert_eq!(status["successful"], false);
    assert!(
        message(&status).contains("workspace ws1 takes nothing of this run (400: words of 400)"),
        "{}",
        message(&status)
    );
}

#[test]
fn a_bad_answer_of_one_workspace_does_not_stop_the_other() {
    let mut world = World::joined(vec![executor("ok", &[])]);
    world.run_command("ok", json!([7, 8]), json!(["ws1", "ws2"]), json!({}));
    world.take();
    world.output(&document(1));
    world.end(Exit::Code(0));
    let posts = world.posts();
    world.take();
    world.answer(&posts[0], 1, 503);
    assert_eq!(world.posts().len(), 0);
    world.answer(&posts[1], 1, 201);
    let closing = the_post(&mut world);
    assert_eq!(closing.id.workspace, 1);
    assert!(closing.duration.is_some());
}

#[test]
fn other_answers_and_no_answers_are_tried_again_with_growing_pauses() {
    for status in [500, 503, 429, 408, 302, 200, 0] {
        let mut world = running(1);
        let mut post = the_post(&mut world);
        for longest_ms in [500, 1000] {
            match status {
                0 => world.outcome(&post, 1, Outcome::NoAnswer { words: "refused".into() }),
                status => world.answer(&post, 1, status),
            }
            world.pass(Duration::from_millis(longest_ms / 2 - 1));
            assert_eq!(world.posts().len(), 0, "{status}: too early");
            world.pass(Duration::from_millis(longest_ms / 2 + 1));
            let again = the_post(&mut world);
            assert_eq!((again.range.from, again.range.upto), (post.range.from, post.range.upto), "the same again");
            post = again;
        }
        world.answer(&post, 1, 201);
        world.end(Exit::Code(0));
        assert!(the_post(&mut world).duration.is_some(), "{status}");
    }
}

#[test]
fn a_workspace_that_takes_nothing_is_asked_slowly_and_the_status_says_what_to_do() {
    for (status, advice) in [(401, "switch it on"), (403, "read-only"), (404, "create it")] {
        let mut world = running(3);
        let mut post = the_post(&mut world);
        for longest_s in [5, 10, 20, 40, 80, 160, 300, 300] {
            world.answer(&post, 3, status);
            assert_eq!(world.posts().len(), 0);
            world.pass_alive(Duration::from_secs(longest_s));
            post = the_post(&mut world);
        }
        let told: Vec<String> = world.told.iter().map(|status| message(status).to_owned()).collect();
        let said = told.iter().filter(|words| words.contains(advice)).count();
        assert_eq!(said, 1, "once: {told:?}");
        assert!(told.last().expect("a status").contains("3 hosts kept for it"), "{told:?}");
        world.answer(&post, 3, 201);
        assert!(!message(world.told.last().expect("a status")).contains(advice), "it is over");
    }
}

#[test]
fn retry_after_is_honoured() {
    let mut world = running(1);
    let post = the_post(&mut world);
    let retry_after = Some(Duration::from_secs(20));
    world.outcome(&post, 1, Outcome::Answer { status: 429, words: String::new(), retry_after });
    world.pass(Duration::from_millis(19_999));
    assert_eq!(world.posts().len(), 0);
    world.pass(Duration::from_millis(1));
    assert_eq!(world.posts().len(), 1);
}

#[test]
fn while_the_server_is_unreachable_one_post_asks_and_the_others_follow_its_success() {
    let mut world = World::printing(6, 1);
    let posts = world.posts();
    assert_eq!(posts.len(), POSTS_AT_ONCE_MAX);
    world.take();
    for post in &posts {
        world.outcome(post, 1, Outcome::NoAnswer { words: "refused".into() });
    }
    let next = the_post(&mut world);
    world.answer(&next, 1, 201);
    assert_eq!(world.posts().len(), 5, "nobody waits for a timer any more");
}

#[test]
fn posts_are_handed_out_ahead_only_while_answers_are_quick() {
    let mut world = World::printing(100, 1);
    let first = world.posts();
    assert_eq!(first.len(), POSTS_AT_ONCE_MAX);
    world.take();
    world.answer(&first[0], 1, 201);
    let ahead = world.posts();
    assert_eq!(first.len() - 1 + ahead.len(), POSTS_PER_WORKSPACE_MAX);
    world.take();
    world.pass(Duration::from_millis(51));
    for post in first[1..].iter().chain(&ahead[..ahead.len() - POSTS_AT_ONCE_MAX]) {
        world.answer(post, 1, 201);
        assert_eq!(world.posts().len(), 0, "the server is slow");
    }
    world.answer(&ahead[ahead.len() - 1], 1, 201);
    assert_eq!(world.posts().len(), 1);
}

/// Runs 1 to `runs` that have something to post, run N to the workspace that `workspace` says.
fn posting(runs: i64, workspace: impl Fn(i64) -> String) -> World {
    let mut world = World::joined(vec![executor("ok", &[])]);
    for id in 1..=runs {
        world.run_command("ok", json!([id]), json!([workspace(id)]), json!({}));
        world.handle(Event::Output { run: RunId(id as u64), bytes: &document(1) });
    }
    world
}

fn workers(world: &World) -> Option<usize> {
    world.actions.iter().rev().find_map(|action| match action {
        Action::Workers(count) => Some(*count),
        _ => None,
    })
}

#[test]
fn posts_that_hang_hold_up_nobody_for_longer_than_it_takes_to_see_that_they_do() {
    let mut world = posting(6, |run| format!("ws{run}"));
    let first = world.posts();
    assert_eq!((first.len(), workers(&world)), (POSTS_AT_ONCE_MAX, None));
    world.pass(POST_SLOW_AFTER - Duration::from_millis(1));
    assert_eq!(world.posts().len(), POSTS_AT_ONCE_MAX);
    world.pass(Duration::from_millis(1));
    assert_eq!((world.posts().len(), workers(&world)), (6, Some(2 * POSTS_AT_ONCE_MAX)));
    for post in &first {
        world.answer(post, 1, 201);
    }
    assert_eq!(workers(&world), Some(POSTS_AT_ONCE_MAX), "those that were added go");
}

#[test]
fn a_workspace_that_hangs_holds_half_of_the_workers_at_most() {
    let mut world = posting(40, |run| if run <= 30 { "hangs".to_owned() } else { format!("ws{run}") });
    world.pass(Duration::from_secs(60));
    let (hang, go): (Vec<_>, Vec<_>) = world.posts().into_iter().partition(|post| &*post.workspace == "hangs");
    assert_eq!(hang.len(), POSTS_PER_WORKSPACE_MAX);
    assert_eq!(go.len(), 10, "the others are out as well");
    assert_eq!(workers(&world), Some(WORKERS_MAX));
}

#[test]
fn workspaces_take_turns_however_many_runs_each_has() {
    let mut world = posting(9, |run| if run <= 8 { "busy".to_owned() } else { "lonely".to_owned() });
    let first = world.posts();
    assert_eq!(first.len(), POSTS_AT_ONCE_MAX);
    world.take();
    world.answer(&first[0], 1, 201);
    world.answer(&first[1], 1, 201);
    assert!(world.posts().iter().any(|post| &*post.workspace == "lonely"));
}

#[test]
fn a_body_that_is_too_large_for_a_proxy_is_halved_and_stays_so() {
    let mut world = running(8);
    let post = the_post(&mut world);
    let bytes = post.range.upto - post.range.from;
    world.answer(&post, 8, 413);
    let post = the_post(&mut world);
    assert_eq!(post.bytes_max, bytes / 2);
    world.answer(&post, 4, 413);
    let post = the_post(&mut world);
    assert_eq!(post.bytes_max, bytes / 4);
    world.answer(&post, 2, 201);
    assert_eq!(the_post(&mut world).bytes_max, bytes / 4);
}

#[test]
fn a_refused_closing_post_does_not_make_the_run_fail() {
    let mut world = running(1);
    world.end(Exit::Code(0));
    let post = the_post(&mut world);
    world.answer(&post, 1, 201);
    let closing = the_post(&mut world);
    world.answer(&closing, 0, 400);
    assert_eq!(world.last_status()["successful"], true);
}

#[test]
fn a_journal_that_cannot_be_read_back_is_tried_again_then_told_and_kept() {
    let mut world = running(1);
    world.end(Exit::Code(0));
    for _ in 0..6 {
        let post = the_post(&mut world);
        world.outcome(&post, 0, Outcome::Unreadable { words: "Input/output error".into() });
        if world.statuses().is_empty() {
            world.pass(Duration::from_secs(10));
            world.handle(Event::Pong(0));
        }
    }
    assert_eq!(world.last_status()["successful"], false);
    assert!(message(&world.last_status()).contains("Input/output error"));
    assert!(world.actions.iter().any(|action| matches!(action, Action::Forget { damaged: true, .. })), "not removed");
}

#[test]
fn a_journal_that_cannot_be_read_now_and_then_is_not_given_up() {
    let mut world = running(1);
    for turn in 0..20 {
        let post = the_post(&mut world);
        match turn % 2 {
            0 => world.outcome(&post, 0, Outcome::Unreadable { words: "Input/output error".into() }),
            _ => world.answer(&post, 1, 503),
        }
        while world.posts().is_empty() {
            assert!(world.up < Duration::from_secs(3600), "given up");
            world.pass_alive(Duration::from_secs(1));
        }
        if world.posts()[0].range.from == world.posts()[0].range.upto {
            let probe = the_post(&mut world);
            world.answer(&probe, 0, 503);
            world.pass_alive(Duration::from_secs(60));
        }
    }
}

#[test]
fn a_join_shows_that_the_server_is_back() {
    let mut world = running(1);
    let post = the_post(&mut world);
    world.outcome(&post, 1, Outcome::NoAnswer { words: "refused".into() });
    world.handle(Event::LinkLost { words: "cut".into(), close_reason: None });
    assert_eq!(world.posts().len(), 0);
    world.join();
    assert_eq!(the_post(&mut world).range.from, post.range.from, "without waiting for its timer");
}

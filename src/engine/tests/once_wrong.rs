//! What was wrong once, or nearly: each a scenario that failed before it was mended.

use super::*;

fn ack_all(world: &mut World) {
    for number in 1..200 {
        world.hear(&format!("43/dispatcher,{number}[]"));
    }
}

#[test]
fn a_huge_retry_after_does_not_panic() {
    let mut world = running(1);
    let post = the_post(&mut world);
    world.pass(Duration::from_secs(2));
    let retry_after = Some(Duration::from_secs(u64::MAX));
    world.outcome(&post, 1, Outcome::Answer { status: 429, words: String::new(), retry_after });
}

#[test]
fn a_413_while_narrowing_does_not_spin() {
    let mut world = running(4);
    let mut posts = 0;
    while let Some(post) = world.posts().first().cloned() {
        posts += 1;
        assert!(posts < 100, "it spins without a pause");
        world.take();
        let pieces = world.pieces(&post);
        world.answer(
            &post,
            pieces,
            match pieces {
                4 => 400,
                2 | 3 => 413,
                _ => 201,
            },
        );
    }
}

#[test]
fn a_single_400_long_after_the_last_201_is_probed_before_a_host_is_blamed() {
    let mut world = running(1);
    let post = the_post(&mut world);
    world.answer(&post, 1, 201);
    world.pass(Duration::from_secs(3600));
    world.take();
    world.output(&document(1));
    let post = the_post(&mut world);
    world.answer(&post, 1, 400);
    world.end(Exit::Code(0));
    let next = the_post(&mut world);
    assert_eq!(next.duration, None, "closing post: the host was blamed without a probe");
}

#[test]
fn a_stop_while_the_link_is_away_still_reports() {
    let mut world = World::joined(vec![executor("ok", &[])]);
    world.run("ok");
    ack_all(&mut world);
    lose(&mut world);
    world.take();
    world.end(Exit::Code(0));
    let post = the_post(&mut world);
    world.answer(&post, 0, 201);
    world.take();
    // The run is over, its last status is in the outbox; the agent dials again within a second.
    world.handle(Event::Stop { signal: "SIGTERM" });
    assert!(!world.actions.iter().any(|a| matches!(a, Action::Quit { .. })), "quit with an unsent last status");
}

#[test]
fn a_stop_that_runs_out_of_time_says_so_to_the_server() {
    let mut world = running(1);
    let post = the_post(&mut world);
    world.outcome(&post, 1, Outcome::Answer { status: 503, words: "busy".into(), retry_after: None });
    world.handle(Event::Stop { signal: "SIGTERM" });
    world.end(Exit::Signal(15));
    for _ in 0..8 {
        world.pass(Duration::from_secs(5));
        world.handle(Event::Pong(0));
    }
    world.pass(Duration::from_secs(2));
    assert!(world.actions.iter().any(|a| matches!(a, Action::Quit { .. })));
    assert!(world.statuses().iter().any(|s| s["running"] == false), "no last status: {:?}", world.statuses());
    assert!(world.sent().iter().any(|t| t.contains("leave_agent")), "no LEAVE_AGENT");
}

#[test]
fn a_late_token_failure_does_not_take_down_a_new_link() {
    let mut world = World::new(vec![executor("ok", &[])]);
    world.open();
    world.hear(r#"42/dispatcher,["disconnect",{"reason":"Invalid agent token!"}]"#);
    let ack = world.join_ack();
    world.take();
    world.hear(&format!("43/dispatcher,{ack}[]"));
    assert!(matches!(world.take()[..], [Action::FetchToken]));
    // The token request hangs until the link is given up; a new dial starts.
    world.pass(Duration::from_secs(30));
    assert!(world.take().iter().any(|a| matches!(a, Action::Connect)));
    world.handle(Event::TokenFailed(Failure { words: "timed out".into(), fatal: false }));
    world.join(); // the dial's own result
    world.take();
    world.run("ghost"); // a refusal goes out on the good link
    assert_eq!(world.statuses().len(), 1);
    world.take();
    world.pass(Duration::from_secs(5));
    assert!(!world.actions.iter().any(|a| matches!(a, Action::Connect)), "dials over a good link");
}

#[test]
fn a_flapping_link_does_not_fill_the_outbox() {
    let mut world = World::joined(vec![executor("ok", &[])]);
    world.run("ok");
    for _ in 0..100 {
        lose(&mut world);
        world.pass(Duration::from_secs(2));
        world.take();
        world.join();
    }
    assert!(world.statuses().len() < 5, "{} statuses of one run", world.statuses().len());
}

#[test]
fn a_run_that_has_ended_by_itself_is_not_ended_by_a_stop() {
    let mut world = World::joined(vec![executor("ok", &[])]);
    world.run("ok");
    world.handle(Event::OutputEnded { run: RUN });
    world.handle(Event::Exited { run: RUN, exit: Exit::Code(0) });
    world.handle(Event::Stop { signal: "SIGTERM" });
    world.handle(Event::ComplaintsEnded { run: RUN });
    let post = world.posts().remove(0);
    world.answer(&post, 0, 201);
    assert_eq!(world.last_status()["successful"], true, "{}", message(&world.last_status()));
}

#[test]
fn whoever_of_a_timed_out_group_ignores_sigterm_gets_sigkill() {
    let mut slow = executor("ok", &[]);
    slow.timeout = Some(Duration::from_secs(5));
    let mut world = World::joined(vec![slow]);
    world.run("ok");
    world.pass(Duration::from_secs(5));
    world.end(Exit::Signal(15)); // sh dies; its child, with output elsewhere, ignores SIGTERM
    world.pass(Duration::from_secs(60));
    let killed = world.actions.iter().any(|a| matches!(a, Action::Kill { signal: Kill::AtOnce, .. }));
    assert!(killed, "released without SIGKILL to the group");
}

#[test]
fn redaction() {
    let mut quoted = Vec::new();
    for (name, value, out) in [
        ("number", json!(12345678), "login 12345678".to_owned()),
        ("blanks", json!("correct  horse"), "login correct  horse".to_owned()),
        (
            "cut",
            json!("S3CRET-0123456789abcdef0123456789"),
            format!("{} S3CRET-0123456789abcdef0123456789", "x".repeat(100)),
        ),
        ("escaped", json!("pa\"ss\\word"), r#"{"pass":"pa\"ss\\word"} x"#.to_owned()),
    ] {
        let mut ok = executor("ok", &[("P", ParamType::Password, false)]);
        ok.params[0].types.push(ParamType::Integer);
        let mut world = World::joined(vec![ok]);
        world.run_command("ok", json!([]), json!([]), json!({"P": value}));
        world.output(format!("{out}\n").as_bytes());
        world.end(Exit::Code(0));
        quoted.push((name, message(&world.last_status()).to_owned()));
    }
    let mut ok = executor("ok", &[]);
    ok.varenvs = vec![(
        "KEY".into(),
        Secret::new("-----BEGIN KEY-----\nMIIEvQIBADANBg\nkqhkiG9w0BAQEF\n-----END KEY-----".into()),
    )];
    let mut world = World::joined(vec![ok]);
    world.run_command("ok", json!([]), json!([]), json!({}));
    world.handle(Event::Complaint {
        run: RUN,
        bytes: b"+ KEY=-----BEGIN KEY-----\nMIIEvQIBADANBg\nkqhkiG9w0BAQEF\n-----END KEY-----\n",
    });
    world.end(Exit::Code(1));
    quoted.push(("multi-line varenv", message(&world.last_status()).to_owned()));
    for (name, text) in quoted {
        println!("{name}: {text}");
    }
}

#[test]
fn no_timer_survives_its_run() {
    let mut slow = executor("ok", &[]);
    slow.timeout = Some(Duration::from_secs(5));
    let mut world = World::joined(vec![slow]);
    world.run("ok");
    world.handle(Event::StartFailed { run: RUN, words: "no".into(), passing: false });
    assert!(!world.engine.agenda.timers.is_set(crate::engine::timers::Timer::RunTimeout(RUN)));
}

#[test]
fn more_signals_do_not_put_the_end_off() {
    let mut world = running(1);
    world.handle(Event::Stop { signal: "SIGINT" });
    for _ in 0..20 {
        world.pass(Duration::from_secs(4));
        world.handle(Event::Pong(0));
        world.handle(Event::Stop { signal: "SIGINT" });
    }
    assert!(world.actions.iter().any(|a| matches!(a, Action::Quit { .. })), "80 s of Ctrl-C");
}

#[test]
fn words_of_a_run_cannot_forge_log_lines() {
    let mut world = World::joined(vec![executor("ok", &[])]);
    world.run_command("ok", json!([7]), json!(["ws1"]), json!({"x\n2030-01-01T00:00:00.000Z [ERROR] forged": 1}));
    let first = message(&world.last_status()).to_owned();
    world.run_command("gh\nost", json!([7]), json!(["ws1"]), json!({}));
    assert!(
        !first.contains('\n') && !message(&world.last_status()).contains('\n'),
        "{first}\n{}",
        message(&world.last_status())
    );
}

#[test]
fn a_server_that_drops_every_joined_link_is_not_hammered() {
    let mut world = World::joined(vec![]);
    let mut dials = 0;
    for _ in 0..60 {
        lose(&mut world);
        world.take();
        world.pass(Duration::from_secs(1));
        dials += world.actions.iter().filter(|a| matches!(a, Action::Connect)).count();
        world.join();
        world.take();
    }
    assert!(dials < 20, "{dials} dials in a minute");
}

#[test]
fn a_journal_that_could_not_be_read_is_kept() {
    let mut world = running(1);
    world.end(Exit::Code(0));
    let post = the_post(&mut world);
    world.outcome(&post, 0, Outcome::Unreadable { words: "Input/output error".into() });
    assert!(!world.actions.iter().any(|a| matches!(a, Action::Forget { .. })));
}

#[test]
fn a_check_s_stderr_is_not_the_executors_last_words() {
    let mut checked = executor("ok", &[]);
    checked.checks = vec!["tool --version".into()];
    let mut world = World::joined(vec![checked]);
    world.run_command("ok", json!([]), json!([]), json!({}));
    world.handle(Event::Complaint { run: RUN, bytes: b"check says: config is old\n" });
    world.end(Exit::Code(0));
    world.end(Exit::Code(3));
    assert!(!message(&world.last_status()).contains("check says"), "{}", message(&world.last_status()));
}

#[test]
fn a_ping_before_the_open_packet_is_harmless() {
    let mut world = World::new(vec![]);
    world.connect();
    world.take();
    world.hear("2");
    world.pass(Duration::ZERO);
    assert!(!world.actions.iter().any(|a| matches!(a, Action::Disconnect)));
}

#[test]
fn at_a_stop_posts_that_wait_for_a_busy_server_are_tried_once_more() {
    let mut world = running(1);
    world.end(Exit::Code(0));
    let mut post = the_post(&mut world);
    for _ in 0..12 {
        let pieces = world.pieces(&post);
        world.outcome(&post, pieces, Outcome::Answer { status: 503, words: "busy".into(), retry_after: None });
        while world.posts().is_empty() {
            world.pass(Duration::from_secs(5));
            world.handle(Event::Pong(0));
            world.hear("2");
        }
        post = world.posts().remove(0);
        world.take();
    }
    let pieces = world.pieces(&post);
    world.outcome(&post, pieces, Outcome::Answer { status: 503, words: "busy".into(), retry_after: None });
    world.take();
    world.handle(Event::Stop { signal: "SIGTERM" });
    for _ in 0..8 {
        world.pass(Duration::from_secs(3));
        world.handle(Event::Pong(0));
    }
    assert!(!world.posts().is_empty(), "24 s of the 30 s that a stop has, and not one try");
}

#[test]
fn kept_buffer_is_small() {
    let mut world = World::joined(vec![executor("ok", &[])]);
    world.run("ok");
    world.take();
    let host = format!(r#"{{"ip":"1","description":"{}"}}"#, "x".repeat(8 << 20));
    world.output(format!("{{\"hosts\":[{host}]}}\n").as_bytes());
    let capacity = world.engine.runs.get_mut(&RUN).map(|run| run.journal.buffer_bytes());
    println!("kept: {capacity:?}");
    assert!(capacity.unwrap() < 1 << 20);
}

#[test]
fn strangers_refused_joins_do_not_cost_a_good_link() {
    let mut world = World::new(vec![]);
    world.open();
    let ack = world.join_ack();
    world.hear(r#"42/dispatcher,["disconnect",{"reason":"Invalid agent token!"}]"#);
    world.hear(&format!("43/dispatcher,{ack}[]"));
    world.take();
    // the token request takes its time: a second and third foreign refusal change nothing
    world.pass(Duration::from_secs(14));
    world.handle(Event::Pong(0));
    world.pass(Duration::from_secs(2));
    assert!(!world.actions.iter().any(|a| matches!(a, Action::Disconnect)), "a token request of 16 s costs the link");
}

#[test]
fn second_signal_near_the_end_does_not_extend() {
    let mut world = running(1);
    world.handle(Event::Stop { signal: "SIGINT" });
    for _ in 0..13 {
        world.pass(Duration::from_secs(3));
        world.handle(Event::Pong(0));
    }
    world.handle(Event::Stop { signal: "SIGINT" });
    world.pass(Duration::from_secs(4));
    assert!(
        world.actions.iter().any(|a| matches!(a, Action::Quit { .. })),
        "a second signal at 39 s put the end off from 40 s to 44 s"
    );
}

#[test]
fn a_413_limit_is_remembered() {
    // a proxy that takes at most 100 pieces
    let mut world = running(500);
    world.end(Exit::Code(0));
    let (mut refused, mut posts) = (0, 0);
    while let Some(post) = world.posts().first().cloned() {
        posts += 1;
        world.take();
        let pieces = world.pieces(&post);
        refused += u32::from(pieces > 100);
        world.answer(&post, pieces, if pieces > 100 { 413 } else { 201 });
    }
    println!("{refused} of {posts} posts refused by size");
}

#[test]
fn execution_deleted_in_mid_run_blames_no_host() {
    let mut world = running(1);
    let post = the_post(&mut world);
    world.answer(&post, 1, 201);
    world.output(&document(500));
    world.end(Exit::Code(0));
    let mut posts = 0;
    while let Some(post) = world.posts().first().cloned() {
        posts += 1;
        world.take();
        let pieces = world.pieces(&post);
        world.answer(&post, pieces, 400);
    }
    println!("{posts} posts");
    assert!(posts <= 2, "{posts} posts to learn that the execution is gone");
}

#[test]
fn kept_buffer_of_ordinary_reads() {
    let mut world = World::joined(vec![executor("ok", &[])]);
    world.run("ok");
    world.take();
    let chunk = document(1).repeat((64 << 10) / document(1).len());
    world.output(&chunk);
    let capacity = world.engine.runs.get_mut(&RUN).map(|run| run.journal.buffer_bytes());
    println!("kept after one 64 KiB read: {capacity:?}");
}

#[test]
fn a_check_that_hangs_names_itself() {
    let mut checked = executor("ok", &[]);
    checked.checks = vec!["tool --version".into()];
    let mut world = World::joined(vec![checked]);
    world.run_command("ok", json!([]), json!([]), json!({}));
    for _ in 0..7 {
        world.pass(Duration::from_secs(9));
        world.handle(Event::Pong(0));
    }
    world.take();
    world.end(Exit::Signal(15));
    println!("{}", message(&world.last_status()));
}

#[test]
fn a_stop_between_append_and_journaled_starts_nothing() {
    // The shell of today answers an Append at once; the engine does not say what happens if it does not.
    let mut world = World::joined(vec![executor("ok", &[])]);
    world.engine.handle_event(Event::Frame(r#"42/dispatcher,["run",{"execution_ids":[7],"workspaces":["ws1"],"action":"RUN","executor":"ok","args":{},"plugin_args":{}}]"#), Now { up: Duration::ZERO, utc: utc(Duration::ZERO) });
    world.engine.handle_timeout(Now { up: Duration::ZERO, utc: utc(Duration::ZERO) });
    let mut append = None;
    while let Some(action) = world.engine.poll_action() {
        if let Action::Append { bytes, .. } = action {
            append = Some(bytes);
        }
    }
    world.handle(Event::Stop { signal: "SIGTERM" });
    world.handle(Event::Journaled { run: RUN, bytes: append.unwrap(), result: Ok(()) });
    assert!(!world.actions.iter().any(|a| matches!(a, Action::Spawn(_))), "started after the stop");
}

#[test]
fn a_full_disk_for_a_moment_fails_the_whole_queue() {
    let mut world = World::with(vec![executor("ok", &[])], |profile| profile.concurrent_runs_max = Some(1));
    world.join();
    for id in 1..=50 {
        world.run_command("ok", json!([id]), json!(["ws1"]), json!({}));
    }
    world.take();
    world.journal_full = true;
    world.end_run(RunId(1), Exit::Code(0));
    let failed = world.statuses().iter().filter(|s| s["running"] == false).count();
    println!("{failed} waiting runs failed at once");
}

#[test]
fn a_journal_that_is_made_before_its_next_try_starts_its_run_once() {
    let mut world = World::joined(vec![executor("ok", &[])]);
    world.journal_full = true;
    world.run("ok");
    world.journal_full = false;
    world.engine.agenda.write(RUN);
    world.end_turn();
    world.pass_alive(Duration::from_secs(60));
    let spawns = world.actions.iter().filter(|action| matches!(action, Action::Spawn(_))).count();
    assert_eq!(spawns, 1);
}

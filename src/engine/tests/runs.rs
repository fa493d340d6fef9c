//! Runs: refused, queued, started, ended, and what the server is told of them.

use super::*;

fn spawns(world: &World) -> Vec<&Spawn> {
    let spawns = world.actions.iter().filter_map(|action| match action {
        Action::Spawn(spawn) => Some(spawn),
        _ => None,
    });
    spawns.collect()
}

fn kills(world: &World) -> Vec<Kill> {
    let kills = world.actions.iter().filter_map(|action| match action {
        Action::Kill { signal, .. } => Some(*signal),
        _ => None,
    });
    kills.collect()
}

/// Answers every post with 201 until there is none.
fn deliver_all(world: &mut World, pieces: u32) {
    let posts = world.posts();
    world.take();
    for post in posts {
        let pieces = if post.range.from == post.range.upto { 0 } else { pieces };
        world.answer(&post, pieces, 201);
    }
    if !world.posts().is_empty() {
        let statuses = world.statuses();
        let posts = world.posts();
        world.actions.clear();
        assert!(statuses.is_empty(), "no last status before the last post");
        for post in posts {
            world.answer(&post, 0, 201);
        }
    }
}

#[test]
fn a_run_starts_its_command_with_the_environment_that_agents_txt_promises() {
    let mut secretive = executor("ok", &[("target", ParamType::List, true), ("SURE", ParamType::Boolean, false)]);
    secretive.varenvs = vec![("KEY".into(), Secret::new("s3cret".into()))];
    let mut world = World::joined(vec![secretive]);
    world.run_command("ok", json!([7]), json!(["ws1"]), json!({"target": ["10.0.0.1", "b"], "SURE": false}));
    let spawns = spawns(&world);
    assert_eq!(spawns[0].command, "run ok");
    let env: Vec<(&str, &str)> = spawns[0].env.iter().map(|(name, value)| (name.as_str(), value.reveal())).collect();
    assert_eq!(
        env,
        [
            ("EXECUTOR_CONFIG_TARGET", r#"["10.0.0.1","b"]"#),
            ("EXECUTOR_CONFIG_SURE", "False"),
            ("AGENT_CONFIG_IGNORE_INFO", "False"),
            ("AGENT_CONFIG_RESOLVE_HOSTNAME", "True"),
            ("KEY", "s3cret"),
        ]
    );
    assert!(!format!("{:?}", world.actions).contains("s3cret"));
    let status = world.last_status();
    assert_eq!(status["running"], true);
    assert_eq!(status["successful"], Value::Null);
    assert_eq!(status["execution_ids"], json!([7]));
    assert_eq!(status["executor_name"], "ok");
}

#[test]
fn what_cannot_run_is_refused_with_a_reason() {
    let params = [("T", ParamType::Integer, true), ("P", ParamType::Password, false)];
    for (name, args, reason) in [
        ("ghost", json!({}), "ghost does not exist"),
        ("ok", json!({}), "mandatory argument T is missing"),
        ("ok", json!({"T": null}), "mandatory argument T is missing"),
        ("ok", json!({"T": 1, "TT": 2}), "unexpected argument TT"),
        ("ok", json!({"MYTX": 1}), "unexpected argument MYTX"),
        ("ok", json!({"T": "abc"}), "T = "),
        ("ok", json!({"T": 1, "P": ["hunter2"]}), "P "),
    ] {
        let mut world = World::joined(vec![executor("ok", &params)]);
        world.run_command(name, json!([7]), json!(["ws1"]), args.clone());
        assert_eq!(spawns(&world).len(), 0, "{name} {args}");
        let statuses = world.statuses();
        assert_eq!(statuses.len(), 1, "{name} {args}");
        assert_eq!(statuses[0]["running"], false);
        assert_eq!(statuses[0]["successful"], false);
        assert_eq!(statuses[0]["execution_ids"], json!([7]));
        assert!(message(&statuses[0]).contains(reason), "{args}: {}", message(&statuses[0]));
        assert!(!message(&statuses[0]).contains("hunter2"));
    }
}

#[test]
fn a_run_without_an_executor_is_refused_with_a_status_that_names_one() {
    let mut world = World::joined(vec![]);
    world.run_command("", json!([7]), json!(["ws1"]), json!({}));
    assert_eq!(world.last_status()["executor_name"], "");
    assert!(message(&world.last_status()).contains("No executor selected"));
}

#[test]
fn a_run_command_that_is_broken_is_answered_if_its_ids_are_known() {
    let mut world = World::joined(vec![executor("ok", &[])]);
    world.run_command("ok", json!([7, 8]), json!(["ws1"]), json!({}));
    assert_eq!(world.last_status()["execution_ids"], json!([7, 8]));
    world.take();
    world.hear(r#"42/dispatcher,["run",{"action":"RUN","executor":"ok"}]"#);
    world.hear(r#"42/dispatcher,["run",null]"#);
    assert_eq!(spawns(&world).len(), 0);
}

#[test]
fn a_run_that_printed_nothing_and_exited_0_is_successful_after_its_closing_post() {
    let mut world = World::joined(vec![executor("ok", &[])]);
    world.run("ok");
    world.pass(Duration::from_secs(2));
    world.take();
    world.end(Exit::Code(0));
    let posts = world.posts();
    assert_eq!(posts.len(), 1);
    assert_eq!(posts[0].duration, Some(Duration::from_secs(2)));
    assert_eq!(posts[0].range.from, posts[0].range.upto);
    assert_eq!(world.statuses().len(), 0, "not before the closing post has arrived");
    world.answer(&posts[0], 0, 201);
    assert_eq!(world.last_status()["running"], false);
    assert_eq!(world.last_status()["successful"], true);
    assert!(world.actions.iter().any(|action| matches!(action, Action::Forget { run: RUN, .. })));
}

#[test]
fn exit_codes_and_signals_are_told() {
    for (exit, words) in [
        (Exit::Code(1), "exit code 1"),
        (Exit::Code(126), "exit code 126 (its command cannot be executed)"),
        (Exit::Code(127), "exit code 127 (its command was not found)"),
        (Exit::Signal(9), "killed by signal 9 (SIGKILL)"),
        (Exit::Signal(11), "killed by signal 11 (SIGSEGV)"),
        (Exit::Signal(31), "killed by signal 31"),
        (Exit::Signal(REAL_TIME_SIGNAL), "killed by a real-time signal"),
    ] {
        let mut world = World::joined(vec![executor("ok", &[])]);
        world.run("ok");
        world.handle(Event::Complaint { run: RUN, bytes: b"first\nit went wrong\n" });
        world.end(exit);
        deliver_all(&mut world, 0);
        let status = world.last_status();
        assert_eq!(status["successful"], false, "{exit:?}");
        assert!(message(&status).contains(words), "{}", message(&status));
        assert!(message(&status).contains("it went wrong"), "{}", message(&status));
    }
}

#[test]
fn lines_that_are_no_documents_are_counted_and_the_first_is_quoted() {
    let mut world = World::joined(vec![executor("ok", &[])]);
    world.run("ok");
    world.take();
    world.output(b"Starting scan\n");
    world.output(&document(1));
    world.output(b"[1]\nbye\n");
    world.end(Exit::Code(0));
    deliver_all(&mut world, 1);
    let status = world.last_status();
    assert_eq!(status["successful"], true);
    assert!(message(&status).contains("1 host delivered"), "{}", message(&status));
    assert!(message(&status).contains("3 lines not read as documents, the first: "), "{}", message(&status));
    assert!(message(&status).contains("Starting scan"), "{}", message(&status));
}

#[test]
fn what_comes_after_a_double_newline_is_counted_and_told() {
    let mut world = World::joined(vec![executor("ok", &[])]);
    world.run("ok");
    world.take();
    world.output(&document(1));
    world.output(b"\n");
    world.output(b"0123456789");
    world.end(Exit::Code(0));
    deliver_all(&mut world, 1);
    assert!(
        message(&world.last_status()).contains("10 bytes after the end of the output"),
        "{}",
        message(&world.last_status())
    );
}

#[test]
fn a_document_that_names_no_hosts_makes_the_run_fail() {
    let mut world = World::joined(vec![executor("ok", &[])]);
    world.run("ok");
    world.take();
    world.output(b"{\"host\":[]}\n");
    world.end(Exit::Code(0));
    deliver_all(&mut world, 0);
    assert_eq!(world.last_status()["successful"], false);
}

#[test]
fn secrets_do_not_show_in_messages() {
    let mut executor = executor("ok", &[("P", ParamType::Password, false)]);
    executor.varenvs = vec![("KEY".into(), Secret::new("varenv-secret".into()))];
    let mut world = World::joined(vec![executor]);
    world.run_command("ok", json!([7]), json!(["ws1"]), json!({"P": "hunter2"}));
    world.output(b"login with hunter2\n");
    world.handle(Event::Complaint { run: RUN, bytes: b"key varenv-secret, pass hunter2\n" });
    world.end(Exit::Code(1));
    deliver_all(&mut world, 0);
    let text = world.last_status().to_string();
    assert!(!text.contains("hunter2") && !text.contains("varenv-secret"), "{text}");
    assert!(text.contains("[redacted]"), "{text}");
}

#[test]
fn two_runs_at_once_keep_their_ids() {
    let mut world = World::joined(vec![executor("ok", &[])]);
    world.run_command("ok", json!([7]), json!(["ws1"]), json!({}));
    world.run_command("ok", json!([8, 9]), json!(["ws1", "ws2"]), json!({}));
    world.take();
    world.end_run(RunId(2), Exit::Code(3));
    deliver_all(&mut world, 0);
    assert_eq!(world.last_status()["execution_ids"], json!([8, 9]));
    world.end_run(RUN, Exit::Code(0));
    deliver_all(&mut world, 0);
    assert_eq!(world.last_status()["execution_ids"], json!([7]));
    assert_eq!(world.last_status()["successful"], true);
}

#[test]
fn runs_above_the_limit_wait_in_order_and_say_so() {
    let mut world = World::with(vec![executor("ok", &[])], |profile| profile.concurrent_runs_max = Some(1));
    world.join();
    world.take();
    for id in [7, 8, 9] {
        world.run_command("ok", json!([id]), json!([]).clone(), json!({}));
        world.run_command("ok", json!([id]), json!(["ws1"]), json!({}));
    }
    assert_eq!(spawns(&world).len(), 1);
    let waiting = world.statuses().iter().filter(|status| message(status).contains("waits for a place")).count();
    assert_eq!(waiting, 2);
    world.take();
    world.end_run(RunId(1), Exit::Code(0));
    assert_eq!(spawns(&world).iter().map(|spawn| spawn.run).collect::<Vec<_>>(), [RunId(2)]);
}

#[test]
fn a_run_that_takes_too_long_gets_sigterm_and_then_sigkill() {
    let mut slow = executor("ok", &[]);
    slow.timeout = Some(Duration::from_secs(5));
    let mut world = World::joined(vec![slow]);
    world.run("ok");
    world.pass(Duration::from_secs(5));
    assert_eq!(kills(&world), [Kill::Gently]);
    world.pass(Duration::from_secs(10));
    assert_eq!(kills(&world), [Kill::Gently, Kill::AtOnce]);
    world.end(Exit::Signal(9));
    deliver_all(&mut world, 0);
    assert_eq!(world.last_status()["successful"], false);
    assert!(message(&world.last_status()).contains("longer than 5 s (timeout_s)"), "{}", message(&world.last_status()));
}

/// The shell dies of SIGTERM at once; the tool below it may still write down what it found.
#[test]
fn the_grace_is_for_the_whole_group() {
    let mut slow = executor("ok", &[]);
    slow.timeout = Some(Duration::from_secs(5));
    let mut world = World::joined(vec![slow]);
    world.run("ok");
    world.pass(Duration::from_secs(5));
    world.handle(Event::Exited { run: RUN, exit: Exit::Signal(15) });
    world.pass(Duration::from_secs(9));
    assert_eq!(kills(&world), [Kill::Gently]);
    world.output(&document(1));
    world.pass(Duration::from_secs(1));
    assert_eq!(kills(&world), [Kill::Gently, Kill::AtOnce]);
    world.handle(Event::OutputEnded { run: RUN });
    world.handle(Event::ComplaintsEnded { run: RUN });
    deliver_all(&mut world, 1);
    let status = world.last_status();
    let expected = "Executor ok from a1 failed: it was ended because it took longer than 5 s (timeout_s), killed by \
                    signal 15 (SIGTERM); 1 host delivered";
    assert_eq!(message(&status), expected);
}

/// A member of the group that has closed its output, and does not mind SIGTERM.
#[test]
fn nobody_of_a_group_that_was_told_to_end_lives_on() {
    let mut slow = executor("ok", &[]);
    slow.timeout = Some(Duration::from_secs(5));
    let mut world = World::joined(vec![slow]);
    world.run("ok");
    world.pass(Duration::from_secs(5));
    world.end(Exit::Signal(15));
    assert_eq!(kills(&world), [Kill::Gently, Kill::AtOnce]);
    assert!(matches!(
        world.actions.iter().rfind(|action| !matches!(action, Action::Post(_) | Action::Append { .. })),
        Some(Action::Release { .. })
    ));
}

#[test]
fn a_stop_ends_runs_delivers_what_they_found_and_reports_before_it_leaves() {
    let mut world = World::joined(vec![executor("ok", &[])]);
    world.run("ok");
    world.output(&document(1));
    let post = world.posts().remove(0);
    world.handle(Event::Stop { signal: "SIGTERM" });
    assert_eq!(kills(&world), [Kill::Gently]);
    world.take();
    world.run("ok");
    assert!(message(&world.last_status()).contains("stopping"), "{}", message(&world.last_status()));
    world.end(Exit::Signal(15));
    assert!(!world.sent().iter().any(|text| text.contains("leave_agent")));
    world.answer(&post, 1, 201);
    deliver_all(&mut world, 0);
    let status = world.last_status();
    assert!(message(&status).contains("asked to stop (SIGTERM)"), "{}", message(&status));
    let sent = world.sent();
    for text in sent.iter().filter(|text| text.contains("run_status")) {
        world.hear(&format!("43/dispatcher,{}[]", ack_id(text)));
    }
    for ack in 1..20 {
        world.hear(&format!("43/dispatcher,{ack}[]"));
    }
    assert!(world.sent().iter().any(|text| text.contains("leave_agent")));
}

#[test]
fn a_second_signal_skips_the_grace() {
    let mut world = World::joined(vec![executor("ok", &[])]);
    world.run("ok");
    world.handle(Event::Stop { signal: "SIGTERM" });
    world.handle(Event::Stop { signal: "SIGTERM" });
    world.pass(Duration::ZERO);
    assert_eq!(kills(&world), [Kill::Gently, Kill::AtOnce]);
}

#[test]
fn a_stop_has_an_end_even_if_nothing_can_be_delivered() {
    let mut world = World::joined(vec![executor("ok", &[])]);
    world.run("ok");
    world.output(&document(1));
    world.handle(Event::Stop { signal: "SIGTERM" });
    world.end(Exit::Signal(15));
    world.pass(Duration::from_secs(41));
    let actions = world.take();
    assert!(matches!(actions.last(), Some(Action::Quit { code: 0 })));
    assert!(!actions.iter().any(|action| matches!(action, Action::Forget { .. })), "the journal is kept");
}

#[test]
fn whoever_holds_the_pipe_after_the_exit_is_killed_after_a_grace() {
    let mut world = World::joined(vec![executor("ok", &[])]);
    world.run("ok");
    world.take();
    world.output(&document(1));
    world.handle(Event::ComplaintsEnded { run: RUN });
    world.handle(Event::Exited { run: RUN, exit: Exit::Code(0) });
    world.pass(Duration::from_secs(2));
    assert_eq!(kills(&world), []);
    world.pass(Duration::from_secs(1));
    assert_eq!(kills(&world), [Kill::AtOnce]);
    assert!(!world.actions.iter().any(|action| matches!(action, Action::Release { .. })));
    world.pass(Duration::from_secs(1));
    assert!(world.actions.iter().any(|action| matches!(action, Action::Release { .. })));
    deliver_all(&mut world, 1);
    assert!(message(&world.last_status()).ends_with("lives on"), "{}", message(&world.last_status()));
}

#[test]
fn an_executor_that_closes_its_output_and_lives_on_is_waited_for() {
    let mut world = World::joined(vec![executor("ok", &[])]);
    world.run("ok");
    world.handle(Event::OutputEnded { run: RUN });
    world.handle(Event::ComplaintsEnded { run: RUN });
    world.pass(Duration::from_secs(3600));
    assert_eq!(kills(&world), []);
    assert_eq!(world.posts().len(), 0);
    world.handle(Event::Exited { run: RUN, exit: Exit::Code(0) });
    assert_eq!(world.posts().len(), 1);
}

#[test]
fn checks_come_first_and_a_failing_one_is_the_message() {
    let mut checked = executor("ok", &[]);
    checked.checks = vec!["tool --version".into(), "tool --selftest".into()];
    let mut world = World::joined(vec![checked]);
    world.run("ok");
    assert_eq!(spawns(&world)[0].command, "tool --version");
    world.take();
    world.output(b"Tool 1.0\n");
    world.end(Exit::Code(0));
    assert_eq!(spawns(&world)[0].command, "tool --selftest");
    world.handle(Event::Complaint { run: RUN, bytes: b"no database\n" });
    world.take();
    world.end(Exit::Code(127));
    assert_eq!(spawns(&world).len(), 0);
    assert_eq!(world.posts().len(), 0);
    let status = world.last_status();
    assert_eq!((&status["running"], &status["successful"]), (&json!(false), &json!(false)));
    assert!(message(&status).contains("check `tool --selftest` failed with exit code 127"), "{}", message(&status));
    assert!(message(&status).contains("no database"), "{}", message(&status));
}

#[test]
fn a_child_that_cannot_be_started_is_told() {
    let mut world = World::joined(vec![executor("ok", &[])]);
    world.run("ok");
    world.take();
    world.handle(Event::StartFailed { run: RUN, words: "Resource temporarily unavailable".into(), passing: false });
    assert_eq!(world.last_status()["successful"], false);
    assert!(message(&world.last_status()).contains("Resource temporarily unavailable"));
}

#[test]
fn a_run_for_no_workspace_runs_and_posts_nothing() {
    let mut world = World::joined(vec![executor("ok", &[])]);
    world.run_command("ok", json!([]), json!([]), json!({}));
    world.output(&document(2));
    world.end(Exit::Code(0));
    assert_eq!(world.posts().len(), 0);
    assert_eq!(world.last_status()["successful"], true);
    assert!(
        message(&world.last_status()).contains("2 hosts read, for no workspace"),
        "{}",
        message(&world.last_status())
    );
}

#[test]
fn a_full_disk_pauses_reading_and_loses_nothing() {
    let mut world = World::joined(vec![executor("ok", &[])]);
    world.run("ok");
    world.take();
    world.journal_full = true;
    world.output(&document(3));
    assert!(world.actions.iter().any(|action| matches!(action, Action::Read { wanted: false, .. })));
    assert!(message(&world.last_status()).contains("No space left on device"));
    world.pass(Duration::from_secs(5));
    assert_eq!(world.statuses().len(), 1, "said once");
    assert_eq!(world.posts().len(), 0);
    world.journal_full = false;
    world.take();
    world.pass(Duration::from_secs(1));
    assert!(world.actions.iter().any(|action| matches!(action, Action::Read { wanted: true, .. })));
    world.end(Exit::Code(0));
    deliver_all(&mut world, 3);
    assert!(message(&world.last_status()).contains("3 hosts delivered"), "{}", message(&world.last_status()));
}

#[test]
fn a_run_whose_journal_cannot_be_made_waits_for_room_and_says_so() {
    let mut world = World::joined(vec![executor("ok", &[])]);
    world.journal_full = true;
    world.run("ok");
    assert_eq!(spawns(&world).len(), 0);
    assert_eq!(world.last_status()["running"], true);
    assert!(message(&world.last_status()).contains("No space left on device"));
    world.journal_full = false;
    world.pass(Duration::from_secs(1));
    assert_eq!(spawns(&world).len(), 1);
}

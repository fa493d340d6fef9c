//! What a server may send, and what becomes of more than that.

use super::*;

use crate::bounds::{ARGUMENTS_MAX, ENV_BYTES_MAX, PARAMS_BYTES_MAX, PROBLEMS_MAX, WORKSPACES_MAX};
use crate::proto::param::ENV_STRING_BYTES_MAX;

fn spawned(world: &World) -> usize {
    world.actions.iter().filter(|action| matches!(action, Action::Spawn(_))).count()
}

/// The message of a RUN's refusal.
fn refusal(world: &mut World, args: Value) -> String {
    world.run_command("ok", json!([7]), json!(["ws1"]), args);
    assert_eq!(spawned(world), 0);
    let status = world.last_status();
    world.take();
    assert_eq!((&status["running"], &status["successful"]), (&json!(false), &json!(false)));
    message(&status).to_owned()
}

fn listing(names: &[&str]) -> World {
    let params: Vec<_> = names.iter().map(|name| (*name, ParamType::List, false)).collect();
    World::joined(vec![executor("ok", &params)])
}

#[test]
fn an_argument_is_no_longer_than_an_environment_variable() {
    let mut world = listing(&["A"]);
    for list in [json!(["x".repeat(ENV_STRING_BYTES_MAX)]), json!(vec![0; ENV_STRING_BYTES_MAX / 2])] {
        let bytes = list.to_string().len();
        let expected = format!("A takes {bytes} bytes, but an environment variable of this name holds 131053; split");
        let message = refusal(&mut world, json!({ "A": list }));
        assert!(message.contains(&expected), "{message}");
    }
    let message = refusal(&mut world, json!({"A": [["x"]]}));
    assert!(message.contains("is not a list"), "{message}");
    world.run_command("ok", json!([7]), json!(["ws1"]), json!({"A": ["x".repeat(ENV_STRING_BYTES_MAX - 40)]}));
    assert_eq!(spawned(&world), 1);
}

#[test]
fn all_arguments_together_are_no_longer_than_an_environment() {
    let names: Vec<String> = (0..9).map(|n| format!("A{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut world = listing(&names);
    let value = json!(["x".repeat(ENV_BYTES_MAX / 9)]);
    let all: serde_json::Map<String, Value> = names.iter().map(|name| ((*name).to_owned(), value.clone())).collect();
    let message = refusal(&mut world, Value::Object(all.clone()));
    assert!(message.contains("bytes together, but an environment holds 1048576; split it"), "{message}");
    let most: serde_json::Map<String, Value> = all.into_iter().take(8).collect();
    world.run_command("ok", json!([7]), json!(["ws1"]), Value::Object(most));
    assert_eq!(spawned(&world), 1);
    world.output(&document(1));
    let params = &world.posts()[0].envelope.params;
    assert!((PARAMS_BYTES_MAX..PARAMS_BYTES_MAX + 4).contains(&params.len()), "{} bytes in each post", params.len());
}

#[test]
fn values_that_no_variable_can_hold_are_refused_by_the_name_of_their_argument() {
    let mut world = listing(&["A"]);
    let deep = format!("{}1{}", "[".repeat(200), "]".repeat(200));
    for value in ["1e999", "[1e999]", r#"["\ud800"]"#, &deep] {
        world.hear(&format!(
            r#"42/dispatcher,["run",{{"execution_ids":[7],"workspaces":["w"],"executor":"ok","args":{{"A":{value}}}}}]"#
        ));
        let status = world.last_status();
        assert!(message(&status).contains("A holds a number out of range, half a character or lists"), "{status}");
        assert_eq!(spawned(&world), 0);
    }
}

#[test]
fn many_mistakes_are_named_at_once_but_not_all_of_them() {
    let mut world = listing(&[]);
    let wrong: serde_json::Map<String, Value> = (0..ARGUMENTS_MAX).map(|n| (format!("X{n}"), json!(1))).collect();
    let message = refusal(&mut world, Value::Object(wrong));
    assert_eq!(message.matches("unexpected argument").count(), PROBLEMS_MAX);
    assert!(message.ends_with(&format!("; and {} more problems", ARGUMENTS_MAX - PROBLEMS_MAX)), "{message}");
}

/// What a run with so many workspaces costs for each of them, from the RUN to its last status: how often the engine looks at a
/// delivery, the actions it asks for, and the bytes it sends and writes. The server takes nothing at first, then everything.
fn cost_of_each(workspaces: u64) -> [u64; 3] {
    let mut world = World::joined(vec![executor("ok", &[])]);
    let names: Vec<String> = (0..workspaces).map(|n| format!("ws{n:03}")).collect();
    let ids: Vec<u64> = (1000..1000 + workspaces).collect();
    world.run_command("ok", json!(ids), json!(names), json!({}));
    world.output(&document(1));
    let (mut looks, mut actions, mut bytes, mut rounds) = (0, 0, 0, 0);
    loop {
        looks = world.engine.runs.get(&RUN).map_or(looks, |run| run.deliveries.looks as u64);
        let posts = world.posts();
        for action in world.take() {
            actions += 1;
            bytes += match action {
                Action::Send(text) => text.len() as u64,
                Action::Append { bytes, .. } => bytes.len() as u64,
                _ => 0,
            };
        }
        match posts.len() {
            0 if rounds == 0 => world.pass_alive(Duration::from_secs(10)),
            0 if rounds == 1 => world.end(Exit::Code(0)),
            0 => break,
            _ => {}
        }
        rounds += u64::from(posts.is_empty());
        for post in posts {
            let pieces = if post.duration.is_some() || rounds == 0 { 0 } else { world.pieces(&post) };
            world.answer(&post, pieces, if rounds == 0 { 404 } else { 201 });
        }
    }
    assert!(world.engine.runs.is_empty(), "the server has its last status");
    [looks, actions, bytes].map(|cost| cost / workspaces)
}

#[test]
fn work_is_linear_in_workspaces() {
    let (few, many) = (cost_of_each(100), cost_of_each(1000));
    println!("looks, actions, bytes of each workspace: {few:?} of 100, {many:?} of 1000");
    for (few, many) in few.into_iter().zip(many) {
        assert!(many <= few + few / 4, "each costs {few} of 100, and {many} of 1000");
    }
}

fn bounded(concurrent_max: Option<usize>, waiting_max: usize) -> World {
    let mut world = World::with(vec![executor("ok", &[])], |profile| {
        (profile.concurrent_runs_max, profile.waiting_runs_max) = (concurrent_max, waiting_max);
    });
    world.join();
    world.take();
    world
}

fn run_all(world: &mut World, ids: std::ops::RangeInclusive<u64>) {
    ids.for_each(|id| world.run_command("ok", json!([id]), json!(["ws1"]), json!({})));
}

/// The ids of executions that were told to have failed because of `words`.
fn refused(world: &World, words: &str) -> Vec<Value> {
    let statuses = world.told.iter().filter(|status| status["running"] == false && message(status).contains(words));
    statuses.flat_map(|status| status["execution_ids"].as_array().expect("a list").clone()).collect()
}

const NO_PLACE: &str = "Executor ok was not started: as many runs as agent.waiting_runs_max allows";

#[test]
fn more_runs_than_may_wait_are_refused_without_a_journal() {
    for (waiting_max, taken) in [(0, 1), (2, 3)] {
        let mut world = bounded(Some(1), waiting_max);
        run_all(&mut world, 1..=5);
        assert_eq!(world.journals.len(), taken);
        let expected: Vec<u64> = (taken as u64 + 1..=5).collect();
        assert_eq!(refused(&world, NO_PLACE), expected);
        assert!(
            message(&world.last_status()).contains("send it again when some have ended, or raise that or agent.max")
        );
        world.end_run(RUN, Exit::Code(0));
        run_all(&mut world, 6..=6);
        assert_eq!(world.journals.len(), taken + 1, "one has ended");
    }
}

#[test]
fn runs_wait_for_a_full_disk_only_as_many_as_may() {
    let mut world = bounded(None, 2);
    world.run("ok");
    world.journal_full = true;
    world.output(&document(1));
    run_all(&mut world, 1..=5);
    assert_eq!(refused(&world, NO_PLACE), [3, 4, 5]);
    world.journal_full = false;
    world.pass_alive(Duration::from_secs(60));
    assert_eq!(spawned(&world), 3);
    run_all(&mut world, 6..=9);
    assert_eq!(spawned(&world), 7, "there is no limit else");
}

#[test]
fn runs_hold_so_much_memory_together_and_no_more() {
    let mut world = World::joined(vec![executor("ok", &[("A", ParamType::List, false)])]);
    let names: Vec<String> = (0..WORKSPACES_MAX).map(|n| format!("ws{n}")).collect();
    let long = json!({"A": ["x".repeat(100_000)]});
    let mut ids = (0..).map(|first| (first * 1000..(first + 1) * 1000).collect::<Vec<u64>>());
    let words = "it does not fit into the 24 MiB that all runs may hold of the agent's memory";
    while refused(&world, words).is_empty() {
        world.run_command("ok", json!(ids.next()), json!(names), long.clone());
        assert!(world.journals.len() < 40);
    }
    let taken = world.journals.len();
    assert!(taken > 15, "{taken}");
    world.run_command("ok", json!([1_000_000]), json!(["ws1"]), json!({}));
    assert_eq!(world.journals.len(), taken + 1, "a small one fits");
    for run in 1..=taken as u64 {
        world.end_run(RunId(run), Exit::Code(0));
    }
    while let posts @ [_, ..] = &*world.posts() {
        world.take();
        posts.iter().for_each(|post| world.answer(post, 0, 201));
    }
    world.run_command("ok", json!(ids.next()), json!(names), long);
    assert_eq!(world.journals.len(), taken + 2, "what is delivered makes room");
}

#[test]
fn a_flood_of_refused_runs_makes_few_statuses_that_name_them_all() {
    let mut world = bounded(Some(1), 0);
    world.acknowledges = false;
    run_all(&mut world, 1..=1000);
    let frames: Vec<String> = world.sent().into_iter().filter(|text| text.contains("was not started")).collect();
    assert_eq!(frames.len(), 1, "one is under way");
    world.take();
    world.hear(&format!("43/dispatcher,{}[]", ack_id(&frames[0])));
    let frames = world.sent();
    assert_eq!(frames.len(), 1);
    assert_eq!(refused(&world, NO_PLACE), (2..=1000).collect::<Vec<u64>>());
    let whole = message(&world.last_status()).to_owned();
    assert!(whole.starts_with(NO_PLACE), "{whole}");
    world.take();
    lose(&mut world);
    world.pass(Duration::from_secs(2));
    world.join();
    assert_eq!(world.last_status()["execution_ids"].as_array().map(Vec::len), Some(998), "told again: nobody knows");
}

#[test]
fn acknowledgements_of_nothing_change_nothing() {
    let mut world = World::joined(vec![executor("ok", &[])]);
    world.acknowledges = false;
    world.run("ok");
    world.take();
    for ack in ["0", "77", "4294967295", "4294967296", "18446744073709551615"] {
        world.hear(&format!("43/dispatcher,{ack}[]"));
    }
    world.handle(Event::Pong(0));
    assert_eq!(world.take().len(), 0);
}

//! What a server may send, and what becomes of more than that.

use super::*;

use crate::bounds::{ARGUMENTS_MAX, ENV_BYTES_MAX, PARAMS_BYTES_MAX, PROBLEMS_MAX};
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
        let expected = format!("A takes {bytes} bytes, but an environment variable holds 131072; split it over");
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

//! What each run may hold of the room that all journals have, and who waits when it is used up.

use super::*;

/// Runs 1 to `runs`, each for a workspace of its own, with so much room for their journals.
fn sharing(runs: i64, bytes_max: u64) -> World {
    let mut world = World::with(vec![executor("ok", &[])], |profile| profile.disk.bytes_max = bytes_max);
    world.join();
    for id in 1..=runs {
        world.run_command("ok", json!([id]), json!([format!("ws{id}")]), json!({}));
    }
    world.take();
    world
}

/// The run's executor prints until nothing is read from it; gives how many bytes that took.
fn print_until_paused(world: &mut World, run: u64, bytes_max: u64) -> u64 {
    let (mut printed, document) = (0, document(20));
    while !is_paused(world, run) && printed < bytes_max {
        world.handle(Event::Output { run: RunId(run), bytes: &document });
        world.end_turn();
        printed += document.len() as u64;
    }
    printed
}

/// What was asked for last.
fn is_paused(world: &World, run: u64) -> bool {
    let last = world.actions.iter().rev().find_map(|action| match action {
        Action::Read { run: RunId(whose), wanted } if *whose == run => Some(!wanted),
        _ => None,
    });
    last.unwrap_or(false)
}

fn answer_all(world: &mut World, run: u64) {
    while let Some(post) = world.posts().into_iter().rev().find(|post| post.id.run == RunId(run)) {
        world.actions.retain(|action| !matches!(action, Action::Post(other) if other.id == post.id));
        let pieces = world.pieces(&post);
        world.answer(&post, pieces, 201);
        world.end_turn();
    }
}

#[test]
fn a_run_whose_workspace_takes_nothing_waits_alone_and_others_go_on() {
    const MIB: u64 = 1 << 20;
    let mut world = sharing(2, MIB);
    let printed = print_until_paused(&mut world, 1, MIB);
    // Half of what is left when it has so much.
    assert!((MIB / 4..MIB / 2).contains(&printed), "{printed}");
    let told = message(&world.last_status()).to_owned();
    assert!(told.contains("its share of what agent.journal_bytes_max leaves"), "{told}");
    assert!(told.ends_with("it goes on when there is room"), "{told}");
    // The other prints many times the room.
    for _ in 0..400 {
        world.handle(Event::Output { run: RunId(2), bytes: &document(100) });
        world.end_turn();
        assert!(!is_paused(&world, 2));
        answer_all(&mut world, 2);
        world.pass_alive(Duration::from_secs(1));
    }
    assert!(is_paused(&world, 1));
    answer_all(&mut world, 1);
    world.pass_alive(Duration::from_secs(2));
    assert!(!is_paused(&world, 1));
    let told = world.told.iter().rev().find(|status| status["execution_ids"] == json!([1])).expect("a status");
    assert!(message(told).contains("Running"), "{told}");
}

#[test]
fn whoever_comes_late_finds_room_that_the_others_have_left() {
    const ROOM: u64 = 8 << 20;
    let (mut world, mut held, mut shares) = (sharing(1, ROOM), 0, Vec::new());
    for run in 1..=10 {
        if run > 1 {
            world.run_command("ok", json!([run]), json!([format!("ws{run}")]), json!({}));
        }
        let printed = print_until_paused(&mut world, run, ROOM);
        held += printed;
        shares.push(printed);
        assert!(held < ROOM && printed > ROOM / 2000, "run {run}: {shares:?}");
    }
    assert!(shares[0] > 4 * ROOM / 10, "one alone may hold nearly half: {shares:?}");
}

#[test]
fn room_that_is_found_goes_to_everybody_who_waits() {
    const ROOM: u64 = 4 << 20;
    let mut world = sharing(4, ROOM);
    for run in 1..=4 {
        print_until_paused(&mut world, run, ROOM);
    }
    assert!((1..=4).all(|run| is_paused(&world, run)));
    world.take();
    answer_all(&mut world, 1);
    world.end_run(RunId(1), Exit::Code(0));
    world.pass(Duration::from_secs(2));
    answer_all(&mut world, 1);
    world.pass(Duration::from_secs(2));
    let resumed = |run: u64| {
        world
            .actions
            .iter()
            .any(|action| matches!(action, Action::Read { run: whose, wanted: true } if *whose == RunId(run)))
    };
    assert!((2..=4).any(resumed), "a quarter of the room was given back, and one writes less");
}

#[test]
fn what_nobody_writes_any_more_can_fill_the_room_and_then_nothing_new_starts() {
    const MIB: u64 = 1 << 20;
    let mut world = sharing(1, MIB);
    // One read may go over.
    world.output(&document(MIB as usize / HOST.len()));
    world.take();
    world.run_command("ok", json!([9]), json!(["ws9"]), json!({}));
    assert!(!world.actions.iter().any(|action| matches!(action, Action::Spawn(_))), "no room for a new one");
    answer_all(&mut world, 1);
    world.pass(Duration::from_secs(2));
    let post = world.posts().pop();
    assert!(post.is_none(), "{post:?}");
}

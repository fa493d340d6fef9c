//! How long the engine takes for a message of the server, whatever it holds.

use std::time::{Duration, UNIX_EPOCH};

use faraday_agent::config::settings::Secret;
use faraday_agent::engine::event::{Event, Now, RunId};
use faraday_agent::engine::executor::Executor;
use faraday_agent::engine::{DiskLimits, Engine, Profile};
use faraday_agent::proto::channel::Protocol;
use faraday_agent::proto::param::{Param, ParamType};

use super::support::{Generation, hostile};

const FRAME_BYTES: usize = 1 << 20;
const WITHIN: Duration = Duration::from_millis(20);
/// The best of so many is the message's own.
const TRIES: usize = 7;

const NOW: Now = Now { up: Duration::ZERO, utc: UNIX_EPOCH };

fn engine(protocol: Protocol) -> Engine {
    let param =
        Param { name: "A".into(), mandatory: false, types: vec![ParamType::List], base: "list".into(), accept: None };
    let profile = Profile {
        agent_name: "a1".into(),
        executors: vec![Executor { params: vec![param], ..Executor::unknown("e") }],
        concurrent_runs_max: Some(64),
        waiting_runs_max: 256,
        stop_grace: Duration::from_secs(10),
        delivery_grace: Duration::from_secs(60),
        retry_max: Duration::from_secs(86_400),
        disk: DiskLimits { bytes_max: u64::MAX, sync_after: Duration::from_secs(1) },
        seed: 1,
        first_run: RunId(1),
    };
    let mut engine = Engine::new(profile, Vec::new(), NOW);
    engine.handle_event(Event::Connected { protocol, token: Secret::new("token".into()) }, NOW);
    engine
}

fn time(protocol: Protocol, frame: &str) -> Duration {
    let times = (0..TRIES).map(|_| {
        let mut engine = engine(protocol);
        let begin = cpu();
        engine.handle_event(Event::Frame(frame), NOW);
        while engine.poll_action().is_some() {}
        cpu() - begin
    });
    times.min().unwrap_or_default()
}

/// What this thread has had of a processor, proc(5): others on the machine do not count.
fn cpu() -> Duration {
    // The kernel brings it up to date when it looks for who is next.
    std::thread::yield_now();
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux has it");
    Duration::from_nanos(text.split(' ').next().and_then(|ns| ns.parse().ok()).expect("a number"))
}

#[test]
#[ignore = "a measurement, see the head of tests/limits.rs"]
fn every_message_is_handled_in_linear_time() {
    super::assert_release();
    for (generation, protocol) in [(Generation::SocketIo, Protocol::SocketIo), (Generation::Raw, Protocol::WebSocket)] {
        let quarters = hostile::messages(generation, FRAME_BYTES / 4);
        let wholes = hostile::messages(generation, FRAME_BYTES);
        let mut slowest = (Duration::ZERO, String::new());
        for ((_, quarter), (name, whole)) in quarters.zip(wholes) {
            let (of_quarter, of_whole) = (time(protocol, &quarter), time(protocol, &whole));
            assert!(of_whole < 8 * of_quarter + Duration::from_millis(1), "{name}: {of_quarter:?}, then {of_whole:?}");
            slowest = slowest.max((of_whole, name));
        }
        println!("{protocol:?}: the slowest message of 1 MiB takes {:?}: {}", slowest.0, slowest.1);
        assert!(slowest.0 < WITHIN, "{slowest:?}");
    }
}

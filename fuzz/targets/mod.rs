//! What is fuzzed: each target takes any bytes and panics where a promise is broken. Shared by the fuzzer (`fuzz/src`) and by
//! the test that replays seeds and all that was ever found (`tests/fuzz_corpora`).

mod certificates;
mod channel;
mod config;
mod engine;
mod framer;
mod http;
mod input;
mod journal;
mod memory;
mod nmap;
mod peer;
mod repair;
mod run;
mod websocket;

#[derive(Clone, Copy)]
pub struct Target {
    pub name: &'static str,
    pub run: fn(&[u8]),
}

const TARGETS: [Target; 11] = [
    Target { name: "certificates", run: certificates::run },
    Target { name: "channel", run: channel::run },
    Target { name: "config", run: config::run },
    Target { name: "engine", run: engine::run },
    Target { name: "framer", run: framer::run },
    Target { name: "http", run: http::run },
    Target { name: "journal", run: journal::run },
    Target { name: "nmap", run: nmap::run },
    Target { name: "repair", run: repair::run },
    Target { name: "run", run: run::run },
    Target { name: "websocket", run: websocket::run },
];

pub fn find(name: &str) -> Option<Target> {
    TARGETS.into_iter().find(|target| target.name == name)
}

pub fn names() -> [&'static str; TARGETS.len()] {
    TARGETS.map(|target| target.name)
}

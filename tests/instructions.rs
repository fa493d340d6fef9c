//! What the agent costs in instructions: for each document, each executor and each host of a backlog. Valgrind's callgrind counts
//! them, and counts the same on a busy machine. They are held to within a tenth of `instructions/figures.txt`, and must not grow
//! with the number of documents, executors or hosts. What the kernel does for the agent is not in them.
//!
//! `tests/instructions/run` is the command; it installs valgrind where it is missing.
//!
//! * `UPDATE_FIGURES=1` writes down what is counted, after a change that was meant to cost or save something.
//! * `PROFILE=1` prints where the instructions go; with `--profile count` in place of `--release` the functions have names.

#[path = "instructions/callgrind.rs"]
mod callgrind;
#[path = "instructions/figures.rs"]
mod figures;
#[path = "instructions/scenes.rs"]
mod scenes;
mod support;

use callgrind::Count;

/// How many times the smallest number of units.
const FACTORS: [u64; 3] = [1, 4, 16];

#[test]
#[ignore = "a measurement, see the head of tests/instructions.rs"]
fn documents_cost_what_is_committed() {
    check("document", 2000, scenes::documents);
}

#[test]
#[ignore = "a measurement, see the head of tests/instructions.rs"]
fn executors_cost_what_is_committed() {
    check("executor", 8, scenes::executors);
}

#[test]
#[ignore = "a measurement, see the head of tests/instructions.rs"]
fn a_backlog_costs_what_is_committed() {
    check("host of a backlog", 2000, scenes::backlog);
}

/// Counts for 1, 4 and 16 times `units`. What it costs without any, from the start of the agent to its end, is taken off.
#[track_caller]
fn check(unit: &str, units: u64, count: fn(u64) -> Count) {
    if cfg!(debug_assertions) {
        panic!("the figures are those of the release binary: tests/instructions/run");
    }
    let without = count(0).instructions;
    let per_unit = FACTORS.map(|factor| {
        let Count { instructions, profile } = count(units * factor);
        if factor == FACTORS[2] && std::env::var_os("PROFILE").is_some() {
            println!("at {} times {unit}:\n{}", units * factor, profile());
        }
        instructions.saturating_sub(without) / (units * factor)
    });
    println!("instructions per {unit}: {per_unit:?} at {FACTORS:?} times {units}; {without} without any");
    figures::check_linear(unit, per_unit);
    figures::check_committed(unit, per_unit);
}

//! Measures the agent from outside, as a process against a fast server that is a process of its own, side by side with what
//! people would use instead: `cargo bench --bench agent`. How to read it is in benches/README.md.
//!
//! This program has three roles: the bench, and, when it starts itself again, the server and the executors.

#[path = "agent/backlogs.rs"]
mod backlogs;
#[path = "agent/chart.rs"]
mod chart;
#[path = "agent/crowds.rs"]
mod crowds;
#[path = "agent/floor.rs"]
mod floor;
#[path = "agent/generator.rs"]
mod generator;
#[path = "agent/latencies.rs"]
mod latencies;
#[path = "agent/limits.rs"]
mod limits;
#[path = "agent/measure.rs"]
mod measure;
#[path = "agent/peers.rs"]
mod peers;
#[path = "agent/readme.rs"]
mod readme;
#[path = "agent/remote.rs"]
mod remote;
#[path = "agent/report.rs"]
mod report;
#[path = "agent/rig.rs"]
mod rig;
#[path = "agent/scenarios.rs"]
mod scenarios;
#[path = "agent/server.rs"]
mod server;
#[path = "agent/sheet.rs"]
mod sheet;
#[path = "../tests/support/mod.rs"]
mod support;

use std::process::ExitCode;

use scenarios::Size;
use sheet::Sheet;

struct Scenario {
    name: &'static str,
    play: fn(Size, &mut Sheet),
    /// How often it is played at most: the long ones less often.
    times_max: usize,
}

const fn scenario(name: &'static str, play: fn(Size, &mut Sheet), times_max: usize) -> Scenario {
    Scenario { name, play, times_max }
}

const SCENARIOS: [Scenario; 14] = [
    scenario("limits", limits::limits, 3),
    scenario("binary", scenarios::binary, 1),
    scenario("start", scenarios::start, 5),
    scenario("idle", scenarios::idle, 1),
    scenario("latency", scenarios::latency, 5),
    scenario("one", scenarios::one, 5),
    scenario("executors", crowds::executors, 3),
    scenario("crowd-alone", crowds::crowd_alone, 3),
    scenario("crowd-floor", floor::crowd_floor, 3),
    scenario("crowd", crowds::crowd, 5),
    scenario("thousand-idle", crowds::thousand_idle, 1),
    scenario("report", backlogs::report, 3),
    scenario("backlog", backlogs::backlog, 3),
    scenario("peers", peers::peers, 5),
];

/// What the command line asks for.
struct Options {
    words: Vec<String>,
    size: Size,
    times: usize,
    readme: bool,
}

impl Options {
    /// `None` when cargo only wants to know whether the benches start, as `cargo test --benches` does.
    fn read(args: impl Iterator<Item = String>) -> Option<Options> {
        let mut options = Options { words: Vec::new(), size: Size { quick: false }, times: 5, readme: false };
        let (mut is_bench, mut args) = (false, args);
        while let Some(arg) = args.next() {
            match arg.as_str() {
                "--bench" => is_bench = true,
                "--quick" => (options.size.quick, options.times) = (true, 1),
                "--readme" => options.readme = true,
                "--agent" => {
                    let path = std::fs::canonicalize(args.next().expect("--agent PATH")).expect("a program is there");
                    let _ = rig::OTHER_BINARY.set(path.display().to_string());
                }
                "--times" => options.times = args.next().and_then(|times| times.parse().ok()).unwrap_or(1),
                word if word.starts_with('-') => panic!("{word}? see benches/README.md"),
                word => options.words.push(word.to_owned()),
            }
        }
        is_bench.then_some(options)
    }

    fn wants(&self, scenario: &Scenario) -> bool {
        self.words.is_empty() || self.words.iter().any(|word| scenario.name.contains(word.as_str()))
    }
}

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1).peekable();
    match args.peek().map(String::as_str) {
        Some("generator") => generator::main(args.skip(1)),
        Some("server") => server::main(args.skip(1)),
        _ => match Options::read(args) {
            Some(options) => return bench(&options),
            None => println!("nothing is measured without --bench"),
        },
    }
    ExitCode::SUCCESS
}

fn bench(options: &Options) -> ExitCode {
    let machine = measure::machine();
    println!("{machine}");
    let mut sheet = Sheet::default();
    for scenario in SCENARIOS.iter().filter(|scenario| options.wants(scenario)) {
        sheet.begin(scenario.name);
        for _ in 0..options.times.min(scenario.times_max) {
            (scenario.play)(options.size, &mut sheet);
        }
        report::print(&sheet, scenario.name);
    }
    sheet.remarks.iter().for_each(|remark| println!("note: {remark}"));
    match report::write(&sheet, &machine) {
        Ok(path) => println!("written: {}", path.display()),
        Err(error) => println!("the report could not be written: {error}"),
    }
    if options.readme {
        readme::replace(&sheet, &machine).expect("README.md has its two comments and can be written");
    }
    if sheet.losses.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

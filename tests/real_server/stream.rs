//! An executor that prints hosts steadily, for as long as it takes to stop and start things under it.

use std::time::Duration;

use super::rig::{Rig, gate};

pub struct Stream {
    hosts: u32,
    /// Behind so many it waits for the gate.
    before_gate: u32,
    pause: Duration,
}

impl Stream {
    pub fn new(hosts: u32, before_gate: u32, pause: Duration) -> Stream {
        Stream { hosts, before_gate, pause }
    }

    /// The words of a shell script. `gate` is what it waits for with `before_gate` hosts printed.
    pub fn script(&self, gate_name: &str) -> String {
        let Stream { hosts, before_gate, pause } = self;
        let gate = gate(gate_name);
        let print = r#"printf '{"hosts":[{"ip":"10.7.%d.%d","description":""}]}\n' $((n / 100)) $((n % 100))"#;
        let seconds = pause.as_secs_f32();
        format!(
            "n=0; while [ $n -lt {hosts} ]; do [ $n -ne {before_gate} ] || {{ {gate}; }}; {print}; n=$((n + 1)); \
             sleep {seconds}; done"
        )
    }

    pub fn ip(n: u32) -> String {
        format!("10.7.{}.{}", n / 100, n % 100)
    }

    /// The addresses of the first `count` hosts, sorted.
    pub fn ips(count: u32) -> Vec<String> {
        let mut ips: Vec<String> = (0..count).map(Stream::ip).collect();
        ips.sort();
        ips
    }

    /// Waits until the workspace holds the first `count` hosts, each once, and nothing else.
    #[track_caller]
    pub fn wait_stored(rig: &Rig, workspace: &str, count: u32) {
        let expected = Stream::ips(count);
        rig.wait(&format!("{count} hosts"), || (rig.server.stored_ips(workspace) == expected).then_some(()));
    }
}

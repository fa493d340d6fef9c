//! The signals that the agent waits for: blocked in every thread and read from one descriptor. What they mean is decided
//! elsewhere.

use std::fs;

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

/// Blocks the agent's signals, for this thread and all that it starts from now on, and gives the descriptor that tells of
/// them. The error is a line for the user.
pub fn watch() -> Result<SignalFd, String> {
    let ignored = fs::read_to_string("/proc/self/status").ok().and_then(|status| ignored(&status)).unwrap_or(0);
    let is_ignored = |signal: Signal| ignored & bit(signal) != 0;
    if is_ignored(Signal::SIGCHLD) {
        return Err("SIGCHLD is ignored by the will of whatever started this agent, so it would never learn how its \
                    executors end; start it with `env --default-signal=CHLD agent …`"
            .to_owned());
    }
    let mut signals = SigSet::empty();
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGCHLD] {
        signals.add(signal);
    }
    // Under nohup(1) the agent is to outlive its terminal.
    if !is_ignored(Signal::SIGHUP) {
        signals.add(Signal::SIGHUP);
    }
    let watched = signals
        .thread_block()
        .and_then(|()| SignalFd::with_flags(&signals, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC));
    watched.map_err(|error| format!("watching signals: {error}"))
}

/// The signals that this process was started to ignore, as proc(5) shows them: a bit for each, from signal 1 on.
fn ignored(status: &str) -> Option<u64> {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"))?;
    u64::from_str_radix(mask.trim(), 16).ok()
}

fn bit(signal: Signal) -> u64 {
    1 << (signal as i32 - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignored_signals_are_read_from_proc() {
        let status = "Name:\tagent\nSigBlk:\tffffffffffffffff\nSigIgn:\t0000000180011001\nSigCgt:\t0000000000000000\n";
        let ignored = ignored(status).expect("a mask");
        for (signal, expected) in [
            (Signal::SIGHUP, true),
            (Signal::SIGPIPE, true),
            (Signal::SIGCHLD, true),
            (Signal::SIGTERM, false),
            (Signal::SIGINT, false),
        ] {
            assert_eq!(ignored & bit(signal) != 0, expected, "{signal}");
        }
        assert_eq!(super::ignored("Name:\tagent\n"), None);
    }
}

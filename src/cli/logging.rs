//! Where log records go and which ones: one line each, with the time in UTC. Writes nothing itself but what `log` hands it.
//! Driven by `cli::main`.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use log::{LevelFilter, Log, Metadata, Record};
use simplelog::{Config, ConfigBuilder, WriteLogger, format_description};

/// Makes one line of each record, whatever names and words of others it quotes. Lets the agent speak at its level, and its
/// libraries only when something is wrong; at `trace` what they do, too, but never all: at their own trace level they print every message, and with it tokens and passwords.
struct Gate<L> {
    level: LevelFilter,
    lines: L,
}

/// From here on, records of `level` and above go to stderr, or to the end of `file`, which is made if need be and then is
/// for its owner alone: error texts may quote what only the owner should read.
pub fn start(level: LevelFilter, file: Option<&Path>) -> io::Result<()> {
    let lines: Box<dyn Log> = match file {
        // One write for a line: the formatter hands out a character at a time.
        None => WriteLogger::new(level, lines(), io::LineWriter::new(io::stderr())),
        Some(path) => {
            let file = OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
            WriteLogger::new(level, lines(), io::LineWriter::new(file))
        }
    };
    log::set_boxed_logger(Box::new(Gate { level, lines })).map_err(io::Error::other)?;
    log::set_max_level(level);
    Ok(())
}

/// `2025-01-31T12:00:00.000Z [INFO] text`; with the module from debug on.
fn lines() -> Config {
    ConfigBuilder::new()
        .set_time_format_custom(format_description!(
            "[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z"
        ))
        .set_thread_level(LevelFilter::Off)
        .set_location_level(LevelFilter::Off)
        .build()
}

impl<L: Log> Log for Gate<L> {
    fn enabled(&self, metadata: &Metadata) -> bool {
        let target = metadata.target();
        let is_ours = target.split("::").next() == Some(env!("CARGO_CRATE_NAME"));
        let level_max = match self.level {
            level if is_ours => level,
            LevelFilter::Trace => LevelFilter::Debug,
            level => level.min(LevelFilter::Warn),
        };
        metadata.level() <= level_max
    }

    fn log(&self, record: &Record) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let text = record.args().to_string();
        if !text.contains(char::is_control) {
            return self.lines.log(record);
        }
        let line = text.replace(char::is_control, " ");
        let metadata = record.metadata().clone();
        self.lines.log(&Record::builder().metadata(metadata).args(format_args!("{line}")).build());
    }

    fn flush(&self) {
        self.lines.flush();
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use log::Level;

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("a lock").write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn written(chosen: LevelFilter, target: &str, level: Level) -> String {
        written_text(chosen, target, level, "text")
    }

    fn written_text(chosen: LevelFilter, target: &str, level: Level, text: &str) -> String {
        let to = Written::default();
        let lines = WriteLogger::new(chosen, lines(), to.clone());
        let gate = Gate { level: chosen, lines };
        gate.log(&Record::builder().target(target).level(level).args(format_args!("{text}")).build());
        let bytes = to.0.lock().expect("a lock").clone();
        String::from_utf8(bytes).expect("UTF-8")
    }

    #[test]
    fn libraries_are_quieter_than_the_agent() {
        use LevelFilter::{Debug as DebugUp, Error as ErrorUp, Info as InfoUp, Trace as TraceUp};
        let table = [
            (InfoUp, "faraday_agent", Level::Info, true),
            (InfoUp, "faraday_agent::shell", Level::Info, true),
            (InfoUp, "faraday_agent", Level::Debug, false),
            (InfoUp, "faraday_agents", Level::Info, false),
            (InfoUp, "ureq", Level::Info, false),
            (InfoUp, "ureq::run", Level::Warn, true),
            (DebugUp, "faraday_agent", Level::Debug, true),
            (DebugUp, "rustls", Level::Info, false),
            (ErrorUp, "rustls", Level::Warn, false),
            (TraceUp, "faraday_agent", Level::Trace, true),
            (TraceUp, "rustls", Level::Debug, true),
            (TraceUp, "tungstenite", Level::Trace, false),
        ];
        for (chosen, target, level, expected) in table {
            let line = written(chosen, target, level);
            assert_eq!(!line.is_empty(), expected, "{chosen} {target} {level}: {line:?}");
        }
    }

    #[test]
    fn a_line_has_time_level_and_text() {
        let line = written(LevelFilter::Info, "faraday_agent", Level::Info);
        let digits: String = line.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
        assert_eq!(digits, "0000-00-00T00:00:00.000Z [INFO] text\n");
        let line = written(LevelFilter::Debug, "faraday_agent::cli", Level::Debug);
        assert!(line.ends_with("Z [DEBUG] faraday_agent::cli: text\n"), "{line}");
        let line = written_text(LevelFilter::Debug, "faraday_agent::cli", Level::Debug, "a\nb\r\u{1b}c");
        assert!(line.ends_with("Z [DEBUG] faraday_agent::cli: a b  c\n"), "{line}");
    }
}

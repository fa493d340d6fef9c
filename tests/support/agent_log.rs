//! What the agent prints, line by line, in memory and in a file.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

pub struct AgentLog {
    lines: Mutex<Lines>,
    changed: Condvar,
}

struct Lines {
    all: Vec<String>,
    file: File,
    /// Streams that are still being read.
    open: usize,
}

impl AgentLog {
    pub fn new(path: &Path) -> AgentLog {
        let file = File::create(path).unwrap_or_else(|e| panic!("making {}: {e}", path.display()));
        AgentLog { lines: Mutex::new(Lines { all: Vec::new(), file, open: 0 }), changed: Condvar::new() }
    }

    /// Takes all lines of `stream`, on a thread of its own, until it ends.
    pub fn follow(self: &Arc<Self>, stream: impl Read + Send + 'static) {
        self.lock().open += 1;
        let log = self.clone();
        std::thread::spawn(move || {
            let mut reader = BufReader::new(stream);
            let mut line = Vec::new();
            while reader.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
                log.add(String::from_utf8_lossy(&line).trim_end().to_owned());
                line.clear();
            }
            log.lock().open -= 1;
            log.changed.notify_all();
        });
    }

    fn add(&self, line: String) {
        let mut lines = self.lock();
        // The file is for people who look into a test that hangs; the lines in memory count.
        let _ = writeln!(lines.file, "{line}");
        lines.all.push(line);
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many lines there are; lines from here on are newer than now.
    pub fn mark(&self) -> usize {
        self.lock().all.len()
    }

    pub fn text(&self) -> String {
        self.lock().all.join("\n")
    }

    pub fn tail(&self, count: usize) -> String {
        let lines = self.lock();
        lines.all[lines.all.len().saturating_sub(count)..].join("\n")
    }

    /// Waits for a line from the `from`th on that holds `pattern`.
    pub fn wait(&self, from: usize, pattern: &str, within: Duration) -> Option<String> {
        let mut looked = from;
        self.wait_until(within, |lines| {
            let new = lines.all.get(looked..).unwrap_or_default();
            looked = looked.max(lines.all.len());
            new.iter().find(|line| line.contains(pattern)).cloned()
        })
    }

    /// Waits until every stream has ended.
    pub fn wait_end(&self, within: Duration) {
        self.wait_until(within, |lines| (lines.open == 0).then_some(()));
    }

    fn wait_until<T>(&self, within: Duration, mut probe: impl FnMut(&Lines) -> Option<T>) -> Option<T> {
        let deadline = Instant::now() + within;
        let mut lines = self.lock();
        loop {
            if let Some(found) = probe(&lines) {
                return Some(found);
            }
            let left = deadline.checked_duration_since(Instant::now())?;
            lines = self.changed.wait_timeout(lines, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

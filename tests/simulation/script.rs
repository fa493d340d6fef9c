//! What a job's executor prints and how it behaves, made up from chance; and what of that has to reach the server.

use std::fmt::Write;
use std::time::Duration;

use faraday_agent::engine::event::Exit;

use super::plan::Faults;
use super::random::Random;

/// What the server thinks of a piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quality {
    Good,
    /// A body with it is answered 400.
    Bad,
    /// A body with it is answered 500.
    Poison,
}

/// Names a piece wherever it is found: in a journal, in a body, among the refused ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tag {
    pub job: usize,
    pub index: usize,
    pub quality: Quality,
    pub is_host: bool,
}

impl Tag {
    fn text(self) -> String {
        let quality = match self.quality {
            Quality::Good => 'g',
            Quality::Bad => 'b',
            Quality::Poison => 'p',
        };
        format!("#{}.{}.{quality}#", self.job, self.index)
    }

    /// The tag of a piece as it was printed.
    pub fn of(piece: &[u8]) -> Tag {
        let text = std::str::from_utf8(piece).expect("a piece is text");
        let mut parts = text.split('#').nth(1).expect("a tag").split('.');
        let mut number = || parts.next().and_then(|part| part.parse().ok()).expect("a number");
        let (job, index) = (number(), number());
        let quality = match parts.next() {
            Some("g") => Quality::Good,
            Some("b") => Quality::Bad,
            _ => Quality::Poison,
        };
        Tag { job, index, quality, is_host: text.contains("\"ip\"") }
    }
}

#[derive(Clone, Debug)]
pub enum Step {
    Print(Vec<u8>),
    Complain,
    Wait(Duration),
    CloseStdout,
    Exit(Exit),
}

/// Somebody who outlives the executor with its pipes.
#[derive(Clone, Copy, Debug)]
pub struct Holder {
    pub lasts: Duration,
    pub is_of_group: bool,
}

#[derive(Clone, Debug)]
pub struct Script {
    pub steps: Vec<Step>,
    pub ignores_term: bool,
    pub holder: Option<Holder>,
    pub pieces: Vec<Tag>,
    /// Something is printed that looks like findings and cannot be delivered.
    pub is_spoilt: bool,
}

impl Script {
    pub fn new(job: usize, faults: &Faults, random: &mut Random) -> Script {
        let exit = match random.below(10) {
            0 => Exit::Code(3),
            1 => Exit::Signal(11),
            _ => Exit::Code(0),
        };
        let mut script = Script {
            steps: Vec::new(),
            ignores_term: random.chance(150),
            holder: random
                .chance(100)
                .then(|| Holder { lasts: random.millis(100, 20_000), is_of_group: random.chance(600) }),
            pieces: Vec::new(),
            is_spoilt: false,
        };
        let text = script.print(job, faults, random);
        script.cut(text.as_bytes(), random);
        if random.chance(100) {
            script.steps.push(Step::CloseStdout);
            script.steps.push(Step::Wait(random.millis(0, 20_000)));
        }
        script.steps.push(Step::Exit(exit));
        script
    }

    /// A check command; its output is nobody's.
    pub fn of_check(is_well: bool, random: &mut Random) -> Script {
        let exit = Exit::Code(if is_well { 0 } else { 1 });
        let steps = vec![Step::Print(b"checking\n".to_vec()), Step::Wait(random.millis(0, 2000)), Step::Exit(exit)];
        Script { steps, ignores_term: false, holder: None, pieces: Vec::new(), is_spoilt: false }
    }

    fn print(&mut self, job: usize, faults: &Faults, random: &mut Random) -> String {
        let count = if random.chance(25) { random.between(500, 1300) } else { random.size(60) } as usize;
        let padding = match count {
            // More than may be held in memory.
            _ if random.chance(4) => 100_000,
            0..100 => random.size(2000),
            _ => random.size(60),
        };
        let mut text = String::new();
        while self.pieces.len() < count {
            let many = (1 + random.size(30) as usize).min(count - self.pieces.len());
            let hosts = if random.chance(800) { many } else { random.below(many as u64 + 1) as usize };
            let mut piece = |is_host: bool| {
                let quality = match () {
                    () if random.chance(faults.bad_pieces) => Quality::Bad,
                    () if random.chance(faults.poison_pieces) => Quality::Poison,
                    () => Quality::Good,
                };
                let tag = Tag { job, index: self.pieces.len(), quality, is_host };
                self.pieces.push(tag);
                let (tag, padding) = (tag.text(), "x".repeat(random.below(padding + 1) as usize));
                match is_host {
                    true => format!(r#"{{"ip":"{tag}","description":"{padding}"}}"#),
                    false => format!(r#"{{"username":"{tag}","password":"{padding}!"}}"#),
                }
            };
            let pieces: Vec<String> = (0..many).map(|index| piece(index < hosts)).collect();
            let _ = write!(text, r#"{{"hosts":[{}]"#, pieces[..hosts].join(","));
            if hosts < many {
                let _ = write!(text, r#","credentials":[{}]"#, pieces[hosts..].join(","));
            }
            text.push_str(random.pick(&["}\n", "}\n", "}\r\n", "}\nnot a document\n"]));
        }
        if random.chance(60) {
            self.is_spoilt = true;
            text.push_str(random.pick(&["{\"hosts\":7}\n", "{\"nothing\":1}\n", "{\"hosts\":["]));
        }
        text
    }

    /// Into what one write each puts into the pipe.
    fn cut(&mut self, mut bytes: &[u8], random: &mut Random) {
        let (chunk_max, pause_ms_max) = (random.pick(&[64, 2000, 60_000]), random.pick(&[1, 100, 2000]));
        let chunk_max = chunk_max.max(bytes.len() as u64 / 60);
        while !bytes.is_empty() {
            let (chunk, rest) = bytes.split_at((1 + random.below(chunk_max) as usize).min(bytes.len()));
            bytes = rest;
            self.steps.push(Step::Print(chunk.to_vec()));
            if random.chance(400) {
                self.steps.push(Step::Wait(random.millis(0, pause_ms_max)));
            }
            if random.chance(30) {
                self.steps.push(Step::Complain);
            }
        }
    }
}

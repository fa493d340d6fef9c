//! How fast the stream of an executor is cut into hosts, these are looked at for what the server would lose, mended and brought
//! into the form of the journal, and what the engine itself costs: in one process and without I/O, `cargo bench --bench engine`.
//! The figures are bytes per second, or items; compare them on one machine and in one run only.

#[path = "engine/events.rs"]
mod events;

use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};

use faraday_agent::frame::record::{self, Kind, Replay};
use faraday_agent::frame::{Framer, Piece};
use faraday_agent::proto::repair::{self, Repairs};

const STREAM_BYTES: usize = 8 << 20;
/// What one read from a pipe gives.
const CHUNK_BYTES: usize = 64 << 10;
const PIECE_BYTES_MAX: usize = 64 << 20;

fn main() {
    divan::main();
}

/// A host of about 200 bytes, as a port scanner prints it.
fn short_host(number: usize) -> String {
    format!(
        r#"{{"ip":"10.{}.{}.{}","description":"","hostnames":["h{number}.example"],"services":[{{"name":"http","port":80,"protocol":"tcp","status":"open","version":"nginx 1.22.1"}}]}}"#,
        number >> 16 & 255,
        number >> 8 & 255,
        number & 255
    )
}

/// Documents with one short host each, a line each.
fn short_documents() -> Vec<u8> {
    let mut stream = Vec::new();
    for number in 0.. {
        if stream.len() >= STREAM_BYTES {
            return stream;
        }
        stream.extend_from_slice(format!("{{\"hosts\":[{}]}}\n", short_host(number)).as_bytes());
    }
    unreachable!("the numbers do not end before the memory does")
}

/// One document on one line, with hosts of 3 kB that are mostly text.
fn one_large_document() -> Vec<u8> {
    let text = "The remote service is affected by a flaw; see the vendor's advisory.\\n".repeat(40);
    let hosts: Vec<String> = (0..STREAM_BYTES / text.len())
        .map(|number| format!(r#"{{"ip":"10.0.0.{number}","description":"{text}"}}"#))
        .collect();
    format!("{{\"hosts\":[{}]}}\n", hosts.join(",")).into_bytes()
}

/// Text in another script, as Python prints it.
fn escaped_documents() -> Vec<u8> {
    let text = r"\u0441\u0435\u0440\u0432\u0435\u0440 ".repeat(100);
    format!("{{\"hosts\":[{{\"ip\":\"10.0.0.1\",\"description\":\"{text}\"}}]}}\n")
        .repeat(STREAM_BYTES / text.len())
        .into_bytes()
}

/// Hosts of 20 kB with findings that differ little, as a scanner of many paths prints them.
fn documents_with_findings() -> Vec<u8> {
    let finding = |number: usize| {
        format!(
            r#"{{"type":"VulnerabilityWeb","name":"Header is missing","desc":"The server does not send a header:\n  X-Header-{number}","severity":"low","data":"HTTP/1.1 200 OK","refs":[{{"name":"https://example.org/{number}","type":"other"}}],"cve":[],"website":"192.0.2.1","path":"/{number}","method":"GET","status_code":200,"run_date":1700000000}}"#
        )
    };
    let findings: Vec<String> = (0..60).map(finding).collect();
    let host = format!(
        r#"{{"ip":"192.0.2.1","description":"","services":[{{"name":"http","port":80,"protocol":"tcp","vulnerabilities":[{}]}}]}}"#,
        findings.join(",")
    );
    format!("{{\"hosts\":[{host}]}}\n").repeat(STREAM_BYTES / host.len()).into_bytes()
}

/// Cuts the stream as the engine does, and gives the number of pieces.
fn cut(stream: &[u8], mut take: impl FnMut(&[u8])) -> usize {
    let mut framer = Framer::new(PIECE_BYTES_MAX);
    let mut pieces = 0;
    for mut chunk in stream.chunks(CHUNK_BYTES) {
        while let Some(piece) = framer.next(&mut chunk) {
            if let Piece::Host(bytes) = piece {
                pieces += 1;
                take(bytes);
            }
        }
    }
    pieces
}

fn stream(input: &str) -> Vec<u8> {
    match input {
        "short documents" => short_documents(),
        "documents with findings" => documents_with_findings(),
        "escaped documents" => escaped_documents(),
        _ => one_large_document(),
    }
}

/// Cutting is validation too: what comes out is valid JSON.
#[divan::bench(args = ["short documents", "one large document"])]
fn framing_and_validation(bencher: Bencher, input: &str) {
    let stream = stream(input);
    bencher
        .counter(BytesCount::new(stream.len()))
        .bench(|| cut(black_box(&stream), |bytes| _ = black_box(bytes.len())));
}

#[divan::bench]
fn framing_and_records(bencher: Bencher) {
    let stream = short_documents();
    let mut records = Vec::with_capacity(2 * STREAM_BYTES);
    bencher.counter(BytesCount::new(stream.len())).bench_local(|| {
        records.clear();
        cut(black_box(&stream), |bytes| record::encode(Kind::Host, bytes, &mut records))
    });
}

/// The hosts alone: none of them needs a repair.
#[divan::bench(args = ["short documents", "documents with findings", "escaped documents", "one large document"])]
fn inspection(bencher: Bencher, input: &str) {
    let mut hosts = Vec::new();
    cut(&stream(input), |bytes| hosts.push(bytes.to_vec()));
    let bytes: usize = hosts.iter().map(Vec::len).sum();
    bencher.counter(BytesCount::new(bytes)).bench_local(|| {
        let mut repairs = Repairs::default();
        for host in &hosts {
            assert!(repair::host(black_box(host), &mut repairs).is_none());
        }
    });
}

/// A host that one rule has to mend, by the rule. `HOST` stands for what all hosts have.
const MENDED: [(&str, &str); 16] = [
    ("nul", r#"{HOST,"description":"a\u0000b"}"#),
    ("lone surrogate", r#"{HOST,"description":"a\ud800b"}"#),
    (
        "duplicate",
        r#"{HOST,"vulnerabilities":[{"name":"a","desc":"b","severity":"low","type":"Vulnerability"},{"name":"a","desc":"b","severity":"low","type":"Vulnerability"}]}"#,
    ),
    ("id", r#"{HOST,"id":7}"#),
    ("shown", r#"{HOST,"vulnerabilities":[{"name":"a","desc":"b","metadata":{"creator":"x"}}]}"#),
    ("owasp", r#"{HOST,"vulnerabilities":[{"name":"a","desc":"b","owasp":["A1"]}]}"#),
    (
        "ease of resolution",
        r#"{HOST,"vulnerabilities":[{"name":"a","desc":"b","easeofresolution":"simple"},{"name":"c","desc":"d"}]}"#,
    ),
    (
        "custom fields",
        r#"{HOST,"vulnerabilities":[{"name":"a","desc":"b","custom_fields":{"x":"y"}},{"name":"c","desc":"d"}]}"#,
    ),
    ("reference", r#"{HOST,"vulnerabilities":[{"name":"a","desc":"b","refs":[{"name":"x"}]}]}"#),
    ("nameless reference", r#"{HOST,"vulnerabilities":[{"name":"a","desc":"b","refs":[{"type":"other"}]}]}"#),
    ("run_date", r#"{HOST,"vulnerabilities":[{"name":"a","desc":"b","run_date":"2024-01-01T00:00:00"}]}"#),
    ("unreadable run_date", r#"{HOST,"vulnerabilities":[{"name":"a","desc":"b","run_date":"yesterday"}]}"#),
    ("port", r#"{HOST,"services":[{"name":"x","port":70000,"protocol":"tcp"}]}"#),
    (
        "status code",
        r#"{HOST,"vulnerabilities":[{"name":"a","desc":"b","type":"VulnerabilityWeb","status_code":99999999999}]}"#,
    ),
    ("long text", r#"{HOST,"hostnames":["LONG"]}"#),
    ("description", r#"{HOST,"vulnerabilities":[{"name":"a","description":"b"}]}"#),
];

#[divan::bench(args = MENDED.map(|(rule, _)| rule))]
fn repair(bencher: Bencher, rule: &str) {
    let (_, host) = MENDED.into_iter().find(|(name, _)| *name == rule).expect("a rule of the list");
    let host = host.replace("HOST", r#""ip":"10.0.0.1""#).replace("LONG", &"x".repeat(3000));
    bencher.counter(BytesCount::new(host.len())).counter(ItemsCount::new(1usize)).bench_local(|| {
        let mut repairs = Repairs::default();
        let mended = repair::host(black_box(host.as_bytes()), &mut repairs);
        assert!(mended.is_some());
        mended
    });
}

/// What a run's journal holds of a stream.
fn journal() -> Vec<u8> {
    let mut records = Vec::new();
    cut(&short_documents(), |bytes| record::encode(Kind::Host, bytes, &mut records));
    records
}

#[divan::bench]
fn journal_encoding(bencher: Bencher) {
    let mut hosts = Vec::new();
    cut(&short_documents(), |bytes| hosts.push(bytes.to_vec()));
    let bytes: usize = hosts.iter().map(Vec::len).sum();
    let mut records = Vec::with_capacity(2 * STREAM_BYTES);
    bencher.counter(BytesCount::new(bytes)).counter(ItemsCount::new(hosts.len())).bench_local(|| {
        records.clear();
        hosts.iter().for_each(|host| record::encode(Kind::Host, black_box(host), &mut records));
    });
}

/// As after a restart.
#[divan::bench]
fn journal_replay(bencher: Bencher) {
    let records = journal();
    bencher.counter(BytesCount::new(records.len())).bench_local(|| {
        let (mut replay, mut count) = (Replay::default(), 0);
        for chunk in black_box(&records).chunks(CHUNK_BYTES) {
            replay.read(chunk, |_, _, _| count += 1).expect("sound");
        }
        count
    });
}

/// As a worker does for a post.
#[divan::bench]
fn journal_decoding(bencher: Bencher) {
    let records = journal();
    bencher.counter(BytesCount::new(records.len())).bench_local(|| {
        let (mut at, mut count) = (0, 0);
        while at < records.len() {
            let found = record::decode(black_box(&records[at..])).expect("sound");
            at += found.bytes_used;
            count += 1;
        }
        count
    });
}

//! How fast the stream of an executor is cut into hosts, in one process and without I/O: `cargo bench --bench engine`.
//! The figures are bytes per second; compare them on one machine and in one run only.

use divan::counter::BytesCount;
use divan::{Bencher, black_box};

use faraday_agent::frame::record::{self, Kind};
use faraday_agent::frame::{Framer, Piece};

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

#[divan::bench(args = ["short documents", "one large document"])]
fn framing(bencher: Bencher, input: &str) {
    let stream = if input == "short documents" { short_documents() } else { one_large_document() };
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

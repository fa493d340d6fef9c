//! `faraday-agent`: takes RUN commands from a Faraday server, runs executors, delivers what they print.
//!
//! Layers, arrows never point back:
//!
//! ```text
//! main → cli → shell → engine → { proto, frame }
//! ```
//!
//! Beside that line: `bounds`, known to all; and, known only to what stands above them, `config` (of which shell and engine see
//! the checked settings), `official` (for engine and cli) and `report` (for cli alone). `tests/tidy.rs` holds all of this.
//!
//! | part     | owns                                                              | never does |
//! |----------|-------------------------------------------------------------------|------------|
//! | `frame`  | bytes → documents → hosts; where a stream ends; journal records    | I/O |
//! | `proto`  | messages of both command channels, parameter types, manifests, the bulk_create body | I/O |
//! | `bounds` | what others may cost this program, number by number              | anything else |
//! | `config` | what `dispatcher.yaml` may say, and every complaint about it       | I/O beyond reading that one file |
//! | `report` | scanner reports → documents (`agent report`)                       | decisions about runs |
//! | `official` | the executors inside this binary: manifests and scripts               | running them |
//! | `engine` | every decision: what runs, when to send, retry, kill, give up      | I/O, clocks, threads |
//! | `shell`  | every system call: epoll, sockets, children, signals, files, TLS   | decisions |
//! | `cli`    | arguments, logging, exit code                                      | anything else |

#![forbid(unsafe_code)]

pub mod bounds;
pub mod cli;
pub mod config;
pub mod engine;
pub mod frame;
pub mod official;
pub mod proto;
pub mod report;
pub mod shell;

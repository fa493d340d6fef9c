//! The binary `agent`: everything is in the library.

#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    faraday_agent::cli::main(std::env::args_os().skip(1))
}

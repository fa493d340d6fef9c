//! The fuzzer: libFuzzer's own `main` around the target that the variable `FUZZ_TARGET` names. `fuzz/run` builds and starts it.

#![no_main]

#[path = "../targets/mod.rs"]
mod targets;

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;

static TARGET: LazyLock<targets::Target> = LazyLock::new(|| {
    let name = std::env::var("FUZZ_TARGET").unwrap_or_default();
    targets::find(&name).unwrap_or_else(|| panic!("FUZZ_TARGET={name}: expected one of {:?}", targets::names()))
});

fuzz_target!(|input: &[u8]| (TARGET.run)(input));

//! Who may name whom. Arrows never point back, and only `shell` speaks to the system while the agent runs.

use super::paths::{named, resolve};
use super::source::{Source, words};
use super::{Finding, assert_clean};

struct Layer {
    name: &'static str,
    /// Other parts of this package that it may name.
    may: &'static [&'static str],
    /// What it must not name of other packages.
    never: &'static [Packages],
}

type Packages = &'static [&'static str];

/// What belongs to the event loop, to other processes and to the way to the server.
const REACTOR: Packages = &[
    "libc",
    "mio",
    "nix",
    "rustls",
    "rustls_native_certs",
    "std::process::Command",
    "std::thread",
    "tungstenite",
    "ureq",
];
/// Files and the rest of what a part that only computes has no business with.
const SYSTEM: Packages = &["simplelog", "std::env", "std::fs", "std::io", "std::os", "std::process"];
/// What else there is in `std::net` is addresses, which are only text.
const SOCKETS: Packages =
    &["std::net::TcpListener", "std::net::TcpStream", "std::net::ToSocketAddrs", "std::net::UdpSocket"];
const NET: Packages = &["std::net"];

/// Numbers that every part may name.
const KNOWN_TO_ALL: &str = "bounds";

const LAYERS: [Layer; 11] = [
    Layer { name: KNOWN_TO_ALL, may: &[], never: &[REACTOR, SYSTEM, NET] },
    Layer { name: "frame", may: &[], never: &[REACTOR, SYSTEM, NET] },
    Layer { name: "proto", may: &[], never: &[REACTOR, SYSTEM, SOCKETS] },
    Layer { name: "config", may: &["proto"], never: &[REACTOR, SOCKETS] },
    Layer { name: "official", may: &["proto::manifest"], never: &[REACTOR, SYSTEM, NET] },
    Layer { name: "report", may: &[], never: &[REACTOR, NET] },
    Layer { name: "engine", may: &["frame", "proto", "config::settings", "official"], never: &[REACTOR, SYSTEM, NET] },
    Layer {
        name: "shell",
        may: &["engine", "frame", "proto", "config::settings", "official"],
        never: &[&["argh", "simplelog"]],
    },
    Layer { name: "cli", may: &["config", "official", "report", "shell"], never: &[REACTOR, NET] },
    Layer { name: "main", may: &["cli"], never: &[REACTOR, NET] },
    Layer { name: "lib", may: &[], never: &[REACTOR, SYSTEM, NET] },
];

/// Parts that are told the time and must not ask for it.
const WITHOUT_CLOCK: [&str; 5] = ["frame", "proto", "engine", "official", "report"];

#[test]
fn arrows_never_point_back() {
    assert_clean(misplaced_names);
}

fn misplaced_names(source: &Source) -> Vec<Finding> {
    let Some(path) = source.path.strip_prefix("src/") else {
        return Vec::new();
    };
    let name = path.split(['/', '.']).next().unwrap_or_default();
    let Some(layer) = LAYERS.iter().find(|layer| layer.name == name) else {
        return vec![Finding::new(1, format!("`{name}` has no place in tests/tidy/layers.rs"))];
    };
    let mut findings = Vec::new();
    for named in named(source.program()) {
        let (inside, path) = resolve(&source.path, &named.parts);
        let own = within(&path, layer.name) || within(&path, KNOWN_TO_ALL) || (inside && path.is_empty());
        let wrong = match inside {
            true => !own && !layer.may.iter().any(|may| within(&path, may)),
            false => layer.never.iter().copied().flatten().any(|never| within(&path, never)),
        };
        if wrong {
            findings
                .push(Finding::new(source.line_of(named.offset), format!("`{}` must not name `{path}`", layer.name)));
        }
        if WITHOUT_CLOCK.contains(&layer.name) && is_clock(&named.parts) {
            findings.push(Finding::new(source.line_of(named.offset), format!("`{}` has no clock", layer.name)));
        }
    }
    findings
}

/// Whether `path` is `outer` or something in it.
fn within(path: &str, outer: &str) -> bool {
    path.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

fn is_clock(parts: &[String]) -> bool {
    let last_two = parts.len().checked_sub(2).map(|from| [parts[from].as_str(), parts[from + 1].as_str()]);
    matches!(last_two, Some(["Instant" | "SystemTime" | "UtcDateTime" | "OffsetDateTime", "now" | "now_utc"]))
}

#[test]
fn nothing_is_unsafe() {
    assert_clean(|source| {
        let is_root = matches!(source.path.as_str(), "src/lib.rs" | "src/main.rs");
        let missing = is_root && !source.code.contains("#![forbid(unsafe_code)]");
        let missing = missing.then(|| Finding::new(1, "needs #![forbid(unsafe_code)]"));
        let used = words(&source.code).filter(|(_, word)| *word == "unsafe");
        missing.into_iter().chain(used.map(|(at, _)| Finding::new(source.line_of(at), "unsafe"))).collect()
    });
}

#[test]
fn misplaced_names_are_found() {
    for (path, text, lines) in [
        ("src/engine/a.rs", "use crate::shell::net;\nuse crate::{proto, cli};\n", vec![1, 2]),
        ("src/engine/a.rs", "use super::run;\nuse super::super::report;\n", vec![2]),
        ("src/engine/a.rs", "use crate::config::settings::Secret;\nuse crate::config::read;\n", vec![2]),
        ("src/engine/a.rs", "use std::time::Instant;\nfn a() { Instant::now(); }\n", vec![2]),
        ("src/engine/a.rs", "use std::{sync::Arc,\n fs,\n net::IpAddr};\n", vec![2, 3]),
        (
            "src/engine/a.rs",
            "// std::fs\nfn a() { f(\"std::fs\") }\n#[cfg(test)]\nmod tests {\n use std::fs::read;\n}",
            vec![],
        ),
        ("src/proto/a.rs", "use std::net::{IpAddr, TcpStream};\nuse crate::engine::Engine;\n", vec![1, 2]),
        ("src/frame/a.rs", "use crate::proto::bulk;\n", vec![1]),
        ("src/shell/a.rs", "use crate::cli::main;\n", vec![1]),
        ("src/frame/a.rs", "use crate::bounds::A;\n", vec![]),
        ("src/bounds.rs", "use crate::proto::bulk;\n", vec![1]),
        ("src/new/a.rs", "", vec![1]),
        ("tests/a.rs", "use std::fs;", vec![]),
    ] {
        let found: Vec<usize> = misplaced_names(&Source::new(path, text)).iter().map(|finding| finding.line).collect();
        assert_eq!(found, lines, "{path}: {text}");
    }
}

//! What the text of a scalar may mean: ports, switches, numbers, times. One constant per kind, each with the words in which
//! a complaint says what was expected. Driven by `section`; knows nothing of keys.

use std::path::PathBuf;
use std::time::Duration;

use crate::config::settings::{AgentToken, ProtocolChoice};
use crate::proto::param::ParamType;

/// The longest time that may be configured, 366 days: what adds it to a clock cannot overflow.
const SECONDS_MAX: f64 = 31_622_400.0;

/// How to read one kind of scalar.
pub struct Kind<T: 'static> {
    /// Ends the sentences "… is not" and "missing; expected".
    pub expected: &'static str,
    pub read: fn(&str) -> Option<T>,
    /// Whether a complaint may quote the text.
    pub secret: bool,
}

impl<T> Kind<T> {
    const fn new(expected: &'static str, read: fn(&str) -> Option<T>) -> Kind<T> {
        Kind { expected, read, secret: false }
    }
}

pub const TEXT: Kind<String> = Kind::new("a text", |text| Some(text.to_owned()));

/// `host` takes it apart.
pub const HOST: Kind<String> = Kind::new("a host name, an address or a URL", |text| Some(text.to_owned()));

/// The environment cannot hold a NUL.
pub const VARENV: Kind<String> = Kind {
    secret: true,
    ..Kind::new("a text, number or boolean", |text| (!text.contains('\0')).then(|| text.to_owned()))
};

/// Not blank, and one line: it goes into log lines.
pub const NAME: Kind<String> = Kind::new("a name", |text| {
    let fits = !text.trim().is_empty() && !text.contains(char::is_control);
    fits.then(|| text.to_owned())
});

/// For `/bin/sh -c`, which cannot take a NUL. Blank is as good as absent.
pub const COMMAND: Kind<Option<String>> = Kind {
    secret: true,
    ..Kind::new("a command", |text| {
        let command = (!text.trim().is_empty()).then(|| text.to_owned());
        (!text.contains('\0')).then_some(command)
    })
};

/// `nmap` and `nmap.py` name the same official executor. Blank is as good as absent.
pub const OFFICIAL: Kind<Option<String>> = Kind::new("an official executor such as nmap.py", |text| {
    let name = text.split_once('.').map_or(text, |(name, _)| name);
    let fits = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    match (text.is_empty(), name.is_empty()) {
        (true, _) => Some(None),
        (_, true) => None,
        _ => fits.then(|| Some(name.to_owned())),
    }
});

/// Blank is as good as absent.
pub const PATH: Kind<Option<PathBuf>> = Kind::new("a path", |text| {
    let path = (!text.is_empty()).then(|| PathBuf::from(text));
    (!text.contains('\0')).then_some(path)
});

pub const PORT: Kind<u16> = Kind::new("a port (1 to 65535)", |text| number(text).filter(|port| *port != 0));

/// `None` for 0, which the web interface of Faraday writes for "the same".
pub const PORT_OR_ZERO: Kind<Option<u16>> =
    Kind::new("a port (1 to 65535, or 0 for api_port)", |text| number(text).map(|port| (port != 0).then_some(port)));

/// Every spelling of YAML 1.1, and those that the Python agent knows besides.
pub const SWITCH: Kind<bool> = Kind::new("true or false", |text| match text.trim().to_ascii_lowercase().as_str() {
    "true" | "t" | "yes" | "y" | "on" | "1" => Some(true),
    "false" | "f" | "no" | "n" | "off" | "0" => Some(false),
    _ => None,
});

pub const NUMBER: Kind<f64> = Kind::new("a number", |text| number(text).filter(|n: &f64| n.is_finite()));

pub const COUNT: Kind<usize> = Kind::new("a whole number", number);

/// `None` for 0.
pub const LIMIT: Kind<Option<usize>> =
    Kind::new("a whole number (0 is no limit)", |text| number(text).map(|count| (count > 0).then_some(count)));

/// A time that ends something: 0 would end it before it began.
pub const SECONDS: Kind<Duration> = Kind::new("a number of seconds (more than 0, at most 31622400)", |text| {
    seconds(text, 1.0).filter(|time| !time.is_zero())
});

pub const SECONDS_OR_ZERO: Kind<Duration> = Kind::new("a number of seconds (0 to 31622400)", |text| seconds(text, 1.0));

pub const MILLISECONDS_OR_ZERO: Kind<Duration> =
    Kind::new("a number of milliseconds (0 to 31622400000)", |text| seconds(text, 0.001));

pub const DAYS: Kind<Duration> = Kind::new("a number of days (more than 0, at most 366)", |text| {
    seconds(text, 86_400.0).filter(|time| !time.is_zero())
});

/// With less there would be no room for the journals of a few runs at once.
pub const BYTES: Kind<u64> =
    Kind::new("a whole number of bytes (at least 1048576)", |text| number(text).filter(|bytes| *bytes >= 1 << 20));

pub const PROTOCOL: Kind<ProtocolChoice> = Kind::new("auto, socketio or websocket", |text| match text {
    "auto" => Some(ProtocolChoice::Auto),
    "socketio" => Some(ProtocolChoice::SocketIo),
    "websocket" => Some(ProtocolChoice::WebSocket),
    _ => None,
});

pub const PARAM_TYPE: Kind<ParamType> = Kind::new(
    "a type (integer, string, password, boolean, list, domains, range, ip, float or url)",
    ParamType::from_name,
);

/// Blank is as good as absent: a template that had no token to fill in.
pub const TOKEN: Kind<Option<AgentToken>> = Kind {
    secret: true,
    ..Kind::new("64 letters and digits", |text| match text {
        "" => Some(None),
        text => AgentToken::parse(text).map(Some),
    })
};

fn number<N: std::str::FromStr>(text: &str) -> Option<N> {
    text.trim().parse().ok()
}

fn seconds(text: &str, unit_s: f64) -> Option<Duration> {
    let seconds = number::<f64>(text)? * unit_s;
    // Also false for NaN and the infinities, which parse as numbers.
    let fits = (0.0..=SECONDS_MAX).contains(&seconds);
    fits.then(|| Duration::from_secs_f64(seconds))
}

#[cfg(test)]
mod tests {
    use std::fmt::Debug;

    use super::*;

    const SECONDS_366: Duration = Duration::from_secs(31_622_400);

    fn check<T: PartialEq + Debug, const N: usize>(kind: &Kind<T>, table: [(&str, Option<T>); N]) {
        for (text, expected) in table {
            assert_eq!((kind.read)(text), expected, "{text:?} as {}", kind.expected);
        }
    }

    #[test]
    fn ports() {
        check(
            &PORT,
            [
                ("5985", Some(5985)),
                (" 443 ", Some(443)),
                ("65535", Some(65535)),
                ("0", None),
                ("65536", None),
                ("-1", None),
                ("80.0", None),
                ("abc", None),
                ("", None),
            ],
        );
        check(&PORT_OR_ZERO, [("0", Some(None)), ("9000", Some(Some(9000))), ("x", None)]);
    }

    #[test]
    fn switches_in_every_spelling() {
        for text in ["true", "True", "TRUE", "yes", "on", "t", "y", "1", " True "] {
            assert_eq!((SWITCH.read)(text), Some(true), "{text}");
        }
        for text in ["false", "False", "no", "Off", "f", "n", "0"] {
            assert_eq!((SWITCH.read)(text), Some(false), "{text}");
        }
        for text in ["", "2", "maybe", "truee"] {
            assert_eq!((SWITCH.read)(text), None, "{text}");
        }
    }

    #[test]
    fn numbers_and_times() {
        check(&NUMBER, [("65536", Some(65536.0)), ("1e3", Some(1000.0)), ("nan", None), ("inf", None), ("64K", None)]);
        check(&COUNT, [("1", Some(1)), ("0", Some(0)), ("-1", None), ("1.5", None)]);
        check(&LIMIT, [("1", Some(Some(1))), ("0", Some(None)), ("-1", None), ("1.5", None)]);
        check(
            &SECONDS,
            [
                ("0.5", Some(Duration::from_millis(500))),
                ("31622400", Some(Duration::from_secs(31_622_400))),
                ("31622401", None),
                ("0", None),
                ("1e-12", None),
                ("-1", None),
                ("NaN", None),
                ("inf", None),
                ("10s", None),
            ],
        );
        check(&SECONDS_OR_ZERO, [("0", Some(Duration::ZERO)), ("-0.1", None)]);
        check(
            &MILLISECONDS_OR_ZERO,
            [("0", Some(Duration::ZERO)), ("1500", Some(Duration::from_millis(1500))), ("-1", None)],
        );
        check(
            &DAYS,
            [("0.5", Some(Duration::from_secs(43_200))), ("366", Some(SECONDS_366)), ("0", None), ("367", None)],
        );
        check(&BYTES, [("1048576", Some(1 << 20)), ("1048575", None), ("4294967296", Some(4 << 30)), ("4G", None)]);
    }

    #[test]
    fn texts() {
        check(&NAME, [("a b/ü", Some("a b/ü".into())), ("", None), ("  ", None), ("a\nb", None)]);
        check(&COMMAND, [("exit 1", Some(Some("exit 1".into()))), ("", Some(None)), ("a\0", None)]);
        check(&PATH, [("/a", Some(Some("/a".into()))), ("", Some(None)), ("a\0", None)]);
        check(
            &OFFICIAL,
            [
                ("nmap.py", Some(Some("nmap".into()))),
                ("nmap", Some(Some("nmap".into()))),
                ("sublist3r.sh", Some(Some("sublist3r".into()))),
                ("gvm_openvas.a.b", Some(Some("gvm_openvas".into()))),
                ("", Some(None)),
                (".py", None),
                ("../nmap.py", None),
                ("my nmap.py", None),
            ],
        );
    }

    #[test]
    fn tokens() {
        let token = "a1B2".repeat(16);
        check(&TOKEN, [("", Some(None)), ("abc", None), (&token, Some(AgentToken::parse(&token)))]);
    }

    #[test]
    fn the_complaint_names_every_type() {
        for known in ParamType::ALL {
            assert!(PARAM_TYPE.expected.contains(known.name()), "{}", known.name());
        }
    }
}

//! `server.host`: a name, an address or a whole URL, taken apart. Driven by `server`.

use std::net::Ipv6Addr;

use crate::config::section::quoted;

/// What a `server.host` says; all but the name may be missing.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Host {
    /// Without brackets.
    pub name: String,
    pub tls: Option<bool>,
    pub port: Option<u16>,
    /// Empty or `/one/or/more`.
    pub base_route: String,
}

impl Host {
    /// `faraday.example`, `10.0.0.1`, `::1`, `[::1]`, each also with `:port` or `/base`, or a URL. The error is for the
    /// user, and shows nothing that may be a password.
    pub fn parse(text: &str) -> Result<Host, String> {
        let text = text.trim();
        let (tls, rest) = scheme(text)?;
        if rest.contains('@') {
            return Err("has a user name or password in it, which the agent does not use; take it out".into());
        }
        if rest.contains(['?', '#']) {
            return Err(format!("{} goes on after its path; take out what follows ? or #", quoted(text)));
        }
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let (name, port) = authority_parts(authority).ok_or_else(|| {
            format!("{} is not a host name, an address or a URL such as https://faraday.example:443/base", quoted(text))
        })?;
        Ok(Host { name: name.to_owned(), tls, port, base_route: base_route(path)? })
    }
}

fn scheme(text: &str) -> Result<(Option<bool>, &str), String> {
    let Some((scheme, rest)) = text.split_once("://") else {
        return Ok((None, text));
    };
    match scheme.to_ascii_lowercase().as_str() {
        "https" | "wss" => Ok((Some(true), rest)),
        "http" | "ws" => Ok((Some(false), rest)),
        _ => Err(format!("{} is not a scheme that the agent speaks; expected http or https", quoted(scheme))),
    }
}

fn authority_parts(authority: &str) -> Option<(&str, Option<u16>)> {
    if authority.parse::<Ipv6Addr>().is_ok() {
        return Some((authority, None));
    }
    if let Some(bracketed) = authority.strip_prefix('[') {
        let (address, port) = bracketed.split_once(']')?;
        address.parse::<Ipv6Addr>().ok()?;
        return match port {
            "" => Some((address, None)),
            port => Some((address, Some(port_number(port.strip_prefix(':')?)?))),
        };
    }
    let (name, port) = match authority.split_once(':') {
        Some((name, port)) => (name, Some(port_number(port)?)),
        None => (authority, None),
    };
    // The underscore is in no host name by the book and in many that containers get.
    let fits = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    let is_name = !name.is_empty() && name.len() <= 253 && name.chars().all(fits);
    is_name.then_some((name, port))
}

fn port_number(text: &str) -> Option<u16> {
    text.parse().ok().filter(|port| *port != 0)
}

/// `base`, `/base/` and `base/` are all `/base`; nothing, `/` and blanks are no route at all.
pub fn base_route(text: &str) -> Result<String, String> {
    let route = text.trim().trim_matches('/');
    // What a URL may have in its path without being escaped (RFC 3986, pchar), and escapes themselves.
    let fits = |c: char| c.is_ascii_alphanumeric() || "-._~!$&'()*+,;=:@%/".contains(c);
    match route {
        "" => Ok(String::new()),
        route if route.chars().all(fits) => Ok(format!("/{route}")),
        route => Err(format!("{} is not a path such as /faraday", quoted(route))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(name: &str, tls: Option<bool>, port: Option<u16>, base_route: &str) -> Host {
        let (name, base_route) = (name.to_owned(), base_route.to_owned());
        Host { name, tls, port, base_route }
    }

    #[test]
    fn names_addresses_and_urls() {
        let table = [
            ("localhost", host("localhost", None, None, "")),
            (" faraday_server.example. ", host("faraday_server.example.", None, None, "")),
            ("10.0.0.1", host("10.0.0.1", None, None, "")),
            ("::1", host("::1", None, None, "")),
            ("[::1]", host("::1", None, None, "")),
            ("[fe80::1]:5985", host("fe80::1", None, Some(5985), "")),
            ("faraday.example:5985", host("faraday.example", None, Some(5985), "")),
            ("faraday.example/base/", host("faraday.example", None, None, "/base")),
            ("http://faraday.example", host("faraday.example", Some(false), None, "")),
            ("HTTPS://faraday.example/", host("faraday.example", Some(true), None, "")),
            ("https://faraday.example:443/base", host("faraday.example", Some(true), Some(443), "/base")),
            ("https://[2001:db8::1]:8443/a/b/", host("2001:db8::1", Some(true), Some(8443), "/a/b")),
            ("wss://faraday.example", host("faraday.example", Some(true), None, "")),
        ];
        for (text, expected) in table {
            assert_eq!(Host::parse(text), Ok(expected), "{text:?}");
        }
    }

    #[test]
    fn what_is_no_host() {
        let table = [
            ("", "is not a host name"),
            ("fara day", "is not a host name"),
            ("http://", "is not a host name"),
            ("faraday.example:", "is not a host name"),
            ("faraday.example:0", "is not a host name"),
            ("faraday.example:99999", "is not a host name"),
            ("[::1", "is not a host name"),
            ("[faraday.example]", "is not a host name"),
            ("[::1]5985", "is not a host name"),
            ("1::2::3", "is not a host name"),
            ("faraday\u{e4}.example", "is not a host name"),
            ("ftp://faraday.example", "\"ftp\" is not a scheme"),
            ("https://faraday.example/?a=b", "goes on after its path"),
            ("https://faraday.example/#/admin", "goes on after its path"),
            ("https://faraday.example/a b", "\"a b\" is not a path"),
            ("https://me:hunter2@faraday.example/", "has a user name"),
        ];
        for (text, expected) in table {
            let error = Host::parse(text).expect_err(text);
            assert!(error.contains(expected), "{text:?}: {error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn base_routes() {
        let table = [
            ("", Ok("")),
            ("/", Ok("")),
            ("  ", Ok("")),
            ("base", Ok("/base")),
            ("/base/", Ok("/base")),
            ("a/b", Ok("/a/b")),
            ("a%20b", Ok("/a%20b")),
        ];
        for (text, expected) in table {
            assert_eq!(base_route(text), expected.map(str::to_owned), "{text:?}");
        }
        for text in ["a b", "a?b", "a#b", "a\\b", "a\nb", "\u{e4}"] {
            assert!(base_route(text).is_err(), "{text:?}");
        }
    }
}

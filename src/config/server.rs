//! The section `server`: where the Faraday server is and how to speak to it. Driven by `config::check`.

use std::path::Path;

use crate::config::host::{self, Host};
use crate::config::kind::{HOST, PATH, PORT, PORT_OR_ZERO, PROTOCOL, SWITCH, TEXT};
use crate::config::section::Section;
use crate::config::settings::Server;

/// Says why a file cannot be read, if so.
pub type Probe<'p> = &'p dyn Fn(&Path) -> Result<(), String>;

/// `None` only after a problem.
pub fn read(root: &mut Section, readable: Probe) -> Option<Server> {
    let mut section = root.required_section("server", "a section with host and api_port")?;
    // Versions before 2.0 named the workspaces here; the server says them with every RUN now.
    section.ignore(&["workspace", "workspaces"]);

    let host = host(&mut section).unwrap_or_default();
    let api_port = api_port(&mut section, &host);
    let websocket_port = section.optional("websocket_port", &PORT_OR_ZERO).flatten();
    let tls = tls(&mut section, &host, api_port);
    let tls_cert = section.optional("ssl_cert", &PATH).flatten();
    if let (true, Some(Err(why))) = (tls, tls_cert.as_deref().map(readable)) {
        section.problem("ssl_cert", why);
    }
    let ignore = section.optional("ssl_ignore", &SWITCH).unwrap_or(false);
    let base_route = base_route(&mut section, &host);
    let protocol = section.optional("protocol", &PROTOCOL).unwrap_or_default();
    section.close();

    let api_port = api_port?;
    Some(Server {
        host: host.name,
        api_port,
        websocket_port: websocket_port.unwrap_or(api_port),
        tls,
        tls_cert,
        tls_verify: !ignore,
        base_route,
        protocol,
    })
}

fn host(section: &mut Section) -> Option<Host> {
    let text = section.required("host", &HOST)?;
    Host::parse(&text).map_err(|why| section.problem("host", why)).ok()
}

/// A URL says the port even where it leaves it out.
fn api_port(section: &mut Section, host: &Host) -> Option<u16> {
    let Some(implied) = host.port.or(host.tls.map(|tls| if tls { 443 } else { 80 })) else {
        return section.required("api_port", &PORT);
    };
    let given = section.optional("api_port", &PORT);
    agreed(section, "api_port", given, host.port).or(Some(implied))
}

/// The Python agent has no default for `ssl`, so nobody's file relies on one. Faraday's own port 5985 speaks plain HTTP.
fn tls(section: &mut Section, host: &Host, api_port: Option<u16>) -> bool {
    let given = section.optional("ssl", &SWITCH);
    if let Some(tls) = agreed(section, "ssl", given, host.tls) {
        return tls;
    }
    let (tls, meaning) = match api_port {
        Some(443) => (true, "true (HTTPS), because api_port is 443"),
        _ => (false, "false (plain HTTP, the agent's token can be read on the way)"),
    };
    if !section.has("ssl") {
        section.warning("ssl", format!("missing, taken as {meaning}"));
    }
    tls
}

fn base_route(section: &mut Section, host: &Host) -> String {
    let text = section.optional("base_route", &TEXT).unwrap_or_default();
    let given = host::base_route(&text).unwrap_or_else(|why| {
        section.problem("base_route", why);
        String::new()
    });
    let [given, in_url] = [given, host.base_route.clone()].map(|route| Some(route).filter(|route| !route.is_empty()));
    agreed(section, "base_route", given, in_url).unwrap_or_default()
}

/// What the key and the URL say, if they do not contradict each other.
fn agreed<T: PartialEq>(section: &mut Section, key: &str, given: Option<T>, in_url: Option<T>) -> Option<T> {
    if given.is_some() && in_url.is_some() && given != in_url {
        section.problem(key, "contradicts the URL in server.host; take out one of the two");
    }
    given.or(in_url)
}

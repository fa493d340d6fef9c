//! nmap's XML (`nmap -oX`) → hosts: address, names, MAC, operating system, ports with service, version and state, and
//! what scripts said. The format is described in nmap's `nmap.dtd`. A host is handed over when its `</host>` has been
//! read; hosts that are down, and whatever else stands in the report, are left out.

mod script;
#[cfg(test)]
mod tests;

use std::io::Read;

use log::warn;

use super::ReportError;
use super::document::{Documents, Host, Kind, Service, Status, Tags};
use super::xml::{Element, Xml};

/// Reads one report, or several one after the other.
pub fn convert(input: &mut dyn Read, documents: &mut Documents<'_>) -> Result<(), ReportError> {
    let mut xml = Xml::new(input)?;
    let mut reports = 0;
    while let Some(root) = xml.root()? {
        if root.name != "nmaprun" {
            return Err(ReportError::NotFrom { tool: "nmap", root: root.name });
        }
        scan(&mut xml, documents)?;
        reports += 1;
    }
    // A prolog alone: nmap had begun to write.
    if reports == 0 { Err(ReportError::Truncated) } else { Ok(()) }
}

fn scan<R: Read>(xml: &mut Xml<R>, documents: &mut Documents<'_>) -> Result<(), ReportError> {
    let mut verdict = Ok(());
    xml.children(|xml, child| {
        match child.name.as_str() {
            "host" => {
                if let Some(host) = Draft::read(xml, child)?.finish() {
                    documents.host(host)?;
                }
            }
            "runstats" => verdict = run_verdict(xml)?,
            _ => {}
        }
        Ok(())
    })?;
    verdict
}

/// What the scan says about itself at its end. The inner result is the scan's, the outer one that of reading it.
fn run_verdict<R: Read>(xml: &mut Xml<R>) -> Result<Result<(), ReportError>, ReportError> {
    let mut failure = None;
    let mut hosts_total = String::new();
    xml.children(|_, child| {
        match child.name.as_str() {
            "finished" if child.attribute("exit") == "error" => failure = Some(reason(child.attribute("errormsg"))),
            "hosts" => hosts_total = child.attribute("total").to_owned(),
            _ => {}
        }
        Ok(())
    })?;
    Ok(match failure {
        Some(why) => Err(ReportError::ScanFailed { why }),
        // nmap itself calls it a success when every name of a target failed to resolve.
        None if hosts_total == "0" => Err(ReportError::NothingScanned),
        None => Ok(()),
    })
}

/// nmap's own error text without the Lua traceback that may follow.
fn reason(message: &str) -> String {
    let lines: Vec<_> =
        message.lines().map(str::trim).take_while(|line| !line.starts_with("stack traceback")).collect();
    lines.join(" ")
}

/// A host as far as it has been read.
#[derive(Default)]
struct Draft {
    host: Host,
    down: bool,
    timed_out: bool,
    /// How sure nmap is of `host.os`, in percent.
    os_accuracy: u8,
    /// The system that a service spoke of, for when nmap did not look itself.
    os_of_service: String,
}

impl Draft {
    fn read<R: Read>(xml: &mut Xml<R>, element: &Element) -> Result<Draft, ReportError> {
        let mut draft = Draft { timed_out: element.attribute("timedout") == "true", ..Draft::default() };
        xml.children(|xml, child| match child.name.as_str() {
            "status" => {
                draft.down = child.attribute("state") == "down";
                Ok(())
            }
            "address" => {
                draft.address(child);
                Ok(())
            }
            "hostnames" | "ports" | "os" | "hostscript" => draft.group(xml),
            _ => Ok(()),
        })?;
        Ok(draft)
    }

    /// The elements that nmap wraps into a plural.
    fn group<R: Read>(&mut self, xml: &mut Xml<R>) -> Result<(), ReportError> {
        xml.children(|xml, child| {
            match child.name.as_str() {
                "hostname" => self.hostname(child),
                "port" => self.port(xml, child)?,
                "osmatch" => self.os(child),
                "script" => self.host.vulnerabilities.extend(script::findings(child, Kind::Plain)),
                _ => {}
            }
            Ok(())
        })
    }

    fn address(&mut self, element: &Element) {
        let address = element.attribute("addr");
        match element.attribute("addrtype") {
            "mac" => {
                address.clone_into(&mut self.host.mac);
                let vendor = element.attribute("vendor");
                if !vendor.is_empty() {
                    self.host.description = format!("MAC vendor: {vendor}");
                }
            }
            "ipv6" if !self.host.ip.is_empty() => {}
            _ => address.clone_into(&mut self.host.ip),
        }
    }

    /// A name that the user gave is often the address's own as well (PTR): it is kept once.
    fn hostname(&mut self, element: &Element) {
        let name = element.attribute("name");
        if !name.is_empty() {
            self.host.hostnames.push(name.to_owned());
        }
    }

    /// nmap lists its guesses; the surest counts, of equals the first.
    fn os(&mut self, element: &Element) {
        let accuracy = element.attribute("accuracy").parse().unwrap_or(0);
        if self.host.os.is_empty() || accuracy > self.os_accuracy {
            element.attribute("name").clone_into(&mut self.host.os);
            self.os_accuracy = accuracy;
        }
    }

    fn port<R: Read>(&mut self, xml: &mut Xml<R>, element: &Element) -> Result<(), ReportError> {
        let number = element.attribute("portid");
        let mut service = Service {
            // nmap's own word for a port that is not in its table.
            name: "unknown".to_owned(),
            protocol: element.attribute("protocol").to_owned(),
            port: number.parse().unwrap_or(0),
            status: Status::Filtered,
            version: String::new(),
            description: String::new(),
            vulnerabilities: Vec::new(),
            tags: Tags::default(),
        };
        xml.children(|_, child| {
            match child.name.as_str() {
                "state" => (service.status, service.description) = status(child.attribute("state")),
                "service" => {
                    service.name = service_name(child);
                    service.version = version(child);
                    if self.os_of_service.is_empty() {
                        child.attribute("ostype").clone_into(&mut self.os_of_service);
                    }
                }
                "script" => service.vulnerabilities.extend(script::findings(child, script::kind_below_service(child))),
                _ => {}
            }
            Ok(())
        })?;
        if number.parse::<u16>().is_ok() && !service.protocol.is_empty() {
            self.host.services.push(service);
        } else {
            warn!("{}: left out a port that is none: {number:?}/{:?}", self.host.ip, service.protocol);
        }
        Ok(())
    }

    /// The host, unless there is nothing to tell of it.
    fn finish(self) -> Option<Host> {
        let mut host = self.host;
        if self.down {
            return None;
        }
        if host.ip.is_empty() {
            warn!("left out a host that has no address");
            return None;
        }
        if self.timed_out {
            warn!("{}: nmap gave up on this host when its time was over; ports may be missing", host.ip);
        }
        if host.os.is_empty() {
            host.os = self.os_of_service;
        }
        for finding in host.services.iter_mut().flat_map(|service| &mut service.vulnerabilities) {
            if finding.kind == Kind::Web {
                host.ip.clone_into(&mut finding.website);
            }
        }
        Some(host)
    }
}

/// The server knows three of nmap's six states; a fourth text costs the whole document. For the others the nearest that
/// claims nothing nmap has not seen, with nmap's word as description: no answer at all (`open|filtered`,
/// `closed|filtered`) is filtered; a port that is reachable but not known to listen (`unfiltered`) is not open.
fn status(state: &str) -> (Status, String) {
    match state {
        "open" => (Status::Open, String::new()),
        "closed" => (Status::Closed, String::new()),
        "filtered" => (Status::Filtered, String::new()),
        "unfiltered" => (Status::Closed, "state by nmap: unfiltered".to_owned()),
        other => (Status::Filtered, format!("state by nmap: {other}")),
    }
}

/// A service inside TLS has a name of its own where one is in use (`https`), else it is written as nmap does (`ssl/x`).
fn service_name(service: &Element) -> String {
    match (service.attribute("name"), service.attribute("tunnel")) {
        ("", _) => "unknown".to_owned(),
        (name @ ("http" | "imap" | "pop3" | "smtp" | "ftp" | "ldap"), "ssl") => format!("{name}s"),
        (name, "ssl") if !name.starts_with("ssl") && !is_tls_name(name) => format!("ssl/{name}"),
        (name, _) => name.to_owned(),
    }
}

/// Names in nmap's table that already say TLS.
fn is_tls_name(name: &str) -> bool {
    matches!(name, "https" | "https-alt" | "imaps" | "pop3s" | "smtps" | "ftps" | "ldaps")
}

/// `OpenSSH 9.2p1 (protocol 2.0)`, as in nmap's own table.
fn version(service: &Element) -> String {
    let extra = match service.attribute("extrainfo") {
        "" => String::new(),
        extra => format!("({extra})"),
    };
    let parts = [service.attribute("product"), service.attribute("version"), &extra];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
}

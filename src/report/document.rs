//! What converters hand over, in the server's words, and the way out: each host is cleaned of what the server would take
//! and then lose, filtered by the options, written as one line and flushed, so that it travels while the scan goes on.

use std::collections::{HashMap, HashSet};
use std::io::Write;
use std::mem;
use std::rc::Rc;

use serde::Serialize;

use super::{Options, ReportError, Summary};

/// One list for all findings, which may be many.
pub type Tags = Rc<[String]>;

/// A host and all that was found on it. Empty optional texts are left out: the server refuses `null` for some.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Host {
    pub ip: String,
    pub description: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub os: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub mac: String,
    pub hostnames: Vec<String>,
    pub services: Vec<Service>,
    pub vulnerabilities: Vec<Vulnerability>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    pub tags: Tags,
}

/// A port; the server knows it by host, protocol and number.
#[derive(Clone, Debug, Serialize)]
pub struct Service {
    pub name: String,
    pub protocol: String,
    pub port: u16,
    pub status: Status,
    pub version: String,
    pub description: String,
    pub vulnerabilities: Vec<Vulnerability>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    pub tags: Tags,
}

/// The only states of a service that the server takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    Open,
    Closed,
    Filtered,
}

/// A finding. Every one has the same keys, for the server loses a host whose findings differ in some of them.
#[derive(Clone, Debug, Serialize)]
pub struct Vulnerability {
    #[serde(rename = "type")]
    pub kind: Kind,
    pub name: String,
    pub desc: String,
    pub severity: Severity,
    pub data: String,
    pub refs: Vec<Reference>,
    pub cve: Vec<String>,
    /// Only of `Kind::Web`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub website: String,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    pub tags: Tags,
}

/// Where a finding is; `Web` fits only below a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
pub enum Kind {
    #[serde(rename = "Vulnerability")]
    Plain,
    #[serde(rename = "VulnerabilityWeb")]
    Web,
}

/// In rising order, as the server's `min_severity` and `max_severity` count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    Unclassified,
    Info,
    Low,
    Medium,
    High,
    Critical,
}

impl Severity {
    /// The severity of that name, long or short (`medium`, `med`), in any case.
    pub fn from_name(name: &str) -> Option<Severity> {
        Some(match name.to_ascii_lowercase().as_str() {
            "unclassified" => Severity::Unclassified,
            "info" | "informational" => Severity::Info,
            "low" => Severity::Low,
            "med" | "medium" => Severity::Medium,
            "high" => Severity::High,
            "critical" => Severity::Critical,
            _ => return None,
        })
    }

    /// The band in which a CVSS base score from 0.0 to 10.0 lies (CVSS v3.1, table 14).
    pub fn from_cvss(score: f64) -> Severity {
        match score {
            s if s >= 9.0 => Severity::Critical,
            s if s >= 7.0 => Severity::High,
            s if s >= 4.0 => Severity::Medium,
            s if s > 0.0 => Severity::Low,
            _ => Severity::Info,
        }
    }
}

/// Where more is written about a finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reference {
    pub name: String,
    #[serde(rename = "type")]
    pub kind: ReferenceKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ReferenceKind {
    Exploit,
    Other,
}

/// The way out of a converter.
pub struct Documents<'a> {
    output: &'a mut dyn Write,
    options: &'a Options,
    host_tags: Tags,
    service_tags: Tags,
    vulnerability_tags: Tags,
    line: Vec<u8>,
    summary: Summary,
}

#[derive(Serialize)]
struct Document<'a> {
    hosts: [&'a Host; 1],
}

impl<'a> Documents<'a> {
    pub(super) fn new(output: &'a mut dyn Write, options: &'a Options) -> Documents<'a> {
        Documents {
            output,
            options,
            host_tags: options.host_tags.as_slice().into(),
            service_tags: options.service_tags.as_slice().into(),
            vulnerability_tags: options.vulnerability_tags.as_slice().into(),
            line: Vec::new(),
            summary: Summary::default(),
        }
    }

    /// Writes one host, whole, as one line; it has left the process when this returns.
    pub fn host(&mut self, mut host: Host) -> Result<(), ReportError> {
        let mut names = HashSet::new();
        host.hostnames.retain(|name| names.insert(name.clone()));
        merge_services(&mut host.services);
        host.tags = self.host_tags.clone();
        self.choose(&mut host.vulnerabilities);
        for service in &mut host.services {
            service.tags = self.service_tags.clone();
            self.choose(&mut service.vulnerabilities);
        }
        self.count(&host);
        self.line.clear();
        serde_json::to_writer(&mut self.line, &Document { hosts: [&host] })
            .map_err(|e| ReportError::Write(e.into()))?;
        self.line.push(b'\n');
        self.output.write_all(&self.line).and_then(|()| self.output.flush()).map_err(ReportError::Write)
    }

    pub(super) fn summary(&self) -> Summary {
        self.summary
    }

    /// Keeps the findings that the options ask for, each once: the server loses all of a host or service that has one twice.
    fn choose(&self, vulnerabilities: &mut Vec<Vulnerability>) {
        let mut seen = HashSet::new();
        vulnerabilities.retain(|v| {
            let key = (v.kind, v.name.clone(), v.desc.clone(), v.website.clone());
            self.options.wants(v.severity) && seen.insert(key)
        });
        for vulnerability in vulnerabilities {
            vulnerability.tags = self.vulnerability_tags.clone();
        }
    }

    fn count(&mut self, host: &Host) {
        let below: usize = host.services.iter().map(|service| service.vulnerabilities.len()).sum();
        self.summary.hosts += 1;
        self.summary.services += host.services.len() as u64;
        self.summary.vulnerabilities += (host.vulnerabilities.len() + below) as u64;
    }
}

/// One service for each protocol and port: the first, with the findings of all.
fn merge_services(services: &mut Vec<Service>) {
    let mut places = HashMap::new();
    for service in mem::take(services) {
        let place = *places.entry((service.protocol.clone(), service.port)).or_insert(services.len());
        match services.get_mut(place) {
            Some(first) => first.vulnerabilities.extend(service.vulnerabilities),
            None => services.push(service),
        }
    }
}

//! Scanner reports → Faraday documents: `agent report --tool NAME`. Reads a report as the scanner writes it and prints
//! one line a host, flushed, while the scan still runs; holds one host at a time. Driven by `cli`, which owns files,
//! environment and exit code; knows nothing of runs and servers.

pub mod document;
mod nmap;
mod xml;

use std::fmt;
use std::io::{self, Read, Write};

use document::{Documents, Severity};

use crate::bounds::TAGS_BYTES_MAX;

/// Reads a tool's report and hands over its hosts one by one.
type Converter = fn(&mut dyn Read, &mut Documents<'_>) -> Result<(), ReportError>;

/// Every tool whose reports can be read; a new converter is one line here.
const TOOLS: [(&str, Converter); 1] = [("nmap", nmap::convert)];

/// What a RUN asks of the findings (`AGENT_CONFIG_*` in an executor's environment). The default keeps everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Leave out findings of severity `info`.
    pub ignore_info: bool,
    pub severity_min: Option<Severity>,
    pub severity_max: Option<Severity>,
    /// Tags are passed on; community servers take and ignore them.
    pub host_tags: Vec<String>,
    pub service_tags: Vec<String>,
    pub vulnerability_tags: Vec<String>,
}

/// What was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    pub hosts: u64,
    pub services: u64,
    pub vulnerabilities: u64,
}

/// Why a report could not be read to its end. The hosts that were complete before that have been written.
#[derive(Debug)]
pub enum ReportError {
    /// No converter has this name.
    UnknownTool {
        tool: String,
    },
    /// An `AGENT_CONFIG_*` variable holds something that it cannot mean.
    Option {
        name: &'static str,
        value: String,
    },
    /// More tags than every finding can carry.
    Tags {
        name: &'static str,
        bytes: usize,
    },
    Read(io::Error),
    Write(io::Error),
    /// Not one byte came in.
    Empty,
    NotXml {
        begins: String,
    },
    /// XML, but of somebody else.
    NotFrom {
        tool: &'static str,
        root: String,
    },
    Malformed {
        offset: u64,
        why: String,
    },
    /// The input ended inside an element.
    Truncated,
    /// The report is whole, and says that its scan failed.
    ScanFailed {
        why: String,
    },
    /// The report is whole, and not one address was looked at.
    NothingScanned,
}

/// Converts `input`, a report of `tool`, into documents on `output`.
pub fn run(
    tool: &str,
    mut input: impl Read,
    mut output: impl Write,
    options: &Options,
) -> Result<Summary, ReportError> {
    let (_, convert) = TOOLS
        .iter()
        .find(|(name, _)| *name == tool)
        .ok_or_else(|| ReportError::UnknownTool { tool: tool.to_owned() })?;
    let mut documents = Documents::new(&mut output, options);
    convert(&mut input, &mut documents)?;
    Ok(documents.summary())
}

/// The tools that `run` knows.
pub fn tools() -> impl Iterator<Item = &'static str> {
    TOOLS.iter().map(|(name, _)| *name)
}

impl Options {
    /// Reads the `AGENT_CONFIG_*` variables through `variable`, which returns a variable's value if it is set.
    pub fn from_environment(variable: impl Fn(&str) -> Option<String>) -> Result<Options, ReportError> {
        let tags = |name| match variable(name).unwrap_or_default() {
            value if value.len() > TAGS_BYTES_MAX => Err(ReportError::Tags { name, bytes: value.len() }),
            value => Ok(value.split(',').filter(|tag| !tag.is_empty()).map(str::to_owned).collect()),
        };
        let severity = |name| match variable(name).filter(|value| !value.is_empty()) {
            None => Ok(None),
            Some(value) => match Severity::from_name(&value) {
                Some(severity) => Ok(Some(severity)),
                None => Err(ReportError::Option { name, value }),
            },
        };
        Ok(Options {
            ignore_info: variable("AGENT_CONFIG_IGNORE_INFO").is_some_and(|value| value.eq_ignore_ascii_case("true")),
            severity_min: severity("AGENT_CONFIG_MIN_SEVERITY")?,
            severity_max: severity("AGENT_CONFIG_MAX_SEVERITY")?,
            host_tags: tags("AGENT_CONFIG_HOSTNAME_TAG")?,
            service_tags: tags("AGENT_CONFIG_SERVICE_TAG")?,
            vulnerability_tags: tags("AGENT_CONFIG_VULN_TAG")?,
        })
    }

    fn wants(&self, severity: Severity) -> bool {
        !(self.ignore_info && severity == Severity::Info)
            && self.severity_min.is_none_or(|min| severity >= min)
            && self.severity_max.is_none_or(|max| severity <= max)
    }
}

impl fmt::Display for ReportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReportError::UnknownTool { tool } => {
                let known: Vec<_> = tools().collect();
                write!(f, "no converter for {tool:?}; --tool takes: {}", known.join(", "))
            }
            ReportError::Option { name, value } => write!(
                f,
                "{name}={value:?} is not a severity; expected unclassified, info, low, medium, high or critical"
            ),
            ReportError::Tags { name, bytes } => write!(
                f,
                "{name} takes {bytes} bytes, but every finding carries these tags, so they may take {TAGS_BYTES_MAX}; use fewer"
            ),
            ReportError::Read(error) => write!(f, "reading the report: {error}"),
            ReportError::Write(error) => write!(f, "writing documents: {error}"),
            ReportError::Empty => f.write_str("the report is empty: the scanner wrote nothing; see its own messages"),
            ReportError::NotXml { begins } => write!(f, "the report is not XML, it begins with {begins:?}"),
            ReportError::NotFrom { tool, root } => {
                write!(f, "this is not a report of {tool}: its outermost element is <{root}>")
            }
            ReportError::Malformed { offset, why } => {
                write!(f, "the report is broken at byte {offset}: {why}; complete hosts before that were passed on")
            }
            ReportError::Truncated => f.write_str(
                "the report ends in the middle: the scanner was stopped before it was done; complete hosts were passed on",
            ),
            ReportError::ScanFailed { why } => write!(f, "the scanner reports that it failed: {why}"),
            ReportError::NothingScanned => {
                f.write_str("nothing was scanned: none of the targets could be used; see the scanner's own messages")
            }
        }
    }
}

impl std::error::Error for ReportError {}

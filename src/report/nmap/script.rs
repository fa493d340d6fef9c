//! What nmap's scripts said → findings. One finding a script, but for `vulners`, whose output is a list of findings. A scanned host
//! can make scripts say anything, so nothing here takes longer than in proportion to that.

use std::collections::HashSet;

use super::super::document::{Kind, Reference, ReferenceKind, Severity, Tags, Vulnerability};
use super::Element;

/// The findings in one `<script>` element.
pub fn findings(script: &Element, kind: Kind) -> Vec<Vulnerability> {
    let (id, output) = (script.attribute("id"), script.attribute("output"));
    if id == "vulners" {
        let listed: Vec<_> = output.lines().filter_map(|line| vulners_entry(line, kind)).collect();
        if !listed.is_empty() {
            return listed;
        }
    }
    let severity = severity(output);
    let proven = severity == Severity::High;
    vec![Vulnerability {
        refs: references(output),
        // Scripts that look names up in lists (vulscan) quote thousands that do not apply.
        cve: if proven { cves(output) } else { Vec::new() },
        ..finding(kind, id, output, severity)
    }]
}

/// Scripts named `http-…` look at a web site.
pub fn kind_below_service(script: &Element) -> Kind {
    if script.attribute("id").starts_with("http-") { Kind::Web } else { Kind::Plain }
}

/// A line `CVE-2018-15919  5.0  https://vulners.com/cve/CVE-2018-15919  [*EXPLOIT*]`. The name and the description,
/// by which the server knows a finding again, are those of the Python agent; it gave no severity.
fn vulners_entry(line: &str, kind: Kind) -> Option<Vulnerability> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let (id, score, url, mark) = match words.as_slice() {
        [id, score, url, mark @ ..] if score.parse::<f64>().is_ok() => (id, Some(score), url, mark),
        [id, url, mark @ ..] => (id, None, url, mark),
        _ => return None,
    };
    if !url.starts_with("https://") {
        return None;
    }
    let exploit = mark.contains(&"*EXPLOIT*");
    let desc = if exploit { format!("vulners-{id} *EXPLOIT*") } else { format!("vulners-{id}") };
    let severity = score.and_then(|score| score.parse().ok()).map_or(Severity::Unclassified, Severity::from_cvss);
    let reference_kind = if exploit { ReferenceKind::Exploit } else { ReferenceKind::Other };
    Some(Vulnerability {
        data: score.map(|score| format!("CVSS {score}")).unwrap_or_default(),
        refs: vec![Reference { name: (*url).to_owned(), kind: reference_kind }],
        cve: cves(id),
        ..finding(kind, id, &desc, severity)
    })
}

fn finding(kind: Kind, name: &str, desc: &str, severity: Severity) -> Vulnerability {
    Vulnerability {
        kind,
        name: name.to_owned(),
        desc: desc.to_owned(),
        severity,
        data: String::new(),
        refs: Vec::new(),
        cve: Vec::new(),
        website: String::new(),
        tags: Tags::default(),
    }
}

/// Scripts have no severity. Those built on nmap's `vulns` library say `State: VULNERABLE`, or `NOT VULNERABLE`; one
/// that could not do its work has found nothing.
fn severity(output: &str) -> Severity {
    const VERDICT: &str = "VULNERABLE";
    let text = output.trim_start();
    if text.starts_with("ERROR") || text.starts_with("Couldn't") {
        return Severity::Unclassified;
    }
    match output.match_indices(VERDICT).any(|(at, _)| !output[..at].ends_with("NOT ")) {
        true => Severity::High,
        false => Severity::Info,
    }
}

/// The addresses below `References:`, as the `vulns` library writes them.
fn references(output: &str) -> Vec<Reference> {
    let below = output.split_once("References:").map_or("", |(_, below)| below);
    let urls = below.split_whitespace().filter(|word| word.starts_with("http://") || word.starts_with("https://"));
    distinct(urls).map(|url| Reference { name: url.to_owned(), kind: ReferenceKind::Other }).collect()
}

/// Every CVE name in a text, once.
fn cves(text: &str) -> Vec<String> {
    let names = text.match_indices("CVE-").filter_map(|(at, _)| cve_at_start(&text[at..]));
    distinct(names).map(str::to_owned).collect()
}

/// The first of each.
fn distinct<'t>(texts: impl Iterator<Item = &'t str>) -> impl Iterator<Item = &'t str> {
    let mut seen = HashSet::new();
    texts.filter(move |text| seen.insert(*text))
}

/// `CVE-`, four digits, `-`, four to seven digits.
fn cve_at_start(text: &str) -> Option<&str> {
    let (year, rest) = text.strip_prefix("CVE-")?.split_at_checked(4)?;
    let number = rest.strip_prefix('-')?;
    let digits = number.bytes().take_while(u8::is_ascii_digit).count();
    let fits = year.bytes().all(|byte| byte.is_ascii_digit()) && (4..=7).contains(&digits);
    fits.then(|| &text[.."CVE-0000-".len() + digits])
}

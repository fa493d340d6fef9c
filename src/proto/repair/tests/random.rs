//! Random hosts, good and bad: what comes out loses nothing at the server, and no suspicion is missed nor often wrong.

use std::collections::HashSet;

use serde_json::Value;

use super::*;

/// A small generator of the same numbers for the same seed (xorshift64*).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % bound
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len())]
    }
}

/// Writes hosts of which one value in `bad` is one that the server would lose something for.
struct Printer {
    random: Random,
    bad: usize,
}

impl Printer {
    fn value(&mut self, good: &[&str], bad: &[&str]) -> String {
        let from = if !bad.is_empty() && self.random.one_in(self.bad) { bad } else { good };
        self.random.pick(from).to_owned()
    }

    fn text(&mut self) -> String {
        const PARTS: [&str; 9] = ["a", "b", r"\n", r"\u00e9", "é", r"\/", r"\ud83d\ude00", r#"\""#, "some words {[,:"];
        let parts: String = (0..self.random.below(5)).map(|_| self.random.pick(&PARTS)).collect();
        let bad = self.value(&[""], &[r"\u0000", r"\ud83d", r"\udc00"]);
        format!("\"{parts}{bad}\"")
    }

    fn junk(&mut self, depth: usize) -> String {
        match self.random.below(if depth == 0 { 3 } else { 5 }) {
            0 => self.text(),
            1 => self.random.pick(&["0", "-1.10", "1e5", "123456789012345678901"]).into(),
            2 => self.random.pick(&["true", "null", "[]", "{}", "[ ]"]).into(),
            3 => self.list(3, |printer| printer.junk(depth - 1)),
            _ => {
                let members = vec![("id", self.junk(depth - 1)), ("x", self.junk(depth - 1))];
                self.object(members)
            }
        }
    }

    fn blank(&mut self) -> &'static str {
        self.random.pick(&["", "", "", "", "", " ", "\n  ", "\r\n\t"])
    }

    fn list(&mut self, length_max: usize, mut element: impl FnMut(&mut Printer) -> String) -> String {
        let elements: Vec<String> = (0..self.random.below(length_max + 1))
            .map(|_| [self.blank(), &element(self), self.blank()].concat())
            .collect();
        format!("[{}]", elements.join(","))
    }

    /// Some of these members, in any order, some twice, some keys with escapes.
    fn object(&mut self, members: Vec<(&str, String)>) -> String {
        let mut printed: Vec<String> = Vec::new();
        for (key, value) in members {
            if self.random.one_in(8) {
                continue;
            }
            let key = match key.strip_prefix('d').filter(|_| self.random.one_in(self.bad)) {
                Some(rest) => format!(r"\u0064{rest}"),
                None => key.to_owned(),
            };
            let member =
                [self.blank(), "\"", &key, "\"", self.blank(), ":", self.blank(), &value, self.blank()].concat();
            let place = self.random.below(printed.len() + 1);
            printed.insert(place, member);
        }
        if !printed.is_empty() && self.random.one_in(self.bad) {
            let twice = printed[self.random.below(printed.len())].clone();
            printed.push(twice);
        }
        format!("{{{}}}", printed.join(","))
    }

    fn reference(&mut self) -> String {
        let name = self.text();
        match self.value(&["named"], &["nameless", "text"]).as_str() {
            "named" => format!("{{\"name\":{name},\"type\":\"other\"}}"),
            "nameless" => self.object(vec![("type", "\"other\"".into()), ("name", name)]),
            _ => name,
        }
    }

    fn vulnerability(&mut self, ease: bool) -> String {
        let name = match self.value(&["new"], &["common"]).as_str() {
            "new" => format!("\"v{}\"", self.random.below(1_000_000)),
            _ => self.random.pick(&[r#""a""#, r#""\u0061""#, "null", r#""""#]).into(),
        };
        let mut members = vec![
            ("type", self.random.pick(&[r#""Vulnerability""#, r#""VulnerabilityWeb""#]).into()),
            ("desc", self.value(&[r#""a\nb""#, r#""a/b""#, r#""a\/b""#], &["null", "5", r#""""#])),
            ("refs", self.list(3, Printer::reference)),
            ("path", self.value(&[r#""/""#, r#""/a""#], &["null"])),
            ("data", self.text()),
            ("cve", self.list(2, Printer::text)),
            ("cwe", self.list(2, Printer::text)),
            ("run_date", self.value(&["1700000000", "null", r#""""#], &["1700000000000", r#""2026-11-23""#, "1e18"])),
            ("status_code", self.value(&["200", "null"], &["9999999999", "-9e9"])),
            ("custom_fields", self.junk(3)),
            ("owasp", self.value(&["[]"], &[r#"["A1"]"#, r#""A1""#])),
        ];
        for (key, value) in [
            ("metadata", "{}"),
            ("id", "1"),
            ("command_id", "2"),
            ("description", r#""d""#),
            ("easeofresolution", "null"),
        ] {
            if self.random.one_in(self.bad) {
                members.push((key, value.into()));
            }
        }
        let mut printed = self.object(members);
        // These two are there, so that hosts meant to be good are.
        let ease = if ease && !printed.contains("easeofresolution") { r#""easeofresolution":"simple","# } else { "" };
        let custom = if printed.contains("custom_fields") { "" } else { r#""custom_fields":{},"# };
        printed.insert_str(1, &[ease, custom, "\"name\":", &name, if printed == "{}" { "" } else { "," }].concat());
        printed
    }

    fn vulnerabilities(&mut self) -> String {
        let ease = self.random.one_in(2);
        let mut last = String::new();
        self.list(6, |printer| {
            if last.is_empty() || !printer.random.one_in(printer.bad) {
                last = printer.vulnerability(ease);
            }
            last.clone()
        })
    }

    fn service(&mut self) -> String {
        let mut members = vec![
            ("port", self.value(&["80", "65535", r#""443""#], &["65536", r#""70000""#, "-1", "1e10"])),
            ("protocol", r#""tcp""#.into()),
            ("description", self.value(&[r#""""#, r#""d""#], &["null"])),
            ("vulnerabilities", self.vulnerabilities()),
        ];
        if self.random.one_in(self.bad) {
            members.push(("id", "1".into()));
        }
        self.object(members)
    }

    fn host(&mut self) -> String {
        let long = format!("\"{}\"", "é".repeat(2_000));
        let members = vec![
            ("ip", self.value(&[r#""10.0.0.1""#], &[&long, "5"])),
            ("description", self.text()),
            ("hostnames", self.list(3, Printer::text)),
            ("services", self.list(3, Printer::service)),
            ("vulnerabilities", self.vulnerabilities()),
            ("tags", self.junk(4)),
        ];
        self.object(members).trim().to_owned()
    }
}

/// What the server would lose of a host, by the table in bulk-create.md 5.
fn losses(host: &Value) -> Vec<&'static str> {
    let mut found = Vec::new();
    let mut add = |is_lost: bool, what| found.extend(is_lost.then_some(what));
    let list = |object: &Value, key: &str| object[key].as_array().cloned().unwrap_or_default();
    let services = list(host, "services");
    add(host.to_string().contains(r"\u0000"), "NUL");
    add(host["ip"].as_str().is_some_and(|ip| ip.len() > 2_000), "ip");
    for object in services.iter().chain([host]) {
        add(object.get("id").is_some() || object.get("command_id").is_some(), "id");
        add(object["port"].as_f64().is_some_and(|port| port > 65_535.0), "port");
        let vulnerabilities = list(object, "vulnerabilities");
        let eased = vulnerabilities.iter().filter(|one| one.get("easeofresolution").is_some()).count();
        add(eased != 0 && eased != vulnerabilities.len(), "easeofresolution");
        let customized = vulnerabilities.iter().filter(|one| one.get("custom_fields").is_some()).count();
        add(customized != 0 && customized != vulnerabilities.len(), "custom_fields");
        let mut seen = HashSet::new();
        for one in &vulnerabilities {
            let is_refused = identity::FIELDS.iter().any(|field| {
                let value = &one[std::str::from_utf8(field).unwrap()];
                !value.is_null() && !value.is_string()
            });
            let web = if one["type"] == "Vulnerability" { 3 } else { 7 };
            let text = |field: &&[u8]| one[std::str::from_utf8(field).unwrap()].as_str().unwrap_or_default().to_owned();
            let key: Vec<String> = identity::FIELDS[..web].iter().map(text).collect();
            add(!is_refused && !seen.insert(key), "duplicate");
            let is_lost = |r: &Value| r.is_object() && (r.get("name").is_none() || r.get("type").is_none());
            add(list(one, "refs").iter().any(is_lost), "reference");
            add(one["run_date"].as_f64().is_some_and(|date| date > 1e11), "run_date");
            add(one["run_date"].as_str().is_some_and(|date| date.contains('-')), "run_date");
            add(one["status_code"].as_f64().is_some_and(|code| code.abs() > 3e9), "status_code");
            add(one["owasp"] != serde_json::json!([]) && !one["owasp"].is_null(), "owasp");
            add(one.get("command_id").is_some(), "command_id");
            add(one.get("metadata").is_some(), "metadata");
            add(one.get("desc").is_none() && one["description"].is_string(), "description");
        }
    }
    found
}

#[test]
fn what_comes_out_loses_nothing() {
    let mut printer = Printer { random: Random(7), bad: 12 };
    let (mut repaired_count, mut clean_count) = (0, 0);
    for _ in 0..1_000 {
        let piece = printer.host();
        let out = repair(&piece).map_or_else(|| piece.clone(), |(repaired, _)| repaired);
        let tree: Value = serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}\n{piece}\n{out}"));
        assert_eq!(losses(&tree), [""; 0], "\n{piece}\n{out}");
        repaired_count += usize::from(out != piece);
        clean_count += usize::from(out == piece);
    }
    assert!(repaired_count > 300 && clean_count > 100, "{repaired_count} repaired, {clean_count} not");
}

#[test]
fn no_suspicion_is_missed_nor_often_wrong() {
    for (bad, wrong_max) in [(10, 5), (60, 5), (300, 5), (usize::MAX, 0)] {
        let mut printer = Printer { random: Random(bad as u64), bad };
        let mut wrong = 0;
        for _ in 0..1_000 {
            let piece = printer.host();
            let cleaned = text::clean(piece.as_bytes(), &mut Repairs::default());
            let bytes = cleaned.as_deref().unwrap_or(piece.as_bytes());
            let mended = rules::mend(bytes, &mut Repairs::default());
            let is_suspicious = inspect::is_suspicious(bytes);
            assert!(is_suspicious || mended.is_none(), "missed: {piece}");
            // A key with escapes is always suspicious, and nobody prints one.
            let is_plain = !piece.contains(r"\u0064");
            wrong += usize::from(is_suspicious && mended.is_none() && is_plain);
        }
        assert!(wrong <= wrong_max, "wrong in {wrong} of 1,000 hosts at one bad value in {bad}");
    }
}

/// The framer gives valid JSON only; a mistake of its must not become a fall.
#[test]
fn what_is_cut_off_does_no_harm() {
    let mut printer = Printer { random: Random(3), bad: 6 };
    for _ in 0..5 {
        let piece = printer.host();
        for end in 0..piece.len() {
            let _ = host(&piece.as_bytes()[..end], &mut Repairs::default());
            let _ = host(&piece.as_bytes()[end..], &mut Repairs::default());
        }
    }
}

//! The rules by name, and how often each was applied: in words for a status message, and as a map for a journal.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Something that is repaired.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rule {
    /// U+0000 in a text goes.
    Nul,
    /// Half a surrogate pair becomes U+FFFD.
    LoneSurrogate,
    /// The same vulnerability again below one parent is merged into the first.
    Duplicate,
    /// `id` and `command_id` are the server's own, and go.
    Id,
    /// `metadata` and `issuetracker` of a vulnerability are the server's to show, and go.
    Shown,
    /// `owasp` goes, unless it is empty.
    Owasp,
    /// All vulnerabilities below one parent have `easeofresolution`, or none has.
    EaseOfResolution,
    /// All vulnerabilities below one parent have `custom_fields`, or none has.
    CustomFields,
    /// A reference without `name` goes.
    NamelessReference,
    /// A reference whose `type` is missing or unknown is of type `other`.
    ReferenceType,
    /// A `run_date` becomes epoch seconds …
    RunDate,
    /// … or goes if it cannot.
    UnreadableRunDate,
    /// A port above 65535 becomes 0, and the service's description tells it.
    Port,
    /// A `status_code` that is no int32 goes.
    StatusCode,
    /// A text that is too long for an index is cut.
    LongText,
    /// `description` of a vulnerability becomes `desc`.
    Description,
}

/// A rule, its name in a journal, and what it did once and several times.
type Entry = (Rule, &'static str, &'static str, &'static str);

const RULES: [Entry; 16] = [
    (Rule::Nul, "nul", "NUL character taken out", "NUL characters taken out"),
    (Rule::LoneSurrogate, "lone_surrogate", "lone surrogate replaced", "lone surrogates replaced"),
    (Rule::Duplicate, "duplicate", "duplicate vulnerability merged", "duplicate vulnerabilities merged"),
    (Rule::Id, "id", "id left out", "ids left out"),
    (Rule::Shown, "shown", "metadata or issuetracker left out", "metadata or issuetrackers left out"),
    (Rule::Owasp, "owasp", "owasp left out", "owasps left out"),
    (
        Rule::EaseOfResolution,
        "ease_of_resolution",
        "vulnerability given an empty easeofresolution",
        "vulnerabilities given an empty easeofresolution",
    ),
    (
        Rule::CustomFields,
        "custom_fields",
        "vulnerability given empty custom_fields",
        "vulnerabilities given empty custom_fields",
    ),
    (
        Rule::NamelessReference,
        "nameless_reference",
        "reference without name left out",
        "references without name left out",
    ),
    (Rule::ReferenceType, "reference_type", "reference given the type other", "references given the type other"),
    (Rule::RunDate, "run_date", "run_date turned into epoch seconds", "run_dates turned into epoch seconds"),
    (Rule::UnreadableRunDate, "unreadable_run_date", "unreadable run_date left out", "unreadable run_dates left out"),
    (Rule::Port, "port", "port out of range set to 0", "ports out of range set to 0"),
    (Rule::StatusCode, "status_code", "status_code out of range left out", "status_codes out of range left out"),
    (Rule::LongText, "long_text", "over-long text cut", "over-long texts cut"),
    (Rule::Description, "description", "description taken as desc", "descriptions taken as desc"),
];

/// What was repaired, by rule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Repairs([u64; RULES.len()]);

impl Repairs {
    pub fn is_empty(&self) -> bool {
        self.0 == [0; RULES.len()]
    }

    pub fn add(&mut self, other: &Repairs) {
        for (count, more) in self.0.iter_mut().zip(other.0) {
            *count = count.saturating_add(more);
        }
    }

    /// How often a rule was applied.
    pub fn count(&self, rule: Rule) -> u64 {
        self.0[rule as usize]
    }

    pub(super) fn note(&mut self, rule: Rule) {
        self.0[rule as usize] += 1;
    }

    /// The rules that were applied.
    fn applied(&self) -> impl Iterator<Item = (&'static Entry, u64)> {
        RULES.iter().map(|entry| (entry, self.count(entry.0))).filter(|(_, count)| *count > 0)
    }
}

impl fmt::Display for Repairs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, ((_, _, once, often), count)) in self.applied().enumerate() {
            let comma = if i == 0 { "" } else { ", " };
            write!(f, "{comma}{count} {}", if count == 1 { once } else { often })?;
        }
        Ok(())
    }
}

impl Serialize for Repairs {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.applied().map(|((_, name, ..), count)| (name, count)))
    }
}

impl<'de> Deserialize<'de> for Repairs {
    /// Names that are not known here are those of a newer agent.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Repairs, D::Error> {
        let counts = BTreeMap::<String, u64>::deserialize(deserializer)?;
        let mut repairs = Repairs::default();
        for (rule, name, ..) in RULES {
            repairs.0[rule as usize] = counts.get(name).copied().unwrap_or_default();
        }
        Ok(repairs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repairs(counts: &[(Rule, u64)]) -> Repairs {
        let mut repairs = Repairs::default();
        for (rule, count) in counts {
            (0..*count).for_each(|_| repairs.note(*rule));
        }
        repairs
    }

    #[test]
    fn every_rule_stands_at_its_place() {
        for (place, (rule, ..)) in RULES.iter().enumerate() {
            assert_eq!(*rule as usize, place, "{rule:?}");
        }
    }

    #[test]
    fn repairs_read_well() {
        for (counts, words) in [
            (&[][..], ""),
            (&[(Rule::Duplicate, 3)], "3 duplicate vulnerabilities merged"),
            (
                &[(Rule::Port, 1), (Rule::Nul, 2), (Rule::Duplicate, 1)],
                "2 NUL characters taken out, 1 duplicate vulnerability merged, 1 port out of range set to 0",
            ),
        ] {
            assert_eq!(repairs(counts).to_string(), words);
        }
    }

    #[test]
    fn repairs_add_up() {
        let mut sum = repairs(&[(Rule::Id, 2)]);
        assert!(!sum.is_empty());
        sum.add(&repairs(&[(Rule::Id, 1), (Rule::Owasp, 1)]));
        assert_eq!(sum, repairs(&[(Rule::Id, 3), (Rule::Owasp, 1)]));
        assert_eq!((sum.count(Rule::Id), sum.count(Rule::Nul)), (3, 0));
        assert!(Repairs::default().is_empty());
    }

    #[test]
    fn repairs_survive_a_journal() {
        let kept = repairs(&[(Rule::Nul, 2), (Rule::Description, 1)]);
        let text = serde_json::to_string(&kept).unwrap();
        assert_eq!(text, r#"{"nul":2,"description":1}"#);
        assert_eq!(serde_json::from_str::<Repairs>(&text).unwrap(), kept);
        let newer = r#"{"description":1,"levitation":7,"nul":2}"#;
        assert_eq!(serde_json::from_str::<Repairs>(newer).unwrap(), kept);
        assert_eq!(serde_json::from_str::<Repairs>("{}").unwrap(), Repairs::default());
        assert_eq!(serde_json::to_string(&Repairs::default()).unwrap(), "{}");
    }
}

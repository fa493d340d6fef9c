//! Manifests: what an executor says about itself in JSON (its arguments, what it needs), in the form that the Python
//! agent's manifests have, and beside it what each argument may be. Parsing only; which executors there are is `official`'s to say.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::param::{Accept, Param, ParamType};

/// What an executor takes and needs. Keys that nobody here uses (`title`, `website`, …) are passed over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    pub name: String,
    /// What JOIN_AGENT calls `tool`; the name, where the manifest does not say.
    pub tool: String,
    /// What JOIN_AGENT calls `category`.
    pub category: Vec<String>,
    /// Commands that must all succeed before a run makes sense.
    pub check_cmds: Vec<String>,
    /// In the order of the manifest.
    pub params: Vec<Param>,
    /// Variables that the configuration must set.
    pub environment_variables: Vec<String>,
}

/// Why a text is not a manifest.
#[derive(Debug)]
pub enum ManifestError {
    /// Not JSON, or a key is missing or of the wrong kind.
    Json(serde_json::Error),
    /// The same within one argument.
    Argument { argument: String, error: serde_json::Error },
    /// An argument names a type that there is not.
    UnknownType { argument: String, name: String },
    /// An argument that no value can fit.
    NoType { argument: String },
    /// What is said about the arguments is not JSON, or says something that nobody understands.
    Accepts(serde_json::Error),
    /// Nothing is said about what this argument may be.
    NotStated { argument: String },
    /// Something is said about an argument that there is not.
    NoSuchArgument { argument: String },
}

#[derive(Deserialize)]
struct Raw {
    name: String,
    tool: Option<String>,
    #[serde(default)]
    category: OneOrMore,
    #[serde(default)]
    check_cmds: Vec<String>,
    /// Not a struct map: the order counts.
    #[serde(default)]
    arguments: Map<String, Value>,
    #[serde(default)]
    environment_variables: Vec<String>,
}

#[derive(Deserialize)]
struct RawArgument {
    mandatory: bool,
    #[serde(rename = "type")]
    types: OneOrMore,
    base: Option<String>,
}

/// A text, or a list of texts.
#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMore {
    One(String),
    More(Vec<String>),
}

impl Manifest {
    /// Reads a manifest and `accepts`, an object that states for each of its arguments what it may be.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong, with its place. An argument without a statement is one: a tool could take its value for
    /// anything.
    pub fn parse(json: &str, accepts: &str) -> Result<Manifest, ManifestError> {
        let raw: Raw = serde_json::from_str(json).map_err(ManifestError::Json)?;
        let mut stated: BTreeMap<String, Accept> = serde_json::from_str(accepts).map_err(ManifestError::Accepts)?;
        let params: Vec<Param> = raw
            .arguments
            .into_iter()
            .map(|(name, argument)| match stated.remove(&name) {
                Some(accept) => param(name, argument, accept),
                None => Err(ManifestError::NotStated { argument: name }),
            })
            .collect::<Result<_, _>>()?;
        if let Some((argument, _)) = stated.pop_first() {
            return Err(ManifestError::NoSuchArgument { argument });
        }
        Ok(Manifest {
            tool: raw.tool.unwrap_or_else(|| raw.name.clone()),
            name: raw.name,
            category: raw.category.into_vec(),
            check_cmds: raw.check_cmds,
            params,
            environment_variables: raw.environment_variables,
        })
    }
}

fn param(name: String, argument: Value, accept: Accept) -> Result<Param, ManifestError> {
    let raw: RawArgument =
        serde_json::from_value(argument).map_err(|error| ManifestError::Argument { argument: name.clone(), error })?;
    let names = raw.types.into_vec();
    let Some(first) = names.first() else {
        return Err(ManifestError::NoType { argument: name });
    };
    let base = raw.base.unwrap_or_else(|| first.clone());
    let types = names.iter().map(|type_name| {
        ParamType::from_name(type_name)
            .ok_or_else(|| ManifestError::UnknownType { argument: name.clone(), name: type_name.clone() })
    });
    Ok(Param { mandatory: raw.mandatory, types: types.collect::<Result<_, _>>()?, base, name, accept: Some(accept) })
}

impl OneOrMore {
    fn into_vec(self) -> Vec<String> {
        match self {
            OneOrMore::One(text) => vec![text],
            OneOrMore::More(texts) => texts,
        }
    }
}

impl Default for OneOrMore {
    fn default() -> OneOrMore {
        OneOrMore::More(Vec::new())
    }
}

impl fmt::Display for ManifestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ManifestError::Json(error) => write!(f, "not a manifest: {error}"),
            ManifestError::Argument { argument, error } => {
                write!(f, "arguments.{argument}: {error}")
            }
            ManifestError::UnknownType { argument, name } => {
                let known: Vec<_> = ParamType::ALL.iter().map(|known| known.name()).collect();
                write!(f, "arguments.{argument}.type: {name:?} is not a type; there are: {}", known.join(", "))
            }
            ManifestError::NoType { argument } => {
                write!(f, "arguments.{argument}.type: an empty list fits no value")
            }
            ManifestError::Accepts(error) => write!(f, "not a statement of what arguments may be: {error}"),
            ManifestError::NotStated { argument } => {
                write!(f, "arguments.{argument}: nothing is said about what it may be")
            }
            ManifestError::NoSuchArgument { argument } => {
                write!(f, "it is said what {argument} may be, but there is no such argument")
            }
        }
    }
}

impl std::error::Error for ManifestError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_of_the_python_agents_form_is_read_in_order() {
        let manifest = Manifest::parse(
            r#"{"name": "scan", "title": "Scan", "category": "Web App Scanners", "image": null, "cmd": "x",
                "check_cmds": ["scan -V"], "environment_variables": ["SCAN_KEY"],
                "arguments": {"URL": {"mandatory": true, "type": ["url", "ip"], "base": "string"},
                              "DEPTH": {"mandatory": false, "type": "integer", "display_name": "Depth"}}}"#,
            r#"{"DEPTH": {"number": {"min": 1, "max": 9}}, "URL": "target"}"#,
        )
        .unwrap();
        let param = |name: &str, mandatory, types: &[ParamType], base: &str, accept| Param {
            name: name.to_owned(),
            mandatory,
            types: types.to_vec(),
            base: base.to_owned(),
            accept: Some(accept),
        };
        assert_eq!(
            manifest,
            Manifest {
                name: "scan".to_owned(),
                tool: "scan".to_owned(),
                category: vec!["Web App Scanners".to_owned()],
                check_cmds: vec!["scan -V".to_owned()],
                params: vec![
                    param("URL", true, &[ParamType::Url, ParamType::Ip], "string", Accept::Target),
                    param("DEPTH", false, &[ParamType::Integer], "integer", Accept::Number { min: 1, max: 9 }),
                ],
                environment_variables: vec!["SCAN_KEY".to_owned()],
            }
        );
    }

    #[test]
    fn a_manifest_needs_no_more_than_a_name() {
        let manifest = Manifest::parse(r#"{"name": "a", "tool": "b", "category": ["x", "y"]}"#, "{}").unwrap();
        assert_eq!((manifest.name.as_str(), manifest.tool.as_str()), ("a", "b"));
        assert_eq!(manifest.category, ["x", "y"]);
        assert!(manifest.params.is_empty() && manifest.check_cmds.is_empty());
    }

    #[test]
    fn what_is_no_manifest_says_why() {
        for (json, says) in [
            ("{", "not a manifest: EOF"),
            ("{}", "missing field `name`"),
            (r#"{"name": "a", "arguments": []}"#, "expected a map"),
            (r#"{"name": "a", "arguments": {"X": {"type": "ip"}}}"#, "arguments.X: missing field `mandatory`"),
            (
                r#"{"name": "a", "arguments": {"X": {"mandatory": true, "type": "ipv4"}}}"#,
                r#"arguments.X.type: "ipv4" is not a type; there are: integer, string"#,
            ),
            (
                r#"{"name": "a", "arguments": {"X": {"mandatory": true, "type": []}}}"#,
                "arguments.X.type: an empty list",
            ),
        ] {
            let error = Manifest::parse(json, r#"{"X": "host"}"#).unwrap_err().to_string();
            assert!(error.contains(says), "{json}: {error}");
        }
    }

    #[test]
    fn every_argument_is_stated_and_nothing_else() {
        let json = r#"{"name": "a", "arguments": {"X": {"mandatory": true, "type": "string"}}}"#;
        for (accepts, says) in [
            ("", "not a statement of what arguments may be: EOF"),
            ("{}", "arguments.X: nothing is said about what it may be"),
            (r#"{"x": "host"}"#, "arguments.X: nothing is said"),
            (r#"{"X": "host", "Y": "host"}"#, "it is said what Y may be, but there is no such argument"),
            (r#"{"X": "anything"}"#, "unknown variant `anything`"),
            (r#"{"X": {"number": {"min": 1}}}"#, "missing field `max`"),
            (r#"{"X": null}"#, "not a statement"),
        ] {
            let error = Manifest::parse(json, accepts).unwrap_err().to_string();
            assert!(error.contains(says), "{accepts}: {error}");
        }
    }
}

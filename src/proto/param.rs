//! Parameters of executors: their types, and whether a RUN's value fits, with words for the person who sent one that does not.
//! Must not decide what becomes of a run. Driven by the engine when a RUN comes in; the codecs take the offer from here.

use std::fmt;

use serde_json::{Value, json};

use super::excerpt::excerpt;

mod accept;
mod value;

pub use accept::Accept;

/// What execve(2) takes as one environment string on Linux (MAX_ARG_STRLEN), `NAME=` and the closing NUL included.
pub const ENV_STRING_BYTES_MAX: usize = 128 * 1024;

/// What stands before a parameter's name in the executor's environment.
pub const ENV_PREFIX: &str = "EXECUTOR_CONFIG_";

/// Characters of a refused value that are repeated in the refusal.
const ECHO_CHARS_MAX: usize = 80;

/// A type that a parameter may have; the names are those of the Faraday server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParamType {
    Integer,
    String,
    Password,
    Boolean,
    List,
    Domains,
    Range,
    Ip,
    Float,
    Url,
}

impl ParamType {
    pub const ALL: [ParamType; 10] = [
        ParamType::Integer,
        ParamType::String,
        ParamType::Password,
        ParamType::Boolean,
        ParamType::List,
        ParamType::Domains,
        ParamType::Range,
        ParamType::Ip,
        ParamType::Float,
        ParamType::Url,
    ];

    /// The name that configuration files, manifests and JOIN_AGENT use.
    pub fn name(self) -> &'static str {
        match self {
            ParamType::Integer => "integer",
            ParamType::String => "string",
            ParamType::Password => "password",
            ParamType::Boolean => "boolean",
            ParamType::List => "list",
            ParamType::Domains => "domains",
            ParamType::Range => "range",
            ParamType::Ip => "ip",
            ParamType::Float => "float",
            ParamType::Url => "url",
        }
    }

    /// The type of that name, if there is one.
    pub fn from_name(name: &str) -> Option<ParamType> {
        ParamType::ALL.into_iter().find(|t| t.name() == name)
    }

    /// What a refusal says that a value is not.
    fn noun(self) -> &'static str {
        match self {
            ParamType::Integer => "an integer",
            ParamType::String => "a string",
            ParamType::Password => "a password",
            ParamType::Boolean => "a boolean",
            ParamType::List => "a list",
            ParamType::Domains => "a list of domains",
            ParamType::Range => "a range",
            ParamType::Ip => "an ip",
            ParamType::Float => "a float",
            ParamType::Url => "a url",
        }
    }

    /// What a refusal says that was expected instead.
    fn example(self) -> &'static str {
        match self {
            ParamType::Integer => "a whole number such as 80",
            ParamType::String | ParamType::Password => "text of at most 256 characters",
            ParamType::Boolean => "true or false",
            ParamType::List => r#"a JSON list such as ["10.0.0.1"]"#,
            ParamType::Domains => r#"a JSON list such as ["example.com"]"#,
            ParamType::Range => "two ascending numbers such as 1-10",
            ParamType::Ip => "an address such as 10.0.0.1 or 2001:db8::1",
            ParamType::Float => "a number such as 0.5",
            ParamType::Url => "a URL such as https://example.com/",
        }
    }
}

/// One parameter that an executor takes from a RUN.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Param {
    pub name: String,
    pub mandatory: bool,
    /// A value that fits any of these is taken; never empty.
    pub types: Vec<ParamType>,
    /// A plain name for the kind of value, for the server's pages; passed on as configured. Checks, here and on the server, go by `types`.
    pub base: String,
    /// What it may be beyond its types; every parameter of an official executor states it. `None` is left to the executor.
    pub accept: Option<Accept>,
}

/// An argument of a RUN that was checked against its parameter.
#[derive(Clone, PartialEq, Eq)]
pub struct Argument {
    pub name: String,
    /// The value as the executor's environment gets it.
    pub text: String,
    /// The text must not be shown to anybody: `password` is among the parameter's types.
    pub secret: bool,
}

impl fmt::Debug for Argument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = if self.secret { "[redacted]" } else { &self.text };
        f.debug_struct("Argument").field("name", &self.name).field("text", &text).finish()
    }
}

impl Param {
    /// Whether values of this parameter must not be shown to anybody.
    pub fn is_secret(&self) -> bool {
        self.types.contains(&ParamType::Password)
    }

    /// Checks a RUN's value against the types, in their order, and against what is accepted, and gives the text for the environment
    /// variable: text as it is, numbers in plain text, booleans as `True` or `False`, lists as JSON text.
    ///
    /// # Errors
    ///
    /// A fragment of a sentence that names the parameter and what was expected. It repeats the value, cut, unless that is a secret.
    pub fn check(&self, value: &Value) -> Result<String, String> {
        if value::holds_nul(value) {
            return Err(format!("{} holds a NUL character, which no environment variable can; remove it", self.name));
        }
        let fitting = self.types.iter().find_map(|t| value::text(*t, value));
        let text = fitting.ok_or_else(|| self.misfit(value))?;
        let bytes_max = ENV_STRING_BYTES_MAX.saturating_sub(ENV_PREFIX.len() + self.name.len() + "=\0".len());
        if text.len() > bytes_max {
            return Err(format!(
                "{} takes {} bytes, but an environment variable of this name holds {bytes_max}; split it over several runs",
                self.name,
                text.len(),
            ));
        }
        match self.accept.as_ref().and_then(|accept| Some((accept, accept.misfit(value, &text)?))) {
            Some((accept, misfit)) => Err(self.unacceptable(value, accept, &misfit)),
            None => Ok(text),
        }
    }

    fn unacceptable(&self, value: &Value, accept: &Accept, misfit: &str) -> String {
        let relation = if value.is_array() { "with an element" } else { "=" };
        let echo = match self.is_secret() {
            true => String::new(),
            false => format!(" {relation} {}", excerpt(&Value::from(misfit).to_string(), ECHO_CHARS_MAX)),
        };
        format!("{}{echo} is refused; it may be {accept}", self.name)
    }

    fn misfit(&self, value: &Value) -> String {
        let nouns = either(&self.types, ParamType::noun);
        let examples = either(&self.types, ParamType::example);
        let echo = if self.is_secret() {
            String::new()
        } else {
            format!(" = {}", excerpt(&value.to_string(), ECHO_CHARS_MAX))
        };
        format!("{}{echo} is not {nouns}; expected {examples}", self.name)
    }

    /// What JOIN_AGENT says of it; one type goes as its name, several as a list.
    pub(super) fn offer(&self) -> Value {
        let names: Vec<&str> = self.types.iter().map(|t| t.name()).collect();
        let types = if let [name] = names[..] { json!(name) } else { json!(names) };
        json!({ "mandatory": self.mandatory, "type": types, "base": self.base })
    }
}

/// The types' words with "or" between them, each of them once.
fn either(types: &[ParamType], words: fn(ParamType) -> &'static str) -> String {
    let mut said: Vec<&str> = Vec::new();
    for word in types.iter().map(|t| words(*t)) {
        if !said.contains(&word) {
            said.push(word);
        }
    }
    said.join(" or ")
}

#[cfg(test)]
mod tests;

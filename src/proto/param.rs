//! Parameter types of executors: their names, and which values of a RUN fit them.

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
}

/// One parameter that an executor takes from a RUN.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Param {
    pub name: String,
    pub mandatory: bool,
    /// A value that fits any of these is taken; never empty.
    pub types: Vec<ParamType>,
    /// What the server checks against before it sends; passed on as configured.
    pub base: String,
}

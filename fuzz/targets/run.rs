//! One RUN for every official executor and one of our own: what is let through fits the types, and stays text of one line where
//! the type says so.

use faraday_agent::official;
use faraday_agent::proto::json::Json;
use faraday_agent::proto::message::RunCommand;
use faraday_agent::proto::param::{Param, ParamType};

pub fn run(bytes: &[u8]) {
    let Some(json) = std::str::from_utf8(bytes).ok().and_then(|text| Json::parse(text).ok()) else { return };
    let _ = RunCommand::parse(json);
    let Some(value) = json.value() else { return };
    for kind in ParamType::ALL {
        let param = Param {
            name: "X".to_owned(),
            mandatory: true,
            types: vec![kind],
            base: kind.name().to_owned(),
            accept: None,
        };
        let Ok(text) = param.check(&value) else { continue };
        assert!(!text.contains('\0'), "{kind:?}: {text:?}");
        if matches!(kind, ParamType::Integer | ParamType::Float | ParamType::Ip | ParamType::Url | ParamType::Boolean) {
            assert!(!text.contains(['\n', '\r']), "{kind:?}: {text:?}");
        }
    }
    for name in official::names() {
        let official = official::find(name).expect("it is there");
        for param in &official.manifest.params {
            if let Ok(text) = param.check(&value) {
                assert!(!text.contains(char::is_control), "{name} {}: {text:?}", param.name);
            }
        }
    }
}

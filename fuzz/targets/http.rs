//! Answers over HTTP to each request that the agent makes: an answer or a fault in one harmless line, in bounded time.

use faraday_agent::config::settings::{AgentToken, ProtocolChoice, Secret};
use faraday_agent::shell::net::fault::Fault;
use faraday_agent::shell::net::http::Api;

use super::input::Input;
use super::peer::{self, Speech};

const TOKEN: &str = "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijkl";

pub fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let request = input.below(4);
    let server = peer::expect(Speech { upgrades: false, bytes: input.rest().to_vec() }, ProtocolChoice::Auto);
    let api = Api::new(&server, None, &peer::limits());
    let token = AgentToken::parse(TOKEN).expect("a token");
    let fault: Option<Fault> = match request {
        0 => api.info().err(),
        1 => api.register(&Secret::new("123456".to_owned()), "name", "").err(),
        2 => api.websocket_token(&token).err(),
        _ => api.bulk_create(&token, "ws", &mut &b"{\"hosts\":[]}"[..], 12).err(),
    };
    if let Some(fault) = fault {
        assert!(!fault.words.is_empty() && !fault.words.contains(['\n', '\u{1b}']), "{:?}", fault.words);
    }
}

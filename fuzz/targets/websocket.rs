//! The upgrade to a websocket and the frames behind it, as a hostile server may send them.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use faraday_agent::config::settings::ProtocolChoice;
use faraday_agent::shell::net::dial::{Hint, dial};

use super::input::Input;
use super::peer::{self, Speech};

pub fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let upgrades = !input.one_in(8);
    let protocol = input.pick(&[ProtocolChoice::SocketIo, ProtocolChoice::WebSocket]);
    let server = peer::expect(Speech { upgrades, bytes: input.rest().to_vec() }, protocol);
    let mut dialled = match dial(&server, None, &Hint::default(), &peer::limits()) {
        Ok(dialled) => dialled,
        Err(fault) => return assert!(!fault.words.contains(['\n', '\u{1b}']), "{:?}", fault.words),
    };
    let deadline = Instant::now() + Duration::from_secs(5);
    loop {
        match dialled.socket.read() {
            Ok(_) => {}
            Err(tungstenite::Error::Io(error)) if error.kind() == ErrorKind::WouldBlock => std::thread::yield_now(),
            Err(_) => return,
        }
        assert!(Instant::now() < deadline, "the end is not seen");
    }
}

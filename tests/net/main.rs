//! What lies between the agent and its server, against real sockets: TLS, REST, finding the command channel, registering.

mod chains;
mod connections;
mod dial;
mod enrol;
mod http;
mod rig;
mod tls;

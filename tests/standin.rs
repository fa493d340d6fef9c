//! The stand-in server against the recordings: what it says, in which order, and how it ends connections.
//! The clients here are plain sockets and plain tungstenite, so that a mistake of the agent cannot hide one of its.

#[path = "standin/agent.rs"]
mod agent;
#[path = "standin/bulk.rs"]
mod bulk;
#[path = "standin/client.rs"]
mod client;
#[path = "standin/faults.rs"]
mod faults;
#[path = "standin/raw.rs"]
mod raw;
#[path = "standin/rest.rs"]
mod rest;
#[path = "standin/restart.rs"]
mod restart;
#[path = "standin/schema.rs"]
mod schema;
#[path = "standin/socketio.rs"]
mod socketio;
mod support;

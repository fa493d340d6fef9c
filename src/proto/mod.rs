//! What crosses the wire: messages of both command channels, parameter types, manifests, the `bulk_create` body and
//! what of a host has to be repaired for it.
//! Bytes and values in, bytes and values out: no I/O, no clock, no decisions.

pub mod bulk;
pub mod channel;
pub mod excerpt;
pub mod json;
pub mod manifest;
pub mod message;
pub mod param;
pub mod repair;

mod socketio;
mod websocket;

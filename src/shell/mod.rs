//! Every system call: epoll, sockets, children, signals, journal files, worker threads, TLS. Performs what the engine
//! decides and decides nothing itself.

pub mod enrol;
pub mod net;
pub mod token_store;

//! The two channels to the server, as blocking jobs for worker threads: REST (`http`) and the opening of the command
//! channel (`dial`), over one way to a connected socket (`link`) with one idea of trust (`tls`). Every step has a limit in
//! time (`limits`), every failure is a `Fault` whose words stand alone in a log. Nothing here retries: the caller does.

mod answer;
mod body;
mod certificate;
pub mod dial;
pub mod fault;
pub mod http;
pub mod limits;
pub mod link;
pub mod pinned;
pub mod tcp;
pub mod tls;
mod transport;
mod upgrade;
mod words;

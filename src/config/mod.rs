//! What `dispatcher.yaml` may say, and every complaint about it.

pub mod settings;

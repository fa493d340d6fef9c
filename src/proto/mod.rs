//! (head of `proto`)

//! (head of `cli`)

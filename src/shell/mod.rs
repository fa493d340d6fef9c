//! (head of `shell`)

//! (head of `frame`)

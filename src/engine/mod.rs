//! (head of `engine`)

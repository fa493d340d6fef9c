//! (head of `config`)

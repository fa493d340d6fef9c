//! (head of `report`)

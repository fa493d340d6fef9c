//! Takes an input apart: small numbers and stretches of bytes, never running dry with a panic.

pub struct Input<'i> {
    left: &'i [u8],
}

impl<'i> Input<'i> {
    pub fn new(bytes: &'i [u8]) -> Input<'i> {
        Input { left: bytes }
    }

    pub fn is_empty(&self) -> bool {
        self.left.is_empty()
    }

    /// The next byte; 0 where there is none.
    pub fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.left.split_first() else { return 0 };
        self.left = rest;
        *first
    }

    /// Below `end`, which is not zero.
    pub fn below(&mut self, end: usize) -> usize {
        usize::from(self.byte()) % end
    }

    /// One byte decides.
    pub fn one_in(&mut self, number: u8) -> bool {
        self.byte().is_multiple_of(number)
    }

    pub fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    /// As many bytes as the next two say, little end first, or as there are.
    pub fn stretch(&mut self) -> &'i [u8] {
        let bytes = usize::from(self.byte()) | usize::from(self.byte()) << 8;
        let (taken, rest) = self.left.split_at(bytes.min(self.left.len()));
        self.left = rest;
        taken
    }

    pub fn rest(self) -> &'i [u8] {
        self.left
    }
}

//! Arbitrary bytes as numbers, and as changes of honest bytes.

/// Bytes to draw from; zeros when they are used up.
pub struct Input<'a>(pub &'a [u8]);

impl<'a> Input<'a> {
    pub fn u8(&mut self) -> u8 {
        let [byte] = self.array();
        byte
    }
    pub fn u16(&mut self) -> u16 {
        u16::from_be_bytes(self.array())
    }
    pub fn u32(&mut self) -> u32 {
        u32::from_be_bytes(self.array())
    }
    pub fn u64(&mut self) -> u64 {
        u64::from_be_bytes(self.array())
    }
    pub fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut array = [0; N];
        let taken = self.bytes(N);
        array[..taken.len()].copy_from_slice(taken);
        array
    }
    /// At most so many bytes.
    pub fn bytes(&mut self, most: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(most.min(self.0.len()));
        self.0 = rest;
        taken
    }
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
    /// Changes bytes by the rest of the input: two bytes say where, one says what.
    pub fn change(&mut self, bytes: &mut [u8]) {
        while !self.is_empty() {
            let at = usize::from(self.u16()) % bytes.len();
            bytes[at] = self.u8();
        }
    }
}

/// An input that makes these changes of bytes.
pub fn changes(changes: &[(usize, u8)]) -> Vec<u8> {
    changes.iter().flat_map(|(at, byte)| [(at >> 8) as u8, *at as u8, *byte]).collect()
}

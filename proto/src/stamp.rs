//! Hash-cash: a little work that buys one look at one cell when the relay is under load (SPEC §11.2).
use crate::kdf::{digest, hash};
use crate::limits::STAMP_BITS_MAX;
use crate::line::LineId;
use rand_core::CryptoRng;

/// Bytes in a stamp.
pub const STAMP_LEN: usize = 32;

/// What a stamp is made for.
#[derive(Clone, Copy, Debug)]
pub struct StampFor<'a> {
    /// The notice's salt.
    pub salt: &'a [u8; 16],
    /// SHA-256 of the cell.
    pub cell_hash: [u8; 32],
    /// The line.
    pub line: &'a LineId,
    /// The notice's up epoch.
    pub up_epoch: u32,
}

impl<'a> StampFor<'a> {
    /// For this cell.
    #[must_use]
    pub fn cell(cell: &[u8], salt: &'a [u8; 16], line: &'a LineId, up_epoch: u32) -> Self {
        Self { salt, cell_hash: digest(cell), line, up_epoch }
    }
    /// Whether the stamp shows at least `difficulty` leading zero bits. Difficulty 0 takes any stamp.
    #[must_use]
    pub fn is_paid(&self, stamp: &[u8; STAMP_LEN], difficulty: u8) -> bool {
        leading_zeros(&self.hash(stamp)) >= u32::from(difficulty)
    }
    fn hash(&self, stamp: &[u8; STAMP_LEN]) -> [u8; 32] {
        hash("stamp", &[self.salt, &self.cell_hash, self.line.as_bytes(), &self.up_epoch.to_be_bytes(), stamp])
    }
    /// Makes a stamp: random for difficulty 0, else about 2^difficulty hashes. Difficulties above 20 count as 20.
    #[must_use]
    pub fn mint(&self, difficulty: u8, rng: &mut impl CryptoRng) -> [u8; STAMP_LEN] {
        let mut stamp = [0; STAMP_LEN];
        rng.fill_bytes(&mut stamp);
        let mut count = 0u64;
        while !self.is_paid(&stamp, difficulty.min(STAMP_BITS_MAX)) {
            count += 1;
            let (_, tail) = stamp.split_last_chunk_mut::<8>().expect("a stamp is longer than its counter");
            *tail = count.to_be_bytes();
        }
        stamp
    }
}

fn leading_zeros(hash: &[u8; 32]) -> u32 {
    let whole = hash.iter().take_while(|b| **b == 0).count();
    let rest = hash.get(whole).map_or(0, |b| b.leading_zeros());
    u32::try_from(whole).map_or(u32::MAX, |whole| whole * 8 + rest)
}

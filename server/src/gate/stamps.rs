//! Stamps: what a look at a cell costs when there is load. Each buys one look.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use porchlight_proto::api::UpPost;
use porchlight_proto::kdf;
use porchlight_proto::line::LineId;
use porchlight_proto::stamp::StampFor;

/// Spent stamps remembered at once. When there are more, the oldest half is forgotten: re-using one then costs an attacker the wait.
const SPENT_MAX: usize = 200_000;

/// The stamps spent while there is load.
#[derive(Default)]
pub struct Stamps {
    spent: Mutex<[HashSet<[u8; 16]>; 2]>,
}

impl Stamps {
    /// Takes a post's stamp: with difficulty 0 any, else one that is strong enough, of this epoch or the last, and not spent.
    #[must_use]
    pub fn take(&self, post: &UpPost, line: &LineId, salt: &[u8; 16], up_epoch: u32, difficulty: u8) -> bool {
        if difficulty == 0 {
            self.forget();
            return true;
        }
        let epochs = [up_epoch, up_epoch.wrapping_sub(1)];
        let is_strong =
            epochs.iter().any(|epoch| StampFor::cell(post.cell.as_slice(), salt, line, *epoch).is_paid(&post.stamp, difficulty));
        is_strong && self.spend(post)
    }

    /// Forgets what was spent: without load nothing is.
    pub fn forget(&self) {
        let mut spent = self.spent.lock().unwrap_or_else(PoisonError::into_inner);
        if !spent.iter().all(HashSet::is_empty) {
            *spent = Default::default();
        }
    }

    fn spend(&self, post: &UpPost) -> bool {
        let hash = kdf::hash("relay/spent", &[&post.stamp, post.cell.as_slice()]);
        let (id, _) = hash.split_first_chunk::<16>().unwrap_or((&[0; 16], &[]));
        let mut spent = self.spent.lock().unwrap_or_else(PoisonError::into_inner);
        let [newer, older] = &mut *spent;
        if newer.contains(id) || older.contains(id) {
            return false;
        }
        newer.insert(*id);
        if newer.len() >= SPENT_MAX / 2 {
            *older = std::mem::take(newer);
        }
        true
    }
}

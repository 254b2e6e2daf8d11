//! Stamps: what a look at a cell costs when there is load. Each buys one look, and none can be made long before it is used.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use porchlight_proto::api::UpPost;
use porchlight_proto::kdf;
use porchlight_proto::line::LineId;
use porchlight_proto::stamp::StampFor;
use porchlight_proto::time::Millis;

use crate::chance::{self, Chance};

/// Milliseconds after which a new salt is drawn. The one before it still counts, so a stamp can be twice as old.
pub const SALT_MS: u64 = 300_000;

/// Stamps spent of one salt that a relay remembers. Then the next is drawn early, so that none is ever forgotten while its salt counts.
pub const SPENT_MAX: usize = 100_000;

/// The salts that count, the current one first, and what was spent of each.
pub struct Stamps {
    chance: Arc<dyn Chance>,
    most: usize,
    terms: Mutex<[Term; 2]>,
}

/// A salt, from when it was told, and the stamps spent of it.
struct Term {
    salt: [u8; 16],
    since: Millis,
    spent: HashSet<[u8; 16]>,
}

impl Term {
    fn begin(since: Millis, chance: &dyn Chance) -> Self {
        Self { salt: chance::draw(chance), since, spent: HashSet::new() }
    }
}

impl Stamps {
    /// With salts drawn from `chance`, of each of which so many stamps can be spent.
    #[must_use]
    pub fn new(chance: Arc<dyn Chance>, most: usize) -> Self {
        let terms = std::array::from_fn(|_| Term::begin(Millis(0), chance.as_ref()));
        Self { chance, most, terms: Mutex::new(terms) }
    }

    /// The salt to make stamps with now.
    #[must_use]
    pub fn salt(&self, now: Millis) -> [u8; 16] {
        let [current, _] = &*self.terms(now);
        current.salt
    }

    /// Takes a post's stamp: with difficulty 0 any, else one that is strong enough, made with a salt that counts for this epoch or the last,
    /// and not spent.
    #[must_use]
    pub fn take(&self, post: &UpPost, line: &LineId, up_epoch: u32, difficulty: u8, now: Millis) -> bool {
        if difficulty == 0 {
            return true;
        }
        let cell_hash = kdf::digest(post.cell.as_slice());
        let is_paid = |salt: &[u8; 16]| {
            let epochs = [up_epoch, up_epoch.wrapping_sub(1)];
            epochs.into_iter().any(|up_epoch| StampFor { salt, cell_hash, line, up_epoch }.is_paid(&post.stamp, difficulty))
        };
        // Counted without holding others up.
        let salts = self.terms(now).each_ref().map(|term| term.salt);
        let Some(salt) = salts.iter().find(|salt| is_paid(salt)) else { return false };
        let mut terms = self.terms(now);
        let Some(term) = terms.iter_mut().find(|term| term.salt == *salt) else { return false };
        let is_new = term.spent.insert(spent_id(post));
        // Of the last one's there may be as many still to come: then it is over.
        if let [_, last] = &mut *terms
            && last.spent.len() > self.most
        {
            *last = Term::begin(now, self.chance.as_ref());
        }
        is_new
    }

    /// Draws a new salt when it is time, whether or not somebody comes, and forgets with the old one what was spent of it.
    pub fn tend(&self, now: Millis) {
        drop(self.terms(now));
    }

    fn terms(&self, now: Millis) -> MutexGuard<'_, [Term; 2]> {
        let mut terms = self.terms.lock().unwrap_or_else(PoisonError::into_inner);
        let [current, last] = &mut *terms;
        let age = now.0.saturating_sub(current.since.0);
        if age >= SALT_MS || current.spent.len() >= self.most {
            *last = std::mem::replace(current, Term::begin(now, self.chance.as_ref()));
        }
        // Nobody came for so long that the one before is over, too.
        if age >= 2 * SALT_MS {
            *last = Term::begin(now, self.chance.as_ref());
        }
        terms
    }
}

fn spent_id(post: &UpPost) -> [u8; 16] {
    let hash = kdf::hash("relay/spent", &[&post.stamp, post.cell.as_slice()]);
    hash.split_first_chunk().map_or([0; 16], |(id, _)| *id)
}

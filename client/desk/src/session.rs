//! Who may see the board: a link that works once, a browser that came by it, and whether the board is locked.
//!
//! ```text
//!  link ──begin──▶ door word (the tab's storage; opens nothing)  +  session word (the page's memory)
//!  reload, lock ─▶ session words are void ──unlock(knock, passphrase)──▶ a new session word
//!                                         ──waiting(knock)──▶ how many wait, and nothing else
//! ```
//!
//! The door word itself travels once; the knock is made from it (`proof`).
//!
//! No cookie: those are shared by all ports of one address, so another program of this machine would be sent it.

use core::time::Duration;

use rand_chacha::ChaCha20Rng;
use rand_core::Rng;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::proof;

/// How long the link works, if nobody has used it.
const LINK_LASTS: Duration = Duration::from_secs(600);
/// Browsers that may hold a door word, and pages a session word: the oldest makes room.
const HELD_MAX: usize = 8;
/// Wrong passphrases after which every further one costs a wait.
const WRONG_FREE: u32 = 5;
/// That wait.
const WRONG_WAIT: Duration = Duration::from_secs(30);

/// A random word, wiped when dropped.
type Word = Zeroizing<String>;

/// Why somebody is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The link was used, or is too old; or the word is none of ours.
    Stranger,
    /// Too many wrong passphrases: wait.
    Wait,
}

/// What a page that has been let in holds.
pub(crate) struct Entry {
    pub(crate) door: Word,
    /// None if the board is locked: the passphrase comes first.
    pub(crate) session: Option<Word>,
}

/// Everybody who was let in.
pub(crate) struct Sessions {
    rng: ChaCha20Rng,
    launch: Option<Word>,
    doors: Vec<Word>,
    open: Vec<Word>,
    locked: bool,
    lock_after: Duration,
    born: Option<Duration>,
    touched: Duration,
    wrong: u32,
    not_before: Duration,
}

impl Sessions {
    pub(crate) fn new(lock_after: Duration, mut rng: ChaCha20Rng) -> Self {
        let launch = Some(word(&mut rng));
        let (doors, open) = (Vec::new(), Vec::new());
        let (born, touched, not_before) = (None, Duration::ZERO, Duration::ZERO);
        Self { rng, launch, doors, open, locked: false, lock_after, born, touched, wrong: 0, not_before }
    }

    /// The word of the link.
    pub(crate) fn launch_word(&self) -> &str {
        self.launch.as_ref().map_or("", |word| word.as_str())
    }

    /// Takes the link's word: it works once, and not for ever.
    pub(crate) fn begin(&mut self, given: &str, now: Duration) -> Result<Entry, Refusal> {
        let young = self.born.is_none_or(|born| now <= born + LINK_LASTS);
        if !self.launch.as_ref().is_some_and(|word| young && same(word, given)) {
            return Err(Refusal::Stranger);
        }
        self.launch = None;
        let door = self.hold(|sessions| &mut sessions.doors);
        let session = if self.locked { None } else { Some(self.hold(|sessions| &mut sessions.open)) };
        self.touched = now;
        Ok(Entry { door, session })
    }

    fn hold(&mut self, place: impl Fn(&mut Self) -> &mut Vec<Word>) -> Word {
        let new = word(&mut self.rng);
        let held = place(self);
        held.push(new.clone());
        if held.len() > HELD_MAX {
            held.remove(0);
        }
        new
    }

    /// Whether a browser that knocks like this came by the link.
    pub(crate) fn knows(&self, knock: &str) -> bool {
        self.doors.iter().any(|door| proof::knocks(door, knock))
    }

    /// What shows a browser that this is the program that let it in; nothing for a stranger.
    pub(crate) fn prove(&self, knock: &str, challenge: &str) -> Option<Word> {
        let door = self.doors.iter().find(|door| proof::knocks(door, knock))?;
        proof::proof(door, challenge)
    }

    /// Whether this browser may try a passphrase now.
    pub(crate) fn may_try(&self, knock: &str, now: Duration) -> Result<(), Refusal> {
        if !self.knows(knock) {
            return Err(Refusal::Stranger);
        }
        if now < self.not_before { Err(Refusal::Wait) } else { Ok(()) }
    }

    /// The passphrase was right: the page's new word.
    pub(crate) fn unlock(&mut self, now: Duration) -> Word {
        (self.wrong, self.locked, self.touched) = (0, false, now);
        self.hold(|sessions| &mut sessions.open)
    }

    /// The passphrase was wrong.
    pub(crate) fn note_wrong(&mut self, now: Duration) {
        self.wrong = self.wrong.saturating_add(1);
        if self.wrong >= WRONG_FREE {
            self.not_before = now + WRONG_WAIT;
        }
    }

    /// Whether this page may see the board.
    pub(crate) fn admits(&self, session: &str) -> bool {
        !self.locked && self.open.iter().any(|known| same(known, session))
    }

    /// The worker is there.
    pub(crate) fn touch(&mut self, now: Duration) {
        self.touched = now;
    }

    /// Locks: every page's word is void.
    pub(crate) fn lock(&mut self) {
        self.locked = true;
        self.open.clear();
    }

    pub(crate) const fn is_locked(&self) -> bool {
        self.locked
    }

    /// Locks if the worker has not been there for long. Says whether it did just now.
    pub(crate) fn lock_if_idle(&mut self, now: Duration) -> bool {
        if self.born.is_none() {
            (self.born, self.touched) = (Some(now), now);
        }
        let idle = !self.locked && now >= self.touched + self.lock_after;
        if idle {
            self.lock();
        }
        idle
    }
}

fn word(rng: &mut ChaCha20Rng) -> Word {
    let mut bytes = Zeroizing::new([0; 24]);
    rng.fill_bytes(bytes.as_mut_slice());
    Zeroizing::new(data_encoding::BASE64URL_NOPAD.encode(bytes.as_slice()))
}

fn same(known: &str, given: &str) -> bool {
    known.as_bytes().ct_eq(given.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proof::tests::knock_of;
    use rand_core::SeedableRng;

    const MINUTE: Duration = Duration::from_secs(60);

    fn sessions() -> (Sessions, String) {
        let mut sessions = Sessions::new(15 * MINUTE, ChaCha20Rng::seed_from_u64(1));
        sessions.lock_if_idle(Duration::ZERO);
        let link = sessions.launch_word().to_owned();
        (sessions, link)
    }

    #[test]
    fn the_link_works_once_and_for_ten_minutes() {
        let (mut sessions, link) = sessions();
        assert_eq!(sessions.begin("", MINUTE).err(), Some(Refusal::Stranger));
        assert_eq!(sessions.begin(&link[1..], MINUTE).err(), Some(Refusal::Stranger));
        let entry = sessions.begin(&link, MINUTE).unwrap();
        assert!(sessions.admits(&entry.session.unwrap()));
        assert_eq!(sessions.begin(&link, MINUTE).err(), Some(Refusal::Stranger));
        assert_eq!(sessions.begin("", MINUTE).err(), Some(Refusal::Stranger), "a used link is no empty word");
        let (mut late, link) = self::sessions();
        assert_eq!(late.begin(&link, 11 * MINUTE).err(), Some(Refusal::Stranger));
    }

    #[test]
    fn a_lock_voids_every_page_and_a_passphrase_is_tried_only_by_who_came_by_the_link() {
        let (mut sessions, link) = sessions();
        let entry = sessions.begin(&link, MINUTE).unwrap();
        let session = entry.session.unwrap();
        assert!(!sessions.admits(&entry.door), "the door word opens nothing");
        assert!(!sessions.lock_if_idle(15 * MINUTE));
        assert!(sessions.lock_if_idle(16 * MINUTE));
        assert!(!sessions.admits(&session));
        assert_eq!(sessions.may_try(&session, 17 * MINUTE), Err(Refusal::Stranger));
        assert_eq!(
            sessions.may_try(&entry.door, 17 * MINUTE),
            Err(Refusal::Stranger),
            "the door word itself is never said again"
        );
        let knock = knock_of(&entry.door);
        assert_eq!(sessions.may_try(&knock, 17 * MINUTE), Ok(()));
        assert!(!sessions.admits(&knock), "a knock opens nothing");
        let challenge = "c".repeat(43);
        assert_eq!(sessions.prove(&knock, &challenge), proof::proof(&entry.door, &challenge));
        assert!(sessions.prove(&entry.door, &challenge).is_none() && sessions.prove(&session, &challenge).is_none());
        let anew = sessions.unlock(17 * MINUTE);
        assert!(sessions.admits(&anew) && !sessions.admits(&session));
    }

    #[test]
    fn five_wrong_passphrases_cost_half_a_minute_each() {
        let (mut sessions, link) = sessions();
        let door = knock_of(&sessions.begin(&link, MINUTE).unwrap().door);
        for _ in 0..WRONG_FREE {
            assert_eq!(sessions.may_try(&door, MINUTE), Ok(()));
            sessions.note_wrong(MINUTE);
        }
        assert_eq!(sessions.may_try(&door, MINUTE), Err(Refusal::Wait));
        assert_eq!(sessions.may_try(&door, 2 * MINUTE), Ok(()));
        sessions.note_wrong(2 * MINUTE);
        assert_eq!(sessions.may_try(&door, 2 * MINUTE), Err(Refusal::Wait));
    }
}

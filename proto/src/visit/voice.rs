//! One voice of a visit: the letters it sends, what became of them, and the answers it names as displayed.
use super::NOTHING_SEEN;
use crate::cell::down::{Receipt, Withdrawal};
use crate::cell::up::LetterPart;
use crate::event::AnswerId;
use crate::letter::{ContentError, Letter, Session};
use crate::limits::LETTER_PART_LEN;
use crate::line::{CallerId, LineId};
use crate::parts::{Part, cut};
use crate::phrase::ReplyKey;
use crate::sign::SecretKey;
use crate::time::Seconds;
use alloc::vec::Vec;
use rand_core::CryptoRng;
use zeroize::Zeroizing;

/// A letter on its way.
struct Sending {
    seq: u16,
    time: Seconds,
    parts: Vec<Part>,
    /// Which parts a relay has taken at least once.
    taken: Vec<bool>,
    /// The part that goes next when all were taken and the receipt has not come.
    again: usize,
    receipted: bool,
    told: Withdrawal,
}

impl Sending {
    fn in_box(&self) -> bool {
        self.taken.iter().all(|taken| *taken)
    }
}

/// A letter's number, which of its parts, the part, and when it was written.
type Chosen = (u16, usize, Part, Seconds);

/// What a POST in flight carries, so that its reply can be told to the right letter.
pub(super) struct Outgoing {
    letter: Option<(u16, usize)>,
    named: Option<usize>,
}

/// One voice: keys, letters, answers shown.
pub(super) struct Voice {
    pub(super) session: Session,
    pub(super) live_key: Zeroizing<[u8; 32]>,
    pub(super) reply_key: ReplyKey,
    /// Who she is, once she has given her words.
    pub(super) caller: Option<CallerId>,
    /// Hers, or before the words a stranger's that nobody has seen and nobody will see again.
    signer: SecretKey,
    letters: Vec<Sending>,
    /// Answers shown, and whether a cell that named them was taken.
    shown: Vec<(AnswerId, bool)>,
    turn: usize,
    /// What was told of letters of earlier visits.
    earlier: Vec<(Session, u16)>,
    /// Earlier visits of which a receipt was read.
    receipted: Vec<Session>,
}

/// Letters of earlier visits whose withdrawals are remembered, and earlier visits whose receipts are, so that each is told once.
const EARLIER_MAX: usize = 256;

impl Voice {
    pub(super) fn new(rng: &mut impl CryptoRng) -> Self {
        let mut session = [0; 8];
        rng.fill_bytes(&mut session);
        let mut live_key = Zeroizing::new([0; 32]);
        rng.fill_bytes(live_key.as_mut_slice());
        let mut reply_key = Zeroizing::new([0; 32]);
        rng.fill_bytes(reply_key.as_mut_slice());
        Self {
            session,
            live_key,
            reply_key,
            caller: None,
            signer: SecretKey::generate(rng),
            letters: Vec::new(),
            shown: Vec::new(),
            turn: 0,
            earlier: Vec::new(),
            receipted: Vec::new(),
        }
    }
    pub(super) fn know(&mut self, signer: SecretKey, reply_key: ReplyKey, line: &LineId) {
        self.caller = Some(CallerId::of(line, &signer.public()));
        self.signer = signer;
        self.reply_key = reply_key;
    }
    pub(super) const fn signer(&self) -> &SecretKey {
        &self.signer
    }
    pub(super) fn write(&mut self, letter: &Letter, time: Seconds) -> Result<u16, ContentError> {
        let content = Zeroizing::new(letter.to_cbor()?);
        let parts = cut(&content, LETTER_PART_LEN).ok_or(ContentError::TooLong)?;
        let seq = u16::try_from(self.letters.len() + 1).map_err(|_| ContentError::TooLong)?;
        let taken = parts.iter().map(|_| false).collect();
        self.letters.push(Sending { seq, time, parts, taken, again: 0, receipted: false, told: Withdrawal::default() });
        Ok(seq)
    }
    pub(super) fn all_receipted(&self) -> bool {
        self.letters.iter().all(|letter| letter.receipted)
    }
    pub(super) fn all_in_box(&self) -> bool {
        self.letters.iter().all(|letter| letter.receipted || letter.in_box())
    }
    pub(super) fn all_named(&self) -> bool {
        self.shown.iter().all(|(_, named)| *named)
    }

    /// What goes in this beat.
    pub(super) fn next(&mut self, now: Seconds, rng: &mut impl CryptoRng) -> (Outgoing, LetterPart) {
        let chosen = self.next_part();
        self.cell(chosen, now, rng)
    }
    /// What goes in a beat in which letters wait.
    pub(super) fn dummy(&mut self, now: Seconds, rng: &mut impl CryptoRng) -> (Outgoing, LetterPart) {
        self.cell(None, now, rng)
    }
    fn cell(&mut self, chosen: Option<Chosen>, now: Seconds, rng: &mut impl CryptoRng) -> (Outgoing, LetterPart) {
        let named = self.next_to_name();
        let saw = named.and_then(|index| self.shown.get(index)).map_or(NOTHING_SEEN, |(answer, _)| *answer);
        let (dummy, seq, part, time) = match &chosen {
            Some((seq, _, part, time)) => (false, *seq, part.clone(), *time),
            None => (true, 0, LetterPart::dummy_part(rng), now.rounded()),
        };
        let letter = LetterPart {
            dummy,
            session: self.session,
            seq,
            part,
            time,
            live_key: self.live_key.clone(),
            reply_key: self.reply_key.clone(),
            saw,
        };
        (Outgoing { letter: chosen.map(|(seq, index, ..)| (seq, index)), named }, letter)
    }
    /// The first answer not named yet, else all of them in turn.
    fn next_to_name(&mut self) -> Option<usize> {
        if let Some(index) = self.shown.iter().position(|(_, named)| !*named) {
            return Some(index);
        }
        self.turn = self.turn.checked_add(1)?.checked_rem(self.shown.len())?;
        Some(self.turn)
    }
    /// The next part that no relay has taken, else the next part of the oldest letter without a receipt.
    fn next_part(&mut self) -> Option<Chosen> {
        let fresh = self.letters.iter().find_map(|letter| {
            let index = letter.taken.iter().position(|taken| !*taken).filter(|_| !letter.receipted)?;
            Some((letter.seq, index, letter.parts.get(index)?.clone(), letter.time))
        });
        fresh.or_else(|| {
            let letter = self.letters.iter_mut().find(|letter| !letter.receipted)?;
            let index = letter.again % letter.parts.len();
            letter.again = index + 1;
            Some((letter.seq, index, letter.parts.get(index)?.clone(), letter.time))
        })
    }
    /// A relay took what went. Gives the letter's number if it is now in the box for the first time.
    pub(super) fn posted(&mut self, outgoing: &Outgoing) -> Option<u16> {
        if let Some((_, named)) = outgoing.named.and_then(|index| self.shown.get_mut(index)) {
            *named = true;
        }
        let (seq, index) = outgoing.letter?;
        let letter = self.letters.iter_mut().find(|letter| letter.seq == seq)?;
        let was_in_box = letter.in_box();
        *letter.taken.get_mut(index)? = true;
        (letter.in_box() && !was_in_box).then_some(seq)
    }
    /// Takes a receipt, and gives the letters it names for the first time. Their texts are forgotten.
    pub(super) fn receipted(&mut self, receipt: &Receipt) -> Vec<u16> {
        let session = self.session;
        let news = self.letters.iter_mut().filter(|letter| !letter.receipted && receipt.holds(&session, letter.seq));
        news.map(|letter| {
            letter.receipted = true;
            letter.parts.clear();
            letter.seq
        })
        .collect()
    }
    /// Takes a receipt for an earlier visit: whether it is the first of that visit.
    pub(super) fn receipted_earlier(&mut self, receipt: &Receipt) -> bool {
        let session = receipt.session;
        let says = session != [0; 8] && session != self.session && (receipt.upto > 0 || receipt.map > 0);
        let news = says && !self.receipted.contains(&session);
        if news && self.receipted.len() < EARLIER_MAX {
            self.receipted.push(session);
        }
        news
    }
    /// Takes what became of a withdrawn letter. `false` if that was known, or says nothing.
    pub(super) fn told(&mut self, seq: u16, withdrawal: Withdrawal) -> bool {
        let Some(letter) = self.letters.iter_mut().find(|letter| letter.seq == seq) else {
            return false;
        };
        // The first word is final: cells can be read again in any order.
        let news = withdrawal != Withdrawal::default() && letter.told == Withdrawal::default();
        if news {
            letter.told = withdrawal;
        }
        news
    }
    /// Takes what became of a withdrawn letter of an earlier visit. `false` if that was known, or says nothing.
    pub(super) fn told_of_earlier(&mut self, letter: (Session, u16), withdrawal: Withdrawal) -> bool {
        // Here too the first word is final.
        let news = withdrawal != Withdrawal::default() && !self.earlier.contains(&letter);
        if news && self.earlier.len() < EARLIER_MAX {
            self.earlier.push(letter);
        }
        news
    }
    /// An answer was displayed: it will be named.
    pub(super) fn show(&mut self, answer: AnswerId) {
        if !self.shown.iter().any(|(shown, _)| *shown == answer) {
            self.shown.push((answer, false));
        }
    }
    /// The desk has sent a shown answer again: name it once more.
    pub(super) fn name_again(&mut self, answer: &AnswerId) {
        if let Some((_, named)) = self.shown.iter_mut().find(|(shown, _)| shown == answer) {
            *named = false;
        }
    }
}

//! Who is at the other end: a page shows that it was let in, and the program shows that it is the one that let it in, without either
//! saying the door word again.
//!
//! A program that has ended leaves its port to whoever takes it next, and an open page of it would talk to that one. So the door word
//! travels once, when it is given out; afterwards only what is made from it does, and nobody can make one of the two from the other:
//!
//! ```text
//! knock = HMAC-SHA-256(door word, "porchlight desk: knock")               the page's, to be known by
//! proof = HMAC-SHA-256(door word, "porchlight desk: proof " ‖ challenge)  the program's, for a fresh challenge
//! ```

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

const KNOCK: &[u8] = b"porchlight desk: knock";
const PROOF: &[u8] = b"porchlight desk: proof ";
/// Characters of a challenge: 32 random bytes, in base64url.
const CHALLENGE_LEN: usize = 43;

/// Whether a page that gives this has the door word.
pub(crate) fn knocks(door: &str, given: &str) -> bool {
    made(door, &[KNOCK]).as_bytes().ct_eq(given.as_bytes()).into()
}

/// What only somebody with the door word can answer to this challenge; nothing to what is none.
pub(crate) fn proof(door: &str, challenge: &str) -> Option<Zeroizing<String>> {
    (challenge.len() == CHALLENGE_LEN).then(|| made(door, &[PROOF, challenge.as_bytes()]))
}

#[expect(clippy::expect_used, reason = "HMAC takes a key of any length")]
fn made(door: &str, parts: &[&[u8]]) -> Zeroizing<String> {
    let mut mac = Hmac::<Sha256>::new_from_slice(door.as_bytes()).expect("HMAC takes a key of any length");
    parts.iter().for_each(|part| mac.update(part));
    Zeroizing::new(data_encoding::BASE64URL_NOPAD.encode(&mac.finalize().into_bytes()))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// As a page does it.
    pub(crate) fn knock_of(door: &str) -> String {
        made(door, &[KNOCK]).as_str().to_owned()
    }

    #[test]
    fn a_proof_is_for_one_challenge_and_one_door_and_no_knock() {
        let challenge = "A".repeat(CHALLENGE_LEN);
        let given = proof("door", &challenge).unwrap();
        assert_ne!(proof("door", &"B".repeat(CHALLENGE_LEN)).unwrap(), given);
        assert_ne!(proof("another", &challenge).unwrap(), given);
        assert!(!knocks("door", &given) && !knocks("door", "") && !knocks("door", "door"));
        assert!(knocks("door", &knock_of("door")) && !knocks("another", &knock_of("door")));
        for none in ["", "A", &"A".repeat(44)] {
            assert!(proof("door", none).is_none());
        }
    }

    #[test]
    fn the_words_are_those_of_rfc_4231_hmac() {
        // python3 -c 'import hmac,base64;print(base64.urlsafe_b64encode(hmac.digest(b"door",b"porchlight desk: knock","sha256")))'
        assert_eq!(knock_of("door"), "S_QdUXDSkpE2mNQWpsS5_uQGoFrCUhfmlIchMQmGrR0");
    }
}

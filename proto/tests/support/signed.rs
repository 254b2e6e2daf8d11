//! Honest bytes of which some were overwritten, signed again: what only whoever holds the key can send.
#![allow(unreachable_pub, reason = "a room of one test binary")]
use crate::support::Line;
use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305, XNonce,
    aead::{Aead, Payload},
};
use hpke::{Deserializable, Kem, OpModeR, OpModeS, Serializable, aead::ChaCha20Poly1305, kdf::HkdfSha256, kem::XWing};
use porchlight_proto::{
    cell::{
        down::{DownCell, Place, Tags, Track},
        up::{Opener, UpCell},
    },
    kdf::{digest, label},
    line::CallerId,
    sign::SecretKey,
};
use rand_chacha::ChaCha20Rng;

/// Where bytes are overwritten, and with what.
pub type Change<'a> = (usize, &'a [u8]);

fn change(bytes: &mut [u8], (at, with): Change<'_>) {
    bytes[at..at + with.len()].copy_from_slice(with);
}

/// A roster, signed again by the line's lead.
pub fn roster(line: &Line, bytes: &[u8; 4096], changed: Change<'_>) -> [u8; 4096] {
    let mut bytes = *bytes;
    change(&mut bytes, changed);
    let signature = line.lead.sign("roster", &[&bytes[..4032]]);
    change(&mut bytes, (4032, &signature));
    bytes
}

/// A bulletin, signed again with a seat's key.
pub fn bulletin(line: &Line, seat: &SecretKey, bytes: &[u8; 80], changed: Change<'_>) -> [u8; 80] {
    let mut bytes = *bytes;
    change(&mut bytes, changed);
    let signature = seat.sign("bulletin", &[line.id.as_bytes(), &bytes[..16]]);
    change(&mut bytes, (16, &signature));
    bytes
}

/// An up cell, opened as whoever may read it, then signed under a label and sealed again.
pub fn up_cell(
    cell: &UpCell,
    opener: &Opener<'_>,
    (name, signer): (&str, &SecretKey),
    changed: Change<'_>,
    rng: &mut ChaCha20Rng,
) -> UpCell {
    let (line, purpose, public) = (opener.line.as_bytes(), [opener.purpose.code()], opener.secret.public().as_bytes());
    let info = [label("up").as_slice(), line, &opener.period.to_be_bytes(), &purpose, &digest(public)].concat();
    let aad = |enc: &[u8]| [&[1, 0x08, 0x00, cell[0]], enc].concat();

    let own = <XWing as Kem>::PrivateKey::from_bytes(opener.secret.seed()).unwrap();
    let enc = <XWing as Kem>::EncappedKey::from_bytes(&cell[1..1121]).unwrap();
    let mut receiver = hpke::setup_receiver::<ChaCha20Poly1305, HkdfSha256, XWing>(&OpModeR::Base, &own, &enc, &info).unwrap();
    let mut plain = receiver.open(&cell[1121..], &aad(&cell[1..1121])).unwrap();

    change(&mut plain, changed);
    let key = <XWing as Kem>::PublicKey::from_bytes(public).unwrap();
    let (enc, mut sender) =
        hpke::setup_sender_with_rng::<ChaCha20Poly1305, HkdfSha256, XWing>(&OpModeS::Base, &key, &info, rng).unwrap();
    let enc = enc.to_bytes();
    let enc_hash = digest(&enc);
    // A letter is bound to its encapsulation; an event may be sealed again by a colleague.
    let bound: &[u8] = if name == "letter" { &enc_hash } else { &[] };
    let signature = signer.sign(name, &[line, &purpose, bound, &plain[..34], &plain[98..]]);
    change(&mut plain, (34, &signature));
    let ct = sender.seal(&plain, &aad(&enc)).unwrap();
    [&cell[..1], enc.as_slice(), &ct].concat().try_into().unwrap()
}

/// A down cell of a place on a track, signed again with the key of the place's seat, under the tag it has.
pub fn down_cell(
    cell: &DownCell,
    (track, place): (Track<'_>, Place),
    (line, caller): (&Line, &CallerId),
    changed: Change<'_>,
) -> DownCell {
    let (tag, key) = Tags::of(track, &line.id).tag_and_key(place);
    let key: &[u8; 32] = &key;
    let (cipher, nonce) = (XChaCha20Poly1305::new(key.into()), XNonce::from(*cell[16..].first_chunk::<24>().unwrap()));
    let mut inner = cipher.decrypt(&nonce, Payload { msg: &cell[40..], aad: &tag }).unwrap();
    change(&mut inner, changed);
    let seat = &line.seats[usize::from(place.seat.number())];
    let signature = seat.sign("answer", &[line.id.as_bytes(), &caller.0, &tag, &inner[..48], &inner[112..]]);
    change(&mut inner, (48, &signature));
    let ct = cipher.encrypt(&nonce, Payload { msg: &inner, aad: &tag }).unwrap();
    [&cell[..40], &ct].concat().try_into().unwrap()
}

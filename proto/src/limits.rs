//! Every size and bound, in bytes unless the name says otherwise, with the sums that must hold (SPEC §13).

/// Bytes in a cell on its way to the desk. One size for all, so that a watcher learns that a cell moved and nothing more.
pub const UP_CELL_LEN: usize = 2048;
/// Bytes in a cell on the down lane.
pub const DOWN_CELL_LEN: usize = 1024;
/// Bytes in a roster, the same for every line.
pub const ROSTER_LEN: usize = 4096;
/// Bytes in the answer to `notice`.
pub const NOTICE_LEN: usize = 4240;
/// Bytes in the body of a POST to `up`.
pub const UP_POST_LEN: usize = 2080;
/// Bytes in the answer to a POST to `up`.
pub const UP_REPLY_LEN: usize = 16;
/// Bytes in one desk bundle.
pub const DESK_BEAT_LEN: usize = 6176;
/// Bytes in the answer to a desk bundle and to the desk's PUTs.
pub const DESK_REPLY_LEN: usize = 16;
/// Bytes before the cells in the answer to `desk/up`.
pub const LANE_PAGE_LEN: usize = 24;
/// Cells are handed to the desk in multiples of this count.
pub const LANE_GROUP: usize = 8;
/// The most cells in one answer to `desk/up`.
pub const LANE_PAGE_MAX_CELLS: usize = 512;
/// Bytes in a snapshot chunk.
pub const BLOB_LEN: usize = 65_536;
/// The most blobs that one board is cut into (SPEC §8.5): 32 MiB.
pub const BOARD_BLOBS_MAX: u16 = 512;
/// The most days for which a line's devices keep letters and notes (SPEC §8.4).
pub const KEEP_DAYS_MAX: u32 = 180;
/// Bytes in a bulletin.
pub const BULLETIN_LEN: usize = 80;
/// Bytes in a device token before it is written as text.
pub const TOKEN_LEN: usize = 318;
/// Bytes in a desk certificate.
pub const DESK_CERT_LEN: usize = 116;
/// Bytes in a device certificate.
pub const DEVICE_CERT_LEN: usize = 114;

/// Bytes in an X-Wing public key: ML-KEM-768 1,184, X25519 32.
pub const SEALING_KEY_LEN: usize = 1216;
/// Bytes in an X-Wing encapsulation: ML-KEM-768 1,088, X25519 32.
pub const ENC_LEN: usize = 1120;
/// Bytes in an authentication tag of ChaCha20-Poly1305.
pub const AEAD_TAG_LEN: usize = 16;
/// Bytes of plaintext in an up cell.
pub const UP_PLAIN_LEN: usize = 911;
/// Bytes of plaintext in a down cell.
pub const DOWN_PLAIN_LEN: usize = 968;
/// Bytes of a letter in one part.
pub const LETTER_PART_LEN: usize = 723;
/// Bytes of a team event in one part.
pub const TEAM_PART_LEN: usize = 757;
/// Bytes of an answer in one part.
pub const ANSWER_PART_LEN: usize = 854;
/// Bytes in a down cell's tag.
pub const TAG_LEN: usize = 16;
/// Bytes in XChaCha20-Poly1305's nonce.
pub const NONCE_LEN: usize = 24;

/// The most bytes of text in a letter or answer, after NFC.
pub const TEXT_MAX: usize = 16_000;
/// The most parts of a letter, an answer or an event.
pub const PARTS_MAX: u8 = 32;
/// Seats: 0–7 answer, 8 is safeguarding.
pub const SEAT_COUNT: u8 = 9;
/// Sendings in one live key, by one seat, through one relay.
pub const FAST_TAG_COUNT: u16 = 1024;
/// Sendings under one reply key, by one seat, through one relay, in one day.
pub const SLOW_TAG_COUNT: u16 = 64;
/// The most leading zero bits a stamp may have to show.
pub const STAMP_BITS_MAX: u8 = 20;
/// How many devices a roster can name as revoked.
pub const REVOKED_COUNT: usize = 8;
/// The most bytes in a card before it is written as text.
pub const CARD_MAX: usize = 2048;
/// Relays on a card, and gates of a relay.
pub const RELAYS_MAX: usize = 8;
/// Seconds an answer may live.
pub const ANSWER_LIFE_MAX: u64 = 30 * 86_400;
/// Seconds an answer lives unless its writer says otherwise.
pub const ANSWER_LIFE_DEFAULT: u64 = 14 * 86_400;
/// Seconds an answer may live that names a place or a time.
pub const MEETING_LIFE_MAX: u64 = 48 * 3600;
/// Seconds by which a native client's clock may differ from the relay's.
pub const CLOCK_SKEW_MAX: u64 = 86_400;
/// Slots of the fast track that may be written ahead, in beats.
pub const FAST_AHEAD_BEATS: u64 = 20;
/// Slots of the slow track that may be written ahead.
pub const SLOW_AHEAD_SLOTS: u64 = 48;

const _: () = {
    assert!(UP_CELL_LEN == 1 + ENC_LEN + UP_PLAIN_LEN + AEAD_TAG_LEN);
    assert!(DOWN_CELL_LEN == TAG_LEN + NONCE_LEN + DOWN_PLAIN_LEN + AEAD_TAG_LEN);
    assert!(UP_PLAIN_LEN == 188 + LETTER_PART_LEN);
    assert!(UP_PLAIN_LEN == 154 + TEAM_PART_LEN);
    assert!(DOWN_PLAIN_LEN == 114 + ANSWER_PART_LEN);
    assert!(UP_POST_LEN == 32 + UP_CELL_LEN);
    assert!(DESK_BEAT_LEN == 32 + 2 * DOWN_CELL_LEN + 2 * UP_CELL_LEN);
    assert!(NOTICE_LEN == ROSTER_LEN + 64 + BULLETIN_LEN);
    assert!(TOKEN_LEN == DESK_CERT_LEN + DEVICE_CERT_LEN + 8 + 16 + 64);
    // A letter of the longest text still fits its parts, with room for everything else it may carry.
    assert!(TEXT_MAX + 200 <= LETTER_PART_LEN * PARTS_MAX as usize);
    assert!(TEXT_MAX + 2200 <= ANSWER_PART_LEN * PARTS_MAX as usize);
    assert!(TEXT_MAX + 2200 <= TEAM_PART_LEN * PARTS_MAX as usize);
};

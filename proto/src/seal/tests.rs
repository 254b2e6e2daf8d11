use super::{SMALL_ORDER, SealError, SealingKey, SealingSecret, Use, contributes};
use crate::cell::{CellError, up};
use crate::limits::{SEALING_KEY_LEN, UP_CELL_LEN};
use crate::line::LineId;
use crate::sign::SecretKey;
use proptest::prelude::{any, prop_oneof, proptest};
use proptest::strategy::Strategy;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

/// Where an up cell's X25519 share lies: the end of `enc`.
const SHARE: core::ops::Range<usize> = 1121 - 32..1121;

/// The seven encodings, each with the top bit clear and set.
fn small_order() -> impl Iterator<Item = [u8; 32]> {
    SMALL_ORDER.into_iter().flat_map(|low| {
        let mut high = low;
        high[31] |= 0x80;
        [low, high]
    })
}

/// What the list stands for: a clamped scalar is a multiple of eight, so any of them takes a point of small order to zero.
fn diffie_hellman_is_zero(point: [u8; 32]) -> bool {
    x25519_dalek::x25519([0x42; 32], point) == [0; 32]
}

#[test]
fn every_encoding_of_small_order_gives_zero_with_any_scalar() {
    for point in small_order() {
        for scalar in [[0; 32], [0x42; 32], [0xff; 32]] {
            assert_eq!(x25519_dalek::x25519(scalar, point), [0; 32], "{point:02x?}");
        }
        assert!(!contributes(&point), "{point:02x?}");
    }
}

#[test]
fn around_zero_and_p_the_list_says_what_x25519_does() {
    let near_zero = (0..=255).map(|first| (first, 0));
    let near_p = (0..=255).map(|first| (first, 0xff));
    for (first, rest) in near_zero.chain(near_p) {
        for top in [0x00, 0x7f, 0x80, 0xff] {
            let mut point = [rest; 32];
            (point[0], point[31]) = (first, top);
            assert_eq!(contributes(&point), !diffie_hellman_is_zero(point), "{point:02x?}");
        }
    }
}

#[test]
fn a_key_of_small_order_is_refused() {
    let secret = SealingSecret::generate(&mut ChaCha20Rng::seed_from_u64(1));
    for point in small_order() {
        let mut key: [u8; SEALING_KEY_LEN] = *secret.public().as_bytes();
        key[SEALING_KEY_LEN - 32..].copy_from_slice(&point);
        assert_eq!(SealingKey::from_bytes(&key), Err(SealError::BadKey), "{point:02x?}");
    }
    assert_eq!(SealingKey::from_bytes(secret.public().as_bytes()).as_ref(), Ok(secret.public()));
}

#[test]
fn a_cell_whose_share_is_of_small_order_does_not_open() {
    let mut rng = ChaCha20Rng::seed_from_u64(2);
    let (line, secret) = (LineId::from_root(&SecretKey::generate(&mut rng).public()), SealingSecret::generate(&mut rng));
    let opener = up::Opener { line: &line, period: 0, purpose: Use::Desk, secret: &secret };
    for point in small_order() {
        let mut cell = [0; UP_CELL_LEN];
        cell[SHARE].copy_from_slice(&point);
        assert_eq!(up::open(&cell, &opener), Err(CellError::DoesNotOpen), "{point:02x?}");
    }
}

#[test]
fn a_secret_shows_nothing_of_itself() {
    let secret = SealingSecret::from_seed(&[0xab; 32]);
    assert_eq!(alloc::format!("{secret:?}"), "SealingSecret");
    assert_eq!(alloc::format!("{:?}", secret.public()), "SealingKey");
}

proptest! {
    #[test]
    fn the_list_refuses_what_gives_zero_and_nothing_else(point in any_point()) {
        assert_eq!(contributes(&point), !diffie_hellman_is_zero(point), "{point:02x?}");
    }
}

/// Random points, and points one bit away from one of small order.
fn any_point() -> impl Strategy<Value = [u8; 32]> {
    prop_oneof![
        any::<[u8; 32]>(),
        (0..SMALL_ORDER.len(), 0..256usize).prop_map(|(which, bit)| {
            let mut point = SMALL_ORDER[which];
            point[bit / 8] ^= 1 << (bit % 8);
            point
        })
    ]
}

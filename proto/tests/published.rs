//! The primitives against their published vectors, through the crates that proto stands on and, where it has one, its own door.
#![expect(clippy::panic, reason = "a test stops at the first difference and says where")]

use argon2::{Algorithm, Argon2, AssociatedData, ParamsBuilder, Version};
use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce};
use data_encoding::HEXLOWER;
use ed25519_dalek::{Signer, SigningKey, VerifyingKey};
use hpke::{Deserializable, Kem, OpModeR, OpModeS, Serializable, aead::ChaCha20Poly1305, kdf::HkdfSha256, kem::XWing};
use porchlight_proto::seal::SealingSecret;
use porchlight_proto::sign::SecretKey;
use std::collections::BTreeMap;
use std::convert::Infallible;

type Case = BTreeMap<String, Vec<u8>>;

/// The cases of one file under `proto/vectors/published`.
fn cases(name: &str) -> Vec<Case> {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors/published").join(name);
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{name}: {error}"));
    let value = |line: &str| {
        let (name, hex) = line.split_once(" =").unwrap_or_else(|| panic!("{line} is not name = hex"));
        (name.to_owned(), HEXLOWER.decode(hex.trim().as_bytes()).expect("hex"))
    };
    let lines = |block: &str| block.lines().filter(|line| !line.starts_with('#')).map(value).collect::<Case>();
    let cases: Vec<_> = text.split("\n\n").map(lines).filter(|case| !case.is_empty()).collect();
    assert!(!cases.is_empty(), "{name} has no case");
    cases
}

fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    bytes.try_into().expect("a value of its length")
}

/// Chance that is not: it hands out these bytes, once.
struct Fixed(Vec<u8>);

impl rand_core::TryRng for Fixed {
    type Error = Infallible;
    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        panic!("only bytes are drawn")
    }
    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        panic!("only bytes are drawn")
    }
    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        out.copy_from_slice(&self.0.drain(..out.len()).collect::<Vec<_>>());
        Ok(())
    }
}

impl rand_core::TryCryptoRng for Fixed {}

#[test]
fn ed25519_is_that_of_rfc_8032() {
    for case in cases("ed25519.hex") {
        let (seed, public) = (array(&case["seed"]), array(&case["public"]));
        let key = SigningKey::from_bytes(&seed);
        assert_eq!(SecretKey::from_seed(&seed).public().as_bytes(), &public);
        let signature = key.sign(&case["message"]);
        assert_eq!(signature.to_bytes().as_slice(), case["signature"]);
        VerifyingKey::from_bytes(&public).expect("a key").verify_strict(&case["message"], &signature).expect("its signature");
    }
}

#[test]
fn argon2id_is_that_of_rfc_9106() {
    for case in cases("argon2id.hex") {
        let mut params = ParamsBuilder::new();
        params.m_cost(32).t_cost(3).p_cost(4).data(AssociatedData::new(&case["data"]).expect("short data"));
        let params = params.build().expect("the RFC's parameters");
        let argon2 = Argon2::new_with_secret(&case["secret"], Algorithm::Argon2id, Version::V0x13, params).expect("a secret");
        let mut tag = [0; 32];
        argon2.hash_password_into(&case["password"], &case["salt"], &mut tag).expect("a tag");
        assert_eq!(tag.as_slice(), case["tag"]);
    }
}

#[test]
fn hkdf_is_that_of_rfc_5869() {
    for case in cases("hkdf.hex") {
        let mut okm = vec![0; case["okm"].len()];
        let hkdf = hkdf::Hkdf::<sha2::Sha256>::from_prk(&case["prk"]).expect("a PRK");
        hkdf.expand(&case["info"], &mut okm).expect("short");
        assert_eq!(okm, case["okm"]);
    }
}

#[test]
fn xchacha20poly1305_is_that_of_its_draft() {
    for case in cases("xchacha20poly1305.hex") {
        let cipher = XChaCha20Poly1305::new(&array(&case["key"]).into());
        let nonce = XNonce::from(array::<24>(&case["nonce"]));
        let sealed = cipher.encrypt(&nonce, Payload { msg: &case["plaintext"], aad: &case["aad"] }).expect("short");
        assert_eq!(sealed, case["ciphertext"]);
        let opened = cipher.decrypt(&nonce, Payload { msg: &sealed, aad: &case["aad"] }).expect("its own");
        assert_eq!(opened, case["plaintext"]);
    }
}

#[test]
fn xwing_is_that_of_its_draft() {
    for case in cases("xwing.hex") {
        let secret = SealingSecret::from_seed(&array(&case["secret_key"]));
        assert_eq!(secret.public().as_bytes().as_slice(), case["public_key"]);
        // HPKE hides the shared secret, but its draw and its encapsulation are the draft's; the next test reaches the secret.
        let key = <XWing as Kem>::PublicKey::from_bytes(&case["public_key"]).expect("a key");
        let mut chance = Fixed(case["randomness"].clone());
        let (enc, _) = hpke::setup_sender_with_rng::<ChaCha20Poly1305, HkdfSha256, XWing>(&OpModeS::Base, &key, b"", &mut chance)
            .expect("enc");
        assert_eq!(enc.to_bytes().as_slice(), case["enc"]);
        assert!(chance.0.is_empty());
    }
}

#[test]
fn hpke_over_xwing_is_that_of_its_draft() {
    for case in cases("hpke-xwing.hex") {
        let secret = SealingSecret::from_seed(&array(&case["secret_key"]));
        let key = <XWing as Kem>::PublicKey::from_bytes(secret.public().as_bytes()).expect("a key");
        let mut chance = Fixed(case["ike"].clone());
        let (enc, mut sender) =
            hpke::setup_sender_with_rng::<ChaCha20Poly1305, HkdfSha256, XWing>(&OpModeS::Base, &key, &case["info"], &mut chance)
                .expect("a context");
        let sealed = sender.seal(&case["plaintext"], &case["aad"]).expect("the first message");
        assert_eq!(sealed, case["ciphertext"], "this binds the shared secret, the key and the nonce");
        let own = <XWing as Kem>::PrivateKey::from_bytes(secret.seed()).expect("a seed");
        let mut receiver = hpke::setup_receiver::<ChaCha20Poly1305, HkdfSha256, XWing>(&OpModeR::Base, &own, &enc, &case["info"])
            .expect("a context");
        assert_eq!(receiver.open(&sealed, &case["aad"]).expect("its own"), case["plaintext"]);
    }
}

#[test]
fn every_published_file_is_read_here() {
    let home = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors/published");
    let files: Vec<_> =
        std::fs::read_dir(home).expect("the vectors lie there").map(|entry| entry.expect("readable").path()).collect();
    assert!(!files.is_empty());
    for path in files {
        let name = path.file_name().expect("a file").to_string_lossy().into_owned();
        assert!(include_str!("published.rs").contains(&format!("cases(\"{name}\")")), "{name} is read by no test");
    }
}

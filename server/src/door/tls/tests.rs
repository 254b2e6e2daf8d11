use super::*;
use rustls::NamedGroup;
use std::os::unix::fs::PermissionsExt;

#[test]
fn the_self_signed_identity_stays_and_its_key_is_private() {
    let dir = tempfile::tempdir().unwrap();
    let tls = dir.path().join("tls");
    assert_eq!(kept_pin(&tls).unwrap(), None);
    assert!(!tls.exists(), "asking makes nothing");
    let first = self_signed(&tls, "localhost").unwrap();
    assert_eq!(kept_pin(&tls).unwrap(), Some(first.spki));
    assert_eq!(self_signed(&tls, "localhost").unwrap().spki, first.spki);
    std::fs::remove_file(tls.join("key.pem")).unwrap();
    assert_eq!(kept_pin(&tls).unwrap(), None);
    let first = {
        let other = self_signed(&tls, "localhost").unwrap();
        assert_ne!(other.spki, first.spki, "a new key has a certificate of its own");
        other
    };
    std::fs::remove_file(tls.join("cert.pem")).unwrap();
    assert_eq!(kept_pin(&tls).unwrap(), Some(first.spki), "of the key alone");
    assert_eq!(self_signed(&tls, "localhost").unwrap().spki, first.spki, "a new certificate of the old key");
    let mode = |name: &str| std::fs::metadata(tls.join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode("key.pem"), 0o600);
    assert_eq!(std::fs::read_to_string(tls.join("pin")).unwrap(), format!("{}\n", pin_text(&first.spki)));
}

#[test]
fn a_renewed_certificate_is_taken_and_another_key_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let (tls, other) = (dir.path().join("tls"), dir.path().join("other"));
    let identity = self_signed(&tls, "localhost").unwrap();
    let files = (tls.join("cert.pem"), tls.join("key.pem"));
    let held = Certificate::new(identity.clone(), Some(files.clone()));
    std::fs::remove_file(&files.0).unwrap();
    assert!(matches!(held.renew(), Err(TlsError::Pem(..))), "no file");
    assert!(Arc::ptr_eq(&held.config(), &identity.config));
    assert_eq!(Certificate::new(identity.clone(), None).until().to_string(), "4096-01-01");
    self_signed(&tls, "localhost").unwrap();
    assert!(matches!(held.renew().unwrap(), Renewal::Done(until) if !until.is_over()));
    assert!(matches!(held.renew().unwrap(), Renewal::Same(_)), "nobody has renewed it since");
    let renewed = held.config();
    assert!(!Arc::ptr_eq(&renewed, &identity.config));
    self_signed(&other, "localhost").unwrap();
    for name in ["cert.pem", "key.pem"] {
        std::fs::copy(other.join(name), tls.join(name)).unwrap();
    }
    assert_eq!(held.renew().unwrap(), Renewal::OtherKey);
    assert!(Arc::ptr_eq(&held.config(), &renewed));
    assert_eq!(Certificate::new(identity, None).renew().unwrap(), Renewal::Nothing);
}

#[test]
fn the_hybrid_group_is_preferred() {
    let groups = aws_lc_rs::default_provider().kx_groups;
    assert_eq!(groups.first().map(|group| group.name()), Some(NamedGroup::X25519MLKEM768));
}

#[test]
fn what_is_no_certificate_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let empty = dir.path().join("empty.pem");
    std::fs::write(&empty, "nothing").unwrap();
    assert!(matches!(of_files(&empty, &empty), Err(TlsError::Holds(_, Instead::Nothing))));
    // A key that lost its line ends: what it holds is in the parser's error, and not in ours.
    std::fs::write(&empty, "-----BEGIN PRIVATE KEY----- k3v9q2\n-----END PRIVATE KEY-----\n").unwrap();
    assert_eq!(of_files(&empty, &empty).err().unwrap().to_string(), "tls.cert: the file is damaged: it must be PEM");
    let nowhere = of_files(&dir.path().join("k3v9q2"), &empty).err().unwrap().to_string();
    assert!(nowhere.starts_with("tls.cert: cannot read the file: No such file"), "{nowhere}");
    let (one, other) = (dir.path().join("one"), dir.path().join("other"));
    self_signed(&one, "localhost").unwrap();
    self_signed(&other, "localhost").unwrap();
    assert!(matches!(of_files(&one.join("cert.pem"), &other.join("key.pem")), Err(TlsError::Apart(..))));
}

/// A certificate of this key, and both as PEM.
fn pair_of(algorithm: &'static rcgen::SignatureAlgorithm) -> [String; 2] {
    let pair = KeyPair::generate_for(algorithm).unwrap();
    [certificate(&pair, "localhost").unwrap(), pair.serialize_pem()]
}

fn pem_of(label: &str, der: &[u8]) -> String {
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", data_encoding::BASE64.encode(der))
}

#[test]
fn what_a_file_holds_instead_is_said_and_what_it_says_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let [cert, key] = pair_of(&PKCS_ECDSA_P256_SHA256);
    // `[0] INTEGER 2` is version 3.
    let v3 = hex("a003020102");
    let mut old = CertificateDer::from_pem_slice(cert.as_bytes()).unwrap().to_vec();
    let at = old.windows(v3.len()).position(|bytes| bytes == v3).unwrap() + v3.len() - 1;
    old[at] = 0;
    let old = pem_of("CERTIFICATE", &old);
    let secret = b"k3v9q2k3v9q2";
    let sealed = pem_of("ENCRYPTED PRIVATE KEY", secret);
    let older =
        pem_of("RSA PRIVATE KEY", secret).replacen('\n', "\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,6B337639\n\n", 1);
    let (weak, ssh) = (pem_of("PRIVATE KEY", secret), pem_of("OPENSSH PRIVATE KEY", secret));
    let (request, garbage) = (pem_of("CERTIFICATE REQUEST", secret), pem_of("CERTIFICATE", secret));
    for (name, cert, key, says) in [
        (
            "cert and key swapped",
            &key,
            &cert,
            "tls.cert: there is a key in the file, and no certificate: are cert and key swapped?",
        ),
        (
            "the certificate twice",
            &cert,
            &cert,
            "tls.key: there is a certificate in the file, and no key: are cert and key swapped?",
        ),
        ("a request", &request, &key, "tls.cert: there is a request for a certificate in the file"),
        ("an encrypted key", &cert, &sealed, "tls.key: the key is encrypted"),
        ("one that is encrypted the older way", &cert, &older, "tls.key: the key is encrypted"),
        ("a key that is too short", &cert, &weak, "tls.key: the key is damaged, or of a kind that is not taken: RSA of 2048"),
        ("a key for something else", &cert, &ssh, "tls.key: the key is damaged, or of a kind that is not taken"),
        ("a certificate of version 1", &old, &key, "tls.cert: the certificate is of X.509 version 1"),
        ("no certificate inside", &garbage, &key, "tls.cert: the certificate is damaged"),
    ] {
        let files = ["cert.pem", "key.pem"].map(|file| dir.path().join(file));
        std::fs::write(&files[0], cert).unwrap();
        std::fs::write(&files[1], key).unwrap();
        let said = of_files(&files[0], &files[1]).err().unwrap().to_string();
        assert!(said.starts_with(says), "{name}: {said}");
        assert!(!said.contains("k3v9") && !said.contains("azN2"), "{name}: {said}");
    }
}

fn hex(text: &str) -> Vec<u8> {
    data_encoding::HEXLOWER.decode(text.as_bytes()).unwrap()
}

#[test]
fn what_the_relay_made_for_itself_is_named_when_it_was_altered() {
    let dir = tempfile::tempdir().unwrap();
    let [tls, other] = ["tls", "other"].map(|name| dir.path().join(name));
    let spki = self_signed(&tls, "localhost").unwrap().spki;
    self_signed(&other, "localhost").unwrap();
    let said = || {
        let said = self_signed(&tls, "localhost").err().unwrap().to_string();
        assert_eq!(kept_pin(&tls).err().unwrap().to_string(), said, "check-config says the same");
        assert!(!said.contains("tls.key") && !said.contains("tls.cert"), "that configuration has neither: {said}");
        said
    };
    std::fs::copy(other.join("cert.pem"), tls.join("cert.pem")).unwrap();
    assert!(said().starts_with("data_dir/tls/cert.pem: is the certificate of another key than data_dir/tls/key.pem"));
    std::fs::write(tls.join("cert.pem"), b"nothing").unwrap();
    let of_the_certificate = said();
    assert!(of_the_certificate.starts_with("data_dir/tls/cert.pem: there is neither"), "{of_the_certificate}");
    std::fs::remove_file(tls.join("cert.pem")).unwrap();
    assert_eq!(self_signed(&tls, "localhost").unwrap().spki, spki, "as it says: the pin stays");
    for damage in [&b"nothing"[..], b"\xff\xfe", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"] {
        std::fs::write(tls.join("key.pem"), damage).unwrap();
        for has_certificate in [true, false] {
            if !has_certificate {
                std::fs::remove_file(tls.join("cert.pem")).unwrap();
            }
            let said = said();
            assert!(
                said.starts_with("data_dir/tls/key.pem: ") && said.contains("desks and cards then need the new pin"),
                "{said}"
            );
        }
        std::fs::remove_file(tls.join("key.pem")).unwrap();
        assert_ne!(self_signed(&tls, "localhost").unwrap().spki, spki, "as it says");
    }
}

#[test]
fn a_key_that_not_every_browser_takes_is_known() {
    let dir = tempfile::tempdir().unwrap();
    for (algorithm, kind, says) in [
        (&PKCS_ECDSA_P256_SHA256, KeyKind::Common, None),
        (&rcgen::PKCS_ECDSA_P384_SHA384, KeyKind::Common, None),
        (&rcgen::PKCS_RSA_SHA256, KeyKind::Common, None),
        (&rcgen::PKCS_ECDSA_P521_SHA512, KeyKind::P521, Some("P-521, which Chrome")),
        (&rcgen::PKCS_ED25519, KeyKind::Rare, Some("common browsers do not take")),
    ] {
        let files = ["cert.pem", "key.pem"].map(|file| dir.path().join(file));
        files.iter().zip(pair_of(algorithm)).for_each(|(file, pem)| std::fs::write(file, pem).unwrap());
        let identity = of_files(&files[0], &files[1]).unwrap();
        assert_eq!((identity.kind, leaf_of(&files[0]).unwrap().kind), (kind, kind), "{algorithm:?}");
        assert_eq!(kind.warning().is_some(), says.is_some());
        assert!(says.is_none_or(|says| kind.warning().unwrap().contains(says)), "{algorithm:?}");
    }
}

use super::*;
use proptest::prelude::*;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use std::{fs, os::unix::fs::PermissionsExt, path::Path};

fn rng() -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(7)
}

fn words() -> Passphrase {
    Passphrase::new("four plain words here\n".to_owned())
}

fn record(text: &str) -> Record {
    Zeroizing::new(text.as_bytes().to_vec())
}

fn read(vault: &mut Vault) -> Result<Vec<String>, VaultError> {
    let hold = vault.hold(Holding::Shared)?;
    let (News::Tail(records) | News::Anew(records)) = vault.news(&hold)?;
    Ok(records.iter().map(|r| String::from_utf8_lossy(r).into_owned()).collect())
}

fn write(vault: &mut Vault, texts: &[&str]) -> Result<(), VaultError> {
    let hold = vault.hold(Holding::Alone)?;
    vault.news(&hold)?;
    vault.append(&hold, &texts.iter().map(|t| record(t)).collect::<Vec<_>>(), &mut rng())
}

fn journal(dir: &Path) -> PathBuf {
    dir.join("vault/journal")
}

#[test]
fn what_was_appended_is_there_after_opening_again() {
    let dir = tempfile::tempdir().unwrap();
    let mut vault = Vault::create(dir.path(), &words(), &mut rng()).unwrap();
    write(&mut vault, &["one", "two"]).unwrap();
    drop(vault);
    let mut vault = Vault::open(dir.path(), &words()).unwrap();
    assert_eq!(read(&mut vault).unwrap(), ["one", "two"]);
    assert!(!vault.restored());
}

#[test]
fn a_wrong_passphrase_opens_nothing() {
    let dir = tempfile::tempdir().unwrap();
    Vault::create(dir.path(), &words(), &mut rng()).unwrap();
    let opened = Vault::open(dir.path(), &Passphrase::new("four plain words".to_owned()));
    assert!(matches!(opened, Err(VaultError::WrongPassphrase)));
    assert!(matches!(Vault::create(dir.path(), &words(), &mut rng()), Err(VaultError::Exists)));
    assert!(matches!(Vault::open(&dir.path().join("elsewhere"), &words()), Err(VaultError::Missing)));
}

#[test]
fn only_this_account_can_read_the_files() {
    let dir = tempfile::tempdir().unwrap();
    Vault::create(dir.path(), &words(), &mut rng()).unwrap();
    for entry in fs::read_dir(dir.path().join("vault")).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", entry.file_name());
    }
    fs::set_permissions(dir.path().join("vault"), fs::Permissions::from_mode(0o755)).unwrap();
    assert!(matches!(Vault::open(dir.path(), &words()), Err(VaultError::NotPrivate)));
}

#[test]
fn a_tail_torn_at_any_byte_costs_only_the_last_record() {
    let dir = tempfile::tempdir().unwrap();
    let mut vault = Vault::create(dir.path(), &words(), &mut rng()).unwrap();
    write(&mut vault, &["one", "two"]).unwrap();
    let whole = fs::read(journal(dir.path())).unwrap();
    write(&mut vault, &["three"]).unwrap();
    let longer = fs::read(journal(dir.path())).unwrap();
    let mut vault = Vault::open(dir.path(), &words()).unwrap();
    for cut in whole.len()..longer.len() {
        // Cut short, cut short with zeros in place of what is missing, or only its beginning missing.
        let zeros = [&longer[..cut], &vec![0; longer.len() - cut]].concat();
        for torn in [longer[..cut].to_vec(), zeros] {
            fs::write(journal(dir.path()), &torn).unwrap();
            vault.journal = Journal::open(&vault.dir).unwrap();
            assert_eq!(read(&mut vault).unwrap(), ["one", "two"], "torn at {cut}");
        }
    }
    write(&mut vault, &["four"]).unwrap();
    let mut vault = Vault::open(dir.path(), &words()).unwrap();
    assert_eq!(read(&mut vault).unwrap(), ["one", "two", "four"], "a torn tail is written over");
}

#[test]
fn a_byte_changed_before_the_last_record_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let mut vault = Vault::create(dir.path(), &words(), &mut rng()).unwrap();
    write(&mut vault, &["one", "two"]).unwrap();
    let whole = fs::read(journal(dir.path())).unwrap();
    write(&mut vault, &["three"]).unwrap();
    let longer = fs::read(journal(dir.path())).unwrap();
    for at in 0..whole.len() {
        let mut changed = longer.clone();
        changed[at] ^= 1;
        fs::write(journal(dir.path()), &changed).unwrap();
        let outcome = Journal::open(&vault.dir).and_then(|journal| {
            vault.journal = journal;
            read(&mut vault)
        });
        assert!(matches!(outcome, Err(VaultError::Damaged(_) | VaultError::Newer)), "changed at {at}: {outcome:?}");
    }
}

#[test]
fn records_cannot_be_left_out_repeated_or_exchanged() {
    let dir = tempfile::tempdir().unwrap();
    let mut vault = Vault::create(dir.path(), &words(), &mut rng()).unwrap();
    let mut marks = vec![];
    for text in ["one", "two", "six", "ten"] {
        marks.push(fs::read(journal(dir.path())).unwrap().len());
        write(&mut vault, &[text]).unwrap();
    }
    let whole = fs::read(journal(dir.path())).unwrap();
    let [a, b, c, d] = [marks[0], marks[1], marks[2], marks[3]];
    for (name, bytes) in [
        ("left out", [&whole[..a], &whole[b..]].concat()),
        ("repeated", [&whole[..b], &whole[a..]].concat()),
        ("two left out", [&whole[..a], &whole[c..]].concat()),
        ("exchanged", [&whole[..a], &whole[b..c], &whole[a..b], &whole[c..d], &whole[d..]].concat()),
    ] {
        fs::write(journal(dir.path()), bytes).unwrap();
        vault.journal = Journal::open(&vault.dir).unwrap();
        assert!(matches!(read(&mut vault), Err(VaultError::Damaged(_))), "{name}");
    }
}

#[test]
fn two_processes_see_each_others_records_and_rewritings() {
    let dir = tempfile::tempdir().unwrap();
    let mut first = Vault::create(dir.path(), &words(), &mut rng()).unwrap();
    let mut second = Vault::open(dir.path(), &words()).unwrap();
    write(&mut first, &["one"]).unwrap();
    write(&mut second, &["two"]).unwrap();
    assert_eq!(read(&mut first).unwrap(), ["two"]);
    let hold = second.hold(Holding::Alone).unwrap();
    second.rewrite(&hold, &[record("both")], &mut rng()).unwrap();
    drop(hold);
    let hold = first.hold(Holding::Shared).unwrap();
    assert!(matches!(first.news(&hold).unwrap(), News::Anew(records) if records.len() == 1 && *records[0] == b"both"[..]));
    drop(hold);
    write(&mut first, &["more"]).unwrap();
    assert_eq!(read(&mut second).unwrap(), ["more"]);
}

#[test]
fn a_copied_journal_says_that_it_is_a_copy() {
    let dir = tempfile::tempdir().unwrap();
    let mut vault = Vault::create(dir.path(), &words(), &mut rng()).unwrap();
    write(&mut vault, &["one"]).unwrap();
    let backup = dir.path().join("backup");
    fs::copy(journal(dir.path()), &backup).unwrap();
    fs::rename(&backup, journal(dir.path())).unwrap();
    let mut vault = Vault::open(dir.path(), &words()).unwrap();
    read(&mut vault).unwrap();
    assert!(vault.restored());
    let hold = vault.hold(Holding::Alone).unwrap();
    vault.rewrite(&hold, &[record("one")], &mut rng()).unwrap();
    assert!(!vault.restored());
}

#[test]
fn a_forgotten_key_is_in_no_file() {
    let dir = tempfile::tempdir().unwrap();
    let mut vault = Vault::create(dir.path(), &words(), &mut rng()).unwrap();
    let mut ring = Ring::default();
    ring.put(KeyName::Day(3), &[3; 32]);
    ring.put(KeyName::Day(4), &[4; 32]);
    let hold = vault.hold(Holding::Alone).unwrap();
    vault.save_ring(&hold, ring.clone(), &mut rng()).unwrap();
    assert!(ring.forget(KeyName::Day(3)));
    vault.save_ring(&hold, ring, &mut rng()).unwrap();
    drop(hold);
    let mut vault = Vault::open(dir.path(), &words()).unwrap();
    read(&mut vault).unwrap();
    assert_eq!(vault.ring().key(KeyName::Day(3)), None);
    assert_eq!(vault.ring().key(KeyName::Day(4)), Some(&[4; 32]));
    assert_eq!(fs::metadata(dir.path().join("vault/ring")).unwrap().len(), 8 + 24 + 41 + 16);
}

#[test]
fn secrets_are_silent() {
    let mut ring = Ring::default();
    ring.put(KeyName::Device, &[65; 32]);
    let dir = tempfile::tempdir().unwrap();
    let vault = Vault::create(dir.path(), &words(), &mut rng()).unwrap();
    assert_eq!(format!("{ring:?} {vault:?} {:?}", words()), "Ring Vault Passphrase");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    #[test]
    fn any_bytes_in_place_of_a_file_are_an_error_and_no_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), which in 0..2_usize) {
        let dir = tempfile::tempdir().unwrap();
        let mut vault = Vault::create(dir.path(), &words(), &mut rng()).unwrap();
        fs::write(dir.path().join("vault").join(["journal", "ring"][which]), bytes).unwrap();
        let outcome = Journal::open(&vault.dir).and_then(|j| { vault.journal = j; read(&mut vault) });
        prop_assert!(outcome.is_err());
    }
}

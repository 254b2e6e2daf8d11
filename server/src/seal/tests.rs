use std::os::unix::fs::PermissionsExt;

use tempfile::TempDir;

use super::*;
use crate::chance::SeededChance;
use crate::store::{FaultyStore, MemoryStore, SledStore};

const BOOT: [u8; 16] = [1; 16];
const HOUR: u64 = 3_600_000;

fn line(byte: u8) -> LineId {
    LineId::from_bytes([byte; 32])
}

fn name(number: u32) -> EpochName {
    EpochName { lane: Lane::Up, line: line(1), number, unit: 3600, group: number / 24 }
}

fn chance() -> Arc<SeededChance> {
    Arc::new(SeededChance::new(5))
}

struct Disk {
    dir: TempDir,
}

impl Disk {
    fn new() -> Self {
        Self { dir: TempDir::new().unwrap() }
    }

    fn keys(&self) -> std::path::PathBuf {
        self.dir.path().join("keys")
    }

    fn keyring(&self, boot: [u8; 16], now: BootMillis) -> Result<Keyring, KeyringError> {
        Keyring::open(&self.keys(), self.dir.path(), KeyringMedium::Anywhere, boot, now, &crate::chance::SystemChance)
    }

    fn sealer(&self, now: BootMillis) -> Sealer {
        let store = SledStore::open(&self.dir.path().join("cells")).unwrap();
        Sealer::new(self.keyring(BOOT, now).unwrap(), Arc::new(store), chance())
    }
}

/// One with a keyring in memory.
fn over<S: Store>(store: &Arc<S>) -> Sealer {
    Sealer::new(Keyring::in_memory(chance().as_ref()), Arc::clone(store) as Arc<dyn Store>, chance())
}

fn in_memory() -> Sealer {
    over(&Arc::new(MemoryStore::new()))
}

#[test]
fn what_is_sealed_opens_in_its_own_place_and_in_no_other() {
    let key = EpochKey::draw(chance().as_ref());
    let sealed = key.seal(&name(3), RecordKey(9), b"cells", chance().as_ref());
    assert_eq!(sealed.len(), 5 + RECORD_OVERHEAD);
    assert_eq!(key.open(&name(3), RecordKey(9), &sealed).as_deref(), Some(b"cells".as_slice()));
    let mut torn = sealed.clone();
    torn[30] ^= 1;
    let moved = [
        ("another position", name(3), RecordKey(10), &sealed),
        ("another epoch", name(4), RecordKey(9), &sealed),
        ("another line", EpochName { line: line(2), ..name(3) }, RecordKey(9), &sealed),
        ("another lane", EpochName { lane: Lane::Blob, ..name(3) }, RecordKey(9), &sealed),
        ("a flipped bit", name(3), RecordKey(9), &torn),
        ("nothing", name(3), RecordKey(9), &Vec::new()),
    ];
    for (what, name, record, bytes) in moved {
        assert_eq!(key.open(&name, record, bytes), None, "{what}");
    }
    assert_eq!(EpochKey::draw(&crate::chance::SystemChance).open(&name(3), RecordKey(9), &sealed), None);
    assert_eq!(format!("{key:?}"), "EpochKey");
}

#[test]
fn an_epoch_lives_until_its_death_and_not_a_millisecond_longer() {
    let sealer = in_memory();
    let (birth, death) = (BootMillis(10), BootMillis(20));
    let epoch = sealer.begin(name(1), 1, birth, death).unwrap();
    sealer.append(&epoch, &[(RecordKey(1), b"cell")], 1, BootMillis(19)).unwrap();
    assert_eq!(sealer.read(&epoch, RecordKey(1), 100, BootMillis(19)).unwrap().records, [(RecordKey(1), b"cell".to_vec())]);
    for at in [BootMillis(20), BootMillis(21)] {
        assert!(matches!(sealer.read(&epoch, RecordKey(1), 100, at), Err(SealError::Dead)));
        assert!(matches!(sealer.append(&epoch, &[], 0, at), Err(SealError::Dead)));
        assert!(matches!(sealer.filler(&epoch, 1, at), Err(SealError::Dead)));
    }
    assert_eq!(sealer.expire(BootMillis(19)).unwrap(), 0);
    assert_eq!(sealer.expire(death).unwrap(), 1);
    assert!(
        matches!(sealer.read(&epoch, RecordKey(1), 100, BootMillis(19)), Err(SealError::Dead)),
        "a dead key does not come back with an earlier clock"
    );
    assert_eq!(sealer.store().bytes(), 0);
}

#[test]
fn a_restart_in_the_same_boot_finds_epochs_counts_life_and_promises() {
    let disk = Disk::new();
    let now = BootMillis(HOUR);
    let sealer = disk.sealer(now);
    let life = sealer.life();
    let begin = |number| sealer.begin(name(number), u64::from(number) * 10, now, now.after(HOUR)).unwrap();
    let epochs = [1, 2].map(begin);
    sealer.append(&epochs[0], &[(RecordKey(10), b"ten")], 3, now).unwrap();
    sealer.append(&epochs[0], &[(RecordKey(13), b"thirteen")], 4, now).unwrap();
    sealer.reserve(&line(1), 500).unwrap();
    sealer.reserve(&line(2), 70).unwrap();
    sealer.reserve(&line(1), 900).unwrap();
    assert_eq!((sealer.reserved(&line(1)), sealer.reserved(&line(2))), (900, 70));
    // It takes no slot of theirs.
    begin(3);
    let filler = sealer.filler(&epochs[1], 7, now).unwrap();
    // Filler that can be told from an answer says when nobody was answered.
    assert!(sealer.filler(&epochs[1], 8, now).unwrap() != filler, "another slot");
    assert!(sealer.filler(&epochs[0], 7, now).unwrap() != filler, "another epoch");
    drop(sealer);
    let sealer = disk.sealer(now.after(5));
    assert_eq!(sealer.life(), life);
    let held = sealer.held(Lane::Up, &line(1));
    assert_eq!(
        held.iter().map(|epoch| (epoch.name, epoch.first, epoch.count)).collect::<Vec<_>>(),
        [(name(1), 10, 7), (name(2), 20, 0), (name(3), 30, 0)]
    );
    assert_eq!(sealer.read(&held[0], RecordKey(0), 1000, now).unwrap().records.len(), 2);
    assert_eq!(sealer.filler(&held[1], 7, now).unwrap(), filler, "filler lives with its key");
    assert_eq!((sealer.reserved(&line(1)), sealer.reserved(&line(2)), sealer.reserved(&line(3))), (900, 70, 1));
    assert!(sealer.held(Lane::Blob, &line(1)).is_empty() && sealer.held(Lane::Up, &line(2)).is_empty());
}

#[test]
fn another_boot_voids_the_keyring_and_overwrites_every_key() {
    let disk = Disk::new();
    let now = BootMillis(HOUR);
    let (life, keys) = {
        let sealer = disk.sealer(now);
        sealer.begin(name(1), 1, now, now.after(HOUR)).unwrap();
        (sealer.life(), std::fs::read(disk.keys().join(KEYRING_FILE)).unwrap())
    };
    let keyring = disk.keyring([2; 16], now).unwrap();
    assert_ne!(keyring.life(), life);
    assert!(keyring.places().is_empty());
    let after = std::fs::read(disk.keys().join(KEYRING_FILE)).unwrap();
    assert_eq!([keys.len(), after.len()], [64 + 8192 * 160; 2], "the size never changes");
    assert!(after[64..].iter().all(|byte| *byte == 0));
}

#[test]
fn a_dead_key_is_wiped_from_the_file_whether_the_relay_ran_or_not() {
    for is_running in [true, false] {
        let disk = Disk::new();
        let now = BootMillis(HOUR);
        let sealer = disk.sealer(now);
        sealer.begin(name(1), 1, now, now.after(10)).unwrap();
        let file = disk.keys().join(KEYRING_FILE);
        assert!(std::fs::read(&file).unwrap()[64..].iter().any(|byte| *byte != 0));
        if is_running {
            sealer.expire(now.after(10)).unwrap();
        } else {
            drop(sealer);
            disk.sealer(now.after(10));
        }
        assert!(std::fs::read(&file).unwrap()[64..].iter().all(|byte| *byte == 0), "running: {is_running}");
    }
}

#[test]
fn a_keyring_belongs_to_one_relay_and_not_on_a_disk() {
    let disk = Disk::new();
    let held = disk.keyring(BOOT, BootMillis(0)).unwrap();
    assert!(matches!(disk.keyring(BOOT, BootMillis(0)), Err(KeyringError::InUse(_))));
    drop(held);
    disk.keyring(BOOT, BootMillis(0)).unwrap();
    // Somebody made it beforehand, for others to read.
    let file = disk.keys().join(KEYRING_FILE);
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o644)).unwrap();
    disk.keyring(BOOT, BootMillis(0)).unwrap();
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    // The data directory itself: the same device, whatever that is.
    let open = Keyring::open(&disk.keys(), disk.dir.path(), KeyringMedium::RamOnly, BOOT, BootMillis(0), chance().as_ref());
    assert!(matches!(open, Err(KeyringError::OnDisk(_))));
}

#[test]
fn keys_lie_in_ram_and_apart_from_the_data_unless_they_may_lie_anywhere() {
    // Not the usual place for what is temporary: that may be RAM, too.
    let on_disk = || TempDir::new_in(std::env::current_exe().unwrap().parent().unwrap()).unwrap();
    let in_ram = || TempDir::new_in("/dev/shm").unwrap();
    for (name, keys, data, is_refused) in [
        ("keys in RAM, data on a disk", in_ram(), on_disk(), false),
        ("both in one RAM", in_ram(), in_ram(), true),
        ("keys on a disk, data in RAM", on_disk(), in_ram(), true),
    ] {
        let open = Keyring::open(keys.path(), data.path(), KeyringMedium::RamOnly, BOOT, BootMillis(0), chance().as_ref());
        match open {
            Ok(_) => assert!(!is_refused, "{name}: taken"),
            Err(KeyringError::OnDisk(dir)) => assert!(is_refused && dir == keys.path(), "{name}: refused"),
            Err(other) => panic!("{name}: {other}"),
        }
    }
}

#[test]
fn damage_to_the_keyring_file_costs_slots_never_the_start() {
    let disk = Disk::new();
    let now = BootMillis(HOUR);
    {
        let sealer = disk.sealer(now);
        for number in 0..4 {
            sealer.begin(name(number), 1 + u64::from(number), now, now.after(HOUR)).unwrap();
        }
    }
    let file = disk.keys().join(KEYRING_FILE);
    let whole = std::fs::read(&file).unwrap();
    for at in (0..64 + 4 * 160).step_by(11) {
        let mut flipped = whole.clone();
        flipped[at] ^= 0x10;
        std::fs::write(&file, &flipped).unwrap();
        let left = disk.keyring(BOOT, now).unwrap().places().len();
        match at {
            0..24 => assert_eq!(left, 0, "magic or boot at {at}"),
            24..64 => assert_eq!(left, 4, "the life is only another at {at}"),
            // The count, and what is zero after the check, are not checked.
            _ if matches!((at - 64) % 160, 80..88 | 152..160) => assert_eq!(left, 4, "at {at}"),
            _ => assert_eq!(left, 3, "at {at}"),
        }
    }
    let mut garbage = whole.clone();
    garbage[64..64 + 160].fill(0xff);
    std::fs::write(&file, garbage).unwrap();
    assert_eq!(disk.keyring(BOOT, now).unwrap().places().len(), 3);
    assert_eq!(std::fs::read(&file).unwrap()[64..64 + 160], [0; 160], "what cannot be read may hold a key");
    for len in [0, 63, whole.len() - 1, whole.len() + 1] {
        let mut bytes = whole.clone();
        bytes.resize(len, 0);
        std::fs::write(&file, bytes).unwrap();
        assert!(disk.keyring(BOOT, now).unwrap().places().is_empty(), "{len} bytes");
    }
}

#[test]
fn a_full_keyring_refuses_and_takes_again_when_an_epoch_has_died() {
    let sealer = in_memory();
    let begin = |number| sealer.begin(name(number), 1, BootMillis(0), BootMillis(u64::from(number) + 1));
    for number in 0..u32::try_from(SLOTS).unwrap() {
        begin(number).unwrap();
    }
    assert!(matches!(begin(9_000), Err(SealError::Full)));
    assert!(matches!(sealer.reserve(&line(1), 5), Err(SealError::Full)));
    sealer.expire(BootMillis(1)).unwrap();
    begin(9_000).unwrap();
}

#[test]
fn epochs_of_a_group_share_a_shelf_until_it_goes_bad() {
    let disk = Disk::new();
    let now = BootMillis(HOUR);
    let sealer = disk.sealer(now);
    let begin = |number| sealer.begin(name(number), 1, now, now.after(HOUR)).unwrap();
    let (first, second, other) = (begin(0), begin(1), begin(24));
    assert_eq!(first.place.shelf, second.place.shelf);
    assert_ne!(first.place.shelf, other.place.shelf);
    // A file where the shelf's directory should be: sled cannot open that.
    std::fs::write(disk.dir.path().join("cells").join(first.place.shelf.to_string()), "no directory").unwrap();
    let _ = sealer.append(&first, &[(RecordKey(1), b"cell")], 1, now).unwrap_err();
    sealer.note(&first, StoreError::Unreadable);
    assert_ne!(begin(2).place.shelf, first.place.shelf);
    assert_eq!(begin(3).place.shelf, begin(4).place.shelf, "the next ones share the new one");
}

#[test]
fn an_altered_record_is_skipped_and_the_others_are_served() {
    let store = Arc::new(MemoryStore::new());
    let sealer = over(&store);
    let now = BootMillis(0);
    let epoch = sealer.begin(name(1), 1, now, now.after(HOUR)).unwrap();
    sealer.append(&epoch, &[(RecordKey(1), b"one"), (RecordKey(2), b"two"), (RecordKey(3), b"three")], 3, now).unwrap();
    let mut records = store.read(epoch.place, RecordKey(2), 0).unwrap();
    records[0].sealed[26] ^= 1;
    store.append(epoch.place, &records).unwrap();
    let opened = sealer.read(&epoch, RecordKey(0), 1000, now).unwrap();
    assert_eq!(opened.records, [(RecordKey(1), b"one".to_vec()), (RecordKey(3), b"three".to_vec())]);
    assert_eq!((opened.damaged_count, opened.last), (1, Some(RecordKey(3))));
}

#[test]
fn what_the_store_did_not_remove_is_tried_again_until_it_is_gone() {
    let store = FaultyStore::new();
    let sealer = over(&store);
    let now = BootMillis(0);
    let epochs = [1, 2, 3].map(|number| sealer.begin(name(number), 1, now, now.after(u64::from(number) * 10)).unwrap());
    for epoch in &epochs {
        sealer.append(epoch, &[(RecordKey(1), b"cell")], 1, now).unwrap();
    }
    store.hold_on(true);
    assert!(matches!(sealer.expire(BootMillis(10)), Err(SealError::Store(_))), "by age");
    assert!(matches!(sealer.forget(&epochs[1]), Err(SealError::Store(_))), "below the floor");
    for epoch in &epochs[..2] {
        assert!(matches!(sealer.read(epoch, RecordKey(0), 100, now), Err(SealError::Dead)), "the keys are gone at once");
    }
    assert!(matches!(sealer.expire(BootMillis(10)), Err(SealError::Store(_))), "nothing new has died, and still");
    store.hold_on(false);
    assert_eq!(sealer.expire(BootMillis(10)).unwrap(), 0);
    for (epoch, count) in epochs.iter().zip([0, 0, 1]) {
        assert_eq!(store.read(epoch.place, RecordKey(0), 100).unwrap().len(), count, "what lives stays");
    }
    store.hold_on(true);
    assert_eq!(sealer.expire(BootMillis(10)).unwrap(), 0, "what is gone is not tried again");
}

#[test]
fn a_refused_write_takes_nothing_along_that_lives() {
    let store = FaultyStore::new();
    let sealer = over(&store);
    let now = BootMillis(0);
    let epoch = sealer.begin(name(1), 1, now, now.after(HOUR)).unwrap();
    sealer.append(&epoch, &[(RecordKey(1), b"one")], 1, now).unwrap();
    store.is_full();
    let refused = sealer.append(&epoch, &[(RecordKey(2), b"two")], 1, now);
    assert!(matches!(refused, Err(SealError::Store(StoreError::Medium(_)))));
    assert_eq!(sealer.expire(now).unwrap(), 0);
    assert_eq!(sealer.read(&epoch, RecordKey(0), 100, now).unwrap().records, [(RecordKey(1), b"one".to_vec())]);
}

#[test]
fn what_dies_while_it_is_being_written_is_removed_all_the_same() {
    let store = FaultyStore::new();
    let sealer = Arc::new(over(&store));
    let (now, death) = (BootMillis(0), BootMillis(HOUR));
    let epoch = sealer.begin(name(1), 1, now, death).unwrap();
    let meanwhile = Arc::clone(&sealer);
    store.before_next_write(move || assert_eq!(meanwhile.expire(death).unwrap(), 1));
    assert!(matches!(sealer.append(&epoch, &[(RecordKey(1), b"cell")], 1, now), Err(SealError::Dead)));
    assert_ne!(store.bytes(), 0, "VOID: it lies there");
    assert_eq!(sealer.expire(death).unwrap(), 0, "nothing new has died");
    assert_eq!(store.bytes(), 0);
}

#[test]
fn keys_die_on_time_though_the_disk_hangs_and_their_records_go_when_it_lets_them() {
    let store = FaultyStore::new();
    let sealer = Arc::new(over(&store));
    let begin = |number, life| {
        let epoch = sealer.begin(name(number), 1, BootMillis(0), BootMillis(life)).unwrap();
        sealer.append(&epoch, &[(RecordKey(1), b"cell")], 1, BootMillis(0)).unwrap();
        epoch
    };
    let [first, second, third] = [begin(1, HOUR), begin(30, 2 * HOUR), begin(60, 3 * HOUR)];
    let disk = store.hangs.lock().unwrap();
    let waiting = {
        let sealer = Arc::clone(&sealer);
        std::thread::spawn(move || sealer.expire(BootMillis(HOUR)).unwrap())
    };
    // Whoever removes records has wiped the key before.
    while sealer.held(Lane::Up, &line(1)).iter().any(|held| held.place == first.place) {
        std::thread::yield_now();
    }
    assert_eq!(sealer.expire_keys(BootMillis(2 * HOUR)), 1, "while the other one waits for the disk");
    let held: Vec<_> = sealer.held(Lane::Up, &line(1)).iter().map(|epoch| epoch.place).collect();
    assert_eq!(held, [third.place]);
    assert!(matches!(sealer.count(&second, 1), Err(SealError::Dead)), "nothing is acknowledged that nobody can read");
    assert_ne!(store.bytes(), 0);
    drop(disk);
    assert_eq!(waiting.join().unwrap(), 1);
    assert_eq!((sealer.expire(BootMillis(2 * HOUR)).unwrap(), sealer.unforgotten_count()), (0, 0));
    let alive = sealer.read(&third, RecordKey(1), 100, BootMillis(2 * HOUR)).unwrap();
    assert_eq!(alive.records.len(), 1);
    for dead in [&first, &second] {
        assert_eq!(store.read(dead.place, RecordKey(1), 100).unwrap(), Vec::new());
    }
}

/// Found by reading: the reader waited for the keyring that it held itself, and with it everybody and every key that was to die.
#[test]
fn a_key_that_dies_while_something_is_read_with_it_holds_up_nobody() {
    let store = FaultyStore::new();
    let sealer = Arc::new(over(&store));
    let (now, death) = (BootMillis(0), BootMillis(HOUR));
    let epoch = sealer.begin(name(1), 1, now, death).unwrap();
    sealer.append(&epoch, &[(RecordKey(1), b"cell")], 1, now).unwrap();
    let meanwhile = Arc::clone(&sealer);
    store.before_next_read(move || assert_eq!(meanwhile.expire_keys(death), 1));
    let (told, hears) = std::sync::mpsc::channel();
    let reading = Arc::clone(&sealer);
    std::thread::spawn(move || told.send(matches!(reading.read(&epoch, RecordKey(1), 100, now), Err(SealError::Dead))));
    assert_eq!(hears.recv_timeout(std::time::Duration::from_secs(30)), Ok(true), "it waits for what it holds itself");
    assert_eq!((sealer.expire(death).unwrap(), sealer.unforgotten_count()), (0, 0), "and everybody goes on");
}

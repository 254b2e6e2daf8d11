use porchlight_proto::limits::LANE_PAGE_MAX_CELLS;
use porchlight_proto::line::{Gate, LineId};
use porchlight_proto::sign::PublicKey;
use porchlight_proto::time::{Millis, Timing};
use tempfile::TempDir;

use super::up::UpCell;
use super::*;
use crate::chance::SeededChance;
use crate::clock::{Clock, SetClock};
use crate::seal::{Keyring, KeyringMedium};
use crate::store::{FaultyStore, MemoryStore, RecordKey, SledStore, Store, StoreError};

mod days;
mod histories;

const NOON: Millis = Millis(1_795_435_205_000);
const HOUR: u64 = 3_600_000;

fn settings() -> LineSettings {
    let root = PublicKey::from_bytes([1; 32]);
    LineSettings {
        id: LineId::from_root(&root),
        root,
        gates: vec![Gate::parse("k3v9q2").unwrap()],
        relay_no: 0,
        timing: Timing::PRODUCTION,
        up_ttl_s: 10_800,
        desk_beat_ms: 10_000,
        cap_per_minute: 3000,
        leave_to: "about:blank".into(),
        other_door: String::new(),
    }
}

struct World {
    clock: Arc<SetClock>,
    chance: Arc<SeededChance>,
    store: Arc<dyn Store>,
    dir: TempDir,
}

impl World {
    fn new(store: Arc<dyn Store>) -> Self {
        let (clock, chance) = (Arc::new(SetClock::new(NOON)), Arc::new(SeededChance::new(8)));
        Self { clock, chance, store, dir: TempDir::new().unwrap() }
    }

    fn line(&self) -> Line {
        self.line_with(settings(), 3600)
    }

    fn line_with(&self, settings: LineSettings, epoch_s: u32) -> Line {
        let (chance, now) = (Arc::clone(&self.chance), self.clock.boot());
        let keyring =
            Keyring::open(&self.dir.path().join("keys"), self.dir.path(), KeyringMedium::Anywhere, [1; 16], now, chance.as_ref())
                .unwrap();
        let sealer = Arc::new(Sealer::new(keyring, Arc::clone(&self.store), Arc::clone(&chance) as Arc<dyn Chance>));
        let clock = Arc::new(SlotClock::start(Arc::clone(&self.clock) as Arc<dyn Clock>));
        let ground = Ground { sealer, clock, chance, counters: Arc::default(), epoch_s };
        Line::open(settings, &self.dir.path().join("public"), &ground).unwrap()
    }
}

/// Nobody closes; when the sender goes, that is not a wish to close either.
fn never() -> tokio::sync::watch::Receiver<bool> {
    let (sender, receiver) = tokio::sync::watch::channel(false);
    Box::leak(Box::new(sender));
    receiver
}

fn cell(number: u64) -> UpCell {
    let mut cell = Box::new([0; 2048]);
    cell[..8].copy_from_slice(&number.to_be_bytes());
    cell
}

fn numbers(page: &up::Page) -> Vec<u64> {
    page.cells.iter().map(|cell| u64::from_be_bytes(cell[..8].try_into().unwrap())).collect()
}

async fn post(line: &Line, numbers: std::ops::Range<u64>) {
    line.up.post(numbers.map(cell).collect()).await.unwrap();
}

/// All that is held, page by page, as a desk reads it.
fn all(line: &Line) -> Vec<(u64, u64)> {
    let (mut after, mut found) = (0, Vec::new());
    loop {
        let page = line.up.page_of(line.floors_life(), after).unwrap();
        if page.cells.is_empty() {
            return found;
        }
        assert!(page.first > after && page.cells.len() <= 512);
        after = page.first + page.cells.len() as u64 - 1;
        found.extend((page.first..).zip(numbers(&page)));
    }
}

impl Line {
    fn floors_life(&self) -> u64 {
        self.ground.sealer.life()
    }
}

#[tokio::test]
async fn cells_of_any_grouping_are_read_page_by_page_in_order() {
    let world = World::new(Arc::new(MemoryStore::new()));
    let line = world.line();
    tokio::spawn(line.up.writer().unwrap().run(never()));
    assert!(line.up.writer().is_none(), "there is one writer");
    let mut next = 1;
    for group in [1, 1, 31, 32, 33, 700, 1, 512, 5] {
        post(&line, next..next + group).await;
        next += group;
        if group == 33 {
            world.clock.pass(HOUR);
        }
    }
    assert_eq!(all(&line), (1..next).map(|n| (n, n)).collect::<Vec<_>>());
    assert_eq!(line.up.cell_count(), next - 1);
    let life = line.floors_life();
    for after in [0, 1, 30, 31, 32, 33, 34, 65, 98, 99, 100, 611, next - 2] {
        let page = line.up.page_of(life, after).unwrap();
        assert_eq!((page.first, numbers(&page)[0]), (after + 1, after + 1), "after {after}");
    }
    assert_eq!((line.up.page_of(life, next - 1).unwrap().first, line.up.page_of(life, next + 50).unwrap().first), (next, next));
    assert_eq!(line.ground.counters.damaged_records.count(), 0, "a page that ends inside a record is no damage");
}

#[tokio::test]
async fn posts_at_once_share_groups_and_all_are_told() {
    let world = World::new(Arc::new(MemoryStore::new()));
    let line = Arc::new(world.line());
    let mut posts = tokio::task::JoinSet::new();
    for number in 0..1000 {
        let line = Arc::clone(&line);
        posts.spawn(async move { line.up.post(vec![cell(number)]).await });
    }
    // Nobody writes yet: all of them gather.
    tokio::task::yield_now().await;
    tokio::spawn(line.up.writer().unwrap().run(never()));
    while let Some(told) = posts.join_next().await {
        told.unwrap().unwrap();
    }
    let mut found: Vec<u64> = all(&line).into_iter().map(|(_, number)| number).collect();
    found.sort_unstable();
    assert_eq!(found, (0..1000).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_damaged_record_leaves_a_gap_and_the_desk_reads_on_behind_it() {
    let store = Arc::new(MemoryStore::new());
    let world = World::new(Arc::clone(&store) as Arc<dyn Store>);
    let line = world.line();
    tokio::spawn(line.up.writer().unwrap().run(never()));
    for group in 0..4 {
        // Four cells: one record.
        post(&line, group * 4 + 1..group * 4 + 5).await;
    }
    let place = line.ground.sealer.held(crate::seal::Lane::Up, &line.settings.id)[0].place;
    let hurt = |key: u128| {
        let mut records = store.read(place, RecordKey(key), 0).unwrap();
        records[0].sealed[50] ^= 1;
        store.append(place, &records).unwrap();
    };
    hurt(5);
    let without = |gone: std::ops::RangeInclusive<u64>| (1..17).filter(|n| !gone.contains(n)).map(|n| (n, n)).collect::<Vec<_>>();
    assert_eq!(all(&line), without(5..=8));
    let life = line.floors_life();
    assert_eq!(line.up.page_of(life, 0).unwrap().cells.len(), 4, "a page is one unbroken run");
    assert_eq!(line.up.page_of(life, 6).unwrap().first, 9, "reading from inside the gap goes on behind it");
    hurt(13);
    assert_eq!(all(&line).last(), Some(&(12, 12)));
    assert_eq!(line.up.page_of(life, 12).unwrap().first, 17, "at the end the next position is named, gap or not");
    post(&line, 17..18).await;
    assert_eq!(line.up.page_of(life, 12).unwrap().first, 17);
}

#[tokio::test]
async fn positions_go_on_after_a_restart_even_when_nothing_is_held() {
    let dir = TempDir::new().unwrap();
    let world = World::new(Arc::new(SledStore::open(dir.path()).unwrap()));
    let life = {
        let line = world.line();
        let writer = tokio::spawn(line.up.writer().unwrap().run(never()));
        post(&line, 1..4).await;
        let life = line.floors_life();
        drop(line);
        writer.await.unwrap();
        life
    };
    {
        let line = world.line();
        let writer = tokio::spawn(line.up.writer().unwrap().run(never()));
        assert_eq!(line.floors_life(), life);
        post(&line, 4..5).await;
        assert_eq!(all(&line), [(1, 1), (2, 2), (3, 3), (4, 4)]);
        drop(line);
        writer.await.unwrap();
    }
    world.clock.pass(5 * HOUR);
    let line = world.line();
    tokio::spawn(line.up.writer().unwrap().run(never()));
    post(&line, 9..10).await;
    let held = all(&line);
    assert_eq!(held.len(), 1);
    assert!(held[0].0 > 4, "position {} was given out before", held[0].0);
}

/// A desk that read to 30 would never ask for what got a lower position later: nobody would read it, and no gap would tell.
#[tokio::test]
async fn positions_go_on_where_newer_epochs_died_before_an_older_one() {
    let long = LineSettings { up_ttl_s: 604_800, ..settings() };
    for (name, before, after) in
        [("up_ttl_s", (long, 3600), (settings(), 3600)), ("epoch_s", (settings(), 86_400), (settings(), 3600))]
    {
        let world = World::new(Arc::new(MemoryStore::new()));
        let mut line = world.line_with(before.0, before.1);
        for (numbers, pass) in [(1..11, 0), (11..31, 5 * HOUR)] {
            let writer = tokio::spawn(line.up.writer().unwrap().run(never()));
            post(&line, numbers).await;
            drop(line);
            writer.await.unwrap();
            world.clock.pass(pass);
            line = world.line_with(after.0.clone(), after.1);
        }
        tokio::spawn(line.up.writer().unwrap().run(never()));
        post(&line, 100..105).await;
        assert!(all(&line).iter().any(|(_, number)| *number < 11), "VOID: {name}: the older epoch lives");
        let page = line.up.page_of(line.floors_life(), 30).unwrap();
        assert_eq!((page.first, numbers(&page)), (31, (100..105).collect()), "{name}");
    }
}

#[tokio::test]
async fn positions_go_on_where_nothing_is_held_and_no_gap_is_told() {
    let world = World::new(Arc::new(MemoryStore::new()));
    let mut line = world.line();
    for (first, numbers) in [(1, 1..11), (11, 11..31), (31, 31..33)] {
        let writer = tokio::spawn(line.up.writer().unwrap().run(never()));
        post(&line, numbers.clone()).await;
        assert_eq!(all(&line), (first..).zip(numbers).collect::<Vec<_>>());
        drop(line);
        writer.await.unwrap();
        world.clock.pass(5 * HOUR);
        line = world.line();
    }
}

/// Pages ask for days at each beat, and there are many of them.
#[test]
fn a_day_in_memory_is_given_while_a_slot_waits_for_the_disk() {
    let store = FaultyStore::new();
    let world = World::new(Arc::clone(&store) as Arc<dyn Store>);
    let line = world.line();
    let day = Timing::PRODUCTION.day(NOON);
    let shown = line.slow.page(day, NOON).unwrap();
    std::thread::scope(|scope| {
        let (begins, begun) = std::sync::mpsc::channel();
        let (go, goes) = std::sync::mpsc::channel();
        store.before_next_write(move || {
            begins.send(()).unwrap();
            goes.recv().unwrap();
        });
        let slot = Timing::PRODUCTION.slow_slot(NOON) + 1;
        let line = &line;
        let writing = scope.spawn(move || line.slow.write(slot, &Box::new([7; 1024]), &worker(1), NOON));
        begun.recv().unwrap();
        let (told, hears) = std::sync::mpsc::channel();
        scope.spawn(move || told.send(line.slow.page(day, NOON)));
        let heard = hears.recv_timeout(std::time::Duration::from_secs(30));
        go.send(()).unwrap();
        assert_eq!(heard, Ok(Some(shown)), "it waits for the disk");
        assert_eq!(writing.join().unwrap(), SlotWrite::Written);
    });
}

#[tokio::test]
async fn a_medium_that_refuses_is_said_and_an_unreadable_shelf_is_left_for_another() {
    let store = FaultyStore::new();
    let world = World::new(Arc::clone(&store) as Arc<dyn Store>);
    let line = world.line();
    tokio::spawn(line.up.writer().unwrap().run(never()));
    post(&line, 1..3).await;
    store.is_full();
    assert!(line.up.post(vec![cell(3)]).await.is_err(), "a full disk: not acknowledged");
    post(&line, 3..4).await;
    store.next_is(Some(StoreError::Unreadable));
    post(&line, 4..6).await;
    post(&line, 6..7).await;
    let shelves: std::collections::BTreeSet<_> =
        line.ground.sealer.held(crate::seal::Lane::Up, &line.settings.id).iter().map(|epoch| epoch.place.shelf).collect();
    assert_eq!(shelves.len(), 2, "a new epoch on a new shelf, and no more than one");
    let held: Vec<_> = all(&line).into_iter().filter(|(_, n)| *n < 1_000).collect();
    assert_eq!(held, [(1, 1), (2, 2), (4, 3), (5, 4), (6, 5), (7, 6)], "what the old shelf still gives is served");
    let positions: Vec<_> = all(&line).into_iter().map(|(position, _)| position).collect();
    assert_eq!(
        positions,
        (1..8).collect::<Vec<_>>(),
        "what was refused leaves no gap, which a desk would take for a letter that died"
    );
    assert_eq!(line.ground.counters.damaged_records.count(), 0);

    let slot = Timing::PRODUCTION.slow_slot(NOON) + 1;
    let written = |slot, fault: Option<StoreError>| {
        store.next_is(fault);
        line.slow.write(slot, &Box::new([7; 1024]), &worker(1), NOON)
    };
    assert_eq!(written(slot, None), SlotWrite::Written);
    assert_eq!(written(slot + 1, Some(StoreError::Medium(io::ErrorKind::StorageFull.into()))), SlotWrite::Refused);
    assert_eq!(written(slot + 1, Some(StoreError::Unreadable)), SlotWrite::Written, "on another shelf");
    assert_eq!(written(slot + 1, None), SlotWrite::Taken);
    let page = line.slow.page(Timing::PRODUCTION.day(NOON), NOON.plus(2 * 1_800_000)).unwrap();
    assert_eq!(page.chunks(1024).filter(|shown| *shown == [7; 1024]).count(), 2);
}

/// A disk that refuses for a while refuses more than a page holds. Found on a machine that was fast at being refused.
#[tokio::test]
async fn a_page_that_noise_fills_before_the_next_record_is_whole() {
    let store = FaultyStore::new();
    let world = World::new(Arc::clone(&store) as Arc<dyn Store>);
    let line = world.line();
    tokio::spawn(line.up.writer().unwrap().run(never()));
    post(&line, 1..3).await;
    let refused = LANE_PAGE_MAX_CELLS as u64 + 100;
    for n in 0..refused {
        store.is_full();
        assert!(line.up.post(vec![cell(1_000 + n)]).await.is_err());
    }
    post(&line, 3..4).await;
    let held = all(&line);
    assert_eq!(held.iter().map(|(position, _)| *position).collect::<Vec<_>>(), (1..refused + 4).collect::<Vec<_>>());
    assert_eq!([held[0], held[1], held[held.len() - 1]], [(1, 1), (2, 2), (refused + 3, 3)]);
    assert_eq!(line.ground.counters.damaged_records.count(), 0, "nothing is lost, and nobody is sent to check the disk");
}

#[tokio::test]
async fn an_epoch_in_which_nothing_lies_yet_is_no_damage() {
    let store = FaultyStore::new();
    let world = World::new(Arc::clone(&store) as Arc<dyn Store>);
    let line = Arc::new(world.line());
    tokio::spawn(line.up.writer().unwrap().run(never()));
    post(&line, 1..3).await;
    world.clock.pass(5 * HOUR);
    // A desk that was away asks while the first cell of this hour is on its way to the disk.
    let (asks, life) = (Arc::clone(&line), line.floors_life());
    store
        .before_next_write(move || assert_eq!(asks.up.page_of(life, 0).unwrap(), up::Page { life, first: 3, cells: Vec::new() }));
    post(&line, 3..4).await;
    assert_eq!((all(&line), line.ground.counters.damaged_records.count()), (vec![(3, 3)], 0));
}

/// A write that failed may have left its records behind, in groups of its own; so may a process that was killed before it counted them.
/// Found while looking for what a full disk does: such records hid acknowledged cells that were written at their positions later.
#[tokio::test]
async fn what_was_not_acknowledged_never_hides_what_was() {
    let store = FaultyStore::new();
    let world = World::new(Arc::clone(&store) as Arc<dyn Store>);
    store.keep_refused(true);
    {
        let line = world.line();
        let writer = tokio::spawn(line.up.writer().unwrap().run(never()));
        post(&line, 1..2).await;
        store.is_full();
        assert!(line.up.post((900..909).map(cell).collect()).await.is_err());
        post(&line, 2..3).await;
        post(&line, 3..12).await;
        // Killed: the store has a group that the keyring has not counted.
        let newest = *line.ground.sealer.held(crate::seal::Lane::Up, &line.settings.id).last().unwrap();
        for at in [0, 4] {
            let cells: Vec<u8> = (0..4).flat_map(|n| *cell(990 + n)).collect();
            let key = RecordKey(u128::from(newest.first + newest.count + at));
            line.ground.sealer.append(&newest, &[(key, &cells)], 0, world.clock.boot()).unwrap();
        }
        drop(line);
        writer.await.unwrap();
    }
    let line = world.line();
    tokio::spawn(line.up.writer().unwrap().run(never()));
    post(&line, 12..13).await;
    post(&line, 13..22).await;
    let acknowledged: Vec<u64> = all(&line).into_iter().map(|(_, n)| n).filter(|n| *n < 900).collect();
    assert_eq!(acknowledged, (1..22).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_medium_that_cannot_be_read_for_a_moment_loses_nothing() {
    let store = FaultyStore::new();
    let world = World::new(Arc::clone(&store) as Arc<dyn Store>);
    let line = world.line();
    let writer = tokio::spawn(line.up.writer().unwrap().run(never()));
    post(&line, 1..4).await;
    store.is_full();
    assert_eq!(line.up.page_of(line.floors_life(), 0), Err(up::NotRead), "no later position is named");
    assert_eq!(all(&line).len(), 3);
    let slot = Timing::PRODUCTION.slow_slot(NOON) + 1;
    line.slow.write(slot, &Box::new([7; 1024]), &worker(1), NOON);
    drop(line);
    writer.await.unwrap();
    let line = world.line();
    let page = |line: &Line| line.slow.page(Timing::PRODUCTION.day(NOON), NOON.plus(1_800_000));
    store.is_full();
    assert_eq!(page(&line), None, "not filler in its place, which would stay");
    assert!(page(&line).unwrap().chunks(1024).any(|shown| shown == [7; 1024]));
}

/// The runbook for a clock that was wrong when the machine started: it is set right, and the relay is started again, not the machine.
#[tokio::test]
async fn what_is_written_after_a_wrong_clock_was_set_right_lives_as_long_as_it_should() {
    const DAY: u64 = 24 * HOUR;
    let world = World::new(Arc::new(MemoryStore::new()));
    let name = blobs::BlobName([7; 16]);
    for ahead in [6 * DAY, 20 * HOUR] {
        world.clock.set_wall(NOON.plus(ahead));
        let line = world.line();
        let today = Timing::PRODUCTION.day(NOON.plus(ahead));
        (today - 6..=today).for_each(|day| assert!(line.slow.page(day, NOON.plus(ahead)).is_some()));
        line.blobs.put(blobs::BlobName([8; 16]), &Box::new([1; 65_536])).unwrap();
    }
    world.clock.set_wall(NOON);
    let line = world.line();
    let slot = Timing::PRODUCTION.slow_slot(NOON) + 1;
    let day = Timing::PRODUCTION.day(NOON);
    assert_eq!(line.slow.write(slot, &Box::new([7; 1024]), &worker(1), NOON), SlotWrite::Written);
    let shown = |line: &Line, after: u64| {
        line.slow.page(day, NOON.plus(after)).is_some_and(|page| page.chunks(1024).any(|shown| shown == [7; 1024]))
    };
    world.clock.pass(20 * HOUR);
    line.blobs.put(name, &Box::new([2; 65_536])).unwrap();
    world.clock.pass(10 * HOUR);
    assert!(shown(&line, 30 * HOUR) && line.blobs.blob(name).is_some(), "a blob lives for a day");
    world.clock.pass(4 * DAY);
    assert!(shown(&line, 4 * DAY + 30 * HOUR), "a day of slots for a week after it began");
    drop(line);
    assert!(shown(&world.line(), 4 * DAY + 30 * HOUR), "and after a restart");
}

/// The same, and what was written before: days that are over are shown until their keys die, if that is some hours too soon.
#[tokio::test]
async fn what_was_written_while_the_clock_was_ahead_is_still_shown_once_it_was_set_right() {
    const DAY: u64 = 24 * HOUR;
    const AHEAD: u64 = 3 * HOUR;
    let world = World::new(Arc::new(MemoryStore::new()));
    world.clock.set_wall(NOON.plus(AHEAD));
    let line = world.line();
    let next =
        |now| (Timing::PRODUCTION.slow_slot(now) + 1..).find(|slot| !porchlight_proto::time::is_safeguarding(*slot)).unwrap();
    let slot = next(NOON.plus(AHEAD));
    let day = porchlight_proto::time::day_of(slot);
    assert_eq!(line.slow.write(slot, &Box::new([7; 1024]), &worker(1), NOON.plus(AHEAD)), SlotWrite::Written);
    world.clock.pass(2 * DAY);
    let now = NOON.plus(2 * DAY);
    let today = next(now.plus(AHEAD));
    assert_eq!(line.slow.write(today, &Box::new([8; 1024]), &worker(1), now.plus(AHEAD)), SlotWrite::Written);
    let before = line.slow.page(day, now.plus(AHEAD)).unwrap();
    assert!(before.chunks(1024).any(|shown| shown == [7; 1024]), "VOID");
    drop(line);
    world.clock.set_wall(now);
    let line = world.line();
    assert_eq!(line.slow.page(day, now).unwrap(), before, "to the byte: what nobody wrote stays as well");
    let (today, later) = (porchlight_proto::time::day_of(today), next(now));
    let holds = |page: &[u8], byte| page.chunks(1024).any(|shown| shown == [byte; 1024]);
    // What is written now gets a key of its own, which is shown alone, also when the day is over and both are held.
    assert_eq!(line.slow.write(later, &Box::new([9; 1024]), &worker(1), now), SlotWrite::Written);
    let shown = |line: &Line, now| line.slow.page(today, now).unwrap();
    world.clock.pass(DAY);
    let now = now.plus(DAY);
    let first = shown(&line, now);
    assert!(holds(&first, 9) && !holds(&first, 8));
    drop(line);
    for _ in 0..2 {
        assert_eq!(shown(&world.line(), now), first, "to the byte after each start");
    }
    world.clock.pass(4 * DAY);
    assert_eq!(shown(&world.line(), now.plus(4 * DAY)), first, "and when the other key is dead");
}

/// A clock that was hours behind at one start, and right at the next: what was begun meanwhile is left out, or the day would change from one key's
/// filler to another's and keep its cells.
#[tokio::test]
async fn what_was_written_while_the_clock_was_behind_is_not_shown_beside_what_was_there() {
    const BEHIND: u64 = 3 * HOUR;
    let world = World::new(Arc::new(MemoryStore::new()));
    let next = |now, after| {
        (Timing::PRODUCTION.slow_slot(now) + after..).find(|slot| !porchlight_proto::time::is_safeguarding(*slot)).unwrap()
    };
    let line = world.line();
    let slot = next(NOON, 1);
    let day = porchlight_proto::time::day_of(slot);
    assert_eq!(line.slow.write(slot, &Box::new([7; 1024]), &worker(1), NOON), SlotWrite::Written);
    drop(line);
    let wrong = Millis(NOON.0 - BEHIND);
    world.clock.set_wall(wrong);
    let line = world.line();
    let other = next(wrong, 1);
    assert_eq!(porchlight_proto::time::day_of(other), day, "VOID: of another day");
    assert_eq!(line.slow.write(other, &Box::new([8; 1024]), &worker(1), wrong), SlotWrite::Written);
    drop(line);
    world.clock.set_wall(NOON);
    world.clock.pass(HOUR);
    let now = NOON.plus(HOUR);
    let page = world.line().slow.page(day, now).unwrap();
    let holds = |byte| page.chunks(1024).any(|shown| shown == [byte; 1024]);
    assert!(holds(7) && !holds(8));
    assert_eq!(world.line().slow.page(day, now).unwrap(), page);
}

/// A machine that its hoster halts for hours, and a line that keeps slots for fewer days from now on: what was acknowledged is still shown.
#[tokio::test]
async fn what_was_written_under_a_key_that_dies_too_late_is_shown_and_nothing_more_is_written_there() {
    let world = World::new(Arc::new(MemoryStore::new()));
    let slot = Timing::PRODUCTION.slow_slot(NOON) + 1;
    assert_eq!(world.line().slow.write(slot, &Box::new([7; 1024]), &worker(1), NOON), SlotWrite::Written);
    world.clock.set_wall(NOON.plus(3 * HOUR));
    let (line, now) = (world.line(), NOON.plus(3 * HOUR));
    let shown = |line: &Line| line.slow.page(Timing::PRODUCTION.day(NOON), now).unwrap();
    let before = shown(&line);
    assert!(before.chunks(1024).any(|shown| shown == [7; 1024]));
    let later = (Timing::PRODUCTION.slow_slot(now) + 1..).find(|slot| !porchlight_proto::time::is_safeguarding(*slot)).unwrap();
    assert_eq!(line.slow.write(later, &Box::new([8; 1024]), &worker(1), now), SlotWrite::Written);
    let held = line.ground.sealer.held(crate::seal::Lane::Slow, &line.settings.id);
    let of_day = |epoch: &&Epoch| epoch.name.number == porchlight_proto::time::day_of(later);
    let lives: Vec<_> = held.iter().filter(of_day).map(|epoch| (epoch.death, epoch.count)).collect();
    let [(old, 1), (new, 1)] = lives[..] else { panic!("one cell under each key: {lives:?}") };
    assert_eq!(new.after(3 * HOUR), old, "what is written now dies on time, and what was there keeps its key");
    assert_eq!(line.slow.write(slot, &Box::new([9; 1024]), &worker(2), now), SlotWrite::NotOpen);
    drop(line);
    let again = world.line();
    assert_eq!(shown(&again), before, "and is the same after another start");
    let fewer = LineSettings { timing: Timing { slow_days: 5, ..Timing::PRODUCTION }, ..settings() };
    let fewer = Line::open(fewer, &world.dir.path().join("public"), &again.ground).unwrap();
    assert_eq!(shown(&fewer), before, "what is held keeps the life that it was given");
}

/// A worker's device, of a team nobody has been put out of.
fn worker(id: u8) -> Writer<'static> {
    Writer { hand: Hand { device: DeviceId([id; 8]), generation: 1 }, role: Role::Worker, is_out: &|_| false }
}

#[test]
fn a_day_of_another_pace_is_forgotten() {
    let world = World::new(Arc::new(MemoryStore::new()));
    let line = world.line();
    let day = Timing::PRODUCTION.day(NOON);
    line.slow.page(day, NOON).unwrap();
    let ground = line.ground.clone();
    assert_eq!(ground.sealer.held(crate::seal::Lane::Slow, &line.settings.id).len(), 1);
    let quicker = LineSettings { timing: Timing { slow_s: 900, ..Timing::PRODUCTION }, ..settings() };
    Line::open(quicker, &world.dir.path().join("public"), &ground).unwrap();
    assert!(ground.sealer.held(crate::seal::Lane::Slow, &line.settings.id).is_empty());
}

#[test]
fn a_public_file_that_is_none_is_left_out() {
    let world = World::new(Arc::new(MemoryStore::new()));
    let path = world.dir.path().join("public").join(data_encoding::HEXLOWER.encode(settings().id.as_bytes()));
    std::fs::create_dir(world.dir.path().join("public")).unwrap();
    assert!(!world.line().board.is_damaged(), "there was none");
    let magic = board::MAGIC.as_slice();
    for bytes in [&b""[..], magic, b"nonsense", &[0; 5000], &[magic, &[9; 104]].concat(), &[magic, &[9; 104 + 4096]].concat()] {
        std::fs::write(&path, bytes).unwrap();
        let line = world.line();
        assert!(line.board.is_damaged());
        assert_eq!(line.board.serial(NOON.seconds()), 0);
        assert!(line.board.roster(NOON.seconds()).is_none());
    }
}

/// Whoever was put out of the line has no slot any more that has not begun: otherwise a stolen device could fill the next day before it is.
#[tokio::test]
async fn a_slot_of_a_day_that_a_device_took_which_has_been_put_out_since_is_free_again() {
    let world = World::new(Arc::new(MemoryStore::new()));
    let line = world.line();
    let slot = Timing::PRODUCTION.slow_slot(NOON) + 1;
    let write = |id: u8, by: &Writer<'_>, now| line.slow.write(slot, &Box::new([id; 1024]), by, now);
    let is_out = |hand: Hand| hand.device == worker(1).hand.device;
    let later = Writer { is_out: &is_out, ..worker(2) };
    assert_eq!(write(1, &worker(1), NOON), SlotWrite::Written);
    assert_eq!(write(2, &worker(2), NOON), SlotWrite::Taken);
    assert_eq!(write(1, &Writer { is_out: &is_out, ..worker(1) }, NOON), SlotWrite::Taken, "not by the one itself");
    assert_eq!(write(2, &later, NOON), SlotWrite::Written);
    assert_eq!(write(3, &Writer { is_out: &is_out, ..worker(3) }, NOON), SlotWrite::Taken);
    let begun = NOON.plus(2 * 1_800_000);
    line.slow.tend(begun);
    let shown = |line: &Line| {
        line.slow.page(Timing::PRODUCTION.day(NOON), begun).unwrap().chunks(1024).filter(|cell| *cell == [2; 1024]).count()
    };
    assert_eq!(shown(&line), 1);
    assert_eq!(write(4, &Writer { is_out: &|_| true, ..worker(4) }, begun), SlotWrite::NotOpen, "what was shown does not change");
    drop(line);
    let again = world.line();
    assert_eq!((shown(&again), again.ground.counters.damaged_records.count()), (1, 0), "one cell in its place, none lost");
}

#[tokio::test]
async fn what_lies_under_no_slots_name_is_counted_and_the_rest_of_the_day_is_shown() {
    let world = World::new(Arc::new(MemoryStore::new()));
    let line = world.line();
    let slot = Timing::PRODUCTION.slow_slot(NOON) + 1;
    let written = line.slow.write(slot, &Box::new([7; 1024]), &worker(1), NOON);
    assert_eq!(written, SlotWrite::Written);
    let sealer = &line.ground.sealer;
    let epoch = sealer.held(crate::seal::Lane::Slow, &line.settings.id).remove(0);
    sealer.append(&epoch, &[(RecordKey(7), &[9; 1024])], 1, line.ground.clock.boot()).unwrap();
    drop(line);
    let again = world.line();
    let page = again.slow.page(Timing::PRODUCTION.day(NOON), NOON.plus(2 * 1_800_000)).unwrap();
    assert_eq!(page.chunks(1024).filter(|shown| *shown == [7; 1024]).count(), 1);
    assert_eq!(again.ground.counters.damaged_records.count(), 1);
}

//! How fast a desk reads. Prints; asserts only that nothing is missing.
use super::*;
use porchlight_proto::cell::up::{LetterPart, Recipient};
use porchlight_proto::{parts::Part, seal::Use};

#[test]
fn many_letters_are_read_whole_and_listed() {
    let count: usize = std::env::var("PORCHLIGHT_PACE").ok().and_then(|count| count.parse().ok()).unwrap_or(600);
    let mut world = World::new("pace", 60);
    let roster = world.relay.rosters.in_force(world.now.seconds()).unwrap().clone();
    let to = Recipient { line: roster.line(), period: roster.period(), purpose: Use::Desk, key: roster.desk_key() };
    let content = Letter { text: "안녕하세요".to_owned().into(), ..Letter::default() }.to_cbor().unwrap();
    for _ in 0..count {
        let caller = SecretKey::generate(&mut world.rng);
        let letter = LetterPart {
            dummy: false,
            session: world.rng.next_u64().to_be_bytes(),
            seq: 1,
            part: Part { part: 0, parts: 1, bytes: content.clone().into() },
            time: world.now.seconds().rounded(),
            live_key: Zeroizing::new([1; 32]),
            reply_key: Zeroizing::new([2; 32]),
            saw: [0; 8],
        };
        world.relay.lane.push(letter.seal(&to, &caller, &mut world.rng));
    }
    let started = clock();
    let taken = world.sync(0);
    println!("{count} up cells of as many callers opened, verified, joined and saved in {} ms", clock() - started);
    assert_eq!(taken.letters, count);
    let started = clock();
    let rows = world.offices[0].look().unwrap().list(world.now.seconds());
    println!("{} rows listed in {} ms", rows.len(), clock() - started);
    let started = clock();
    world.bundle(0, false);
    println!("a bundle in {} ms", clock() - started);
    let started = clock();
    let mut again = Office::open(world.dirs[0].path(), &words()).unwrap();
    println!("opened again in {} ms", clock() - started);
    assert_eq!(again.look().unwrap().list(world.now.seconds()).len(), count);
}

#[expect(clippy::disallowed_methods, reason = "this test measures")]
fn clock() -> u128 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis()
}

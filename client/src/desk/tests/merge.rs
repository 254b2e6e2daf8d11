//! The merge alone, without cells, signatures or disks: whatever order events and letters come in, every device derives one board.
use super::*;
use crate::desk::{
    concord::ProposalId,
    record::{DeviceRecord, EventRecord, LetterRecord, LetterTrace, LineRecord},
};
use porchlight_proto::event::{Act, AnswerEvent, AnswerKind, Event as TeamEvent, HandOver, How, Proposal};

/// A line with three devices and nothing else, as a journal.
fn team() -> (Vec<Record>, [[u8; 32]; 3]) {
    let mut world = World::new("merge", 60);
    world.join(Role::Worker, 1);
    world.join(Role::Worker, 2);
    let state = &world.offices[0].look().unwrap().state;
    let line: LineRecord = state.line.as_ref().unwrap().record.clone();
    let devices: Vec<DeviceRecord> = state.devices.values().map(|device| device.record.clone()).collect();
    let keys: Vec<[u8; 32]> = state.devices.values().map(|device| *device.cert.device_pk.as_bytes()).collect();
    let mut records = vec![Record::Line(Box::new(line))];
    records.extend(devices.into_iter().map(Record::Device));
    (records, keys.try_into().unwrap())
}

/// Stands for the hash of an event, so that words on it can name it.
fn event_hash(device: &[u8; 32], seq: u64) -> [u8; 32] {
    porchlight_proto::kdf::hash("test/event", &[device, &seq.to_be_bytes()])
}

/// One event of a device: what `EventRecord` says of it, its words as they are.
fn recorded(device_pk: [u8; 32], (seq, lamport, time): (u64, u64, u64), event: &TeamEvent) -> Record {
    let trace = event.to_cbor();
    Record::Event(EventRecord {
        device_pk,
        seq,
        previous: [0; 32],
        lamport,
        time,
        signatures: vec![],
        trace,
        words: None,
        hash: event_hash(&device_pk, seq),
        body_hash: [0; 32],
    })
}

struct Chance<'a> {
    rng: &'a mut ChaCha20Rng,
    callers: [CallerId; 3],
    devices: [DeviceId; 3],
    keys: [[u8; 32]; 3],
    proposals: Vec<ProposalId>,
    shifts: Vec<(DeviceId, u64)>,
    overs: Vec<(CallerId, DeviceId, u64)>,
}

impl Chance<'_> {
    fn below(&mut self, count: usize) -> usize {
        self.rng.next_u32() as usize % count
    }
    fn text(&mut self) -> String {
        if one_in(self.rng, 5) { String::new() } else { format!("{:x}", self.rng.next_u32() % 4096) }
    }
    fn letter(&mut self) -> (CallerId, Session, u16) {
        let caller = self.callers[self.below(3)];
        (caller, [u8::try_from(self.below(2)).unwrap(); 8], 1 + u16::try_from(self.below(4)).unwrap())
    }
    fn named(&mut self, from: &[ProposalId]) -> ProposalId {
        // Some name what has not come yet, or never comes.
        let unknown = (self.devices[self.below(3)], u64::from(self.rng.next_u32() % 40));
        if from.is_empty() || one_in(self.rng, 6) { unknown } else { from[self.below(from.len())] }
    }

    /// Of that event; of another history of it now and then.
    fn hash_of(&mut self, device: DeviceId, seq: u64) -> [u8; 32] {
        let at = self.devices.iter().position(|known| *known == device).unwrap_or(0);
        if one_in(self.rng, 12) { [7; 32] } else { event_hash(&self.keys[at], seq) }
    }

    fn event(&mut self, (device, seq): (DeviceId, u64), time: u64) -> TeamEvent {
        let caller = self.callers[self.below(3)];
        let other = self.callers[self.below(3)];
        match self.below(20) {
            0 => TeamEvent::Claim { caller, lease: 600 + self.rng.next_u32() % 3000, reason: String::new() },
            1 => TeamEvent::Claim { caller, lease: 1800, reason: "why".into() },
            2 => TeamEvent::Release { caller },
            3 => TeamEvent::Note { caller, text: self.text() },
            4 => {
                self.overs.push((caller, device, seq));
                let to = if one_in(self.rng, 2) { DeviceId([0; 8]) } else { self.devices[self.below(3)] };
                let mut text = || self.text();
                let (situation, promised_by_us, promised_by_her) = (text(), text(), text());
                let (risk, next_step) = (text(), text());
                TeamEvent::HandOver(HandOver { caller, to, situation, promised_by_us, promised_by_her, risk, next_step })
            }
            5 => {
                let over = self.overs.last().copied().filter(|_| !one_in(self.rng, 4));
                let (caller, device, seq) = over.unwrap_or((caller, device, 3));
                TeamEvent::Accept { caller, device, seq }
            }
            6 => {
                let (caller, session, seq) = self.letter();
                TeamEvent::Shown { caller, session, seq }
            }
            7 | 8 => {
                let (caller, session, seq) = self.letter();
                let kind = if one_in(self.rng, 5) { AnswerKind::Stop } else { AnswerKind::Answer };
                let n = u64::from(self.rng.next_u32() % 6 + 1);
                let text = Zeroizing::new(if kind == AnswerKind::Stop { String::new() } else { format!("answer {n}") });
                let answer = porchlight_proto::answer::Answer { n, text, written: time, ..Default::default() };
                let content = answer.to_cbor().unwrap();
                let good_until = Seconds(time + 86_400).to_u32();
                let id = self.rng.next_u64().to_be_bytes();
                // Now and then the word that a letter was taken back, or could not be.
                let flags = if one_in(self.rng, 4) { 1 + u8::try_from(self.below(2)).unwrap() } else { 0 };
                let (content, kind) = if flags > 0 { (vec![], AnswerKind::Answer) } else { (content, kind) };
                TeamEvent::Answer(AnswerEvent { caller, answer: id, content, good_until, session, seq, kind, flags })
            }
            9 => TeamEvent::Known { caller, how: How::Introduced, text: self.text(), day: self.rng.next_u32() % 9 },
            10 => TeamEvent::Question { caller, question: self.text(), answer: "answer".into() },
            11 => TeamEvent::Wish { caller, text: self.text() },
            12 => TeamEvent::Duress { caller, of: if one_in(self.rng, 3) { CallerId([0; 16]) } else { other } },
            13 | 14 => {
                self.proposals.push((device, seq));
                let act = [Act::Join, Act::Fulfil, Act::Forget, Act::KeepHandOver, Act::Say][self.below(5)];
                TeamEvent::Propose(Proposal { caller, act, other, text: self.text() })
            }
            15 => {
                let (device, seq) = self.named(&self.proposals.clone());
                TeamEvent::Agree { device, seq, hash: self.hash_of(device, seq) }
            }
            16 => {
                let (device, seq) = self.named(&self.proposals.clone());
                TeamEvent::Object { device, seq, hash: self.hash_of(device, seq) }
            }
            17 => TeamEvent::Part { caller, other },
            18 => {
                self.shifts.push((device, seq));
                let from = Seconds(time).to_u32();
                TeamEvent::Shift { device: self.devices[self.below(3)], from, until: from + self.rng.next_u32() % 90_000 }
            }
            _ => {
                let (device, seq) = self.named(&self.shifts.clone());
                TeamEvent::Strike { device, seq }
            }
        }
    }
}

/// Letters and events of one random history: one queue for each device, whose order is kept, and one for each letter.
fn queues(keys: &[[u8; 32]; 3], devices: [DeviceId; 3], rng: &mut ChaCha20Rng) -> Vec<Vec<Record>> {
    let callers = [1, 2, 3].map(|n| CallerId([n; 16]));
    let mut queues: Vec<Vec<Record>> = vec![vec![]; 3];
    let mut chance = Chance { rng, callers, devices, keys: *keys, proposals: vec![], shifts: vec![], overs: vec![] };
    let mut lamports = [0u64; 3];
    let mut seqs = [0u64; 3];
    let mut time = START.0;
    for _ in 0..45 {
        let who = chance.below(3);
        // What a device has heard of before it speaks is chance; its own events it has.
        let heard = lamports[chance.below(3)];
        lamports[who] = lamports[who].max(if one_in(chance.rng, 2) { heard } else { 0 }) + 1;
        seqs[who] += 1;
        time += u64::from(chance.rng.next_u32() % 9_000);
        let skewed = time + 7_200 * who as u64;
        let event = chance.event((devices[who], seqs[who]), skewed);
        queues[who].push(recorded(keys[who], (seqs[who], lamports[who], skewed), &event));
    }
    for caller in callers {
        for (session, seq) in [(0, 1), (0, 2), (0, 3), (1, 1), (1, 2)] {
            let seed = chance.rng.next_u32();
            let trace = LetterTrace {
                status: u64::from(seed % 5),
                next: seed.is_multiple_of(3).then_some(3600),
                quiet: seed.is_multiple_of(7),
                relative: false,
                language: Some(1),
                says_something: true,
            };
            queues.push(vec![Record::Letter(LetterRecord {
                caller: caller.0,
                session: [session; 8],
                seq,
                time: (START.0 + 86_400 * u64::from(session)) / 600 * 600 + 6_000 * u64::from(seq),
                received: START.0,
                content: None,
                withdrawn: false,
                trace: Some(trace),
            })]);
        }
    }
    queues
}

/// The records of all queues in a random order that keeps each queue's own; some come twice.
fn shuffled(queues: &[Vec<Record>], rng: &mut ChaCha20Rng) -> Vec<Record> {
    let mut at = vec![0; queues.len()];
    let mut order = vec![];
    loop {
        let open: Vec<usize> = (0..queues.len()).filter(|which| at[*which] < queues[*which].len()).collect();
        if open.is_empty() {
            return order;
        }
        let which = open[rng.next_u32() as usize % open.len()];
        order.push(queues[which][at[which]].clone());
        if one_in(rng, 8) {
            order.push(queues[which][at[which]].clone());
        }
        at[which] += 1;
    }
}

/// The board, the rota and the proposals that a device derives from these records.
fn derived(base: &[Record], records: &[Record], now: Seconds) -> (Desk, String) {
    let mut desk = Desk::empty();
    for record in base.iter().chain(records) {
        desk.state.apply(record, &desk.ring);
    }
    let shown = shown(&desk, now);
    (desk, shown)
}

fn shown(desk: &Desk, now: Seconds) -> String {
    let mut rows = desk.list(now);
    rows.sort_by(|a, b| a.id.cmp(&b.id));
    let threads: Vec<Thread> = rows.iter().map(|row| desk.show(desk.find(&row.id).unwrap(), now).unwrap()).collect();
    // Letters of the same ten minutes are shown as they came.
    let mut lines: Vec<String> = format!("{rows:#?}{threads:#?}").lines().map(str::to_owned).collect();
    lines.sort_unstable();
    format!("{lines:?}{:#?}{:#?}", desk.rota(now), desk.proposals(now))
}

/// Where two boards part.
fn difference(one: &str, other: &str) -> String {
    let at = one.bytes().zip(other.bytes()).take_while(|(a, b)| a == b).count();
    let around = |board: &str| board.chars().skip(at.saturating_sub(200)).take(500).collect::<String>();
    format!("{}\n-- or --\n{}", around(one), around(other))
}

#[test]
fn every_order_of_the_same_events_gives_one_board() {
    let first: u64 = std::env::var("PORCHLIGHT_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    let count: u64 = std::env::var("PORCHLIGHT_MERGES").ok().and_then(|count| count.parse().ok()).unwrap_or(200);
    let (base, keys) = team();
    let line = match &base[0] {
        Record::Line(line) => porchlight_proto::card::Card::parse_cbor(&line.card).unwrap().line(),
        _ => unreachable!("the line comes first"),
    };
    let devices = keys.map(|key| DeviceId::of(&line, &porchlight_proto::sign::PublicKey::from_bytes(key)));
    let (mut forgotten, mut joined, mut rows) = (0, 0, 0);
    for seed in first..first + count {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let queues = queues(&keys, devices, &mut rng);
        let now = START.plus(5 * 86_400);
        let orders: Vec<Vec<Record>> = (0..3).map(|_| shuffled(&queues, &mut rng)).collect();
        let (desk, one) = derived(&base, &orders[0], now);
        for order in &orders[1..] {
            let (_, other) = derived(&base, order, now);
            assert!(one == other, "history {seed}:\n{}", difference(&one, &other));
        }
        // And what the journal keeps of it is the same again.
        let mut journal = base.clone();
        journal.extend(
            desk.state.records(now.0).into_iter().filter(|record| !matches!(record, Record::Line(_) | Record::Device(_))),
        );
        let (_, again) = derived(&journal, &[], now);
        assert!(one == again, "history {seed}, from its journal:\n{}", difference(&one, &again));
        let list = desk.list(now);
        forgotten += u64::from(desk.state.callers.keys().any(|caller| desk.state.concord.forgotten_upto(*caller).is_some()));
        joined += u64::from(list.iter().any(|row| !row.joined.is_empty()));
        rows += list.len() as u64;
    }
    println!("{count} histories from seed {first}: {rows} rows, {forgotten} with somebody forgotten, {joined} with rows joined");
    assert!(forgotten > 0 && joined > 0, "the histories say nothing");
}

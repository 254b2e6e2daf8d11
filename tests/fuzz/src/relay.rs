//! What travels between clients and relays, besides cells.
use super::{
    input::{Input, changes},
    world::{NOW, World, rng},
};
use porchlight_proto::{
    api::{DeskBeat, DeskOutcome, DeskReply, Floor, LanePage, Notice, SlotOutcome, UpOutcome, UpPost, UpReply},
    bulletin::{Bulletin, Code},
    layout,
    limits::TOKEN_LEN,
    line::Seat,
    time::Millis,
    token::{Credentials, Gatekeeper, Request, UncheckedToken},
};

/// First byte 0: the rest is the notice. Else the rest changes an honest one.
pub fn notice(bytes: &[u8]) {
    let mut input = Input(bytes);
    if input.u8() == 0 {
        return look(input.0);
    }
    let mut honest = *World::get().notice(NOW.millis()).to_bytes();
    input.change(&mut honest);
    look(&honest);
}

fn look(bytes: &[u8]) {
    let Ok(notice) = Notice::parse(bytes) else { return };
    assert_eq!(notice.to_bytes().as_slice(), bytes);
    assert!(notice.timing.check().is_ok());
    let _ = Bulletin::check(&notice.bulletin, &World::get().roster, NOW);
}

pub fn notice_seeds() -> Vec<Vec<u8>> {
    let world = World::get();
    let mut notice = world.notice(NOW.millis());
    notice.bulletin =
        Bulletin { code: Code::NoMeetings, seat: Seat::new(3).unwrap(), time: NOW }.sign(&world.device, &world.line);
    let signed = [&[0], notice.to_bytes().as_slice()].concat();
    notice.roster = None;
    let unpublished = [&[0], notice.to_bytes().as_slice()].concat();
    let changed = [&[1], changes(&[(layout::notice::zero.at, 1), (layout::notice::difficulty.at, 20)]).as_slice()].concat();
    vec![signed, unpublished, changed]
}

/// The bytes as everything a relay sends or takes.
pub fn relay(bytes: &[u8]) {
    if let Ok(post) = UpPost::parse(bytes) {
        assert_eq!(post.to_bytes().as_slice(), bytes);
    }
    if let Ok(reply) = UpReply::parse(bytes) {
        assert_eq!(reply.to_bytes(), bytes);
    }
    if let Ok(beat) = DeskBeat::parse(bytes) {
        assert_eq!(beat.to_bytes().as_slice(), bytes);
    }
    if let Ok(reply) = DeskReply::parse(bytes) {
        assert_eq!(reply.to_bytes(), bytes);
    }
    if let Ok(page) = LanePage::parse(bytes) {
        assert_eq!(bytes.len(), LanePage::len_with(page.cells.len()));
        assert!(page.last() >= page.first || page.cells.is_empty());
    }
}

pub fn relay_seeds() -> Vec<Vec<u8>> {
    let page = |cells: u32, groups: usize| [LanePage::header(7, 1, cells).as_slice(), &vec![9; groups * 8 * 2048]].concat();
    let beat = DeskBeat {
        fast_slot: Some(1),
        slow_slot: None,
        floor: Floor { life: 1, n: 2 },
        fast_cell: Box::new([1; 1024]),
        slow_cell: Box::new([2; 1024]),
        team_cells: [Box::new([3; 2048]), Box::new([4; 2048])],
    };
    let up = UpReply { outcome: UpOutcome::Stamp, difficulty: 9, serial: 1, clock_ms: Millis(5) };
    let desk = DeskReply {
        outcome: DeskOutcome::Refused,
        fast: SlotOutcome::Taken,
        slow: SlotOutcome::NotOpen,
        serial: 1,
        clock_ms: Millis(5),
    };
    vec![
        page(0, 0),
        page(1, 1),
        page(9, 1),
        LanePage::header(u64::MAX, u64::MAX, u32::MAX).to_vec(),
        beat.to_bytes().to_vec(),
        up.to_bytes().to_vec(),
        desk.to_bytes().to_vec(),
        UpPost { stamp: [1; 32], cell: Box::new([2; 2048]) }.to_bytes().to_vec(),
    ]
}

const REQUEST: Request<'_> = Request { method: "GET", path: "/v1/desk/up?after=0-0&wait=0", body_hash: [0; 32] };

/// First byte 0: the rest is the token's text. Else the rest changes an honest token's bytes.
pub fn token(bytes: &[u8]) {
    let mut input = Input(bytes);
    if input.u8() == 0 {
        return check(&String::from_utf8_lossy(input.0));
    }
    let honest = honest_token();
    let mut token: [u8; TOKEN_LEN] = BASE64.decode(honest.as_bytes()).unwrap().try_into().unwrap();
    let before = token;
    input.change(&mut token);
    let changed = UncheckedToken::parse(&BASE64.encode(&token)).unwrap().check(&REQUEST, &keeper());
    assert_eq!(changed.is_ok(), token == before, "one changed byte is a forgery");
}

use data_encoding::BASE64URL_NOPAD as BASE64;

fn honest_token() -> String {
    let world = World::get();
    let credentials =
        Credentials { desk_cert: &world.cert, device_cert: &world.device_cert, device: &world.device, line: &world.line };
    credentials.token(&[6; 32], &REQUEST, NOW, &mut rng())
}

fn keeper() -> Gatekeeper<'static> {
    static ROOT: std::sync::OnceLock<porchlight_proto::sign::PublicKey> = std::sync::OnceLock::new();
    Gatekeeper { root: ROOT.get_or_init(|| World::get().root.public()), spki: &[6; 32], now: NOW, generation: 1 }
}

fn check(text: &str) {
    if let Ok(token) = UncheckedToken::parse(text) {
        let _ = token.check(&REQUEST, &keeper());
    }
}

pub fn token_seeds() -> Vec<Vec<u8>> {
    let text = [&[0], honest_token().as_bytes()].concat();
    vec![text, vec![1], [&[1], changes(&[(230, 1)]).as_slice()].concat()]
}

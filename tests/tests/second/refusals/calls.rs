//! Tokens, stamps and bodies that a relay or a client does not take (SPEC §11).
use super::{Table, flipped, with};
use crate::python::{Python, array, bytes, hex};
use crate::text::random;
use crate::world::World;
use porchlight_proto::api::{DeskBeat, DeskReply, LanePage, Notice, UpPost, UpReply};
use porchlight_proto::cert::Role;
use porchlight_proto::layout;
use porchlight_proto::line::{LineId, Seat};
use porchlight_proto::sign::PublicKey;
use porchlight_proto::stamp::StampFor;
use porchlight_proto::time::{Seconds, Timing};
use porchlight_proto::token::{Access, Gatekeeper, Request, TokenError, UncheckedToken};
use rand_chacha::ChaCha20Rng;
use serde_json::{Value, json};

/// What a token is held against, here; the same as JSON for Python.
fn token_here(asked: &Value) -> Result<Access, TokenError> {
    let text = |name: &str| asked[name].as_str().unwrap();
    let request = Request { method: text("method"), path: text("path"), body_hash: array(&asked["body_hash"]) };
    let (root, spki) = (PublicKey::from_bytes(array(&asked["root_pk"])), array(&asked["spki"]));
    let generation = asked["generation"].as_u64().unwrap() as u32;
    let keeper = Gatekeeper { root: &root, spki: &spki, now: Seconds(asked["now"].as_u64().unwrap()), generation };
    UncheckedToken::parse(text("token"))?.check(&request, &keeper)
}

pub(super) fn tokens(table: &mut Table, world: &World, rng: &mut ChaCha20Rng, python: &mut Python) {
    let (device, cert) = world.device(Role::Worker, Seat::new(1), rng);
    let now = world.now.0;
    let mut good = json!({
        "line": hex(world.line.as_bytes()), "spki": hex(random::<32>(rng)), "method": "POST", "path": "/v1/desk/beat",
        "body_hash": hex(random::<32>(rng)), "desk_cert": hex(world.desk_cert.bytes()), "device_cert": hex(cert.bytes()),
        "device_seed": hex(device.seed().as_slice()), "time": now, "nonce": hex(random::<16>(rng)),
        "root_pk": hex(world.root.public().as_bytes()), "now": now, "generation": 7,
    });
    good["token"] = python.get("build_token", good.clone());
    let text = good["token"].as_str().unwrap().to_owned();
    for changes in [json!({}), json!({"now": now + 300}), json!({"now": now - 9})] {
        let asked = with(&good, &changes);
        table.taken("a token", token_here(&asked), python.ask("check_token", asked));
    }
    let (_, other) = world.device(Role::Worker, Seat::new(2), rng);
    let swapped = python.get("build_token", with(&good, &json!({"device_cert": hex(other.bytes())})));
    let mut cases = vec![
        ("another method", json!({"method": "PUT"})),
        ("another path", json!({"path": "/v1/desk/roster"})),
        ("another query", json!({"path": "/v1/desk/beat?x=1"})),
        ("another body", json!({"body_hash": hex([0; 32])})),
        ("another relay", json!({"spki": hex([0; 32])})),
        ("five minutes and a second late", json!({"now": now + 301})),
        ("after both certificates", json!({"now": now + 100 * 86_400})),
        ("a voided generation", json!({"generation": 8})),
        ("another root", json!({"root_pk": hex(world.desk.public().as_bytes())})),
        ("a device certificate that is not the signer's", json!({"token": swapped})),
        ("half a token", json!({"token": text[..212]})),
        ("a token with padding", json!({"token": format!("{text}==")})),
        ("a token in the other alphabet", json!({"token": format!("+/{}", &text[2..])})),
    ];
    let decoded = data_encoding::BASE64URL_NOPAD.decode(text.as_bytes()).unwrap();
    for (name, spoilt) in flipped(&layout::token::LAYOUT, &decoded, rng) {
        cases.push((name, json!({"token": data_encoding::BASE64URL_NOPAD.encode(&spoilt)})));
    }
    for (name, changes) in cases {
        let asked = with(&good, &changes);
        table.refused(&format!("a token: {name}"), token_here(&asked), python.ask("check_token", asked));
    }
    let early = python.get("build_token", with(&good, &json!({"time": now + 301})));
    let asked = with(&good, &json!({"token": early}));
    table.refused("a token from five minutes and a second ahead", token_here(&asked), python.ask("check_token", asked));
}

pub(super) fn stamps(table: &mut Table, rng: &mut ChaCha20Rng, python: &mut Python) {
    let good = json!({
        "salt": hex(random::<16>(rng)), "cell": hex(random::<2048>(rng)), "line": hex(random::<32>(rng)), "up_epoch": 77, "difficulty": 20,
    });
    let (cell, salt) = (bytes(&good["cell"]), array(&good["salt"]));
    let stamp = StampFor::cell(&cell, &salt, &LineId::from_bytes(array(&good["line"])), 77).mint(20, rng);
    let good = with(&good, &json!({"stamp": hex(stamp)}));
    let (here, there) = stamped(&good, python);
    table.taken("a stamp", here, there);
    // Each of these is a hash of its own: one in a million is strong enough by chance, and then the printed seed says which.
    for (name, changes) in [
        ("a stamp for another cell", json!({"cell": hex(random::<2048>(rng))})),
        ("a stamp with another salt", json!({"salt": hex(random::<16>(rng))})),
        ("a stamp for another line", json!({"line": hex(random::<32>(rng))})),
        ("a stamp for another epoch", json!({"up_epoch": 78})),
        ("a random stamp", json!({"stamp": hex(random::<32>(rng))})),
    ] {
        let (here, there) = stamped(&with(&good, &changes), python);
        table.refused(name, here, there);
    }
    let weak = python.get("mint_stamp", with(&good, &json!({"difficulty": 1})));
    let (here, there) = stamped(&with(&good, &json!({"stamp": weak})), python);
    table.refused("a stamp that is too weak", here, there);
}

fn stamped(asked: &Value, python: &mut Python) -> (Result<(), &'static str>, Result<Value, String>) {
    let (cell, salt) = (bytes(&asked["cell"]), array(&asked["salt"]));
    let line = LineId::from_bytes(array(&asked["line"]));
    let job = StampFor::cell(&cell, &salt, &line, asked["up_epoch"].as_u64().unwrap() as u32);
    let paid = job.is_paid(&array(&asked["stamp"]), asked["difficulty"].as_u64().unwrap() as u8);
    (if paid { Ok(()) } else { Err("weak") }, python.ask("check_stamp", asked.clone()))
}

/// Whether proto reads the body at all.
fn body_here(name: &str, data: &[u8]) -> Result<(), &'static str> {
    let read = match name {
        "notice" => Notice::parse(data).is_ok(),
        "up-post" => UpPost::parse(data).is_ok(),
        "up-reply" => UpReply::parse(data).is_ok(),
        "desk-beat" => DeskBeat::parse(data).is_ok(),
        "desk-reply" => DeskReply::parse(data).is_ok(),
        _ => LanePage::parse(data).is_ok(),
    };
    if read { Ok(()) } else { Err("not these bytes") }
}

fn body_there(name: &str, data: &[u8], python: &mut Python) -> Result<Value, String> {
    if name == "lane-page" {
        python.ask("parse_lane_page", json!({"bytes": hex(data)}))
    } else {
        python.ask("parse_body", json!({"layout": name, "bytes": hex(data)}))
    }
}

pub(super) fn bodies(table: &mut Table, rng: &mut ChaCha20Rng, python: &mut Python) {
    for (name, data, spoilt) in sound_bodies(rng) {
        table.taken(name, body_here(name, &data), body_there(name, &data, python));
        for (at, value) in spoilt {
            let mut wrong = data.clone();
            wrong[at] = value;
            table.refused(&format!("{name}: {value} at {at}"), body_here(name, &wrong), body_there(name, &wrong, python));
        }
        for wrong in [&data[..data.len() - 1], &[&data[..], &[0]].concat(), &[]] {
            table.refused(&format!("{name}: {} bytes", wrong.len()), body_here(name, wrong), body_there(name, wrong, python));
        }
    }
    // Of one cell, at the last position after which there is another, and at the last of all.
    let page = |last| [&[9; 8][..], &[0xff; 7], &[last], &[0, 0, 0, 1, 0, 0, 0, 0], &[7; 8 * 2048]].concat();
    let (sound, past) = (page(0xfe), page(0xff));
    table.taken("lane-page: near the end", body_here("lane-page", &sound), body_there("lane-page", &sound, python));
    table.refused("lane-page: at the end", body_here("lane-page", &past), body_there("lane-page", &past, python));
}

/// A body's layout, its sound bytes, and what spoils it: a byte's place and value.
type Body = (&'static str, Vec<u8>, Vec<(usize, u8)>);

/// A sound body of each call, and single bytes that spoil it.
fn sound_bodies(rng: &mut ChaCha20Rng) -> Vec<Body> {
    let (up, desk) = (layout::up_reply::outcome.at, layout::desk_reply::outcome.at);
    let mut reply = vec![0; 16];
    reply[6..14].copy_from_slice(&random::<8>(rng));
    let page = [&[9; 8][..], &[0, 0, 0, 0, 0, 0, 0, 1], &[0, 0, 0, 1, 0, 0, 0, 0], &[7; 8 * 2048]].concat();
    vec![
        ("notice", notice(rng), vec![(layout::notice::zero.at, 1), (layout::notice::zero.at + 11, 128)]),
        ("up-post", random::<2080>(rng).to_vec(), vec![]),
        ("up-reply", reply.clone(), vec![(up, 3), (up, 255), (14, 1), (15, 1)]),
        ("desk-beat", random::<6176>(rng).to_vec(), vec![]),
        ("desk-reply", reply, vec![(desk, 2), (desk, 4), (1, 3), (2, 3), (3, 1)]),
        ("lane-page", page, vec![(19, 0), (19, 9), (18, 255), (20, 1), (23, 1)]),
    ]
}

fn notice(rng: &mut ChaCha20Rng) -> Vec<u8> {
    let notice = Notice {
        roster: None,
        clock_ms: Seconds(1_790_000_000).millis(),
        difficulty: 0,
        up_epoch: 1,
        beat: 2,
        relay_no: 3,
        stamp_salt: random(rng),
        timing: Timing::PRODUCTION,
        up_ttl_s: 4,
        desk_beat_ms: 5,
        bulletin: [0; 80],
    };
    notice.to_bytes().to_vec()
}

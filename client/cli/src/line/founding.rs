//! `line init`: a line from nothing. No network.

use std::fs::{self, DirBuilder, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use data_encoding::HEXLOWER;
use porchlight_client::desk::{DeskError, LinePlan, Office, Safeguarding};
use porchlight_client::vault::Passphrase;
use porchlight_proto::card::{Card, Door, RelayAddress};
use porchlight_proto::line::{Gate, LineId};
use porchlight_proto::phrase::Language;
use porchlight_proto::root::RootWords;
use porchlight_proto::time::{Seconds, Timing};
use rand_core::Rng;
use serde_json::json;

use crate::chance;
use crate::command::{LineInit, Pace};
use crate::desk::now;
use crate::exit::Exit;
use crate::output;
use crate::output::remark;
use crate::sentences;
use crate::trouble::Trouble;
use crate::way::Way;

/// Characters of a drawn gate: 41 bits, and a host of 15 characters still fits a door.
const GATE_LEN: usize = 8;
const GATE_ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
/// Seconds the relay keeps a letter nobody fetched, unless told otherwise: three days.
const UP_TTL_S: u32 = 259_200;
/// Seconds in a period of the desk's key.
const PERIOD_S: u64 = 86_400;
/// Weeks a caller can be away and still be answered.
const REPLY_WEEKS: u8 = 9;

/// `line init`
pub(crate) fn init(args: &LineInit, way: &Way<'_>) -> Result<Exit, Trouble> {
    let timing = timing(&args.pace)?;
    let gates = gates(&args.gate)?;
    let relays = relays(args, &gates)?;
    let doors = doors(&args.door, &relays)?;
    if let Some(page) = args.leave_to.as_deref().filter(|page| !is_web_address(page)) {
        return Err(sentences::bad_leave_to(page));
    }
    let dir = &args.base.dir;
    make_dir(dir)?;
    let passphrase = way.inputs.new_passphrase(args.base.passphrase_file.as_deref())?;
    let mut rng = chance::new_rng()?;
    let words = RootWords::generate(&mut rng);
    let root = words.key();
    let plan = LinePlan {
        relays: relays.clone(),
        timing,
        up_ttl: Seconds(u64::from(args.pace.up_ttl_s.unwrap_or(UP_TTL_S))),
        period: Seconds(PERIOD_S),
        answer_within: args.answer_within.code(),
        reply_weeks: REPLY_WEEKS,
        emergency: !args.no_emergency,
        safeguarding: Safeguarding::Unstaffed,
    };
    let mut founded = Office::found(dir, &Passphrase::new(passphrase.as_str().to_owned()), &root, &plan, now(), &mut rng)
        .map_err(|error| sentences::desk(&error))?;
    let keep = founded.office.act(&mut rng, |desk, _| {
        desk.keep_for(args.keep_days);
        Ok::<_, DeskError>(())
    });
    keep.map_err(|error| sentences::desk(&error))?;
    let card = Card { root: root.public(), relays };
    write_files(dir, &card, &doors, args)?;
    let root_words = words.words(Language::En).join(" ");
    let line = HEXLOWER.encode(LineId::from_root(&card.root).as_bytes());
    let object = json!({
        "event": "founded",
        "line": line,
        "root_words": root_words,
        "card": card.to_text(),
        "gates": gates.iter().map(Gate::as_str).collect::<Vec<_>>(),
        "doors": doors,
        "dir": dir.display().to_string(),
    });
    way.output.tell(&object, &sentences::founded(dir, &root_words));
    if output::unheard() {
        // The directory was empty before.
        fs::remove_dir_all(dir).map_err(|error| sentences::cannot_write(dir, &error))?;
        return Err(sentences::root_words_lost());
    }
    Ok(Exit::Done)
}

/// Whether the relay's configuration takes it (`leave_to`).
fn is_web_address(text: &str) -> bool {
    let is_plain = text.len() <= 200 && text.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"<>\\".contains(&byte));
    is_plain && text.strip_prefix("https://").is_some_and(|rest| !rest.is_empty())
}

fn timing(pace: &Pace) -> Result<Timing, Trouble> {
    let usual = Timing::PRODUCTION;
    let timing = Timing {
        up_beat_ms: pace.up_beat_ms.unwrap_or(usual.up_beat_ms),
        beat_ms: pace.beat_ms.unwrap_or(usual.beat_ms),
        fast_slots: pace.fast_slots.unwrap_or(usual.fast_slots),
        slow_s: pace.slow_s.unwrap_or(usual.slow_s),
        slow_days: pace.slow_days.unwrap_or(usual.slow_days),
    };
    timing.check().map_err(|error| sentences::bad_pace(&error.to_string()))?;
    Ok(timing)
}

fn gates(given: &[String]) -> Result<Vec<Gate>, Trouble> {
    if given.is_empty() {
        return Ok(vec![draw_gate()?]);
    }
    parse_gates(given)
}

pub(crate) fn parse_gates(given: &[String]) -> Result<Vec<Gate>, Trouble> {
    if given.len() > porchlight_proto::limits::RELAYS_MAX {
        return Err(sentences::bad_gate("a line has eight gates at most"));
    }
    given.iter().map(|gate| Gate::parse(gate).map_err(|error| sentences::bad_gate(&error.to_string()))).collect()
}

pub(crate) fn draw_gate() -> Result<Gate, Trouble> {
    let mut rng = chance::new_rng()?;
    let mut letters = || {
        let at = usize::try_from(rng.next_u32() >> 27).unwrap_or(0);
        GATE_ALPHABET.get(at).map_or('a', |byte| char::from(*byte))
    };
    let text: String = (0..GATE_LEN).map(|_| letters()).collect();
    Gate::parse(&text).map_err(|error| sentences::bad_gate(&error.to_string()))
}

fn relays(args: &LineInit, gates: &[Gate]) -> Result<Vec<RelayAddress>, Trouble> {
    let chosen = args.relays.0.iter().zip(0u8..);
    let relays = chosen.map(|(relay, number)| RelayAddress {
        url: relay.address.to_string(),
        gates: gates.to_vec(),
        pin: relay.pin.map(|pin| *pin.as_bytes()),
        number,
    });
    Ok(relays.collect())
}

/// The doors given, or each relay with its first gate.
fn doors(given: &[String], relays: &[RelayAddress]) -> Result<Vec<String>, Trouble> {
    if given.is_empty() {
        let doors = relays.iter().filter_map(|relay| relay.gates.first().map(|gate| format!("{}/{}", relay.url, gate.as_str())));
        return Ok(doors.inspect(|door| warn_of_length(door)).collect());
    }
    given
        .iter()
        .map(|door| Door::parse(door).map(|door| door.to_text()).map_err(|error| sentences::bad_door(door, error)))
        .collect()
}

fn warn_of_length(door: &str) {
    if Door::parse(door).is_err() {
        remark(&sentences::long_door(door));
    }
}

/// Makes the directory for its owner alone; one that is there must be empty.
pub(crate) fn make_dir(dir: &Path) -> Result<(), Trouble> {
    match fs::read_dir(dir) {
        Ok(mut entries) => {
            if entries.next().is_some() {
                return Err(sentences::not_empty(dir));
            }
            fs::set_permissions(dir, Permissions::from_mode(0o700)).map_err(|error| sentences::cannot_write(dir, &error))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(|error| sentences::cannot_write(dir, &error))
        }
        Err(error) => Err(sentences::cannot_read(dir, &error)),
    }
}

fn write_files(dir: &Path, card: &Card, doors: &[String], args: &LineInit) -> Result<(), Trouble> {
    write_new(&dir.join("card.txt"), &card_text(card))?;
    write_new(&dir.join("doors"), &doors_text(doors))?;
    for relay in &card.relays {
        let name = if relay.number == 0 { "relay.toml".to_owned() } else { format!("relay-{}.toml", relay.number) };
        write_new(&dir.join(name), &relay_toml(card, relay, doors, args))?;
    }
    Ok(())
}

fn card_text(card: &Card) -> String {
    format!("{}\n", card.to_text())
}

fn doors_text(doors: &[String]) -> String {
    doors.iter().map(|door| format!("{door}\n")).collect()
}

/// Card and doors beside the vault of a device that has joined: what is there already stays.
pub(crate) fn write_card(dir: &Path, card: &Card) -> Result<(), Trouble> {
    for (name, text) in [("card.txt", card_text(card)), ("doors", doors_text(&doors(&[], &card.relays)?))] {
        let path = dir.join(name);
        if !path.exists() {
            write_new(&path, &text)?;
        }
    }
    Ok(())
}

/// Card and doors of a line whose relays are elsewhere now. What stood there first is kept beside them: `doors` may hold other hosts' doors.
pub(crate) fn replace_card(dir: &Path, card: &Card) -> Result<(), Trouble> {
    let doors = doors_text(&doors(&[], &card.relays)?);
    for (name, text) in [("card.txt", card_text(card)), ("doors", doors)] {
        let [path, before, fresh] = [name.to_owned(), format!("{name}.before"), format!("{name}.new")].map(|name| dir.join(name));
        let _ = fs::remove_file(&fresh);
        write_new(&fresh, &text)?;
        if path.exists() && !before.exists() {
            let bytes = fs::read(&path).map_err(|error| sentences::cannot_read(&path, &error))?;
            write_new_bytes(&before, &bytes)?;
        }
        fs::rename(&fresh, &path).map_err(|error| sentences::cannot_write(&path, &error))?;
    }
    Ok(())
}

/// The relay's `[[line]]` part: the pace only where it was given, and what its page says of other places.
fn relay_toml(card: &Card, relay: &RelayAddress, doors: &[String], args: &LineInit) -> String {
    let pace = &args.pace;
    let gates: Vec<String> = relay.gates.iter().map(|gate| format!("\"{}\"", gate.as_str())).collect();
    let mut lines = vec![
        "[[line]]".to_owned(),
        format!("id = \"{}\"", HEXLOWER.encode(LineId::from_root(&card.root).as_bytes())),
        format!("gates = [{}]", gates.join(", ")),
        format!("root = \"{}\"", HEXLOWER.encode(card.root.as_bytes())),
    ];
    if relay.number != 0 {
        lines.push(format!("relay_no = {}", relay.number));
    }
    let given = [
        ("up_ttl_s", pace.up_ttl_s.map(u64::from)),
        ("slow_days", pace.slow_days.map(u64::from)),
        ("beat_ms", pace.beat_ms.map(u64::from)),
        ("slow_s", pace.slow_s.map(u64::from)),
        ("up_beat_ms", pace.up_beat_ms.map(u64::from)),
        ("fast_slots", pace.fast_slots.map(u64::from)),
    ];
    lines.extend(given.iter().filter_map(|(key, value)| value.map(|value| format!("{key} = {value}"))));
    let other_door = doors.iter().find(|door| !door.starts_with(&relay.url));
    let places = [("leave_to", args.leave_to.as_ref()), ("other_door", other_door)];
    lines.extend(places.iter().filter_map(|(key, value)| value.map(|value| format!("{key} = \"{value}\""))));
    lines.join("\n") + "\n"
}

fn write_new(path: &Path, text: &str) -> Result<(), Trouble> {
    write_new_bytes(path, text.as_bytes())
}

/// A new file for its owner alone, on the disk when this returns.
pub(crate) fn write_new_bytes(path: &Path, bytes: &[u8]) -> Result<(), Trouble> {
    let opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    opened
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
        .map_err(|error| sentences::cannot_write(path, &error))
}

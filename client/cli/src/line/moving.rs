//! `line card`, `line move`: where this device looks for the line's relays.

use std::path::Path;

use porchlight_client::desk::card_words;
use porchlight_proto::card::{Card, RelayAddress};
use serde_json::json;

use super::founding::{draw_gate, parse_gates, replace_card};
use crate::command::{LineCard, LineMove};
use crate::desk::{act, compare, open};
use crate::exit::Exit;
use crate::output::remark;
use crate::sentences;
use crate::trouble::Trouble;
use crate::way::Way;

/// `line card`
pub(crate) fn card(args: &LineCard, way: &Way<'_>) -> Result<Exit, Trouble> {
    let given = args.take.as_deref().map(|given| way.inputs.card(given)).transpose()?;
    let mut office = open(&args.base, way)?;
    let desk = office.look().map_err(|error| sentences::office(&error))?;
    let before = desk.card().map_err(|error| sentences::desk(&error))?;
    let Some(card) = given else {
        let words = card_words(&before);
        way.output.tell(&json!({"event": "card", "card": before.to_text(), "check_words": words}), &before.to_text());
        remark(&sentences::card_words(&words));
        return Ok(Exit::Done);
    };
    // Whoever has seen a card can make another of this line, with relays of their own.
    compare(&card_words(&card), args.words.as_deref(), way)?;
    act(&mut office, |desk, _| desk.take_card(&card))?;
    taken(&args.base.dir, &card, &sentences::took(&before, &card), way)
}

/// `line move`
pub(crate) fn to(args: &LineMove, way: &Way<'_>) -> Result<Exit, Trouble> {
    let mut office = open(&args.base, way)?;
    let desk = office.look().map_err(|error| sentences::office(&error))?;
    let mut card = desk.card().map_err(|error| sentences::desk(&error))?;
    let before = card.relays.iter().position(|relay| relay.number == args.number);
    match (&args.to, before) {
        (None, None) => return Err(sentences::no_such_relay(args.number)),
        (None, Some(at)) => _ = card.relays.remove(at),
        (Some(address), at) => {
            // Whoever took the old machine has its gates, and would find the new one by them.
            let url = address.to_string();
            let kept = at.and_then(|at| card.relays.get(at)).filter(|old| old.url == url).map(|old| old.gates.clone());
            let gates = match (args.gate.as_slice(), kept) {
                ([], Some(kept)) => kept,
                ([], None) => vec![draw_gate()?],
                (given, _) => parse_gates(given)?,
            };
            let pin = args.relay_pin.map(|pin| *pin.as_bytes());
            let moved = RelayAddress { url, gates, pin, number: args.number };
            match at.and_then(|at| card.relays.get_mut(at)) {
                Some(relay) => *relay = moved,
                None => card.relays.push(moved),
            }
        }
    }
    act(&mut office, |desk, _| desk.take_card(&card))?;
    taken(&args.base.dir, &card, &sentences::moved(&card, &card_words(&card)), way)
}

fn taken(dir: &Path, card: &Card, sentence: &str, way: &Way<'_>) -> Result<Exit, Trouble> {
    let relays: Vec<_> = card
        .relays
        .iter()
        .map(|relay| {
            let gates: Vec<&str> = relay.gates.iter().map(|gate| gate.as_str()).collect();
            json!({"number": relay.number, "url": relay.url, "gates": gates, "pinned": relay.pin.is_some()})
        })
        .collect();
    replace_card(dir, card)?;
    way.output
        .tell(&json!({"event": "card", "card": card.to_text(), "check_words": card_words(card), "relays": relays}), sentence);
    Ok(Exit::Done)
}

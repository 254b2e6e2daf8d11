//! `desk burn`: the worst day.

use core::time::Duration;
use std::fs;
use std::path::Path;

use porchlight_client::desk::{Desk, Office};
use porchlight_client::vault::Vault;
use serde_json::json;

use super::duty::Outcome;
use super::{Round, act, now, open_any};
use crate::command::DeskBurn;
use crate::exit::Exit;
use crate::output::remark;
use crate::sentences;
use crate::trouble::Trouble;
use crate::way::Way;

/// How long it tries to say goodbye. The vault is destroyed before, so that nothing the network does keeps it.
const PATIENCE: Duration = Duration::from_secs(15);

/// `desk burn`
pub(crate) async fn burn(args: &DeskBurn, way: &Way<'_>) -> Result<Exit, Trouble> {
    let dir = &args.base.dir;
    if !dir.join("vault").is_dir() {
        return Err(sentences::no_vault(dir));
    }
    let (burned, told) = if args.at_once {
        (Vault::burn(dir).map_err(|error| error.to_string()), Some(false))
    } else {
        // Only a wrong passphrase, or a vault that does not open, keeps the vault.
        let mut office = open_any(&args.base, way)?;
        (office.burn().map_err(|error| error.to_string()), say_goodbye(office, way).await)
    };
    remark_untold(told);
    burned.map_err(|error| sentences::not_burned(&error))?;
    remove_beside(dir);
    way.output.tell(&json!({"event": "burned", "told": told, "dir": dir.display().to_string()}), sentences::BURNED);
    Ok(Exit::Done)
}

/// Says that nobody knows yet, if there is somebody to know.
pub(super) fn remark_untold(told: Option<bool>) {
    if told == Some(false) {
        remark(sentences::BURNED_UNTOLD);
    }
}

/// The last word of this device, said from memory, so that the team takes it off its lists: whether a relay took it, if there is
/// a team.
async fn say_goodbye(mut office: Office, way: &Way<'_>) -> Option<bool> {
    if office.look().is_ok_and(|desk| desk.is_only_lead(now())) {
        remark(sentences::ONLY_LEAD_BURNED);
    }
    if office.look().is_ok_and(Desk::is_safeguarding) {
        // The team reads nothing of hers.
        return Some(false);
    }
    let left = act(&mut office, |desk, rng| {
        desk.leave(now(), rng)?;
        Ok(desk.untold(now()))
    });
    match left {
        Ok(true) => {}
        Ok(false) => return None,
        Err(_) => return Some(false),
    }
    let Ok(mut round) = Round::begin_last(office, way) else { return Some(false) };
    let outcome = round.run(PATIENCE, |desk| desk.untold(now())).await;
    Some(outcome.is_ok_and(|outcome| outcome == Outcome::Done))
}

/// Card, doors and relay configurations: no secrets of callers, but they name the line and its gates.
pub(super) fn remove_beside(dir: &Path) {
    let ours = |name: &str| {
        matches!(name, "card.txt" | "doors" | "posting.lock" | "watch.lock")
            || ["card.txt.", "doors."].iter().any(|ours| name.starts_with(ours))
            || name.starts_with("relay") && name.ends_with(".toml")
    };
    let Ok(entries) = fs::read_dir(dir) else { return };
    for entry in entries.flatten() {
        if entry.file_name().to_str().is_some_and(ours)
            && let Err(error) = fs::remove_file(entry.path())
        {
            remark(&sentences::cannot_write(&entry.path(), &error).to_string());
        }
    }
    // Stays if something of somebody else's is in it.
    let _kept = fs::remove_dir(dir);
}

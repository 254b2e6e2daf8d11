//! `desk open`: the board in a browser of this machine.

use std::fs;
use std::path::Path;

use porchlight_client::duty::Posting;
use porchlight_desk::{AtVault, Ending, LOCK_AFTER, Opening, Practice, serve};
use serde_json::json;

use super::burn::{remark_untold, remove_beside};
use super::{Right, open};
use crate::chance;
use crate::command::{DeskBase, DeskOpen};
use crate::exit::Exit;
use crate::output::remark;
use crate::sentences;
use crate::stop::Stop;
use crate::trouble::Trouble;
use crate::way::Way;

/// `desk open`
pub(crate) async fn open_board(args: DeskOpen, way: &Way<'_>) -> Result<Exit, Trouble> {
    let opening = match &args.dir {
        Some(dir) => Opening::Vault(Box::new(at_vault(dir, &args, way)?)),
        None => {
            remark(sentences::PRACTICE);
            let practice = Practice::begin(chance::new_rng()?).map_err(|error| sentences::no_practice(&error))?;
            Opening::Practice(Box::new(practice))
        }
    };
    let mut stop = Stop::listen()?;
    let announce = |link: &str| way.output.tell(&json!({"event": "board", "link": link}), &sentences::board_at(link));
    let lock_after = args.lock_after.unwrap_or(LOCK_AFTER).min(LOCK_AFTER);
    let ending = serve(opening, lock_after, chance::new_rng()?, announce, stop.wished());
    match (ending.await.map_err(|error| sentences::not_served(&error))?, args.dir) {
        (Ending::Burned { told }, Some(dir)) => {
            remove_beside(&dir);
            remark_untold(told);
            way.output.tell(&json!({"event": "burned", "told": told, "dir": dir.display().to_string()}), sentences::BURNED);
        }
        (Ending::NotBurned { what, told }, Some(_)) => {
            remark_untold(told);
            return Err(sentences::not_burned(&what));
        }
        (Ending::Stopped { unsent: 1.. }, Some(_)) => return Err(sentences::board_closed_unsent()),
        (_, Some(_)) => way.output.say(sentences::BOARD_CLOSED),
        (_, None) => {}
    }
    Ok(Exit::Done)
}

fn at_vault(dir: &Path, args: &DeskOpen, way: &Way<'_>) -> Result<AtVault, Trouble> {
    let base = DeskBase { dir: dir.to_owned(), passphrase_file: args.passphrase_file.clone() };
    let office = open(&base, way)?;
    let watch = Right::to_watch(dir)?;
    if watch.is_none() {
        remark(sentences::BOARD_BEHIND_A_WATCH);
    }
    let mut right = Right::to_post(dir)?;
    let posting = if right.is_some() { Posting::Here } else { Posting::Elsewhere };
    let place = dir.to_owned();
    let take_right = Box::new(move || {
        let _held = &watch;
        if right.is_none() {
            right = Right::to_post(&place).ok().flatten();
        }
        right.is_some()
    });
    // A device that joined from another machine may have no such file: then there is no sheet to print.
    let doors = fs::read_to_string(dir.join("doors")).unwrap_or_default();
    let doors = doors.lines().filter(|door| !door.is_empty()).map(str::to_owned).collect();
    Ok(AtVault { dir: dir.to_owned(), office, dial: way.dial(), doors, posting, take_right })
}

//! The screens as JSON. What is drawn is what the library says; here it is only gathered.

use porchlight_client::desk::{Desk, HandOverState, Item, Rota, Row, Urgency};
use porchlight_client::outbox::{Clock, SystemClock};
use porchlight_proto::line::CallerId;
use porchlight_proto::time::Seconds;
use serde_json::{Value, json};

use crate::order::Refused;
use crate::shift::{SILENT_S, Shift, hex, now};

/// Rows that one question may ask for.
const ROWS_MAX: usize = 500;

impl Shift {
    /// The header, and a window of the rows.
    pub(crate) fn board(&mut self, from: usize, count: usize, find: &str) -> Result<Value, Refused> {
        let header = self.header()?;
        let urgent = self.rows().iter().filter(is_urgent).count();
        let named = self.named(find);
        let urgent_hidden = urgent - named.iter().filter(|row| is_urgent(row)).count();
        let window: Vec<&&Row> = named.iter().skip(from).take(count.min(ROWS_MAX)).collect();
        Ok(json!({"header": header, "total": named.len(), "from": from, "rows": window, "urgent_hidden": urgent_hidden}))
    }

    /// What stands above every screen.
    pub(crate) fn header(&mut self) -> Result<Value, Refused> {
        let at = now();
        let counts = counts(self.rows());
        let line = self.engine.view(|desk| desk.line_view(at))??;
        let rota = self.engine.view(|desk| desk.rota(at))?;
        let there = self.there(at)?;
        let reachable = |device: &String| there.contains(device);
        let on_call: Vec<Value> =
            rota.on.iter().map(|device| json!({"device": device, "reachable": reachable(device)})).collect();
        let has_rota = !rota.shifts.is_empty();
        let nobody = nobody(&rota, &there);
        let no_relay = self.reaches_no_relay();
        let team: Vec<Value> = line.devices.iter().map(|device| json!({
            "device": device.device, "seat": device.seat, "role": device.role, "mine": device.mine, "revoked": device.revoked,
            "reachable": reachable(&device.device),
        })).collect();
        Ok(json!({
            "now": at.0, "device": line.device, "team": team, "counts": counts,
            "on_call": on_call, "has_rota": has_rota, "on_until": rota.on_until, "next": rota.next, "next_from": rota.next_from, "gap": rota.gaps.first(),
            "nobody": nobody, "no_relay": no_relay, "relays": self.relays_told(), "warnings": line.warnings, "closed_until": line.closed_until,
            "pages": self.pages.values().map(|found| found.to_json()).collect::<Vec<_>>(),
            "vault_trouble": self.vault_trouble, "elsewhere": self.engine.sends_elsewhere(), "practice": self.engine.is_practice(),
            "failed": self.unsent(),
        }))
    }

    /// Devices of the team that can be reached: this one, and those heard lately.
    fn there(&mut self, at: Seconds) -> Result<Vec<String>, Refused> {
        let me = hex(&self.me()?.0);
        let heard = self.engine.view(Desk::heard_devices)?;
        let lately = heard.into_iter().filter(|(_, heard)| heard.seconds().0 + SILENT_S > at.0).map(|(device, _)| device);
        Ok(lately.chain([me]).collect())
    }

    /// What somebody should know although the board is locked: of the line as a whole, never of anybody.
    pub(crate) fn warnings(&mut self) -> Vec<&'static str> {
        let at = now();
        let nobody = self.there(at).and_then(|there| Ok(nobody(&self.engine.view(|desk| desk.rota(at))?, &there)));
        let trouble = (self.vault_trouble || nobody.is_err()).then_some("vault_trouble");
        let no_relay = self.reaches_no_relay().then_some("no_relay");
        [trouble, no_relay, nobody.unwrap_or_default()].into_iter().flatten().collect()
    }

    /// Callers whose answer was not sent after all.
    fn unsent(&mut self) -> Vec<Value> {
        let ids: Vec<String> =
            self.later.iter().filter(|later| later.failed.is_some()).map(|later| hex(&later.caller.0)).collect();
        let named = |row: &&Row| ids.iter().any(|id| row.id == *id || row.joined.contains(id));
        self.rows().iter().filter(named).map(|row| json!({"id": row.id, "nickname": row.nickname})).collect()
    }

    /// One caller: her row, her thread, what the team knows of her, and what is being written to her here.
    pub(crate) fn person(&mut self, id: &str) -> Result<Value, Refused> {
        let caller = self.find(id)?;
        self.looks_at(caller);
        let mut told = self.thread(caller)?;
        let elapsed = SystemClock.elapsed();
        let later: Vec<Value> =
            self.later.iter().filter(|later| later.caller == caller).map(|later| later.to_json(elapsed)).collect();
        let header = self.header()?;
        if let Some(fields) = told.as_object_mut() {
            fields.insert("header".to_owned(), header);
            fields.insert("later".to_owned(), json!(later));
            fields.insert("draft".to_owned(), json!(self.drafts.get(&caller).map(|draft| draft.as_str())));
            fields.insert("quiet_reason".to_owned(), json!(self.scrap(&format!("quiet {id}"))));
        }
        Ok(told)
    }

    /// Her row, her thread, and what the team knows of her.
    pub(crate) fn thread(&mut self, caller: CallerId) -> Result<Value, Refused> {
        let thread = self.engine.view(|desk| desk.show(caller, now()))??;
        let mut items = Vec::new();
        for item in &thread.items {
            let mut told = json!(item);
            if let (Item::Answer { id, .. }, Some(fields)) = (item, told.as_object_mut()) {
                let id = data_encoding::HEXLOWER.decode(id.as_bytes()).ok().and_then(|id| id.try_into().ok());
                let readable = id.and_then(|id: [u8; 8]| self.engine.view(|desk| desk.readable_from(&id)).ok().flatten());
                let from = readable.and_then(|readable| readable.words.or(readable.page));
                fields.insert("readable_from".to_owned(), json!(from.map(|from| from.0)));
                fields.insert("live".to_owned(), json!(readable.map(|readable| readable.words.is_none())));
            }
            items.push(told);
        }
        Ok(json!({"row": thread.row, "person": thread.person, "proposals": thread.proposals, "items": items}))
    }

    /// Whom this device has, who is handed over, and what waits for a second worker.
    pub(crate) fn hand_overs(&mut self) -> Result<Value, Refused> {
        let header = self.header()?;
        let me = hex(&self.me()?.0);
        let mine = |row: &&Row| row.claim.as_ref().is_some_and(|claim| claim.mine);
        let to_me = |row: &&Row| {
            row.hand_over
                .as_ref()
                .is_some_and(|over| over.by != me && (over.to.as_ref() == Some(&me) || over.state == HandOverState::OnCall))
        };
        let given = |row: &&Row| row.hand_over.as_ref().is_some_and(|over| over.by == me);
        let rows = self.rows();
        let told = json!({
            "mine": rows.iter().filter(mine).collect::<Vec<_>>(),
            "to_me": rows.iter().filter(to_me).collect::<Vec<_>>(),
            "given": rows.iter().filter(given).collect::<Vec<_>>(),
        });
        let proposals = self.engine.view(|desk| desk.proposals(now()))?;
        let mut told = told;
        if let Some(fields) = told.as_object_mut() {
            fields.insert("header".to_owned(), header);
            fields.insert("proposals".to_owned(), json!(proposals));
        }
        Ok(told)
    }

    /// The rota.
    pub(crate) fn rota(&mut self) -> Result<Value, Refused> {
        let header = self.header()?;
        Ok(json!({"header": header, "rota": self.engine.view(|desk| desk.rota(now()))?}))
    }

    /// The line, its devices and its relays.
    pub(crate) fn devices(&mut self) -> Result<Value, Refused> {
        let header = self.header()?;
        let line = self.engine.view(|desk| desk.line_view(now()))??;
        let audit = self.engine.view(|desk| desk.audit(now()))?;
        Ok(json!({"header": header, "line": line, "audit": audit}))
    }

    /// What the guide shows: how far the line has come, and its doors for the card sheet.
    pub(crate) fn guide(&mut self) -> Result<Value, Refused> {
        let header = self.header()?;
        let line = self.engine.view(|desk| desk.line_view(now()))??;
        let callers = self.rows().len();
        let rota = self.engine.view(|desk| desk.rota(now()))?;
        Ok(json!({
            "header": header, "doors": self.engine.doors(), "published_until": line.published_until, "devices": line.devices.iter().filter(|device| !device.revoked).count(),
            "callers": callers, "has_rota": !rota.shifts.is_empty(),
        }))
    }
}

/// Why nobody would come if something happened now: nobody is on call, or nobody of those can be reached. A line without a rota
/// says neither.
fn nobody(rota: &Rota, there: &[String]) -> Option<&'static str> {
    if rota.shifts.is_empty() || rota.on.iter().any(|device| there.contains(device)) {
        return None;
    }
    Some(if rota.on.is_empty() { "nobody_on_call" } else { "on_call_silent" })
}

/// Whom no search hides.
const fn is_urgent(row: &&Row) -> bool {
    matches!(row.urgency, Urgency::DuressUnclaimed | Urgency::HelpUnclaimed | Urgency::HelpSilent)
}

fn counts(rows: &[Row]) -> Value {
    let waiting = rows.iter().filter(|row| row.waiting_since.is_some());
    json!({
        "callers": rows.len(),
        "waiting": waiting.clone().count(),
        "longest_since": waiting.filter_map(|row| row.waiting_since).min(),
        "help": rows.iter().filter(is_urgent).count(),
        "unseen": rows.iter().map(|row| row.unseen).sum::<usize>(),
        "mine": rows.iter().filter(|row| row.claim.as_ref().is_some_and(|claim| claim.mine)).count(),
        "proposals": rows.iter().map(|row| row.proposals).sum::<usize>(),
        "handed_over": rows.iter().filter(|row| row.hand_over.is_some()).count(),
    })
}

//! The public notice for the worst day: raised at every relay while the board goes on.

use porchlight_client::transport::Failure;
use porchlight_proto::api::{DeskOutcome, DeskReply};
use porchlight_proto::bulletin::Code;
use porchlight_proto::time::Seconds;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::order::{Raising, Refused};
use crate::shift::{Handle, Shift, now};

/// What each relay said.
type Outcomes = Vec<(u8, Result<DeskReply, Failure>)>;

impl Handle {
    /// Raises a bulletin or voids all, and waits for the relays; the shift does not, and the errand goes on without this.
    pub(crate) async fn raise(&self, raise: Raising) -> Option<Result<Value, Refused>> {
        let Some(code) = raise.code else { return self.sign(Shift::void).await };
        let before = self.with(|shift| shift.closed_until()).await?;
        let errand = match self.with(move |shift| shift.raise(code, raise.closed_until)).await? {
            Ok(errand) => errand,
            Err(refused) => return Some(Err(refused)),
        };
        let raised = sum(&errand.await.ok()?);
        // What no relay has taken, no caller sees: the line is not called closed then.
        if raised.is_err() && raise.closed_until.is_some() && code == Code::Closed.code() {
            self.with(move |shift| shift.change(|desk, rng| desk.set_closed_until(before, now(), rng))).await?.ok();
        }
        Some(raised)
    }
}

fn sum(outcomes: &Outcomes) -> Result<Value, Refused> {
    let done =
        |outcome: &&(u8, Result<DeskReply, Failure>)| outcome.1.as_ref().is_ok_and(|reply| reply.outcome == DeskOutcome::Done);
    let raised = outcomes.iter().filter(done).count();
    if raised == 0 && !outcomes.is_empty() {
        return Err(Refused::code("not_raised"));
    }
    Ok(json!({"raised": raised, "relays": outcomes.len()}))
}

impl Shift {
    fn closed_until(&mut self) -> Option<Seconds> {
        let line = self.engine.view(|desk| desk.line_view(now())).ok()?.ok()?;
        line.closed_until.map(Seconds)
    }

    /// Signs that every bulletin until now is void, and the line open.
    fn void(&mut self) -> Result<Value, Refused> {
        if self.farewell.is_some() {
            return Err(Refused::code("burned"));
        }
        self.change(|desk, rng| {
            desk.void_bulletins(now(), rng)?;
            desk.set_closed_until(None, now(), rng)
        })
    }

    /// Signs what there is to sign, and sends what there is to send on its way.
    fn raise(&mut self, code: u8, closed_until: Option<u64>) -> Result<JoinHandle<Outcomes>, Refused> {
        if self.farewell.is_some() {
            return Err(Refused::code("burned"));
        }
        let code = Code::from_code(code).ok_or(Refused::code("not_possible"))?;
        if let Some(until) = closed_until.filter(|_| code == Code::Closed) {
            self.change(|desk, rng| desk.set_closed_until(Some(Seconds(until)), now(), rng))?;
        }
        let bytes = self.engine.view(|desk| desk.raise_bulletin(code, now()))??;
        Ok(tokio::spawn(self.engine.raise(bytes)))
    }
}

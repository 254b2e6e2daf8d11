//! Statements on their way: what a lead has signed holds at a relay once that relay has it.

use core::mem;
use core::time::Duration;

use porchlight_client::outbox::{Clock, SystemClock};
use serde_json::{Value, json};
use tokio::sync::oneshot;

use crate::order::Refused;
use crate::shift::{Handle, Shift};

/// How long a page waits until every relay has what was signed. The board goes on handing it in after that.
const PATIENCE: Duration = Duration::from_secs(15);

/// A page that waits to hear how many relays have it.
pub(crate) struct Handing {
    until: Duration,
    tell: oneshot::Sender<(usize, usize)>,
}

impl Handle {
    /// Does what signs statements, and waits until the relays have them, or for a while: how many have, and of how many, is told with
    /// what was done.
    pub(crate) async fn sign(
        &self,
        deed: impl FnOnce(&mut Shift) -> Result<Value, Refused> + Send + 'static,
    ) -> Option<Result<Value, Refused>> {
        let (tell, told) = oneshot::channel();
        let done = self.with(move |shift| deed(shift).inspect(|_| shift.wait_for_relays(tell))).await?;
        let mut done = match done {
            Ok(done) => done,
            refused => return Some(refused),
        };
        let (handed, relays) = told.await.ok()?;
        if let Some(fields) = done.as_object_mut() {
            fields.extend([("handed".to_owned(), json!(handed)), ("relays".to_owned(), json!(relays))]);
        }
        Some(Ok(done))
    }
}

impl Shift {
    fn wait_for_relays(&mut self, tell: oneshot::Sender<(usize, usize)>) {
        self.handing.push(Handing { until: SystemClock.elapsed() + PATIENCE, tell });
    }

    /// Tells pages that wait how many relays have what was signed: once all have, or when they have waited long enough.
    pub(crate) fn tell_handed(&mut self) {
        if self.handing.is_empty() {
            return;
        }
        let (elapsed, (handed, relays)) = (SystemClock.elapsed(), self.engine.handed_in());
        let is_over = |handing: &Handing| handed >= relays || handing.until <= elapsed;
        let (over, waiting): (Vec<_>, Vec<_>) = mem::take(&mut self.handing).into_iter().partition(is_over);
        self.handing = waiting;
        for handing in over {
            let _gone = handing.tell.send((handed, relays));
        }
    }
}

//! Counters on a loopback address, as Prometheus reads them. No call here changes anything.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{Method, Request, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::{Served, reply};
use crate::counters::{Counters, Gauge, Grain};
use crate::seal::Sealer;

/// What is read together.
pub struct Meters {
    /// What was counted.
    pub counters: Arc<Counters>,
    /// The lines.
    pub lines: Vec<Arc<Served>>,
    /// Keyring and store.
    pub sealer: Arc<Sealer>,
}

impl Meters {
    fn text(&self) -> String {
        let cells: u64 = self.lines.iter().map(|served| served.line.up.cell_count()).sum();
        let store = self.sealer.store();
        let [bad, undead] = [store.unreadable_count(), self.sealer.unforgotten_count()].map(|count| count as u64);
        let gauge = |name, help, grain, count| Gauge { name, help, grain, count };
        self.counters.text(&[
            gauge("cells_held", "Cells for desks held now.", Grain::Acts, cells),
            gauge("store_bytes", "Bytes the store takes on its medium.", Grain::Bytes, store.bytes()),
            gauge("shelves_unreadable", "Shelves of the store in quarantine.", Grain::States, bad),
            gauge("unforgotten", "Dead keys and shelves that the medium has not let go of.", Grain::States, undead),
        ])
    }
}

/// Connections at once, and how long one may last: whoever reads counters needs one for a moment.
const CONNECTIONS: usize = 16;
const PATIENCE: Duration = Duration::from_secs(10);

/// Answers `GET /metrics` until the process ends.
pub async fn serve(listener: TcpListener, meters: Arc<Meters>) {
    let seats = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let Ok(seat) = Arc::clone(&seats).try_acquire_owned() else { continue };
        let meters = Arc::clone(&meters);
        let service = service_fn(move |request| answer(Arc::clone(&meters), request));
        let mut http = hyper::server::conn::http1::Builder::new();
        // A time is nothing that whoever counts has to be told.
        http.timer(TokioTimer::new()).header_read_timeout(PATIENCE).keep_alive(false).auto_date_header(false);
        let serving = http.serve_connection(TokioIo::new(stream), service);
        tokio::spawn(async move {
            let _ = timeout(PATIENCE, serving).await;
            drop(seat);
        });
    }
}

async fn answer(meters: Arc<Meters>, request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
    let is_asked = request.method() == Method::GET && request.uri().path() == "/metrics";
    let text = if is_asked { tokio::task::spawn_blocking(move || meters.text()).await.ok() } else { None };
    Ok(text.map_or_else(|| reply::missing(&Bytes::new()), reply::metrics))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chance::SystemChance;
    use crate::seal::Keyring;
    use crate::store::{EpochId, Place, RecordKey, ShelfId, SledStore, Store};

    #[test]
    fn one_shelf_that_cannot_be_read_is_shown_as_one() {
        let dir = tempfile::tempdir().unwrap();
        let place = Place { shelf: ShelfId([1; 16]), epoch: EpochId([2; 8]) };
        let store = Arc::new(SledStore::open(dir.path()).unwrap());
        let sealer = Sealer::new(Keyring::in_memory(&SystemChance), Arc::clone(&store) as Arc<dyn Store>, Arc::new(SystemChance));
        std::fs::write(dir.path().join(place.shelf.to_string()), b"no shelf").unwrap();
        store.read(place, RecordKey(0), 1000).unwrap_err();
        let meters = Meters { counters: Arc::default(), lines: Vec::new(), sealer: Arc::new(sealer) };
        let text = meters.text();
        assert!(text.contains("\nporchlight_shelves_unreadable 1\n"), "{text}");
    }
}

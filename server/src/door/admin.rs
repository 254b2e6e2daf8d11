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

use super::{Served, reply};
use crate::counters::Counters;
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
        let bad = u64::try_from(store.unreadable_count()).unwrap_or(u64::MAX);
        let now = [
            ("cells_held", " Cells for desks held now.", cells),
            ("store_bytes", " Bytes the store takes on its medium.", store.bytes()),
            ("shelves_unreadable", " Shelves of the store in quarantine.", bad),
        ];
        self.counters.text(&now)
    }
}

/// Answers `GET /metrics` until the process ends.
pub async fn serve(listener: TcpListener, meters: Arc<Meters>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let meters = Arc::clone(&meters);
        let service = service_fn(move |request| answer(Arc::clone(&meters), request));
        let mut http = hyper::server::conn::http1::Builder::new();
        http.timer(TokioTimer::new()).header_read_timeout(Duration::from_secs(10)).keep_alive(false);
        tokio::spawn(http.serve_connection(TokioIo::new(stream), service));
    }
}

async fn answer(meters: Arc<Meters>, request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
    let is_asked = request.method() == Method::GET && request.uri().path() == "/metrics";
    let text = if is_asked { tokio::task::spawn_blocking(move || meters.text()).await.ok() } else { None };
    Ok(text.map_or_else(|| reply::missing(&Bytes::new()), reply::metrics))
}

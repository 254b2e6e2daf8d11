//! The door: who may knock, what everybody is told, and what is passed on to the shift.
//!
//! Checked in this order, on every request: the host by name and port (a name that somebody points at 127.0.0.1 is not it), where the
//! request comes from (a page of another origin gets nothing, not even the document), the kind of what it brings, and the session.

use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response, Sse, sse};
use axum::routing::{get, post};
use futures_util::stream::{self, Stream};
use porchlight_client::outbox::{Clock, SystemClock};
use porchlight_client::vault::{Passphrase, Vault, VaultError};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::watch;
use zeroize::Zeroizing;

use crate::asset;
use crate::order::{Ask, Deed, Refused};
use crate::session::{Refusal, Sessions};
use crate::shift::{Handle, News, Shift};

/// The most that a request may bring: several times the longest text.
const BODY_MAX: usize = 128 * 1024;
/// Where the page puts its session word.
const SESSION: &str = "x-desk-session";
/// Where a locked page puts its knock.
const KNOCK: &str = "x-desk-knock";

/// Everything embedded, nothing from anywhere else, nobody's frame, no text that becomes code.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; \
frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

/// Said with every answer, a refusal too.
const HEADERS: [(header::HeaderName, &str); 9] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::CACHE_CONTROL, "no-store"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (header::HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (header::HeaderName::from_static("cross-origin-embedder-policy"), "require-corp"),
    (header::HeaderName::from_static("permissions-policy"), "camera=(), microphone=(), geolocation=(), clipboard-read=()"),
];

/// What opens the board again after a lock.
pub(crate) enum Key {
    /// The passphrase of the vault in this directory.
    Vault(PathBuf),
    /// Nothing: practice holds nobody's words.
    None,
}

/// Who stands at the door.
pub(crate) struct Doorkeeper {
    host: String,
    origin: String,
    sessions: Mutex<Sessions>,
    handle: Handle,
    news: watch::Receiver<News>,
    key: Key,
    /// One passphrase at a time: each costs as much as the vault says.
    trying: tokio::sync::Mutex<()>,
}

impl Doorkeeper {
    pub(crate) fn new(port: u16, sessions: Sessions, handle: Handle, news: watch::Receiver<News>, key: Key) -> Self {
        let host = format!("127.0.0.1:{port}");
        let origin = format!("http://{host}");
        Self { host, origin, sessions: Mutex::new(sessions), handle, news, key, trying: tokio::sync::Mutex::new(()) }
    }

    /// Everybody who was let in. A lock poisoned by a panic is taken all the same.
    pub(crate) fn sessions(&self) -> MutexGuard<'_, Sessions> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a request comes from our own page, or from the address bar.
    fn is_ours(&self, method: &Method, headers: &HeaderMap) -> bool {
        let only = |name: header::HeaderName| {
            let mut all = headers.get_all(name).iter();
            (all.next().map(HeaderValue::as_bytes), all.next().is_some())
        };
        let (host, several) = only(header::HOST);
        if several || host != Some(self.host.as_bytes()) {
            return false;
        }
        let site = headers.get("sec-fetch-site").map(HeaderValue::as_bytes);
        let (origin, several) = only(header::ORIGIN);
        let own = !several && origin == Some(self.origin.as_bytes());
        match *method {
            Method::GET => (origin.is_none() || own) && site.is_none_or(|site| site == b"same-origin" || site == b"none"),
            Method::POST => own && site.is_none_or(|site| site == b"same-origin"),
            _ => false,
        }
    }

    fn admits(&self, headers: &HeaderMap) -> Result<(), StatusCode> {
        let session = headers.get(SESSION).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let sessions = self.sessions();
        if sessions.admits(session) {
            return Ok(());
        }
        Err(if sessions.is_locked() { StatusCode::LOCKED } else { StatusCode::UNAUTHORIZED })
    }
}

/// The routes.
pub(crate) fn router(keeper: Arc<Doorkeeper>) -> Router {
    Router::new()
        .route("/begin", post(begin))
        .route("/prove", post(prove))
        .route("/unlock", post(unlock))
        .route("/lock", post(lock))
        .route("/ask", post(ask))
        .route("/do", post(deed))
        .route("/ending", post(ending))
        .route("/events", get(events))
        .route("/waiting", get(waiting))
        .fallback(get(file))
        .layer(DefaultBodyLimit::max(BODY_MAX))
        .layer(middleware::from_fn_with_state(Arc::clone(&keeper), guard))
        .with_state(keeper)
}

async fn guard(State(keeper): State<Arc<Doorkeeper>>, request: Request, next: Next) -> Response {
    let brings_json = request.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind == "application/json");
    let mut response = if !keeper.is_ours(request.method(), request.headers()) {
        StatusCode::FORBIDDEN.into_response()
    } else if request.method() == Method::POST && !brings_json {
        StatusCode::UNSUPPORTED_MEDIA_TYPE.into_response()
    } else {
        next.run(request).await
    };
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

async fn file(uri: Uri) -> Response {
    match asset::at(uri.path()).filter(|_| uri.query().is_none()) {
        Some(asset) => ([(header::CONTENT_TYPE, asset.kind)], asset.bytes).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

#[derive(Deserialize)]
struct Begin {
    word: Zeroizing<String>,
}

async fn begin(State(keeper): State<Arc<Doorkeeper>>, body: Bytes) -> Response {
    let Some(begin) = parsed::<Begin>(&body) else { return StatusCode::BAD_REQUEST.into_response() };
    match keeper.sessions().begin(&begin.word, SystemClock.elapsed()) {
        Ok(entry) => reply(&json!({"door": entry.door.as_str(), "session": entry.session.as_ref().map(|word| word.as_str())})),
        Err(_) => StatusCode::UNAUTHORIZED.into_response(),
    }
}

#[derive(Deserialize)]
struct Prove {
    knock: Zeroizing<String>,
    challenge: String,
}

/// Shows a page that this is the program that let it in: it asks before it sends a passphrase.
async fn prove(State(keeper): State<Arc<Doorkeeper>>, body: Bytes) -> Response {
    let Some(prove) = parsed::<Prove>(&body) else { return StatusCode::BAD_REQUEST.into_response() };
    match keeper.sessions().prove(&prove.knock, &prove.challenge) {
        Some(proof) => reply(&json!({"proof": proof.as_str()})),
        None => StatusCode::UNAUTHORIZED.into_response(),
    }
}

#[derive(Deserialize)]
struct Unlock {
    knock: Zeroizing<String>,
    passphrase: Zeroizing<String>,
}

async fn unlock(State(keeper): State<Arc<Doorkeeper>>, body: Bytes) -> Response {
    let Some(unlock) = parsed::<Unlock>(&body) else { return StatusCode::BAD_REQUEST.into_response() };
    let _one_at_a_time = keeper.trying.lock().await;
    match keeper.sessions().may_try(&unlock.knock, SystemClock.elapsed()) {
        Ok(()) => {}
        Err(Refusal::Wait) => return StatusCode::TOO_MANY_REQUESTS.into_response(),
        Err(Refusal::Stranger) => return StatusCode::UNAUTHORIZED.into_response(),
    }
    let opened = keeper.try_key(unlock.passphrase).await;
    match opened {
        Ok(()) => {
            let session = keeper.sessions().unlock(SystemClock.elapsed());
            reply(&json!({"session": session.as_str()}))
        }
        Err(VaultError::WrongPassphrase) => {
            keeper.sessions().note_wrong(SystemClock.elapsed());
            refuse(&Refused::code("wrong_passphrase"))
        }
        Err(_) => refuse(&Refused::code("vault")),
    }
}

impl Doorkeeper {
    /// Tries a passphrase as opening the vault does, away from the threads that serve: Argon2id takes its time.
    async fn try_key(&self, passphrase: Zeroizing<String>) -> Result<(), VaultError> {
        let Key::Vault(dir) = &self.key else { return Ok(()) };
        let dir = dir.clone();
        let tried = tokio::task::spawn_blocking(move || Vault::open(&dir, &Passphrase::new(passphrase.as_str().to_owned())));
        match tried.await {
            Ok(opened) => opened.map(drop),
            Err(_) => Err(VaultError::Damaged("header")),
        }
    }
}

async fn lock(State(keeper): State<Arc<Doorkeeper>>, headers: HeaderMap) -> Response {
    if let Err(refusal) = keeper.admits(&headers) {
        return refusal.into_response();
    }
    keeper.sessions().lock();
    keeper.handle.with(Shift::locked).await;
    reply(&json!({}))
}

async fn ask(State(keeper): State<Arc<Doorkeeper>>, headers: HeaderMap, body: Bytes) -> Response {
    if let Err(refusal) = keeper.admits(&headers) {
        return refusal.into_response();
    }
    let Some(ask) = parsed::<Ask>(&body) else { return StatusCode::BAD_REQUEST.into_response() };
    told(keeper.handle.with(move |shift| shift.ask(&ask)).await)
}

async fn deed(State(keeper): State<Arc<Doorkeeper>>, headers: HeaderMap, body: Bytes) -> Response {
    if let Err(refusal) = keeper.admits(&headers) {
        return refusal.into_response();
    }
    let Some(deed) = parsed::<Deed>(&body) else { return StatusCode::BAD_REQUEST.into_response() };
    // A thread that is open is opened again by itself when something comes: that is no sign of the worker.
    if !matches!(deed, Deed::Open { .. }) {
        keeper.sessions().touch(SystemClock.elapsed());
    }
    match deed {
        Deed::Bulletin(raise) => told(keeper.handle.raise(raise).await),
        Deed::Revoke { .. } => told(keeper.handle.sign(move |shift| shift.act(deed)).await),
        deed => told(keeper.handle.with(move |shift| shift.act(deed)).await),
    }
}

/// How burning ended: told when it has.
async fn ending(State(keeper): State<Arc<Doorkeeper>>, headers: HeaderMap) -> Response {
    if let Err(refusal) = keeper.admits(&headers) {
        return refusal.into_response();
    }
    told(keeper.handle.ending().await)
}

/// Tells a page that was let in, locked or not, how many wait and whether anybody is there; and nothing else.
async fn waiting(State(keeper): State<Arc<Doorkeeper>>, headers: HeaderMap) -> Response {
    let knock = headers.get(KNOCK).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !keeper.sessions().knows(knock) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let mut news = keeper.news.clone();
    news.mark_changed();
    Sse::new(counted_as_they_come(news)).keep_alive(sse::KeepAlive::new()).into_response()
}

fn counted_as_they_come(news: watch::Receiver<News>) -> impl Stream<Item = Result<sse::Event, Infallible>> {
    stream::unfold((news, None), async |(mut news, told)| {
        loop {
            news.changed().await.ok()?;
            let counts = news.borrow_and_update().counts();
            if told.as_ref() != Some(&counts) {
                return Some((Ok(sse::Event::default().event("waiting").data(counts.to_string())), (news, Some(counts))));
            }
        }
    })
}

/// Tells a page that something has changed, never what: it asks then.
async fn events(State(keeper): State<Arc<Doorkeeper>>, headers: HeaderMap) -> Response {
    if let Err(refusal) = keeper.admits(&headers) {
        return refusal.into_response();
    }
    let mut news = keeper.news.clone();
    news.mark_changed();
    let session = headers.get(SESSION).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    Sse::new(told_as_they_come(keeper, news, Zeroizing::new(session))).keep_alive(sse::KeepAlive::new()).into_response()
}

fn told_as_they_come(
    keeper: Arc<Doorkeeper>,
    news: watch::Receiver<News>,
    session: Zeroizing<String>,
) -> impl Stream<Item = Result<sse::Event, Infallible>> {
    stream::unfold(Some((keeper, news, session)), async |state| {
        let (keeper, mut news, session) = state?;
        news.changed().await.ok()?;
        if !keeper.sessions().admits(&session) {
            return Some((Ok(sse::Event::default().event("locked").data("{}")), None));
        }
        let data = news.borrow_and_update().to_json().to_string();
        Some((Ok(sse::Event::default().event("news").data(data)), Some((keeper, news, session))))
    })
}

fn parsed<T: for<'de> Deserialize<'de>>(body: &Bytes) -> Option<T> {
    serde_json::from_slice(body).ok()
}

fn told(outcome: Option<Result<Value, Refused>>) -> Response {
    match outcome {
        Some(Ok(value)) => reply(&value),
        Some(Err(refused)) => refuse(&refused),
        None => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

fn refuse(refused: &Refused) -> Response {
    (StatusCode::CONFLICT, reply(&refused.to_json())).into_response()
}

fn reply(value: &Value) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], Body::from(value.to_string())).into_response()
}

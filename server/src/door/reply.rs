//! Every reply there is, in one place: what the far side sees is decided here and nowhere else.

use std::time::{Duration, SystemTime};

use axum::body::{Body, Bytes};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use porchlight_proto::time::Millis;

/// Marks a reply whose bytes are the same ones for everybody, so that one more of it takes up no memory.
#[derive(Clone, Copy, Debug)]
pub struct Shared;

/// The reply, marked as [`Shared`].
#[must_use]
pub fn shared(mut reply: Response) -> Response {
    reply.extensions_mut().insert(Shared);
    reply
}

/// Marks a reply to one of the line's devices, which has a room of its own.
#[derive(Clone, Copy, Debug)]
pub struct ToDesk;

/// The reply, marked as [`ToDesk`].
#[must_use]
pub fn to_desk(mut reply: Response) -> Response {
    reply.extensions_mut().insert(ToDesk);
    reply
}

/// Marks a reply to somebody whose token did not fit: what it cost was in vain.
#[derive(Clone, Copy, Debug)]
pub struct InVain;

/// The reply, marked as [`InVain`].
#[must_use]
pub fn in_vain(mut reply: Response) -> Response {
    reply.extensions_mut().insert(InVain);
    reply
}

/// Adds the date that every website tells. A call's answer has none on h2, where a date is packed into a byte if the reply before it told the
/// same second: its length would say how the replies of a connection lie to each other. On HTTP/1.1, where all dates are as long, hyper adds it.
pub fn dated(mut reply: Response, now: Millis) -> Response {
    if reply.extensions().get::<Called>().is_none() {
        let now = httpdate::fmt_http_date(SystemTime::UNIX_EPOCH + Duration::from_millis(now.0));
        reply.headers_mut().extend(HeaderValue::try_from(now).ok().map(|now| (header::DATE, now)));
    }
    reply
}

/// Marks the answer to a call.
#[derive(Clone, Copy, Debug)]
struct Called;

/// The binary answer to a call.
pub fn octets(bytes: impl Into<Bytes>) -> Response {
    let mut reply = plain(StatusCode::OK, HeaderValue::from_static("application/octet-stream"), bytes.into());
    reply.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    reply.extensions_mut().insert(Called);
    reply
}

/// A file of the callers' page: kept nowhere, told nowhere, framed nowhere, and allowed nothing that it does not need.
///
/// No Strict-Transport-Security: the browser would write this host's name down and keep it.
pub fn page(kind: &'static str, bytes: impl Into<Bytes>, encoding: Option<&'static str>) -> Response {
    let mut reply = plain(StatusCode::OK, HeaderValue::from_static(kind), bytes.into());
    let headers = reply.headers_mut();
    for (name, value) in PAGE_HEADERS {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    if let Some(encoding) = encoding {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(encoding));
    }
    reply
}

/// Every kind by name: old browsers do not know `"*"`, and then throw nothing away.
const FORGET: &str = "\"cache\", \"cookies\", \"storage\"";

/// The answer to the page's goodbye: the browser is to throw away whatever it kept.
pub fn bye() -> Response {
    let mut reply = page("text/plain; charset=utf-8", Bytes::new(), None);
    reply.headers_mut().insert(HeaderName::from_static("clear-site-data"), HeaderValue::from_static(FORGET));
    reply
}

const PAGE_HEADERS: [(&str, &str); 9] = [
    ("cache-control", "no-store"),
    ("content-security-policy", porchlight_web::POLICY),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    (
        "permissions-policy",
        "accelerometer=(), autoplay=(), camera=(), display-capture=(), geolocation=(), gyroscope=(), magnetometer=(), microphone=(), midi=(), payment=(), usb=()",
    ),
    ("referrer-policy", "no-referrer"),
    ("vary", "accept-encoding"),
    ("x-content-type-options", "nosniff"),
    ("x-dns-prefetch-control", "off"),
];

/// A file of the decoy.
pub fn file(kind: &'static str, bytes: &Bytes) -> Response {
    shared(plain(StatusCode::OK, HeaderValue::from_static(kind), bytes.clone()))
}

/// What the decoy has not.
pub fn missing(page: &Bytes) -> Response {
    shared(plain(StatusCode::NOT_FOUND, HeaderValue::from_static("text/html; charset=utf-8"), page.clone()))
}

/// What the decoy has, asked for by a method it does not know.
pub fn not_allowed(page: &Bytes) -> Response {
    let mut reply = plain(StatusCode::METHOD_NOT_ALLOWED, HeaderValue::from_static("text/html; charset=utf-8"), page.clone());
    reply.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
    shared(reply)
}

/// Counters as text.
pub fn metrics(text: String) -> Response {
    plain(StatusCode::OK, HeaderValue::from_static("text/plain; version=0.0.4"), text.into_bytes().into())
}

fn plain(status: StatusCode, kind: HeaderValue, bytes: Bytes) -> Response {
    let length = HeaderValue::from(bytes.len());
    let mut reply = Response::new(Body::from(bytes));
    *reply.status_mut() = status;
    let headers: [(HeaderName, HeaderValue); 2] = [(header::CONTENT_TYPE, kind), (header::CONTENT_LENGTH, length)];
    reply.headers_mut().extend(headers.map(|(name, value)| (Some(name), value)));
    reply
}

//! Every reply there is, in one place: what the far side sees is decided here and nowhere else.

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;

/// The binary answer to a call.
pub fn octets(bytes: impl Into<Vec<u8>>) -> Response {
    let mut reply = plain(StatusCode::OK, HeaderValue::from_static("application/octet-stream"), bytes.into());
    reply.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    reply
}

/// A file of the decoy.
pub fn file(kind: &'static str, bytes: &[u8]) -> Response {
    plain(StatusCode::OK, HeaderValue::from_static(kind), bytes.to_vec())
}

/// What the decoy has not.
pub fn missing(page: &[u8]) -> Response {
    plain(StatusCode::NOT_FOUND, HeaderValue::from_static("text/html; charset=utf-8"), page.to_vec())
}

/// What the decoy has, asked for by a method it does not know.
pub fn not_allowed(page: &[u8]) -> Response {
    let mut reply = plain(StatusCode::METHOD_NOT_ALLOWED, HeaderValue::from_static("text/html; charset=utf-8"), page.to_vec());
    reply.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
    reply
}

/// Counters as text.
pub fn metrics(text: String) -> Response {
    plain(StatusCode::OK, HeaderValue::from_static("text/plain; version=0.0.4"), text.into_bytes())
}

fn plain(status: StatusCode, kind: HeaderValue, bytes: Vec<u8>) -> Response {
    let length = HeaderValue::from(bytes.len());
    let mut reply = Response::new(Body::from(bytes));
    *reply.status_mut() = status;
    let headers: [(HeaderName, HeaderValue); 2] = [(header::CONTENT_TYPE, kind), (header::CONTENT_LENGTH, length)];
    reply.headers_mut().extend(headers.map(|(name, value)| (Some(name), value)));
    reply
}

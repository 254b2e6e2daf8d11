//! The callers' page at a line's gate. The same for everyone, and never kept by a browser.

use axum::http::{Method, header};
use axum::response::Response;

use super::{Knock, Served, reply};

/// The reply to a GET of the page or a file of its own; nothing for whatever is not exactly that.
pub(super) fn open(served: &Served, rest: &str, knock: &Knock) -> Option<Response> {
    if knock.parts.method != Method::GET
        || knock.parts.uri.query().is_some()
        || !knock.body.is_empty()
        || !porchlight_web::is_built()
    {
        return None;
    }
    let name = match rest {
        "" => "document",
        rest => rest.strip_prefix("p/").filter(|name| *name != "document")?,
    };
    let settings = &served.line.settings;
    match name {
        "line" => Some(reply::page(
            "application/json",
            porchlight_web::facts(settings.root.as_bytes(), &settings.leave_to, &settings.other_door),
            None,
        )),
        "bye" => Some(reply::bye()),
        name => {
            let part = porchlight_web::part(name)?;
            let accepted = knock.parts.headers.get(header::ACCEPT_ENCODING).and_then(|value| value.to_str().ok()).unwrap_or("");
            let (bytes, encoding) = part.encoded(accepted);
            Some(reply::shared(reply::page(part.kind, bytes, encoding)))
        }
    }
}

//! The calls of the API (SPEC §11): each has one method, one spelling of its path and one length of its body.

use axum::http::Method;
use porchlight_proto::limits::{BLOB_LEN, BULLETIN_LEN, DESK_BEAT_LEN, ROSTER_LEN, UP_POST_LEN};

use crate::lane::blobs::BlobName;

/// The longest a long poll may ask to wait, in seconds.
const WAIT_MAX: u64 = 30;

/// What somebody asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// GET `notice`.
    Notice,
    /// POST `up`.
    Up,
    /// GET `down/fast`.
    Fast,
    /// GET `down/slow/{day}`.
    Slow(u32),
    /// POST `desk/beat`.
    Beat,
    /// GET `desk/up`: cells after a position, waiting so many seconds for one.
    LaneUp {
        /// The life that the position belongs to.
        life: u64,
        /// The position.
        after: u64,
        /// Seconds.
        wait: u64,
    },
    /// PUT `desk/roster`.
    Roster,
    /// PUT `desk/bulletin`.
    Bulletin,
    /// PUT `desk/blob/{name}`.
    PutBlob(BlobName),
    /// GET `desk/blob/{name}`.
    GetBlob(BlobName),
}

impl Call {
    /// Reads a call from its method, the path after `/v1/`, and the query. Nothing that is spelt differently is a call.
    #[must_use]
    pub fn parse(method: &Method, path: &str, query: Option<&str>) -> Option<Self> {
        let call = match (method, path) {
            (&Method::GET, "notice") => Self::Notice,
            (&Method::POST, "up") => Self::Up,
            (&Method::GET, "down/fast") => Self::Fast,
            (&Method::POST, "desk/beat") => Self::Beat,
            (&Method::PUT, "desk/roster") => Self::Roster,
            (&Method::PUT, "desk/bulletin") => Self::Bulletin,
            (&Method::GET, "desk/up") => return lane_up(query?),
            (&Method::GET, path) => match path.strip_prefix("down/slow/") {
                Some(day) => Self::Slow(u32::try_from(decimal(day)?).ok()?),
                None => Self::GetBlob(BlobName::parse(path.strip_prefix("desk/blob/")?)?),
            },
            (&Method::PUT, path) => Self::PutBlob(BlobName::parse(path.strip_prefix("desk/blob/")?)?),
            _ => return None,
        };
        query.is_none().then_some(call)
    }

    /// Bytes that the body must have.
    #[must_use]
    pub const fn body_len(&self) -> usize {
        match self {
            Self::Notice | Self::Fast | Self::Slow(_) | Self::LaneUp { .. } | Self::GetBlob(_) => 0,
            Self::Up => UP_POST_LEN,
            Self::Beat => DESK_BEAT_LEN,
            Self::Roster => ROSTER_LEN,
            Self::Bulletin => BULLETIN_LEN,
            Self::PutBlob(_) => BLOB_LEN,
        }
    }
}

fn lane_up(query: &str) -> Option<Call> {
    let (after, wait) = query.strip_prefix("after=")?.split_once("&wait=")?;
    let (life, after) = after.split_once('-')?;
    let life: [u8; 8] = data_encoding::HEXLOWER.decode(life.as_bytes()).ok()?.try_into().ok()?;
    let wait = decimal(wait).filter(|wait| *wait <= WAIT_MAX)?;
    Some(Call::LaneUp { life: u64::from_be_bytes(life), after: decimal(after)?, wait })
}

/// A number in its one spelling: digits, no sign, no leading zero.
fn decimal(text: &str) -> Option<u64> {
    let number: u64 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_call_has_one_spelling() {
        let name = BlobName([0xab; 16]);
        for (method, path, query, call) in [
            (Method::GET, "notice", None, Call::Notice),
            (Method::POST, "up", None, Call::Up),
            (Method::GET, "down/fast", None, Call::Fast),
            (Method::GET, "down/slow/20780", None, Call::Slow(20_780)),
            (Method::GET, "down/slow/0", None, Call::Slow(0)),
            (Method::POST, "desk/beat", None, Call::Beat),
            (Method::GET, "desk/up", Some("after=00000000000000ff-12&wait=30"), Call::LaneUp { life: 255, after: 12, wait: 30 }),
            (Method::PUT, "desk/roster", None, Call::Roster),
            (Method::PUT, "desk/bulletin", None, Call::Bulletin),
            (Method::PUT, "desk/blob/abababababababababababababababab", None, Call::PutBlob(name)),
            (Method::GET, "desk/blob/abababababababababababababababab", None, Call::GetBlob(name)),
        ] {
            assert_eq!(Call::parse(&method, path, query), Some(call), "{method} {path}");
            assert_eq!(Call::parse(&Method::HEAD, path, query), None, "HEAD {path}");
            assert_eq!(Call::parse(&method, &format!("{path}/"), query), None, "{path}/");
            assert_eq!(Call::parse(&method, path, Some("x=1")), None, "{path}?x=1");
        }
    }

    #[test]
    fn what_is_almost_a_call_is_none() {
        for (name, path, query) in [
            ("a leading zero", "down/slow/020780", None),
            ("a sign", "down/slow/+1", None),
            ("a day too large", "down/slow/4294967296", None),
            ("no day", "down/slow/", None),
            ("an upper-case blob", "desk/blob/ABABABABABABABABABABABABABABABAB", None),
            ("a short blob", "desk/blob/abab", None),
            ("no query", "desk/up", None),
            ("waiting too long", "desk/up", Some("after=00000000000000ff-12&wait=31")),
            ("a short life", "desk/up", Some("after=ff-12&wait=3")),
            ("another order", "desk/up", Some("wait=3&after=00000000000000ff-12")),
            ("something more", "desk/up", Some("after=00000000000000ff-12&wait=3&x=1")),
        ] {
            assert_eq!(Call::parse(&Method::GET, path, query), None, "{name}");
        }
    }

    proptest::proptest! {
        #[test]
        fn whatever_is_asked_for_is_answered_with_a_call_or_none(path in "(notice|up|down/|desk/|slow/|blob/|[0-9a-f]{0,40}|.){0,4}", query in "(after=|&wait=|-|[0-9a-f]{0,20}|.){0,6}") {
            for method in [Method::GET, Method::POST, Method::PUT, Method::HEAD] {
                for query in [None, Some(query.as_str())] {
                    if let Some(call) = Call::parse(&method, &path, query) {
                        proptest::prop_assert!(call.body_len() <= super::super::BODY_MAX);
                        proptest::prop_assert_eq!(query.is_some(), matches!(call, Call::LaneUp { .. }));
                    }
                }
            }
        }
    }
}

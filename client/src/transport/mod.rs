//! How bytes reach a relay (SPEC §11): TLS 1.3 over TCP or a SOCKS5 proxy, HTTP/1.1 or h2.
//!
//! [`Link`] is one relay: it keeps its connections, checks every reply's length, gives up after a [`Patience`] of silence, and
//! tries nothing twice. Whoever asked decides, on its next beat, whether to ask again.
//!
//! - [`pin`]: a relay's certificate known by the hash of its public key.
//! - [`authority`]: who vouches for a relay's certificate: the pin, or else the public authorities.
//! - [`address`]: where a relay is.
//! - [`dial`]: the TCP connection, direct or through a proxy.
//! - [`link`]: connections kept and calls made.
//! - `pulse`: when a connection was last heard.
//! - [`relay`]: the calls of the SPEC with their types.

pub mod address;
pub mod authority;
pub mod dial;
mod failure;
pub mod link;
pub mod pin;
mod pulse;
pub mod relay;

pub use address::Address;
pub use dial::Dial;
pub use failure::{Failure, Proxying};
pub use link::{Call, Connection, Expect, Link, Patience};
pub use pin::Pin;
pub use relay::{Authorize, Heard, Relay, RelayError};

#[cfg(test)]
pub(crate) mod server;
#[cfg(test)]
mod tests;

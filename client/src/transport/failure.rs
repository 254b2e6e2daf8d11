//! What can go wrong on the way to a relay.

use std::io::{self, ErrorKind};

/// Why a call did not come back with what the SPEC says it brings.
///
/// Only [`Failure::Untrusted`] means that somebody may be in between; all others pass, so the next beat may try again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// No connection: no such name, nobody listening, no route, or one that ended before TLS was agreed on.
    #[error("no connection to the relay ({0})")]
    Unreachable(#[source] io::Error),
    /// The SOCKS5 proxy is not there or refuses.
    #[error("the SOCKS5 proxy does not connect ({0})")]
    Proxy(#[source] Proxying),
    /// The certificate is not the pinned one, or no public authority vouches for it. Do not go on.
    #[error("the relay's certificate is not the one expected")]
    Untrusted,
    /// TLS failed for another reason, such as a peer that does not speak it.
    #[error("no TLS with the relay ({0})")]
    Tls(#[source] io::Error),
    /// HTTP broke off.
    #[error("the connection broke ({0})")]
    Broken(#[source] hyper::Error),
    /// No complete answer within the call's patience.
    #[error("no answer in time")]
    Slow,
    /// An answer that no relay gives at a living gate of this line.
    #[error("the answer is not that of a relay of this line")]
    NotThisLine,
}

/// What the SOCKS5 proxy had to say.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct Proxying(#[from] tokio_socks::Error);

impl Failure {
    /// Sorts an error of the TLS handshake: a refused certificate, a connection that ended in the middle, or anything else.
    pub(crate) fn of_handshake(error: io::Error) -> Self {
        let refused = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()).is_some_and(refuses_certificate);
        match error.kind() {
            _ if refused => Self::Untrusted,
            // On a bad line the relay's patience ends first; that says nothing about who is there.
            ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted | ErrorKind::BrokenPipe => {
                Self::Unreachable(error)
            }
            _ => Self::Tls(error),
        }
    }
}

/// Whether the handshake failed because of who the relay is: its certificate, or a handshake not signed with that certificate's key.
fn refuses_certificate(error: &rustls::Error) -> bool {
    matches!(error, rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented)
}

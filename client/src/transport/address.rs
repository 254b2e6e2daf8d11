//! Where a relay is.

use core::fmt;

use hyper::http::Uri;
use hyper::http::uri::Scheme;
use rustls::pki_types::ServerName;

/// A relay's address: host and port, from `https://host[:port]` (SPEC §10).
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    host: String,
    port: u16,
    name: ServerName<'static>,
}

/// Why a text is no relay's address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddressError {
    /// It does not begin with `https://`.
    #[error("a relay's address begins with https://")]
    Scheme,
    /// Host or port are missing or misspelt.
    #[error("the host or port is not one")]
    Host,
    /// It goes on after the host: a gate does not belong here.
    #[error("a relay's address is only https://host[:port], without a path")]
    Path,
}

impl Address {
    /// Reads `https://host[:port]`; a single `/` at the end is allowed.
    ///
    /// # Errors
    ///
    /// One for each part that is wrong, in the order scheme, host, path.
    pub fn parse(url: &str) -> Result<Self, AddressError> {
        if !url.get(..8).is_some_and(|head| head.eq_ignore_ascii_case("https://")) {
            return Err(AddressError::Scheme);
        }
        let uri: Uri = url.parse().map_err(|_| AddressError::Host)?;
        if uri.scheme() != Some(&Scheme::HTTPS) {
            return Err(AddressError::Scheme);
        }
        let authority = uri.authority().ok_or(AddressError::Host)?;
        let port = port(authority.as_str(), authority.host()).ok_or(AddressError::Host)?;
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
        let name = ServerName::try_from(host.clone()).map_err(|_| AddressError::Host)?;
        if !matches!(uri.path(), "" | "/") || uri.query().is_some() {
            return Err(AddressError::Path);
        }
        Ok(Self { host, port, name })
    }

    /// The host: a name, or an IP address without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The TCP port; 443 if none was given.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The name the relay's certificate has to bear, where there is no pin.
    #[must_use]
    pub fn name(&self) -> ServerName<'static> {
        self.name.clone()
    }

    /// `host[:port]` as HTTP writes it: IPv6 in brackets, no default port.
    #[must_use]
    pub fn authority(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        if self.port == 443 { host } else { format!("{host}:{}", self.port) }
    }
}

/// The port after the host, 443 if there is none; `None` if it is empty, zero or no number, or if the authority names a person.
fn port(authority: &str, host: &str) -> Option<u16> {
    match authority.strip_prefix(host)? {
        "" => Some(443),
        rest => rest.strip_prefix(':')?.parse().ok().filter(|port| *port > 0),
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "https://{}", self.authority())
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_host_and_a_port() {
        for (url, host, port, written) in [
            ("https://relay.example", "relay.example", 443, "https://relay.example"),
            ("https://relay.example/", "relay.example", 443, "https://relay.example"),
            ("HTTPS://Relay.Example:8443", "relay.example", 8443, "https://relay.example:8443"),
            ("https://127.0.0.1:4433", "127.0.0.1", 4433, "https://127.0.0.1:4433"),
            ("https://[::1]:4433", "::1", 4433, "https://[::1]:4433"),
        ] {
            let address = Address::parse(url).expect(url);
            assert_eq!((address.host(), address.port(), address.to_string().as_str()), (host, port, written), "{url}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for (url, why) in [
            ("", AddressError::Scheme),
            ("relay.example", AddressError::Scheme),
            ("http://relay.example", AddressError::Scheme),
            ("https://", AddressError::Host),
            ("https://:443", AddressError::Host),
            ("https://relay.example:0", AddressError::Host),
            ("https://relay.example:99999", AddressError::Host),
            ("https://who@relay.example", AddressError::Host),
            ("https://relay..example", AddressError::Host),
            ("https://relay.example/gate", AddressError::Path),
            ("https://relay.example/?q", AddressError::Path),
        ] {
            assert_eq!(Address::parse(url).map_err(Some), Err(Some(why)), "{url}");
        }
    }
}

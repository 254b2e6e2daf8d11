//! The TCP connection to a relay: direct, or through a SOCKS5 proxy.

use tokio::net::TcpStream;
use tokio_socks::tcp::Socks5Stream;

use super::address::Address;
use super::failure::{Failure, Proxying};

/// How to reach addresses.
#[derive(Debug, Clone, Default)]
pub enum Dial {
    /// Straight to the host, its name resolved here.
    #[default]
    Direct,
    /// Through the SOCKS5 proxy at this `host:port`, which resolves the name itself: nothing about the relay is asked of this machine's resolver.
    Socks5(String),
}

impl Dial {
    /// Opens a TCP connection without Nagle's delay.
    ///
    /// # Errors
    ///
    /// [`Failure::Unreachable`] if there is no way to the relay (or to the proxy), [`Failure::Proxy`] if the proxy refuses.
    pub async fn open(&self, address: &Address) -> Result<TcpStream, Failure> {
        let stream = match self {
            Self::Direct => TcpStream::connect((address.host(), address.port())).await.map_err(Failure::Unreachable)?,
            Self::Socks5(proxy) => through(proxy, address).await?,
        };
        stream.set_nodelay(true).map_err(Failure::Unreachable)?;
        Ok(stream)
    }
}

async fn through(proxy: &str, address: &Address) -> Result<TcpStream, Failure> {
    let socket = TcpStream::connect(proxy).await.map_err(|error| Failure::Proxy(Proxying::from(tokio_socks::Error::Io(error))))?;
    let tunnel = Socks5Stream::connect_with_socket(socket, (address.host(), address.port()));
    tunnel.await.map(Socks5Stream::into_inner).map_err(|error| Failure::Proxy(Proxying::from(error)))
}

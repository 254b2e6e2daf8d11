//! The listening end: an address or a socket, and the loop that accepts.

use std::fmt;
use std::io::{self, IoSlice};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use listenfd::ListenFd;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::sockopt;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::{TcpListener, TcpSocket, TcpStream, UnixListener, UnixStream};

use crate::config::Listen;

/// How long to wait when the system has no descriptors left. Whoever waits in the queue is served then.
const EXHAUSTED: Duration = Duration::from_millis(50);

/// Connections that may wait to be accepted. Beyond that the system drops them without a word, and their peers wait for nothing; it also has a
/// bound of its own (`net.core.somaxconn`, 4096).
const BACKLOG: u32 = 4096;

/// Bytes of a connection's that the kernel may hold, out and in; it takes twice that, to keep them in. They count against the unit's
/// `MemoryMax` as the relay's own do, and whoever asks and takes nothing leaves them full: 48 KiB each, where the kernel by itself takes 119
/// and, for whoever took much before, megabytes. A long line is as fast as what is under way at once: 52 KB a second where an answer takes
/// 600 ms, 24 the other way.
const OUT: usize = 32 * 1024;
const IN: usize = 16 * 1024;

/// Bytes that the kernel is given at once, a quarter of the longest record of TLS, and only while it wants more: behind a packet that waits it
/// takes 64 KiB, whatever its bound. And by each piece a slow peer is seen to take something, at 512 bytes a second every eight seconds: by
/// itself it wants more when a third of all it may hold is gone, for which somebody with a kilobyte a second was cut off.
const PIECE: usize = 4 * 1024 + 16;

/// Milliseconds after which the kernel gives up what a peer does not take of a connection that is over; by itself it tries for minutes. Of one
/// that goes on it would give up peers who take a packet at a time as well.
const UNTAKEN_MS: u32 = 60_000;

/// Where the relay is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bound {
    /// The real address, with the port the system chose if it was asked to.
    Tcp(SocketAddr),
    /// The socket.
    Unix(PathBuf),
    /// A socket that was handed over, and is not ours to name.
    Handed,
}

impl fmt::Display for Bound {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(out, "https://{address}"),
            Self::Unix(path) => write!(out, "unix:{}", path.display()),
            Self::Handed => out.write_str("systemd"),
        }
    }
}

/// A bound listener.
pub enum Listener {
    /// On an address; and whether memory is short.
    Tcp(TcpListener, Arc<AtomicBool>),
    /// On a socket, which is removed when the listener is dropped; unless it was handed over.
    Unix(UnixListener, Option<SocketFile>),
}

/// A socket's file. Removed when dropped.
pub struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

impl Listener {
    /// Whether others than this machine may come by it.
    #[must_use]
    pub fn is_public(&self) -> bool {
        match self {
            Self::Tcp(listener, _) => listener.local_addr().is_ok_and(|address| !address.ip().is_loopback()),
            Self::Unix(..) => false,
        }
    }

    /// Binds. What becomes of connections that are cut short goes by whether memory is short then.
    ///
    /// # Errors
    ///
    /// What the system says, above all that the address is in use.
    pub async fn bind(listen: &Listen, is_short: Arc<AtomicBool>) -> io::Result<Self> {
        match listen {
            Listen::Tcp(address) => {
                let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
                // A relay that is started again must not wait for its old connections to be forgotten.
                socket.set_reuseaddr(true)?;
                hold_to_bounds(&socket)?;
                socket.bind(*address)?;
                Ok(Self::Tcp(socket.listen(BACKLOG)?, is_short))
            }
            Listen::Unix(path) => {
                clear_socket(path).await?;
                let listener = UnixListener::bind(path)?;
                // The front runs under another account of our group.
                std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660))?;
                Ok(Self::Unix(listener, Some(SocketFile(path.clone()))))
            }
            Listen::Handed => Self::handed(is_short),
        }
    }

    /// The first socket that the service manager handed over, of whichever kind it is.
    fn handed(is_short: Arc<AtomicBool>) -> io::Result<Self> {
        let mut handed = ListenFd::from_env();
        if let Ok(Some(listener)) = handed.take_tcp_listener(0) {
            listener.set_nonblocking(true)?;
            hold_to_bounds(&listener)?;
            return Ok(Self::Tcp(TcpListener::from_std(listener)?, is_short));
        }
        let nothing = || io::Error::new(io::ErrorKind::NotFound, "no socket was handed over: start it by its .socket unit");
        let listener = handed.take_unix_listener(0)?.ok_or_else(nothing)?;
        listener.set_nonblocking(true)?;
        Ok(Self::Unix(UnixListener::from_std(listener)?, None))
    }

    /// Whether what arrives comes from a web server in front, without TLS.
    #[must_use]
    pub const fn is_front(&self) -> bool {
        matches!(self, Self::Unix(..))
    }

    /// Where it is bound.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn bound(&self) -> io::Result<Bound> {
        match self {
            Self::Tcp(listener, _) => Ok(Bound::Tcp(listener.local_addr()?)),
            Self::Unix(_, Some(file)) => Ok(Bound::Unix(file.0.clone())),
            Self::Unix(_, None) => Ok(Bound::Handed),
        }
    }

    /// The next connection, and the address it comes from.
    pub async fn accept(&self) -> (Wire, Option<IpAddr>) {
        loop {
            // In a room of its own, which is wiped when it is let go: here the last address would lie until somebody else comes.
            if let Some(accepted) = Box::pin(self.accepted()).await {
                return accepted;
            }
            tokio::time::sleep(EXHAUSTED).await;
        }
    }

    async fn accepted(&self) -> Option<(Wire, Option<IpAddr>)> {
        match self {
            Self::Tcp(listener, is_short) => {
                let (stream, from) = listener.accept().await.ok()?;
                // Without this a reply can wait 40 ms for an acknowledgement (measured while designing).
                let _ = stream.set_nodelay(true);
                Some((Wire::Tcp(stream, Arc::clone(is_short)), Some(from.ip())))
            }
            Self::Unix(listener, _) => {
                let (stream, _) = listener.accept().await.ok()?;
                // A socket takes more only when three quarters of what it holds are gone, and the web server passes on what its peer takes: with
                // much in between a slow peer would seem to take nothing for longer than it may.
                let _ = sockopt::set_socket_send_buffer_size(&stream, UNIX_UNSENT);
                Some((Wire::Unix(stream), None))
            }
        }
    }
}

/// What each connection has from its listener: how much the kernel keeps for it.
fn hold_to_bounds(listener: impl AsFd) -> io::Result<()> {
    sockopt::set_socket_send_buffer_size(&listener, OUT)?;
    Ok(sockopt::set_socket_recv_buffer_size(&listener, IN)?)
}

/// Whether there is a socket at the path; nothing needs to be.
///
/// # Errors
///
/// If something else lies there, or it cannot be looked at.
pub fn find_socket(path: &Path) -> io::Result<bool> {
    match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
        Ok(found) if found.file_type().is_socket() => Ok(true),
        Ok(_) => Err(io::Error::new(
            io::ErrorKind::AlreadyExists,
            "something that is no socket lies there: give listen another path, or move that away",
        )),
    }
}

/// Removes a socket that a killed relay left behind; refuses anything else, and a socket that somebody still serves.
async fn clear_socket(path: &Path) -> io::Result<()> {
    if !find_socket(path)? {
        return Ok(());
    }
    if UnixStream::connect(path).await.is_ok() {
        return Err(io::ErrorKind::AddrInUse.into());
    }
    std::fs::remove_file(path)
}

/// Bytes that a web server in front may leave lying in the socket between.
const UNIX_UNSENT: usize = 8 * 1024;

/// A connection before TLS.
///
/// In order it ends when the peer has taken what was written, but for a packet or two, and until then it has its place. What is ended before
/// that leaves to the kernel what the peer has not taken, for a minute: a slow line may be taking it. Where memory is short it takes that along,
/// by a reset: from many addresses what is left would be more than the relay may have.
pub enum Wire {
    /// Over the network; and whether memory is short.
    Tcp(TcpStream, Arc<AtomicBool>),
    /// Through a socket.
    Unix(UnixStream),
}

impl Drop for Wire {
    fn drop(&mut self) {
        if let Self::Tcp(stream, is_short) = self {
            let _ = sockopt::set_tcp_user_timeout(&*stream, UNTAKEN_MS);
            narrow(stream);
            if is_short.load(Ordering::Relaxed) && !wants_more(stream) {
                let _ = stream.set_zero_linger();
            }
        }
    }
}

/// Makes the kernel want no more while it still holds more than 3 KiB of a connection's. Nothing else tells what is left without unsafe code.
fn narrow(stream: &TcpStream) {
    let _ = sockopt::set_socket_send_buffer_size(stream, 0);
}

/// Whether the kernel wants more for this peer: it holds two thirds of what it may, or less. Or there is nobody any more who could take it.
fn wants_more(stream: &TcpStream) -> bool {
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    !matches!(poll(&mut [PollFd::new(stream, PollFlags::OUT)], Some(&now)), Ok(0))
}

/// Waits until the kernel wants more.
fn poll_wants_more(stream: &TcpStream, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
    let ask = || if wants_more(stream) { Ok(()) } else { Err(io::ErrorKind::WouldBlock.into()) };
    loop {
        ready!(stream.poll_write_ready(cx))?;
        match stream.try_io(Interest::WRITABLE, ask) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            wanted => return Poll::Ready(wanted),
        }
    }
}

/// A connection of whose handshake so many bytes are read and no more; and of which what TLS says to itself (new keys, empty records) bears a
/// proportion to what is said.
pub struct Greeted {
    wire: Wire,
    left: usize,
    /// Bytes read since the handshake, and those of them that were said.
    raw: u64,
    plain: Arc<AtomicU64>,
}

/// Bytes of TLS beyond what is said: what is read ahead, and tickets, alerts, new keys.
const RAW_SPARE: u64 = 64 * 1024;

/// Bytes of TLS for each that is said: a record of one byte has 23.
const RAW_EACH: u64 = 32;

impl Greeted {
    /// One whose handshake begins.
    #[must_use]
    pub const fn new(wire: Wire, most: usize, plain: Arc<AtomicU64>) -> Self {
        Self { wire, left: most, raw: 0, plain }
    }

    /// Counts bytes that were read; `false` if there were too many.
    fn may_read(&mut self, count: usize) -> bool {
        if self.left == usize::MAX {
            self.raw = self.raw.saturating_add(count as u64);
            return self.raw <= self.plain.load(Ordering::Relaxed).saturating_mul(RAW_EACH).saturating_add(RAW_SPARE);
        }
        let left = self.left.checked_sub(count);
        self.left = left.unwrap_or(0);
        left.is_some()
    }

    /// The handshake is over.
    pub const fn is_greeted(&mut self) {
        self.left = usize::MAX;
    }
}

impl AsyncRead for Greeted {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.wire).poll_read(cx, buf);
        let count = buf.filled().len() - before;
        if !self.may_read(count) {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        polled
    }
}

impl AsyncWrite for Greeted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.wire).poll_write(cx, buf)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.wire).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.wire.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.wire).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.wire).poll_shutdown(cx)
    }
}

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream, _) => Pin::new(stream).poll_read(cx, buf),
            Self::Unix(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream, _) => {
                ready!(poll_wants_more(stream, cx))?;
                Pin::new(stream).poll_write(cx, buf.get(..PIECE).unwrap_or(buf))
            }
            Self::Unix(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(self: Pin<&mut Self>, cx: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            // What is little goes as one packet.
            Self::Tcp(stream, _) if bufs.iter().map(|buf| buf.len()).sum::<usize>() <= PIECE => {
                ready!(poll_wants_more(stream, cx))?;
                Pin::new(stream).poll_write_vectored(cx, bufs)
            }
            Self::Tcp(stream, _) => {
                ready!(poll_wants_more(stream, cx))?;
                let first = bufs.iter().find(|buf| !buf.is_empty()).map_or(&[][..], |buf| &**buf);
                Pin::new(stream).poll_write(cx, first.get(..PIECE).unwrap_or(first))
            }
            Self::Unix(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream, _) => Pin::new(stream).poll_flush(cx),
            Self::Unix(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream, _) => {
                narrow(stream);
                ready!(poll_wants_more(stream, cx))?;
                Pin::new(stream).poll_shutdown(cx)
            }
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    /// A connection by a listener of ours, of a peer who has room for little.
    async fn accepted(is_short: bool) -> (Wire, TcpStream) {
        let is_short = Arc::new(AtomicBool::new(is_short));
        let listener = Listener::bind(&Listen::Tcp("127.0.0.1:0".parse().unwrap()), is_short).await.unwrap();
        let Bound::Tcp(address) = listener.bound().unwrap() else { panic!("it is on an address") };
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        let (peer, (wire, _)) = tokio::join!(socket.connect(address), listener.accept());
        (wire, peer.unwrap())
    }

    /// Writes all that is taken while nobody reads; gives how much that is.
    async fn filled(wire: &mut Wire) -> usize {
        let (all, mut count) = (vec![7; 16 << 20], 0);
        while let Poll::Ready(taken) = poll_fn(|cx| Poll::Ready(Pin::new(&mut *wire).poll_write(cx, &all[count..]))).await {
            count += taken.unwrap();
        }
        count
    }

    #[tokio::test]
    async fn what_the_kernel_holds_for_a_peer_is_bounded_each_way() {
        let (mut wire, _peer) = accepted(false).await;
        let Wire::Tcp(stream, _) = &wire else { panic!("it is no socket") };
        let [send, receive] = [sockopt::socket_send_buffer_size(stream), sockopt::socket_recv_buffer_size(stream)];
        assert_eq!([send.unwrap(), receive.unwrap()], [2 * OUT, 2 * IN], "the kernel doubles it");
        assert_eq!(sockopt::tcp_user_timeout(stream).unwrap(), 0, "whoever takes a packet at a time goes on");
        let count = filled(&mut wire).await;
        // With what the peer's own kernel takes.
        assert!(count <= 2 * OUT + 16 * 1024, "{count} bytes for somebody who reads nothing");
    }

    #[tokio::test]
    async fn what_is_cut_short_takes_along_what_was_not_taken_where_memory_is_short() {
        let (mut wire, mut peer) = accepted(true).await;
        let count = filled(&mut wire).await;
        drop(wire);
        let mut read = Vec::new();
        assert_eq!(peer.read_to_end(&mut read).await.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
        assert!(read.len() < count, "{} of {count} bytes", read.len());
        // A slow line may be taking it.
        let (mut wire, mut peer) = accepted(false).await;
        let count = filled(&mut wire).await;
        drop(wire);
        read.clear();
        assert_eq!(peer.read_to_end(&mut read).await.unwrap(), count);
        // A packet that is under way arrives.
        let (mut wire, mut peer) = accepted(true).await;
        wire.write_all(b"goodbye").await.unwrap();
        drop(wire);
        read.clear();
        assert_eq!(peer.read_to_end(&mut read).await.unwrap(), 7);
    }

    #[tokio::test]
    async fn what_ends_in_order_waits_for_the_peer_to_take_it() {
        let (mut wire, mut peer) = accepted(true).await;
        let count = filled(&mut wire).await;
        let shut = poll_fn(|cx| Poll::Ready(Pin::new(&mut wire).poll_shutdown(cx))).await;
        assert!(shut.is_pending(), "nobody has read yet");
        let mut read = Vec::new();
        let (shut, all) = tokio::join!(wire.shutdown(), peer.read_to_end(&mut read));
        shut.unwrap();
        assert_eq!(all.unwrap(), count);
    }

    /// Reads all that comes, counting each `said`-th byte as said; gives how many came before it was ended.
    async fn read(raw: usize, is_greeted: bool, said: usize) -> usize {
        let (near, mut far) = UnixStream::pair().unwrap();
        let plain = Arc::<AtomicU64>::default();
        let mut wire = Greeted::new(Wire::Unix(near), 1000, Arc::clone(&plain));
        if is_greeted {
            wire.is_greeted();
        }
        let writing = tokio::spawn(async move { far.write_all(&vec![7; raw]).await.is_ok() });
        let (mut buf, mut count) = ([0; 500], 0);
        while let Ok(1..) = wire.read(&mut buf).await.inspect(|some| count += some) {
            plain.store((count / said) as u64, Ordering::Relaxed);
        }
        drop(wire);
        writing.await.unwrap();
        count
    }

    #[tokio::test]
    async fn what_tls_says_to_itself_bears_a_proportion_to_what_is_said() {
        let all = 500_000;
        assert_eq!(read(all, true, 23).await, all, "records of a byte each");
        assert!(read(all, true, all).await <= 70_000, "new keys and empty records");
        assert_eq!(read(900, false, all).await, 900, "a handshake");
        assert!(read(all, false, 1).await <= 1000, "one that goes on");
    }
}

//! A SOCKS5 proxy that counts TLS records, and resets a connection after one of them: as a censor, a dying router or a NAT does.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// A TLS record's type, version and length.
const HEADER: usize = 5;

/// When connections are reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reset {
    /// Never.
    Never,
    /// Once, after so many records of all connections together.
    Once(usize),
    /// Each connection: the first after so many records, and each after so many more than the one before it, up to a last number.
    Each { first: usize, more: usize, last: usize },
}

/// The proxy, on loopback. Ended when it is dropped.
pub struct Proxy {
    at: SocketAddr,
    state: Arc<State>,
    end: Option<watch::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

struct State {
    reset: Reset,
    records: AtomicUsize,
    connections: AtomicUsize,
    resets: AtomicUsize,
}

impl Proxy {
    pub fn new(reset: Reset) -> Self {
        let (end, ended) = watch::channel(());
        let zero = AtomicUsize::default;
        let state = Arc::new(State { reset, records: zero(), connections: zero(), resets: zero() });
        let (tell, there) = std::sync::mpsc::channel();
        let shared = Arc::clone(&state);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
                tell.send(listener.local_addr().unwrap()).unwrap();
                let mut ended = ended;
                loop {
                    tokio::select! {
                        accepted = listener.accept() => {
                            let state = Arc::clone(&shared);
                            tokio::spawn(async move { drop(serve(accepted.unwrap().0, &state).await) });
                        }
                        _ = ended.changed() => return,
                    }
                }
            });
        });
        Self { at: there.recv().unwrap(), state, end: Some(end), thread: Some(thread) }
    }

    /// Where it is, as the programs want it.
    pub fn address(&self) -> String {
        self.at.to_string()
    }

    /// Records that passed so far.
    pub fn records(&self) -> usize {
        self.state.records.load(Ordering::SeqCst)
    }

    /// Connections that were reset.
    pub fn resets(&self) -> usize {
        self.state.resets.load(Ordering::SeqCst)
    }

    /// Whether all resets have been made, and there is a connection that will not be.
    pub fn is_done(&self) -> bool {
        match self.state.reset {
            Reset::Never => true,
            Reset::Once(_) => self.resets() == 1,
            Reset::Each { .. } => {
                let newest = self.state.connections.load(Ordering::SeqCst).checked_sub(1);
                newest.is_some_and(|newest| self.state.limit(newest).is_none())
            }
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        drop(self.end.take());
        let _ended = self.thread.take().map(JoinHandle::join);
    }
}

impl State {
    /// The number of this connection's record after which it is reset, if any; of all records where it is one reset alone.
    fn limit(&self, connection: usize) -> Option<usize> {
        match self.reset {
            Reset::Never | Reset::Once(_) => None,
            Reset::Each { first, more, last } => Some(first + more * connection).filter(|limit| *limit <= last),
        }
    }

    /// Counts a record; says whether it was the last of its connection.
    fn ends(&self, limit: Option<usize>, of_connection: &AtomicUsize) -> bool {
        let record = self.records.fetch_add(1, Ordering::SeqCst) + 1;
        let here = of_connection.fetch_add(1, Ordering::SeqCst) + 1;
        let ends = self.reset == Reset::Once(record) || limit == Some(here);
        if ends {
            self.resets.fetch_add(1, Ordering::SeqCst);
        }
        ends
    }
}

async fn serve(mut client: TcpStream, state: &Arc<State>) -> io::Result<()> {
    let relay = TcpStream::connect(greet(&mut client).await?).await?;
    client.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).await?;
    client.set_nodelay(true)?;
    relay.set_nodelay(true)?;
    let limit = state.limit(state.connections.fetch_add(1, Ordering::SeqCst));
    let here = AtomicUsize::new(0);
    let ((from_client, to_client), (from_relay, to_relay)) = (client.into_split(), relay.into_split());
    let (mut up, mut down) = ((from_client, to_relay), (from_relay, to_client));
    let was_reset = tokio::select! {
        was_reset = pass(&mut up.0, &mut up.1, state, limit, &here) => was_reset?,
        was_reset = pass(&mut down.0, &mut down.1, state, limit, &here) => was_reset?,
    };
    let (client, relay) = (up.0.reunite(down.1).unwrap(), down.0.reunite(up.1).unwrap());
    if was_reset {
        client.set_zero_linger()?;
        relay.set_zero_linger()?;
    }
    Ok(())
}

/// What a SOCKS5 client says, and where it wants to go.
async fn greet(client: &mut TcpStream) -> io::Result<SocketAddr> {
    let mut greeting = [0; 3];
    client.read_exact(&mut greeting).await?;
    client.write_all(&[5, 0]).await?;
    let mut wish = [0; 10];
    client.read_exact(&mut wish).await?;
    assert_eq!(wish[..4], [5, 1, 0, 1], "an address is asked for, and no name");
    let address: [u8; 4] = wish[4..8].try_into().unwrap();
    Ok(SocketAddr::from((address, u16::from_be_bytes([wish[8], wish[9]]))))
}

/// Passes records on until one end closes, or a record was the last; says which.
async fn pass(
    from: &mut OwnedReadHalf,
    to: &mut OwnedWriteHalf,
    state: &State,
    limit: Option<usize>,
    here: &AtomicUsize,
) -> io::Result<bool> {
    let mut record = vec![0; HEADER];
    loop {
        record.resize(HEADER, 0);
        if from.read_exact(&mut record).await.is_err() {
            return Ok(false);
        }
        record.resize(HEADER + usize::from(u16::from_be_bytes([record[3], record[4]])), 0);
        from.read_exact(&mut record[HEADER..]).await?;
        to.write_all(&record).await?;
        if state.ends(limit, here) {
            return Ok(true);
        }
    }
}

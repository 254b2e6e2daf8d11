//! A watcher on the caller's network: what anyone sees who carries her traffic.
//!
//! It is a SOCKS5 proxy without a password, for the caller's own client. It passes TLS on untouched and writes down what
//! TLS does not hide: when a record passed, in which direction, and how long it was.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use crate::clock::{Passed, Start};

/// One TLS record that passed.
#[derive(Clone, Copy)]
pub(crate) struct Seen {
    pub(crate) at: Passed,
    pub(crate) upward: bool,
    /// Bytes on the wire, its header of 5 included.
    pub(crate) len: usize,
}

type Notes = Arc<Mutex<Vec<Seen>>>;

/// The watcher.
pub(crate) struct Watcher {
    address: SocketAddr,
    notes: Notes,
}

impl Watcher {
    /// Takes its place; times are counted from `start`.
    ///
    /// # Errors
    ///
    /// When no port on loopback is free.
    pub(crate) fn take_place(start: Start) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let watcher = Self { address: listener.local_addr()?, notes: Notes::default() };
        let notes = Arc::clone(&watcher.notes);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let notes = Arc::clone(&notes);
                // A connection that breaks concerns the two ends, who notice it themselves.
                thread::spawn(move || pass_on(stream, &notes, start));
            }
        });
        Ok(watcher)
    }

    /// Where the caller's client finds it.
    pub(crate) fn address(&self) -> String {
        self.address.to_string()
    }

    /// What was seen since this was last asked.
    pub(crate) fn notes(&self) -> Vec<Seen> {
        std::mem::take(&mut *self.notes.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn pass_on(mut near: TcpStream, notes: &Notes, start: Start) -> io::Result<()> {
    let far = TcpStream::connect(asked_for(&mut near)?)?;
    near.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0])?;
    let (near_too, far_too, notes_too) = (near.try_clone()?, far.try_clone()?, Arc::clone(notes));
    near.set_nodelay(true)?;
    far.set_nodelay(true)?;
    thread::spawn(move || carry(far_too, near_too, |len| note(&notes_too, start, false, len)));
    carry(near, far, |len| note(notes, start, true, len))
}

fn note(notes: &Notes, start: Start, upward: bool, len: usize) {
    notes.lock().unwrap_or_else(PoisonError::into_inner).push(Seen { at: start.since(), upward, len });
}

/// The SOCKS5 greeting and request (RFC 1928): no password, CONNECT.
fn asked_for(near: &mut TcpStream) -> io::Result<SocketAddr> {
    let [_, methods] = take(near)?;
    io::copy(&mut Read::by_ref(near).take(u64::from(methods)), &mut io::sink())?;
    near.write_all(&[5, 0])?;
    let [_, _, _, kind] = take(near)?;
    let host = match kind {
        1 => take::<4>(near)?.map(|byte| byte.to_string()).join("."),
        3 => {
            let [len] = take(near)?;
            let mut name = String::new();
            Read::by_ref(near).take(u64::from(len)).read_to_string(&mut name)?;
            name
        }
        _ => return Err(io::ErrorKind::Unsupported.into()),
    };
    let address = format!("{host}:{}", u16::from_be_bytes(take(near)?));
    // The watcher stands in for her network on this machine: it leads nowhere else.
    let parsed: SocketAddr = address.parse().map_err(io::Error::other)?;
    if parsed.ip().is_loopback() { Ok(parsed) } else { Err(io::ErrorKind::PermissionDenied.into()) }
}

fn take<const N: usize>(from: &mut TcpStream) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    from.read_exact(&mut bytes).map(|()| bytes)
}

/// Passes records on one by one, noting the length of each.
fn carry(mut from: TcpStream, mut to: TcpStream, note: impl Fn(usize)) -> io::Result<()> {
    let outcome = (|| {
        loop {
            let header: [u8; 5] = take(&mut from)?;
            let [_, _, _, high, low] = header;
            let len = usize::from(u16::from_be_bytes([high, low]));
            let mut record = Vec::with_capacity(5 + len);
            record.extend_from_slice(&header);
            Read::by_ref(&mut from).take(len as u64).read_to_end(&mut record)?;
            note(record.len());
            to.write_all(&record)?;
        }
    })();
    let _ = to.shutdown(Shutdown::Write);
    outcome
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asks(watcher: &Watcher, ip: [u8; 4], port: u16) -> io::Result<TcpStream> {
        let mut near = TcpStream::connect(watcher.address)?;
        near.write_all(&[5, 1, 0])?;
        assert_eq!(take(&mut near)?, [5, 0], "no password");
        near.write_all(&[&[5, 1, 0, 1][..], &ip, &port.to_be_bytes()].concat())?;
        Ok(near)
    }

    #[test]
    fn it_sees_the_length_of_each_record_and_changes_none() -> io::Result<()> {
        let far = TcpListener::bind("127.0.0.1:0")?;
        let watcher = Watcher::take_place(Start::now())?;
        let mut near = asks(&watcher, [127, 0, 0, 1], far.local_addr()?.port())?;
        let (mut relay, _) = far.accept()?;
        assert_eq!(take(&mut near)?, [5, 0, 0, 1, 0, 0, 0, 0, 0, 0], "granted");
        near.write_all(&[23, 3, 3, 0, 2, 8, 9])?;
        assert_eq!(take(&mut relay)?, [23, 3, 3, 0, 2, 8, 9]);
        relay.write_all(&[22, 3, 3, 0, 1, 7])?;
        assert_eq!(take(&mut near)?, [22, 3, 3, 0, 1, 7]);
        let seen: Vec<(bool, usize)> = watcher.notes().iter().map(|seen| (seen.upward, seen.len)).collect();
        assert_eq!(seen, [(true, 7), (false, 6)]);
        Ok(())
    }

    #[test]
    fn it_leads_nowhere_but_to_this_machine() -> io::Result<()> {
        let watcher = Watcher::take_place(Start::now())?;
        let mut near = asks(&watcher, [192, 0, 2, 1], 443)?;
        let mut answer = Vec::new();
        near.read_to_end(&mut answer)?;
        assert!(answer.is_empty(), "closed without a word: {answer:?}");
        Ok(())
    }
}

//! h2 by hand: frames and heads as somebody writes them who does not keep to the rules.

use std::net::SocketAddr;

use crate::support::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const PRIORITY: u8 = 2;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

pub(crate) const ACK: u8 = 1;
pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

/// A frame (RFC 9113 §4.1).
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), body].concat()
}

/// A setting (RFC 9113 §6.5.1).
pub(crate) fn setting(id: u16, value: u32) -> Vec<u8> {
    [id.to_be_bytes().as_slice(), &value.to_be_bytes()].concat()
}

fn text(out: &mut Vec<u8>, text: &[u8]) {
    let mut rest = text.len();
    // A length in seven bits, more of it in the bytes that follow (RFC 7541 §5.1), and no Huffman code.
    if rest < 127 {
        out.push(u8::try_from(rest).unwrap());
    } else {
        out.push(127);
        rest -= 127;
        while rest >= 128 {
            out.push(u8::try_from(rest % 128).unwrap() | 128);
            rest /= 128;
        }
        out.push(u8::try_from(rest).unwrap());
    }
    out.extend_from_slice(text);
}

/// A header, spelt out; `0x00` leaves it out of the table of what was sent, `0x40` puts it in (RFC 7541 §6.2).
pub(crate) fn header(first: u8, name: &[u8], value: &[u8]) -> Vec<u8> {
    let mut out = vec![first];
    text(&mut out, name);
    text(&mut out, value);
    out
}

/// The four headers that begin a request, and more.
pub(crate) fn head(method: &str, path: &[u8], more: &[(&[u8], &[u8])]) -> Vec<u8> {
    let usual: [(&[u8], &[u8]); 4] =
        [(b":method", method.as_bytes()), (b":scheme", b"https"), (b":authority", b"localhost"), (b":path", path)];
    usual.iter().chain(more).flat_map(|(name, value)| header(0, name, value)).collect()
}

/// A connection on which h2 has begun.
pub(crate) async fn begun(address: SocketAddr, spki: [u8; 32], settings: &[u8]) -> TlsStream<TcpStream> {
    let mut stream = tls(address, spki, b"h2").await;
    stream.write_all(&[PREFACE, &frame(SETTINGS, 0, 0, settings)].concat()).await.unwrap();
    stream
}

/// A frame that came.
#[derive(Debug)]
pub(crate) struct Heard {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) body: Vec<u8>,
}

/// The next frame, or nothing when the other side is done.
pub(crate) async fn hear(stream: &mut (impl AsyncReadExt + Unpin)) -> Option<Heard> {
    hear_or_end(stream).await.ok()
}

/// How the other side ended: as TLS says it should, in the middle of a frame, or with what error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum End {
    Clean,
    Error(std::io::ErrorKind),
}

/// The next frame, or how it ended.
pub(crate) async fn hear_or_end(stream: &mut (impl AsyncReadExt + Unpin)) -> Result<Heard, End> {
    let failed = |error: std::io::Error| End::Error(error.kind());
    let mut head = [0; 9];
    if stream.read(&mut head[..1]).await.map_err(failed)? == 0 {
        return Err(End::Clean);
    }
    stream.read_exact(&mut head[1..]).await.map_err(failed)?;
    let [l1, l2, l3, kind, flags, s1, s2, s3, s4] = head;
    let length = usize::try_from(u32::from_be_bytes([0, l1, l2, l3])).unwrap();
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.map_err(failed)?;
    Ok(Heard { kind, flags, stream: u32::from_be_bytes([s1, s2, s3, s4]), body })
}

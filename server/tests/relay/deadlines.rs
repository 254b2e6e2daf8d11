//! Nobody holds a place by doing nothing. Deadlines here are short; what is looked at is only that each one passes.

use std::time::Duration;

use crate::support::*;
use porchlight_relay::config::{Deadlines, Settings};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Long enough for a busy machine, short enough to notice a connection that is never closed.
const PATIENCE: Duration = Duration::from_secs(20);

fn hasty(site: &Site, change: impl FnOnce(&mut Deadlines)) -> Settings {
    let mut settings = site.settings();
    change(&mut settings.deadlines);
    settings
}

const SHORT: Duration = Duration::from_millis(300);

async fn is_closed(mut stream: impl AsyncReadExt + Unpin) -> bool {
    let mut rest = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut rest)).await.is_ok()
}

#[tokio::test]
async fn a_handshake_that_does_not_come_is_not_waited_for() {
    let site = Site::new(40);
    let running = site.start_with(&hasty(&site, |deadlines| deadlines.handshake = SHORT)).await;
    assert!(is_closed(TcpStream::connect(running.address()).await.unwrap()).await);
    assert!(running.relay.counters().handshakes_failed.count() >= 1);
}

#[tokio::test]
async fn silence_after_the_handshake_and_half_a_head_are_not_waited_for() {
    let site = Site::new(41);
    let running = site.start_with(&hasty(&site, |deadlines| deadlines.head = SHORT)).await;
    for (name, alpn, words) in [
        ("nothing", b"http/1.1".as_slice(), b"".as_slice()),
        ("nothing over h2", b"h2", b""),
        ("half a head", b"http/1.1", b"GET / HTTP/1.1\r\nho"),
        ("an h2 preface and no more", b"h2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    ] {
        let mut stream = tls(running.address(), running.spki, alpn).await;
        stream.write_all(words).await.unwrap();
        assert!(is_closed(stream).await, "{name}");
    }
    let mut stream = tls(running.address(), running.spki, b"http/1.1").await;
    stream.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    stream.read_u8().await.unwrap();
    stream.write_all(b"GET / HT").await.unwrap();
    assert!(is_closed(stream).await, "half a head after a request");
}

#[tokio::test]
async fn half_a_body_is_not_waited_for_wherever_it_was_going() {
    let site = Site::new(42);
    let running = site.start_with(&hasty(&site, |deadlines| deadlines.body = SHORT)).await;
    for path in ["/".to_owned(), format!("/{GATE}/v1/up")] {
        let mut stream = tls(running.address(), running.spki, b"http/1.1").await;
        stream
            .write_all(format!("POST {path} HTTP/1.1\r\nhost: a\r\ncontent-length: 2080\r\n\r\nhalf").as_bytes())
            .await
            .unwrap();
        let mut reply = Vec::new();
        timeout(PATIENCE, stream.read_to_end(&mut reply)).await.unwrap().unwrap_or(0);
        assert_eq!(reply, b"", "{path}");
    }
}

#[tokio::test]
async fn an_idle_connection_is_closed_and_a_busy_one_when_it_is_old() {
    let site = Site::new(43);
    let running = site.start_with(&hasty(&site, |deadlines| deadlines.idle = SHORT)).await;
    let mut stream = tls(running.address(), running.spki, b"http/1.1").await;
    stream.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    assert!(is_closed(stream).await, "idle");
    running.relay.stop().await;

    let running = site.start_with(&hasty(&site, |deadlines| deadlines.age = Duration::from_secs(1))).await;
    for http in [Http::One, Http::Two] {
        let mut client = running.client(http).await;
        let until_closed = async { while client.try_send("GET", "/", None, &[]).await.is_ok() {} };
        assert!(timeout(PATIENCE, until_closed).await.is_ok(), "{http:?} old");
    }
}

#[tokio::test]
async fn connections_beyond_the_cap_are_turned_away_and_let_in_when_there_is_room() {
    let mut site = Site::new(44);
    site.top += "max_connections = 2\n";
    let running = site.start().await;
    let (mut first, second) = (running.client(Http::One).await, running.client(Http::Two).await);
    assert!(is_closed(TcpStream::connect(running.address()).await.unwrap()).await, "a third");
    assert_eq!(first.send("GET", "/", None, &[]).await.status, 200, "the others are served");
    drop(second);
    let again = async {
        loop {
            let mut stream = TcpStream::connect(running.address()).await.unwrap();
            // Refused at once, or waiting for our handshake: then there is room.
            let mut byte = [0];
            if timeout(SHORT, stream.read(&mut byte)).await.is_err() {
                return;
            }
        }
    };
    assert!(timeout(PATIENCE, again).await.is_ok());
}

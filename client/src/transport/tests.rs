//! Against a real TLS server on loopback, and a small SOCKS5 proxy.

use core::time::Duration;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::{Method, Request, Response, StatusCode};
use rcgen::KeyPair;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::server::{Server, certificate, serve};
use super::{Address, Call, Dial, Expect, Failure, Link, Patience, Pin};

async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, hyper::Error> {
    let (head, body) = request.into_parts();
    let sent = body.collect().await?.to_bytes();
    let told = head.headers.get("authorization").map_or_else(Vec::new, |value| value.as_bytes().to_vec());
    let (status, bytes) = match head.uri.path() {
        "/gate/v1/echo" => (StatusCode::OK, sent),
        "/gate/v1/token" => (StatusCode::OK, Bytes::from(told)),
        "/gate/v1/headers" => (StatusCode::OK, Bytes::from(names(&head.headers))),
        "/gate/v1/moved" => (StatusCode::FOUND, Bytes::from_static(&[0; 16])),
        "/gate/v1/long" => (StatusCode::OK, Bytes::from_static(&[0; 40_000])),
        "/gate/v1/never" => core::future::pending().await,
        _ => (StatusCode::NOT_FOUND, Bytes::from_static(b"<html>")),
    };
    Ok(Response::builder().status(status).body(Full::new(bytes)).expect("an answer"))
}

fn names(headers: &hyper::HeaderMap) -> String {
    let mut names: Vec<_> = headers.keys().map(|name| name.as_str()).collect();
    names.sort_unstable();
    names.join(",")
}

fn link(server: &Server, pin: Option<Pin>, dial: Dial) -> Link {
    let address = Address::parse(&format!("https://{}", server.at)).expect("an address");
    Link::new(address, pin, dial).expect("TLS")
}

fn get(path: &str, expect: Expect) -> Call {
    Call {
        method: Method::GET,
        path: path.to_owned(),
        body: None,
        expect,
        patience: Patience::of_beat(Duration::ZERO),
        token: None,
    }
}

fn post(path: &str, body: &[u8], expect: Expect) -> Call {
    Call { method: Method::POST, body: Some(body.to_vec()), ..get(path, expect) }
}

const BOTH: &[&[u8]] = &[b"h2", b"http/1.1"];

#[tokio::test]
async fn a_pinned_key_is_believed_whatever_the_certificate_says() {
    let key = KeyPair::generate().expect("a key");
    for alpn in [BOTH, &[b"http/1.1"], &[]] {
        let server = serve(&key, &key, alpn, answer).await;
        let link = link(&server, Some(server.pin), Dial::Direct);
        for round in 0..3u8 {
            let back = link.call(post("/gate/v1/echo", &[round; 100], Expect::Exactly(100))).await.expect("an answer");
            assert_eq!(back, [round; 100]);
        }
        assert_eq!(server.connections.load(Ordering::SeqCst), 1, "one connection serves all calls in turn");
    }
}

#[tokio::test]
async fn another_key_is_refused_and_nothing_is_sent() {
    let (key, other) = (KeyPair::generate().expect("a key"), KeyPair::generate().expect("a key"));
    let server = serve(&key, &key, BOTH, answer).await;
    let wrong = Pin::of_certificate(&certificate(&other)).expect("a certificate");
    let outcome = link(&server, Some(wrong), Dial::Direct).call(get("/gate/v1/echo", Expect::Exactly(0))).await;
    assert!(matches!(outcome, Err(Failure::Untrusted)), "{outcome:?}");
}

#[tokio::test]
async fn a_copied_certificate_without_its_key_is_refused() {
    let (key, thief) = (KeyPair::generate().expect("a key"), KeyPair::generate().expect("a key"));
    let server = serve(&key, &thief, BOTH, answer).await;
    let outcome = link(&server, Some(server.pin), Dial::Direct).call(get("/gate/v1/echo", Expect::Exactly(0))).await;
    assert!(matches!(outcome, Err(Failure::Untrusted)), "{outcome:?}");
}

#[tokio::test]
async fn without_a_pin_only_public_authorities_count() {
    let key = KeyPair::generate().expect("a key");
    let server = serve(&key, &key, BOTH, answer).await;
    let outcome = link(&server, None, Dial::Direct).call(get("/gate/v1/echo", Expect::Exactly(0))).await;
    assert!(matches!(outcome, Err(Failure::Untrusted)), "{outcome:?}");
}

#[tokio::test]
async fn a_token_is_made_for_the_key_that_was_seen() {
    let key = KeyPair::generate().expect("a key");
    for alpn in [BOTH, &[b"http/1.1"]] {
        let server = serve(&key, &key, alpn, answer).await;
        let link = link(&server, Some(server.pin), Dial::Direct);
        let call = get("/gate/v1/token", Expect::AtMost(100));
        let back = link.call_signed(call, |seen| Some(seen.to_string())).await.expect("an answer");
        assert_eq!(back, format!("Bearer {}", server.pin).into_bytes());
        assert_eq!(server.connections.load(Ordering::SeqCst), 1);
    }
}

#[tokio::test]
async fn a_request_says_nothing_about_its_client() {
    let key = KeyPair::generate().expect("a key");
    for (alpn, get_says, post_says) in
        [(BOTH, "", "content-length,content-type"), (&[b"http/1.1".as_slice()], "host", "content-length,content-type,host")]
    {
        let server = serve(&key, &key, alpn, answer).await;
        let link = link(&server, Some(server.pin), Dial::Direct);
        let told = link.call(get("/gate/v1/headers", Expect::AtMost(200))).await.expect("an answer");
        assert_eq!(String::from_utf8(told).expect("text"), get_says);
        let told = link.call(post("/gate/v1/headers", &[1; 10], Expect::AtMost(200))).await.expect("an answer");
        assert_eq!(String::from_utf8(told).expect("text"), post_says);
    }
}

#[tokio::test]
async fn an_answer_of_another_length_or_status_is_no_relays_answer() {
    let key = KeyPair::generate().expect("a key");
    for alpn in [BOTH, &[b"http/1.1"]] {
        let server = serve(&key, &key, alpn, answer).await;
        let link = link(&server, Some(server.pin), Dial::Direct);
        for (name, call) in [
            ("one byte short", post("/gate/v1/echo", &[0; 15], Expect::Exactly(16))),
            ("one byte long", post("/gate/v1/echo", &[0; 17], Expect::Exactly(16))),
            ("empty", post("/gate/v1/echo", &[], Expect::Exactly(16))),
            ("more than the most", post("/gate/v1/echo", &[0; 200_000], Expect::AtMost(199_999))),
            ("a page that does not exist", get("/gate/v1/none", Expect::AtMost(6))),
            ("somewhere else", get("/gate/v1/moved", Expect::Exactly(16))),
        ] {
            let outcome = link.call(call).await;
            assert!(matches!(outcome, Err(Failure::NotThisLine)), "{name}: {outcome:?}");
        }
        let back = link.call(post("/gate/v1/echo", &[0; 16], Expect::Exactly(16))).await;
        assert!(back.is_ok(), "and the next call works: {back:?}");
    }
}

#[tokio::test]
async fn a_relay_that_is_not_there_is_unreachable_and_one_without_tls_is_told_apart() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let at = listener.local_addr().expect("bound");
    let server = Server { at, pin: Pin::from_bytes([1; 32]), connections: Arc::default() };
    tokio::spawn(async move {
        while let Ok((mut tcp, _)) = listener.accept().await {
            let _told = tcp.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        }
    });
    let outcome = link(&server, Some(server.pin), Dial::Direct).call(get("/gate/v1/echo", Expect::Exactly(0))).await;
    assert!(matches!(outcome, Err(Failure::Tls(_))), "{outcome:?}");

    let gone = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let server = Server { at: gone.local_addr().expect("bound"), ..server };
    drop(gone);
    let outcome = link(&server, Some(server.pin), Dial::Direct).call(get("/gate/v1/echo", Expect::Exactly(0))).await;
    assert!(matches!(outcome, Err(Failure::Unreachable(_))), "{outcome:?}");
}

#[tokio::test]
async fn a_call_ends_when_its_patience_does_and_a_new_connection_is_made_after_it() {
    let key = KeyPair::generate().expect("a key");
    let server = serve(&key, &key, BOTH, answer).await;
    let link = link(&server, Some(server.pin), Dial::Direct);
    link.call(post("/gate/v1/echo", &[0; 16], Expect::Exactly(16))).await.expect("connected");
    tokio::time::pause();
    let outcome = link.call(get("/gate/v1/never", Expect::Exactly(16))).await;
    assert!(matches!(outcome, Err(Failure::Slow)), "{outcome:?}");
    tokio::time::resume();
    link.call(post("/gate/v1/echo", &[0; 16], Expect::Exactly(16))).await.expect("again");
    assert_eq!(server.connections.load(Ordering::SeqCst), 2);
}

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "how long a connection was silent is real time")]
async fn an_answer_whose_bytes_keep_coming_is_waited_for_and_one_that_stops_is_not() {
    let key = KeyPair::generate().expect("a key");
    for alpn in [BOTH, &[b"http/1.1".as_slice()]] {
        let server = serve(&key, &key, alpn, answer).await;
        for (passes, comes) in [(u64::MAX, true), (10_000, false)] {
            let at = trickle(server.at, passes).await;
            let link = link(&Server { at, pin: server.pin, connections: Arc::default() }, Some(server.pin), Dial::Direct);
            let begun = tokio::time::Instant::now();
            let call = Call { patience: Patience::short(SILENCE), ..get("/gate/v1/long", Expect::Exactly(40_000)) };
            let (outcome, took) = (link.call(call).await, begun.elapsed());
            if comes {
                assert_eq!(outcome.expect("an answer").len(), 40_000);
                assert!(took > SILENCE, "{took:?}");
            } else {
                // Its bytes alone would have been given 80 s.
                assert!(matches!(outcome, Err(Failure::Slow)) && took < 10 * SILENCE, "{outcome:?} {took:?}");
            }
        }
    }
}

/// How long a relay may be silent here.
const SILENCE: Duration = Duration::from_secs(2);

/// A way to `to` on which at most two thousand bytes come back in an eighth of [`SILENCE`], and nothing after so many.
async fn trickle(to: SocketAddr, mut passes: u64) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let at = listener.local_addr().expect("bound");
    tokio::spawn(async move {
        let (client, _) = listener.accept().await.expect("a client");
        let (mut from, mut there) = client.into_split();
        let (mut back, mut on) = TcpStream::connect(to).await.expect("the server").into_split();
        let _there = tokio::spawn(async move { tokio::io::copy(&mut from, &mut on).await });
        let mut bytes = [0; 2_000];
        loop {
            let len = back.read(&mut bytes).await.expect("more");
            let Some(left) = passes.checked_sub(len as u64) else { return core::future::pending().await };
            passes = left;
            there.write_all(&bytes[..len]).await.expect("taken");
            tokio::time::sleep(SILENCE / 8).await;
        }
    });
    at
}

#[tokio::test]
async fn a_connection_that_ends_within_the_handshake_says_nothing_about_who_is_there() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let at = listener.local_addr().expect("bound");
    let server = Server { at, pin: Pin::from_bytes([1; 32]), connections: Arc::default() };
    tokio::spawn(async move {
        for resets in [false, true] {
            let (mut tcp, _) = listener.accept().await.expect("a client");
            let _some = tcp.read(&mut [0; 64]).await;
            if resets {
                tcp.set_zero_linger().expect("a socket");
            }
        }
    });
    for _ in 0..2 {
        let outcome = link(&server, Some(server.pin), Dial::Direct).call(get("/gate/v1/echo", Expect::Exactly(0))).await;
        assert!(matches!(outcome, Err(Failure::Unreachable(_))), "{outcome:?}");
    }
}

#[tokio::test]
async fn calls_that_begin_at_once_wait_for_one_connection() {
    let key = KeyPair::generate().expect("a key");
    let server = serve(&key, &key, BOTH, answer).await;
    let link = link(&server, Some(server.pin), Dial::Direct);
    let echo = || link.call(post("/gate/v1/echo", &[7; 16], Expect::Exactly(16)));
    let (one, two, three) = tokio::join!(echo(), echo(), echo());
    assert!(one.is_ok() && two.is_ok() && three.is_ok(), "{one:?} {two:?} {three:?}");
    assert_eq!(server.connections.load(Ordering::SeqCst), 1);
}

#[test]
fn patience_is_a_beat_but_never_under_ten_seconds_and_two_more_for_each_kib() {
    let seconds = Duration::from_secs;
    assert_eq!(Patience::of_beat(Duration::from_millis(100)).silence(0), seconds(10));
    assert_eq!(Patience::of_beat(seconds(30)).silence(0), seconds(30));
    assert_eq!(Patience::of_beat(seconds(10)).and(seconds(25)).silence(2048), seconds(39));
    assert_eq!(Patience::of_beat(seconds(10)).whole(2048, Expect::Exactly(16)), seconds(16));
    assert_eq!(Patience::of_beat(seconds(10)).whole(0, Expect::Exactly(48 * 1024)), seconds(106));
    assert_eq!(Patience::of_beat(seconds(10)).whole(0, Expect::AtMost(1 << 20)), seconds(138));
}

/// A SOCKS5 proxy without authentication that leads every name to `to`, and tells which names it was asked for.
async fn proxy(to: SocketAddr, refuse: bool) -> (String, tokio::sync::mpsc::UnboundedReceiver<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let at = listener.local_addr().expect("bound").to_string();
    let (asked, names) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(tunnel(client, to, refuse, asked.clone()));
        }
    });
    (at, names)
}

async fn tunnel(
    mut client: TcpStream,
    to: SocketAddr,
    refuse: bool,
    asked: tokio::sync::mpsc::UnboundedSender<Vec<u8>>,
) -> std::io::Result<()> {
    let mut greeting = [0; 3];
    client.read_exact(&mut greeting).await?;
    client.write_all(&[5, 0]).await?;
    let mut head = [0; 4];
    client.read_exact(&mut head).await?;
    let len = match head[3] {
        3 => usize::from(client.read_u8().await?),
        _ => 4,
    };
    let mut name = vec![0; len];
    client.read_exact(&mut name).await?;
    let _port = client.read_u16().await?;
    let _heard = asked.send(name);
    client.write_all(&[5, u8::from(refuse) * 2, 0, 1, 0, 0, 0, 0, 0, 0]).await?;
    if refuse {
        return Ok(());
    }
    let mut relay = TcpStream::connect(to).await?;
    tokio::io::copy_bidirectional(&mut client, &mut relay).await.map(drop)
}

#[tokio::test]
async fn through_a_proxy_the_proxy_resolves_the_name() {
    let key = KeyPair::generate().expect("a key");
    let server = serve(&key, &key, BOTH, answer).await;
    let (at, mut names) = proxy(server.at, false).await;
    let address = Address::parse("https://name.only.the.proxy.knows:4433").expect("an address");
    let link = Link::new(address, Some(server.pin), Dial::Socks5(at)).expect("TLS");
    let back = link.call(post("/gate/v1/echo", &[9; 16], Expect::Exactly(16))).await.expect("an answer");
    assert_eq!(back, [9; 16]);
    assert_eq!(names.recv().await.expect("asked"), b"name.only.the.proxy.knows");
}

#[tokio::test]
async fn a_proxy_that_refuses_or_is_not_there_is_said_to_be_the_proxy() {
    let key = KeyPair::generate().expect("a key");
    let server = serve(&key, &key, BOTH, answer).await;
    let (at, _names) = proxy(server.at, true).await;
    let outcome = link(&server, Some(server.pin), Dial::Socks5(at)).call(get("/gate/v1/echo", Expect::Exactly(0))).await;
    assert!(matches!(outcome, Err(Failure::Proxy(_))), "{outcome:?}");

    let gone = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let at = gone.local_addr().expect("bound").to_string();
    drop(gone);
    let outcome = link(&server, Some(server.pin), Dial::Socks5(at)).call(get("/gate/v1/echo", Expect::Exactly(0))).await;
    assert!(matches!(outcome, Err(Failure::Proxy(_))), "{outcome:?}");
}

//! Whoever knocks without being let in hears exactly what an ordinary site would say: byte for byte, header for header.

use std::net::SocketAddr;

use crate::support::*;
use porchlight_proto::api::Floor;
use porchlight_proto::time::Seconds;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Sends raw bytes over TLS, and gives back all that comes until the relay has answered and closed, without the date.
async fn raw(address: SocketAddr, spki: [u8; 32], request: &[u8]) -> String {
    let mut stream = tls(address, spki, b"http/1.1").await;
    stream.write_all(request).await.unwrap();
    let mut reply = Vec::new();
    stream.read_to_end(&mut reply).await.unwrap();
    let text = String::from_utf8_lossy(&reply);
    let lines: Vec<&str> = text.split("\r\n").filter(|line| !line.starts_with("date: ")).collect();
    lines.join("\r\n")
}

fn request(method: &str, path: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let length = if body.is_empty() { String::new() } else { format!("content-length: {}\r\n", body.len()) };
    let head = format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{headers}{length}\r\n");
    [head.as_bytes(), body].concat()
}

/// A page that no site of ours has, asked for in the same way.
const NOWHERE: &str = "/assets/nothing/here";

#[tokio::test]
async fn whatever_is_not_a_call_gets_what_a_missing_page_gets() {
    let site = Site::new(30);
    let running = site.start().await;
    let line = &site.line;
    let now = NOON.seconds();
    let beat = line.beat(None, None, Floor::default()).to_bytes();
    let bearer = |token: String| format!("authorization: Bearer {token}\r\n");
    let token =
        |device, method, path: &str, body: &[u8], now| bearer(line.token(device, &running.spki, (method, path), body, now));
    let stranger = TestLine::new(31, now);
    let good = |method, path: &str, body: &[u8]| token(&line.worker, method, path, body, now);
    let up_path = "/v1/desk/up?after=0000000000000000-0&wait=0";
    let used = good("GET", up_path, &[]);
    raw(running.address(), running.spki, &request("GET", &format!("/{GATE}{up_path}"), &used, &[])).await;
    let post = line.post().to_bytes();
    let roster = line.roster(1, porchlight_proto::time::Timing::PRODUCTION, None);
    let no = String::new();
    let probes: Vec<(&str, &str, String, String, Vec<u8>)> = vec![
        ("a gate that is none", "GET", "/wrong1/v1/notice".into(), no.clone(), vec![]),
        ("a gate in capitals", "GET", format!("/{}/v1/notice", GATE.to_uppercase()), no.clone(), vec![]),
        ("a gate with an escape", "GET", format!("/%6b{}/v1/notice", &GATE[1..]), no.clone(), vec![]),
        ("a gate that is no text", "GET", "/%ff%fe/v1/notice".into(), no.clone(), vec![]),
        ("the whole address", "GET", "https://localhost/wrong1/v1/notice".into(), no.clone(), vec![]),
        ("the gate alone", "GET", format!("/{GATE}"), no.clone(), vec![]),
        ("the gate with a slash", "GET", format!("/{GATE}/"), no.clone(), vec![]),
        ("another version", "GET", format!("/{GATE}/v2/notice"), no.clone(), vec![]),
        ("no call", "GET", format!("/{GATE}/v1/"), no.clone(), vec![]),
        ("an unknown call", "GET", format!("/{GATE}/v1/nothing"), no.clone(), vec![]),
        ("a call and a slash", "GET", format!("/{GATE}/v1/notice/"), no.clone(), vec![]),
        ("two slashes", "GET", format!("//{GATE}/v1/notice"), no.clone(), vec![]),
        ("a query", "GET", format!("/{GATE}/v1/notice?x=1"), no.clone(), vec![]),
        ("HEAD for GET", "HEAD", format!("/{GATE}/v1/notice"), no.clone(), vec![]),
        ("POST for GET", "POST", format!("/{GATE}/v1/notice"), no.clone(), vec![]),
        ("GET for POST", "GET", format!("/{GATE}/v1/up"), no.clone(), vec![]),
        ("OPTIONS", "OPTIONS", format!("/{GATE}/v1/up"), no.clone(), vec![]),
        ("DELETE", "DELETE", format!("/{GATE}/v1/up"), no.clone(), vec![]),
        ("a body with a GET", "GET", format!("/{GATE}/v1/notice"), no.clone(), vec![1; 10]),
        ("a post too short", "POST", format!("/{GATE}/v1/up"), no.clone(), post[..2079].to_vec()),
        ("a post too long", "POST", format!("/{GATE}/v1/up"), no.clone(), [post.as_slice(), &[0]].concat()),
        ("no body", "POST", format!("/{GATE}/v1/up"), no.clone(), vec![]),
        ("a body longer than any call's", "POST", format!("/{GATE}/v1/up"), no.clone(), vec![0; 65_537]),
        ("tomorrow", "GET", format!("/{GATE}/v1/down/slow/99999"), no.clone(), vec![]),
        ("a day that is no number", "GET", format!("/{GATE}/v1/down/slow/today"), no.clone(), vec![]),
        ("no token", "POST", format!("/{GATE}/v1/desk/beat"), no.clone(), beat.to_vec()),
        ("a token that is none", "POST", format!("/{GATE}/v1/desk/beat"), "authorization: Bearer aaaa\r\n".into(), beat.to_vec()),
        (
            "another scheme",
            "POST",
            format!("/{GATE}/v1/desk/beat"),
            good("POST", "/v1/desk/beat", beat.as_slice()).replace("Bearer", "Basic"),
            beat.to_vec(),
        ),
        (
            "a token for another call",
            "POST",
            format!("/{GATE}/v1/desk/beat"),
            good("PUT", "/v1/desk/beat", beat.as_slice()),
            beat.to_vec(),
        ),
        ("a token for another body", "POST", format!("/{GATE}/v1/desk/beat"), good("POST", "/v1/desk/beat", &[]), beat.to_vec()),
        (
            "a token of another hour",
            "POST",
            format!("/{GATE}/v1/desk/beat"),
            token(&line.worker, "POST", "/v1/desk/beat", beat.as_slice(), Seconds(now.0 - 301)),
            beat.to_vec(),
        ),
        (
            "a token of the future",
            "POST",
            format!("/{GATE}/v1/desk/beat"),
            token(&line.worker, "POST", "/v1/desk/beat", beat.as_slice(), Seconds(now.0 + 301)),
            beat.to_vec(),
        ),
        (
            "a token for another relay",
            "POST",
            format!("/{GATE}/v1/desk/beat"),
            bearer(line.token(&line.worker, &[0; 32], ("POST", "/v1/desk/beat"), beat.as_slice(), now)),
            beat.to_vec(),
        ),
        (
            "another line's token",
            "POST",
            format!("/{GATE}/v1/desk/beat"),
            bearer(stranger.token(&stranger.lead, &running.spki, ("POST", "/v1/desk/beat"), beat.as_slice(), now)),
            beat.to_vec(),
        ),
        ("a token used before", "GET", format!("/{GATE}{up_path}"), used, vec![]),
        (
            "a worker's roster",
            "PUT",
            format!("/{GATE}/v1/desk/roster"),
            good("PUT", "/v1/desk/roster", roster.bytes()),
            roster.bytes().to_vec(),
        ),
        (
            "a blob that is not there",
            "GET",
            format!("/{GATE}/v1/desk/blob/00000000000000000000000000000000"),
            good("GET", "/v1/desk/blob/00000000000000000000000000000000", &[]),
            vec![],
        ),
    ];
    let count = probes.len();
    for (name, method, path, headers, body) in probes {
        let probed = raw(running.address(), running.spki, &request(method, &path, &headers, &body)).await;
        let decoy = raw(running.address(), running.spki, &request(method, NOWHERE, &headers, &body)).await;
        assert_eq!(probed, decoy, "{name}");
        assert!(
            probed.starts_with("HTTP/1.1 404 Not Found\r\ncontent-type: text/html; charset=utf-8\r\ncontent-length: "),
            "{name}: {probed}"
        );
    }
    println!("{count} probes");
}

#[tokio::test]
async fn the_decoy_is_an_ordinary_site_and_its_pages_are_the_same_over_h2() {
    let site = Site::new(32);
    std::fs::create_dir(site.path("www")).unwrap();
    std::fs::write(site.path("www/index.html"), "<h1>Bakery</h1>").unwrap();
    std::fs::write(site.path("www/404.html"), "<h1>Sold out</h1>").unwrap();
    let site = Site { top: format!("{}decoy_dir = \"www\"\n", site.top), ..site };
    let running = site.start().await;
    for http in [Http::One, Http::Two] {
        let mut client = running.client(http).await;
        assert_eq!(client.send("GET", "/", None, &[]).await.ok(), "<h1>Bakery</h1>");
        let head = client.send("HEAD", "/", None, &[]).await;
        assert_eq!((head.body.len(), head.headers[1].clone()), (0, ("content-length".into(), "15".into())));
        assert_eq!(client.send("POST", "/", None, &[1]).await.status, 405);
        let nowhere = client.send("GET", NOWHERE, None, &[]).await;
        assert_eq!((nowhere.status.as_u16(), nowhere.body.as_ref()), (404, b"<h1>Sold out</h1>".as_slice()));
        for path in ["/wrong1/v1/notice".to_owned(), format!("/{GATE}/v1/nothing"), format!("/{GATE}/v1/desk/up")] {
            assert_eq!(client.send("GET", &path, None, &[]).await, nowhere, "{http:?} {path}");
        }
    }
}

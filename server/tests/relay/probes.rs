//! Whoever knocks without being let in hears exactly what an ordinary site would say: byte for byte, header for header.

use std::net::SocketAddr;

use crate::support::*;
use porchlight_proto::api::Floor;
use porchlight_proto::time::Seconds;
use porchlight_relay::config::Settings;
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

#[tokio::test]
async fn every_page_tells_the_date_and_over_h2_no_call_does() {
    let site = Site::new(35);
    let running = site.start().await;
    let noon = httpdate::fmt_http_date(std::time::UNIX_EPOCH + std::time::Duration::from_millis(NOON.0));
    let calls = ["/", NOWHERE, &format!("/{GATE}/v1/notice")];
    for (path, date) in calls.into_iter().zip([Some(&noon), Some(&noon), None]) {
        let Client::Two(mut sender) = Client::connect(running.address(), running.spki, Http::Two).await else { panic!("h2") };
        let request = hyper::Request::get(format!("https://localhost{path}")).body(http_body_util::Full::default()).unwrap();
        let reply = sender.send_request(request).await.unwrap();
        assert_eq!(reply.headers().get("date").map(|date| date.to_str().unwrap()), date.map(String::as_str), "{path}");
    }
}

/// A page that no site of ours has, asked for in the same way.
const NOWHERE: &str = "/assets/nothing/here";

#[tokio::test]
async fn whatever_is_not_a_call_gets_what_a_missing_page_gets() {
    let site = Site::new(30);
    let running = site.start().await;
    for http in [Http::One, Http::Two] {
        almost_a_call(&site, &running, http).await;
    }
}

/// Each of these tokens is made anew: one that was seen is refused for that alone.
async fn almost_a_call(site: &Site, running: &Running<'_>, http: Http) {
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
        ("the gate alone, asked", "GET", format!("/{GATE}?x=1"), no.clone(), vec![]),
        ("a file the page has not", "GET", format!("/{GATE}/p/document"), no.clone(), vec![]),
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
        match http {
            Http::One => {
                let probed = raw(running.address(), running.spki, &request(method, &path, &headers, &body)).await;
                let decoy = raw(running.address(), running.spki, &request(method, NOWHERE, &headers, &body)).await;
                assert_eq!(probed, decoy, "{name}");
                assert!(
                    probed.starts_with("HTTP/1.1 404 Not Found\r\ncontent-type: text/html; charset=utf-8\r\ncontent-length: "),
                    "{name}: {probed}"
                );
            }
            Http::Two => {
                // In h2 the whole address is how every path is sent.
                let path = path.strip_prefix("https://localhost").unwrap_or(&path);
                let authorization = headers.strip_prefix("authorization: ").map(str::trim_end);
                let mut client = running.client(http).await;
                let probed = client.send_as(method, path, authorization, &body).await.unwrap();
                let mut client = running.client(http).await;
                let decoy = client.send_as(method, NOWHERE, authorization, &body).await.unwrap();
                assert_eq!((probed.status.as_u16(), &probed), (404, &decoy), "{name}, over h2");
            }
        }
    }
    println!("{count} probes over {http:?}, each answered as at a path that does not exist (pass: all)");
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
        let posted = client.send("POST", "/", None, &[1]).await;
        assert_eq!((posted.status.as_u16(), posted.body.as_ref()), (405, b"<h1>Sold out</h1>".as_slice()));
        let nowhere = client.send("GET", NOWHERE, None, &[]).await;
        assert_eq!((nowhere.status.as_u16(), nowhere.body.as_ref()), (404, b"<h1>Sold out</h1>".as_slice()));
        for path in ["/wrong1/v1/notice".to_owned(), format!("/{GATE}/v1/nothing"), format!("/{GATE}/v1/desk/up")] {
            assert_eq!(client.send("GET", &path, None, &[]).await, nowhere, "{http:?} {path}");
        }
    }
}

/// Requests as they go over the wire: what makes them odd, and their bytes, with `@` for the path. None of them is a call.
pub(crate) fn shapes() -> Vec<(&'static str, Vec<u8>)> {
    let with = |line: &str, headers: &str| format!("{line}\r\nhost: localhost\r\n{headers}\r\n").into_bytes();
    let get = |headers: &str| with("GET @ HTTP/1.1", headers);
    let post = |headers: &str, body: &str| [with("POST @ HTTP/1.1", headers), body.as_bytes().to_vec()].concat();
    let chunked = |body: &str| post("transfer-encoding: chunked\r\n", body);
    vec![
        ("an ordinary GET", get("")),
        ("one that closes", get("connection: close\r\n")),
        ("one that keeps alive", get("connection: keep-alive\r\n")),
        ("HEAD", with("HEAD @ HTTP/1.1", "")),
        ("OPTIONS", with("OPTIONS @ HTTP/1.1", "")),
        ("a preflight", with("OPTIONS @ HTTP/1.1", "origin: https://a\r\naccess-control-request-method: POST\r\n")),
        ("PUT", with("PUT @ HTTP/1.1", "")),
        ("DELETE", with("DELETE @ HTTP/1.1", "")),
        ("PATCH", with("PATCH @ HTTP/1.1", "")),
        ("TRACE", with("TRACE @ HTTP/1.1", "")),
        ("CONNECT", with("CONNECT @ HTTP/1.1", "")),
        ("PROPFIND", with("PROPFIND @ HTTP/1.1", "depth: 0\r\n")),
        ("a method in small letters", with("get @ HTTP/1.1", "")),
        ("a method that is none", with("G@T @ HTTP/1.1", "")),
        ("HTTP/1.0", b"GET @ HTTP/1.0\r\n\r\n".to_vec()),
        ("HTTP/1.0 that keeps alive", b"GET @ HTTP/1.0\r\nconnection: keep-alive\r\n\r\n".to_vec()),
        ("HTTP/0.9", b"GET @\r\n\r\n".to_vec()),
        ("HTTP/2.0 in words", with("GET @ HTTP/2.0", "")),
        ("a version that is none", with("GET @ HTTP/1.7", "")),
        ("no host", b"GET @ HTTP/1.1\r\n\r\n".to_vec()),
        ("two hosts", get("host: other\r\n")),
        ("a range", get("range: bytes=0-9\r\n")),
        ("many ranges", get("range: bytes=0-1,4-5,9-\r\n")),
        ("if none match", get("if-none-match: *\r\n")),
        ("if match", get("if-match: \"x\"\r\n")),
        ("if modified since", get("if-modified-since: Mon, 23 Nov 2026 12:00:00 GMT\r\n")),
        ("if unmodified since", get("if-unmodified-since: Thu, 01 Jan 1970 00:00:00 GMT\r\n")),
        ("if range", get("range: bytes=0-9\r\nif-range: \"x\"\r\n")),
        ("compression", get("accept-encoding: gzip, br, zstd\r\n")),
        ("another kind", get("accept: application/octet-stream\r\n")),
        ("a language", get("accept-language: ko\r\n")),
        ("a cookie", get("cookie: a=b\r\n")),
        ("a password", get("authorization: Basic YTpi\r\n")),
        ("two tokens", get("authorization: Bearer a\r\nauthorization: Bearer b\r\n")),
        ("a proxy's address", get("x-forwarded-for: 192.0.2.1\r\nforwarded: for=192.0.2.1\r\n")),
        ("an origin", get("origin: https://other.example\r\n")),
        (
            "a web socket",
            get(
                "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n",
            ),
        ),
        ("h2c", get("connection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAAP__\r\n")),
        ("expecting without a body", get("expect: 100-continue\r\n")),
        ("expecting with one", post("expect: 100-continue\r\ncontent-length: 4\r\n", "body")),
        ("expecting with one too long", post("expect: 100-continue\r\ncontent-length: 70000\r\n", "")),
        ("expecting something else", post("expect: 200-ok\r\ncontent-length: 4\r\n", "body")),
        ("a body", post("content-length: 4\r\n", "body")),
        ("a form", post("content-type: application/x-www-form-urlencoded\r\ncontent-length: 3\r\n", "a=b")),
        ("a body of a length no call has", post("content-length: 2079\r\n", &"a".repeat(2079))),
        ("a body longer than any call's", post("content-length: 65537\r\n", &"a".repeat(65_537))),
        ("half a body", post("content-length: 2080\r\n", "half")),
        ("no length", post("", "")),
        ("two lengths", post("content-length: 4\r\ncontent-length: 5\r\n", "bodyy")),
        ("one length twice", post("content-length: 4\r\ncontent-length: 4\r\n", "body")),
        ("a negative length", post("content-length: -4\r\n", "body")),
        ("a length with a sign", post("content-length: +4\r\n", "body")),
        ("a length beyond all numbers", post("content-length: 99999999999999999999999\r\n", "")),
        ("chunks", chunked("4\r\nbody\r\n0\r\n\r\n")),
        ("trailers", chunked("4\r\nbody\r\n0\r\nx-trailer: 1\r\n\r\n")),
        ("many trailers", chunked(&format!("4\r\nbody\r\n0\r\n{}\r\n", "x-trailer: 1\r\n".repeat(2000)))),
        ("extensions of chunks", chunked("4;a=b\r\nbody\r\n0\r\n\r\n")),
        ("a chunk that is none", chunked("zz\r\nbody\r\n0\r\n\r\n")),
        ("chunks longer than any call's", chunked(&format!("11000\r\n{}\r\n0\r\n\r\n", "a".repeat(0x11000)))),
        ("chunks and a length", post("transfer-encoding: chunked\r\ncontent-length: 4\r\n", "4\r\nbody\r\n0\r\n\r\n")),
        ("another encoding", post("transfer-encoding: gzip, chunked\r\n", "4\r\nbody\r\n0\r\n\r\n")),
        ("an encoding that is none", post("transfer-encoding: identity\r\ncontent-length: 4\r\n", "body")),
        ("a head too large", get(&format!("x-large: {}\r\n", "a".repeat(20_000)))),
        ("too many headers", get(&"x-many: 1\r\n".repeat(150))),
        ("a header without a colon", get("nothing here\r\n")),
        ("a header with a blank in its name", get("x y: 1\r\n")),
        ("a blank before the colon", get("x-blank : 1\r\n")),
        ("a folded header", get("x-folded: 1\r\n  2\r\n")),
        ("a zero byte in a header", get("x-zero: \0\r\n")),
        ("an empty header", get("x-empty:\r\n")),
        ("lines ended by LF alone", b"GET @ HTTP/1.1\nhost: localhost\n\n".to_vec()),
        ("empty lines before", b"\r\n\r\nGET @ HTTP/1.1\r\nhost: localhost\r\n\r\n".to_vec()),
        ("two blanks", b"GET  @ HTTP/1.1\r\nhost: localhost\r\n\r\n".to_vec()),
        ("the whole address", with("GET https://localhost@ HTTP/1.1", "")),
        ("the whole address of another", with("GET http://other.example:81@ HTTP/1.1", "")),
        ("an address of another kind", with("GET ftp://localhost@ HTTP/1.1", "")),
        ("a fragment", with("GET @#part HTTP/1.1", "")),
        ("an empty query", with("GET @? HTTP/1.1", "")),
        ("a query", with("GET @?a=b&c=%00 HTTP/1.1", "")),
        ("a parameter", with("GET @;v=1 HTTP/1.1", "")),
        ("an escaped slash after it", with("GET @%2f HTTP/1.1", "")),
        ("an escape that is none", with("GET @%zz HTTP/1.1", "")),
        ("a slash more", with("GET /@ HTTP/1.1", "")),
        ("a dot before", with("GET /.@ HTTP/1.1", "")),
        ("two dots after", with("GET @/.. HTTP/1.1", "")),
        ("bytes that are no text", [b"GET @\xff\xfe HTTP/1.1\r\nhost: localhost\r\n\r\n".to_vec()].concat()),
        ("an address too long", with(&format!("GET @?{} HTTP/1.1", "a".repeat(9_000)), "")),
        ("an address far too long", with(&format!("GET @?{} HTTP/1.1", "a".repeat(70_000)), "")),
        ("no address", with("GET HTTP/1.1", "")),
        ("three in a row", [get(""), get(""), get("connection: close\r\n")].concat()),
    ]
}

/// All that comes back until the relay closes, without dates, and whether it closed as TLS says it should.
pub(crate) async fn talk(address: SocketAddr, spki: [u8; 32], shape: &[u8], path: &str) -> (String, bool) {
    let mut stream = tls(address, spki, b"http/1.1").await;
    // Another request behind it shows whether the connection goes on.
    let next = b"GET /index.html HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    let mut words = Vec::new();
    for byte in [shape, next].concat() {
        if byte == b'@' { words.extend_from_slice(path.as_bytes()) } else { words.push(byte) }
    }
    // Whoever is refused before all is said cannot say the rest.
    let _ = stream.write_all(&words).await;
    let mut reply = Vec::new();
    let is_clean = stream.read_to_end(&mut reply).await.is_ok();
    let text = String::from_utf8_lossy(&reply);
    (text.split("\r\n").filter(|line| !line.to_lowercase().starts_with("date: ")).collect::<Vec<_>>().join("\r\n"), is_clean)
}

/// What stands half said is closed soon, so that how it is closed can be seen.
fn hasty(site: &Site) -> Settings {
    let mut settings = site.settings();
    let short = std::time::Duration::from_millis(700);
    (settings.deadlines.head, settings.deadlines.body, settings.deadlines.idle) = (short, short, short);
    settings
}

/// The same decoy twice: at a relay with a line, and at one without. Whatever shape a request has, a path near a gate, a path nowhere, and a
/// site that has no line at all answer it alike.
#[tokio::test(flavor = "multi_thread")]
async fn no_shape_of_a_request_tells_a_gate_from_a_missing_page() {
    let (site, alone) = (Site::new(33), Site::new(33));
    let running = site.start_with(&hasty(&site)).await;
    let mut settings = hasty(&alone);
    settings.lines.clear();
    let bare = alone.start_with(&settings).await;
    let paths = [format!("/{GATE}/v1/nothing"), format!("/{GATE}/v1/desk/up"), "/wrong1/v1/notice".to_owned()];
    let shapes = shapes();
    assert!(shapes.len() >= 60, "{} shapes", shapes.len());
    for (name, shape) in &shapes {
        let nowhere = talk(running.address(), running.spki, shape, NOWHERE).await;
        assert_eq!(talk(bare.address(), bare.spki, shape, NOWHERE).await, nowhere, "{name}: nowhere");
        for path in &paths {
            assert_eq!(talk(running.address(), running.spki, shape, path).await, nowhere, "{name}: {path}");
            assert_eq!(talk(bare.address(), bare.spki, shape, path).await, nowhere, "{name}: {path}, without a line");
        }
    }
    // The control: a gate that is knocked at rightly is told apart.
    let (_, ordinary) = &shapes[0];
    let right = talk(running.address(), running.spki, ordinary, &format!("/{GATE}/v1/notice")).await;
    let wrong = talk(running.address(), running.spki, ordinary, NOWHERE).await;
    assert!(right.0.starts_with("HTTP/1.1 200 ") && wrong.0.starts_with("HTTP/1.1 404 "), "VOID: nothing was answered");
    println!("{} shapes at {} paths, each answered as without a relay (pass: 60 kinds, all)", shapes.len(), paths.len());
}

/// What is said on a fresh h2 connection after its preface, with `@` for the path in heads. None of them is a call.
pub(crate) fn h2_shapes() -> Vec<Shape> {
    use crate::frames::*;
    type Headers<'a> = &'a [(&'a [u8], &'a [u8])];
    let ends = END_HEADERS | END_STREAM;
    let ask = |method: &str, more: Headers<'_>| frame(HEADERS, ends, 1, &head(method, b"@", more));
    let get = |more: Headers<'_>| ask("GET", more);
    let at = |path: &[u8]| frame(HEADERS, ends, 1, &head("GET", path, &[]));
    let raw = |fields: Headers<'_>| {
        let block: Vec<u8> = fields.iter().flat_map(|(name, value)| header(0, name, value)).collect();
        frame(HEADERS, ends, 1, &block)
    };
    let post = |more: Headers<'_>, body: &[u8]| {
        let head = frame(HEADERS, END_HEADERS, 1, &head("POST", b"@", more));
        let chunks: Vec<Vec<u8>> = body.chunks(16_384).map(|chunk| frame(DATA, 0, 1, chunk)).collect();
        [head, chunks.concat(), frame(DATA, END_STREAM, 1, &[])].concat()
    };
    let whole = get(&[]);
    let block = head("GET", b"@", &[]);
    let (first, last) = block.split_at(10);
    let (method, scheme, authority, path): (&[u8], &[u8], &[u8], &[u8]) = (b":method", b":scheme", b":authority", b":path");
    let large = vec![b'a'; 15_000];
    let many: Vec<(&[u8], &[u8])> = (0..150).map(|_| (b"x-many".as_slice(), b"1".as_slice())).collect();
    let settings = |id, value| [frame(SETTINGS, 0, 0, &setting(id, value)), whole.clone()].concat();
    vec![
        ("GET", whole.clone()),
        ("HEAD", ask("HEAD", &[])),
        ("OPTIONS", ask("OPTIONS", &[])),
        ("PUT", ask("PUT", &[])),
        ("DELETE", ask("DELETE", &[])),
        ("PATCH", ask("PATCH", &[])),
        ("TRACE", ask("TRACE", &[])),
        ("PROPFIND", ask("PROPFIND", &[(b"depth", b"0")])),
        ("a method in small letters", ask("get", &[])),
        ("a method that is none", ask("G@T", &[])),
        ("an empty method", ask("", &[])),
        ("CONNECT", raw(&[(method, b"CONNECT"), (authority, b"localhost:443")])),
        ("CONNECT as if it were another", ask("CONNECT", &[])),
        ("CONNECT to a web socket", ask("CONNECT", &[(b":protocol", b"websocket")])),
        ("no scheme", raw(&[(method, b"GET"), (authority, b"localhost"), (path, b"@")])),
        ("plain http", raw(&[(method, b"GET"), (scheme, b"http"), (authority, b"localhost"), (path, b"@")])),
        ("a scheme that is none", raw(&[(method, b"GET"), (scheme, b"1:/"), (authority, b"localhost"), (path, b"@")])),
        ("no authority", raw(&[(method, b"GET"), (scheme, b"https"), (path, b"@")])),
        ("a host instead", raw(&[(method, b"GET"), (scheme, b"https"), (path, b"@"), (b"host", b"localhost")])),
        ("another host besides", get(&[(b"host", b"other.example")])),
        ("somebody in the authority", raw(&[(method, b"GET"), (scheme, b"https"), (authority, b"a:b@c"), (path, b"@")])),
        ("no path", raw(&[(method, b"GET"), (scheme, b"https"), (authority, b"localhost")])),
        ("an empty path", at(b"")),
        ("a star", at(b"*")),
        ("a path without a slash", at(b"x@")),
        ("two paths", get(&[(path, b"@")])),
        ("a method after the rest", raw(&[(scheme, b"https"), (path, b"@"), (b"x-one", b"1"), (method, b"GET")])),
        ("a pseudo header that is none", get(&[(b":nothing", b"1")])),
        ("the status of a reply", get(&[(b":status", b"200")])),
        ("a header in capitals", get(&[(b"X-One", b"1")])),
        ("a header without a name", get(&[(b"", b"1")])),
        ("a blank in a name", get(&[(b"x one", b"1")])),
        ("a zero byte", get(&[(b"x-zero", b"a\0b")])),
        ("a line's end", get(&[(b"x-line", b"a\r\nb: c")])),
        ("a connection header", get(&[(b"connection", b"close")])),
        ("keep-alive", get(&[(b"keep-alive", b"5")])),
        ("an upgrade", get(&[(b"upgrade", b"websocket")])),
        ("an encoding of HTTP/1.1", get(&[(b"transfer-encoding", b"chunked")])),
        ("trailers wanted", get(&[(b"te", b"trailers")])),
        ("another te", get(&[(b"te", b"gzip")])),
        ("cookies in crumbs", get(&[(b"cookie", b"a=b"), (b"cookie", b"c=d")])),
        ("compression", get(&[(b"accept-encoding", b"gzip, br, zstd")])),
        ("a range", get(&[(b"range", b"bytes=0-9")])),
        ("if none match", get(&[(b"if-none-match", b"*")])),
        ("a password", get(&[(b"authorization", b"Basic YTpi")])),
        ("two tokens", get(&[(b"authorization", b"Bearer a"), (b"authorization", b"Bearer b")])),
        ("a proxy's address", get(&[(b"x-forwarded-for", b"192.0.2.1")])),
        ("an origin", get(&[(b"origin", b"https://other.example")])),
        ("expecting", get(&[(b"expect", b"100-continue")])),
        ("a header too large", get(&[(b"x-large", &large), (b"y-large", b"1")])),
        ("many headers", get(&many)),
        ("a body", post(&[(b"content-length", b"4")], b"body")),
        ("a body without length", post(&[], b"body")),
        ("no body", post(&[], b"")),
        ("a body of a length no call has", post(&[], &[7; 2_079])),
        ("a body longer than any call's", post(&[], &[7; 65_537])),
        ("a length that is too short", post(&[(b"content-length", b"3")], b"body")),
        ("a length that is too long", post(&[(b"content-length", b"5")], b"body")),
        ("a length that is none", post(&[(b"content-length", b"x")], b"body")),
        ("a length and no body", get(&[(b"content-length", b"4")])),
        ("half a body", [frame(HEADERS, END_HEADERS, 1, &head("POST", b"@", &[])), frame(DATA, 0, 1, b"half")].concat()),
        (
            "padding",
            [frame(HEADERS, END_HEADERS, 1, &head("POST", b"@", &[])), frame(DATA, 8 | END_STREAM, 1, b"\x03body\0\0\0")]
                .concat(),
        ),
        (
            "too much padding",
            [frame(HEADERS, END_HEADERS, 1, &head("POST", b"@", &[])), frame(DATA, 8 | END_STREAM, 1, b"\xffbody")].concat(),
        ),
        (
            "trailers",
            [frame(HEADERS, END_HEADERS, 1, &head("POST", b"@", &[])), frame(HEADERS, ends, 1, &header(0, b"x-last", b"1"))]
                .concat(),
        ),
        (
            "trailers with a path",
            [frame(HEADERS, END_HEADERS, 1, &head("POST", b"@", &[])), frame(HEADERS, ends, 1, &header(0, path, b"@"))].concat(),
        ),
        ("given up", [whole.clone(), frame(RST_STREAM, 0, 1, &8_u32.to_be_bytes())].concat()),
        ("a head in two parts", [frame(HEADERS, END_STREAM, 1, first), frame(CONTINUATION, END_HEADERS, 1, last)].concat()),
        ("a head that is interrupted", [frame(HEADERS, END_STREAM, 1, first), frame(PING, 0, 0, &[0; 8])].concat()),
        ("a head with a weight", frame(HEADERS, ends | 0x20, 1, &[&[0, 0, 0, 0, 16], block.as_slice()].concat())),
        ("a head that depends on itself", frame(HEADERS, ends | 0x20, 1, &[&[0, 0, 0, 1, 16], block.as_slice()].concat())),
        ("a stream of the other side's", frame(HEADERS, ends, 2, &block)),
        ("no stream", frame(HEADERS, ends, 0, &block)),
        ("the same stream twice", [whole.clone(), whole.clone()].concat()),
        ("data before a head", [frame(DATA, 0, 1, b"x"), whole.clone()].concat()),
        ("a window that overflows", [whole.clone(), frame(WINDOW_UPDATE, 0, 0, &0x7fff_ffff_u32.to_be_bytes())].concat()),
        ("a window of nothing", [whole.clone(), frame(WINDOW_UPDATE, 0, 1, &[0; 4])].concat()),
        ("a table of no size", settings(1, 0)),
        ("push wanted twice", settings(2, 2)),
        ("a window too large", settings(4, 0x8000_0000)),
        ("frames too small", settings(5, 100)),
        ("a setting of no known kind", settings(0xfe, 1)),
        ("settings of a wrong length", [frame(SETTINGS, 0, 0, &[0; 5]), whole.clone()].concat()),
        ("a promise", [frame(5, END_HEADERS, 1, &[&[0, 0, 0, 2], block.as_slice()].concat()), whole.clone()].concat()),
        ("a frame of no known kind", [frame(0xfe, 0xff, 1, &[1, 2, 3]), whole.clone()].concat()),
        ("a ping that is too short", [frame(PING, 0, 0, &[0; 7]), whole.clone()].concat()),
        ("a frame too long", frame(DATA, 0, 1, &[0; 16_385])),
        ("goodbye and a question", [frame(GOAWAY, 0, 0, &[0; 8]), whole.clone()].concat()),
        ("a table entry that is none", frame(HEADERS, ends, 1, &[0xff, 0x7f])),
        ("HTTP/1.1 after all", b"GET @ HTTP/1.1\r\nhost: localhost\r\n\r\n".to_vec()),
    ]
}

/// What comes back on each stream until the relay closes, in order, and how it closes.
type Streams = (std::collections::BTreeMap<u32, Vec<(u8, u8, Vec<u8>)>>, crate::frames::End);

/// Says a shape about a path on a connection of its own.
async fn talk_h2(address: SocketAddr, spki: [u8; 32], shape: Vec<u8>) -> Streams {
    use crate::frames::*;
    let mut stream = tls(address, spki, b"h2").await;
    let next = frame(HEADERS, END_HEADERS | END_STREAM, 101, &head("GET", b"/index.html", &[]));
    // Whoever is refused before all is said cannot say the rest.
    // Without a table: what it holds, and so how a head is spelt, would go by which of two replies is ready first.
    let settings = frame(SETTINGS, 0, 0, &setting(1, 0));
    let _ = stream.write_all(&[PREFACE, &settings, &shape, &next].concat()).await;
    let mut heard = std::collections::BTreeMap::<u32, Vec<_>>::new();
    let end = loop {
        match hear_or_end(&mut stream).await {
            // When it acknowledges and how it grants windows goes by how fast the bytes come.
            Ok(frame) if matches!((frame.kind, frame.flags), (SETTINGS, ACK) | (WINDOW_UPDATE, _)) => {}
            Ok(frame) => heard.entry(frame.stream).or_default().push((frame.kind, frame.flags, frame.body)),
            Err(end) => break end,
        }
    };
    // Which of two replies under way says that the table has no size now (RFC 7541 §6.3) goes by which is ready first. That it is said, and how
    // often, is compared.
    let mut updates = 0;
    for (_, _, block) in heard.values_mut().flatten().filter(|(kind, _, block)| *kind == HEADERS && block.first() == Some(&0x20))
    {
        block.remove(0);
        updates += 1;
    }
    heard.insert(u32::MAX, vec![(SETTINGS, updates, Vec::new())]);
    (heard, end)
}

/// A shape's bytes with the path put in where `@` stands, its own length and its frame's put right.
fn about(shape: &[u8], path: &str) -> Vec<u8> {
    let path = path.as_bytes();
    let mut said = Vec::new();
    let mut rest = shape;
    // Frames one after the other; what is no frame is text.
    while let Some((head, more)) = rest.split_first_chunk::<9>() {
        let length = usize::try_from(u32::from_be_bytes([0, head[0], head[1], head[2]])).unwrap();
        let Some((body, after)) = more.split_at_checked(length) else { break };
        let mut filled = Vec::new();
        for (at, byte) in body.iter().enumerate() {
            // A value `@` alone: its length stands before it.
            if *byte == b'@' && at > 0 && body[at - 1] == 1 && head[3] != crate::frames::DATA {
                filled.pop();
                filled.push(u8::try_from(path.len()).unwrap());
                filled.extend_from_slice(path);
            } else {
                filled.push(*byte);
            }
        }
        said.extend_from_slice(&u32::try_from(filled.len()).unwrap().to_be_bytes()[1..]);
        said.extend_from_slice(&head[3..]);
        said.extend_from_slice(&filled);
        rest = after;
    }
    let text = String::from_utf8_lossy(rest).replace('@', std::str::from_utf8(path).unwrap());
    said.extend_from_slice(text.as_bytes());
    said
}

/// What is said, by what it is, with `@` for the path.
pub(crate) type Shape = (&'static str, Vec<u8>);

/// How often a shape is looked at, and how many equal rounds in a row it takes after one that was not.
const ROUNDS: usize = 12;
const AGAIN: u32 = 3;

/// Fails unless every shape gets the same everywhere. So many are looked at in the same moment, and a round says of each whether it did.
///
/// A second that ends between two replies, or two replies that overtake each other, make a round unequal that tells nothing. But what tells a
/// gate in every other round would be let through by one that is equal: whoever was told apart has to be equal three times running.
pub(crate) async fn alike(shapes: &[Shape], at_once: usize, round: impl AsyncFn(&[&Shape]) -> Vec<bool>) {
    for batch in shapes.chunks(at_once) {
        let mut doubtful: Vec<(&Shape, u32)> = batch.iter().map(|shape| (shape, 1)).collect();
        for _ in 0..ROUNDS {
            let asked: Vec<&Shape> = doubtful.iter().map(|(shape, _)| *shape).collect();
            for ((shape, left), is_equal) in doubtful.iter_mut().zip(round(&asked).await) {
                if !is_equal {
                    println!("{}: unequal in one round", shape.0);
                }
                *left = if is_equal { *left - 1 } else { AGAIN };
            }
            doubtful.retain(|(_, left)| *left > 0);
            if doubtful.is_empty() {
                break;
            }
        }
        let names: Vec<&str> = doubtful.iter().map(|(shape, _)| shape.0).collect();
        assert!(names.is_empty(), "told apart: {names:?}");
    }
}

/// Every shape gets the same at each of the paths and from each of the ends.
pub(crate) async fn alike_over_h2(shapes: &[Shape], paths: &[String], ends: &[(SocketAddr, [u8; 32])]) {
    assert!(
        paths.iter().all(|path| path.len() == paths[0].len()),
        "how long a head is shows in the answers to heads that are too long"
    );
    alike(shapes, 12, async |shapes| {
        let mut talks = tokio::task::JoinSet::new();
        for (nth, (_, shape)) in shapes.iter().enumerate() {
            for path in paths {
                for (address, spki) in ends.iter().copied() {
                    let said = about(shape, path);
                    talks.spawn(async move { (nth, talk_h2(address, spki, said).await) });
                }
            }
        }
        let mut heard: Vec<std::collections::BTreeSet<Streams>> = vec![Default::default(); shapes.len()];
        while let Some(talk) = talks.join_next().await {
            let (nth, streams) = talk.unwrap();
            heard[nth].insert(streams);
        }
        heard.iter().map(|heard| heard.len() == 1).collect()
    })
    .await;
}

/// As over HTTP/1.1: a path near a gate, a path nowhere, and a site without any line answer alike, frame for frame.
#[tokio::test(flavor = "multi_thread")]
async fn no_shape_of_a_request_over_h2_tells_a_gate_from_a_missing_page() {
    let (site, alone) = (Site::new(34), Site::new(34));
    let running = site.start_with(&hasty(&site)).await;
    let mut settings = hasty(&alone);
    settings.lines.clear();
    let bare = alone.start_with(&settings).await;
    let ends = [(running.address(), running.spki), (bare.address(), bare.spki)];
    let nowhere = "/assets/none/here".to_owned();
    let paths = [nowhere, format!("/{GATE}/v1/nothin"), format!("/{GATE}/v1/deskup"), "/wrong1/v1/notice".to_owned()];
    let shapes = h2_shapes();
    assert!(shapes.len() >= 60, "{} shapes", shapes.len());
    alike_over_h2(&shapes, &paths, &ends).await;
    // The control: a gate that is knocked at rightly is told apart.
    let call = crate::frames::frame(
        crate::frames::HEADERS,
        crate::frames::END_HEADERS | crate::frames::END_STREAM,
        1,
        &crate::frames::head("GET", b"@", &[]),
    );
    let right = talk_h2(ends[0].0, ends[0].1, about(&call, &format!("/{GATE}/v1/notice"))).await;
    let wrong = talk_h2(ends[0].0, ends[0].1, about(&call, &paths[0])).await;
    assert_ne!(right.0.get(&1).map(Vec::len), None);
    assert_ne!(right.0.get(&1), wrong.0.get(&1), "VOID: the comparison sees no difference where there is one");
    println!("{} shapes at {} paths, each answered as without a relay (pass: 60 kinds, all)", shapes.len(), paths.len());
}

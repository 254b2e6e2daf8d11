//! Nobody holds a place by doing nothing. Deadlines here are short; what is looked at is only that each one passes.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::binary::{BINARY, Process, now, post, site};
use crate::frames::{END_HEADERS, HEADERS, PING, PREFACE, SETTINGS, frame, head, hear};
use crate::support::*;
use porchlight_proto::api::{DeskOutcome, DeskReply, Floor, LanePage, UpOutcome, UpReply};
use porchlight_relay::config::{Deadlines, Settings};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{interval, timeout};
use tokio_rustls::client::TlsStream;

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
#[expect(clippy::disallowed_methods, reason = "how long a head may take is real time")]
async fn a_first_byte_that_comes_late_makes_the_head_no_later() {
    let head = Duration::from_secs(5);
    let site = Site::new(52);
    let running = site.start_with(&hasty(&site, |deadlines| deadlines.head = head)).await;
    for (alpn, byte) in [(b"http/1.1".as_slice(), b"G"), (b"h2", b"P")] {
        let mut stream = tls(running.address(), running.spki, alpn).await;
        let since = tokio::time::Instant::now();
        tokio::time::sleep_until(since + head * 4 / 5).await;
        stream.write_all(byte).await.unwrap();
        assert!(tokio::time::timeout_at(since + head * 3 / 2, is_closed(stream)).await.is_ok_and(|closed| closed), "{alpn:?}");
    }
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

/// A post whose body comes in forty pieces, a piece each 20 ms; gives what was answered until the connection ended or had nothing more to say.
async fn trickled(running: &Running<'_>) -> Vec<u8> {
    let mut stream = tls(running.address(), running.spki, b"http/1.1").await;
    let head = format!("POST /{GATE}/v1/up HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 2080\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut beats = interval(Duration::from_millis(20));
    for piece in running.site.line.post().to_bytes().chunks(52) {
        beats.tick().await;
        if stream.write_all(piece).await.is_err() || stream.flush().await.is_err() {
            break;
        }
    }
    let mut reply = Vec::new();
    // A connection that was cut may also end without TLS's goodbye; one that is never ended is what must not be.
    let _cut = timeout(PATIENCE, stream.read_to_end(&mut reply)).await.expect("the connection was ended");
    reply
}

#[tokio::test]
async fn a_body_that_trickles_is_ended_with_the_whole_request_though_each_byte_comes_in_time() {
    let site = Site::new(45);
    let running = site.start().await;
    let reply = trickled(&running).await;
    let (head, body) = reply.split_at(reply.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4);
    assert!(head.starts_with(b"HTTP/1.1 200"), "VOID: such a body is taken where there is time for it");
    assert_eq!(UpReply::parse(body).unwrap().outcome, UpOutcome::Stored, "VOID");
    running.relay.stop().await;

    // No other deadline than that of the request can pass here.
    let running = site.start_with(&hasty(&site, |deadlines| *deadlines = only_request(*deadlines))).await;
    assert_eq!(trickled(&running).await, b"");
    assert_eq!(running.relay.counters().deadlines_passed.count(), 1);
    let mut good = running.client(Http::Two).await;
    assert_eq!(running.post(&mut good, &site.line.post()).await.outcome, UpOutcome::Stored, "others are served");
}

/// The usual deadlines, none of which passes while a test runs, but for that of a whole request.
fn only_request(usual: Deadlines) -> Deadlines {
    let long = Duration::from_secs(600);
    Deadlines { head: long, body: long, request: SHORT, reply: long, idle: long, age: long, ..usual }
}

/// A handler that waits: a desk's long poll, which here is allowed to wait for longer than a request may take.
#[tokio::test]
async fn a_handler_that_waits_too_long_is_ended_and_its_connection_serves_on() {
    let site = Site::new(46);
    let running = site.start_with(&hasty(&site, |deadlines| *deadlines = only_request(*deadlines))).await;
    let poll = |wait: u32| format!("/v1/desk/up?after={:016x}-0&wait={wait}", 0);
    let ask = |wait| {
        let now = site.line_now().seconds();
        (format!("/{GATE}{}", poll(wait)), site.line.token(&site.line.worker, &running.spki, ("GET", &poll(wait)), &[], now))
    };
    for http in [Http::One, Http::Two] {
        let mut client = running.client(http).await;
        let (path, token) = ask(0);
        let page = client.send("GET", &path, Some(&token), &[]).await.ok();
        assert!(LanePage::parse(&page).unwrap().cells.is_empty(), "VOID: one that need not wait is answered");
        let before = running.relay.counters().deadlines_passed.count();
        let (path, token) = ask(30);
        let waited = timeout(PATIENCE, client.try_send("GET", &path, Some(&token), &[])).await.expect("it was ended");
        assert!(waited.is_err(), "{http:?}: no reply, rather than a page");
        assert_eq!(running.relay.counters().deadlines_passed.count(), before + 1, "{http:?}");
        // On h2 it was one stream of many; on HTTP/1.1 the connection is all there is.
        let again = client.try_send("GET", "/", None, &[]).await;
        assert_eq!(again.is_ok(), matches!(http, Http::Two), "{http:?}");
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
async fn beyond_the_cap_somebody_of_this_machine_takes_the_place_of_another() {
    let mut site = Site::new(44);
    site.top += "max_connections = 2\n";
    let running = site.start().await;
    let (mut first, mut second) = (running.client(Http::One).await, running.client(Http::Two).await);
    for client in [&mut first, &mut second] {
        assert_eq!(client.send("GET", "/", None, &[]).await.status, 200, "VOID: there is room for two");
    }
    let mut third = running.client(Http::Two).await;
    assert_eq!(third.send("GET", "/", None, &[]).await.status, 200);
    let mut served = 0;
    for client in [&mut first, &mut second] {
        served += u32::from(client.try_send("GET", "/", None, &[]).await.is_ok());
    }
    assert_eq!(served, 1, "by lot, one of the two");
}

/// A network of its own with nothing but a loopback in it, on which other addresses lie. It ends with the process that holds it.
pub(crate) struct Network(Child);

impl Network {
    /// Needs root.
    pub(crate) fn with(addresses: &[&str]) -> Self {
        assert!(rustix::process::geteuid().is_root(), "this test makes a network of its own: run it as root");
        let mut holder = Command::new("unshare")
            .args(["--net", "--", "cat"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("unshare comes with util-linux");
        // The echo of a byte says that it is there.
        holder.stdin.as_mut().unwrap().write_all(b".").unwrap();
        let there = holder.stdout.as_mut().unwrap().read_exact(&mut [0]);
        assert!(there.is_ok(), "the kernel gives no network namespace (CONFIG_NET_NS, CAP_SYS_ADMIN)");
        let network = Self(holder);
        network.ip("link set lo up");
        addresses.iter().for_each(|address| network.ip(&format!("addr add {address} dev lo")));
        network
    }

    fn path(&self) -> String {
        format!("/proc/{}/ns/net", self.0.id())
    }

    fn ip(&self, line: &str) {
        let ran = Command::new("nsenter").arg(format!("--net={}", self.path())).args(["--", "ip"]).args(line.split(' ')).output();
        let ran = ran.unwrap();
        assert!(ran.status.success(), "ip {line}: {}", String::from_utf8_lossy(&ran.stderr));
    }

    /// Does something in it, on a thread that stays there; so do the programs that it starts.
    pub(crate) fn within<T: Send>(&self, work: impl Future<Output = T> + Send) -> T {
        let namespace = std::fs::File::open(self.path()).unwrap();
        let work = move || {
            move_into_link_name_space(std::os::fd::AsFd::as_fd(&namespace), Some(LinkNameSpaceType::Network)).unwrap();
            tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
        };
        std::thread::scope(|scope| scope.spawn(work).join()).unwrap()
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _reaped = self.0.wait();
    }
}

/// A connection from an address, if the relay lets it in: a place is refused before TLS.
async fn seat(from: &str, to: SocketAddr, spki: [u8; 32], alpn: &[u8]) -> Option<TlsStream<TcpStream>> {
    let from: IpAddr = from.parse().unwrap();
    let socket = if from.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }.unwrap();
    socket.bind((from, 0).into()).unwrap();
    let stream = socket.connect(to).await.unwrap();
    assert_eq!(stream.local_addr().unwrap().ip(), from, "VOID");
    let name = rustls::pki_types::ServerName::try_from("localhost").unwrap();
    let greeting = tokio_rustls::TlsConnector::from(client_config(spki, alpn)).connect(name, stream);
    timeout(PATIENCE, greeting).await.expect("served or refused, not left waiting").ok()
}

async fn is_served(stream: TlsStream<TcpStream>) -> Client {
    let mut client = Client::over(stream, Http::One).await;
    client.get("notice").await.ok();
    client
}

const PLACES: usize = 3;

/// A relay of those settings, as anybody may start one.
fn start(site: &Site) -> Process {
    std::fs::write(site.path("relay.toml"), site.text()).unwrap();
    let mut command = Command::new(BINARY);
    command.args(["run", "--dev", "--config"]).arg(site.path("relay.toml"));
    Process::spawn(command)
}

async fn is_there(client: &mut Client) -> bool {
    client.try_send("GET", &format!("/{GATE}/v1/notice"), None, &[]).await.is_ok()
}

/// Needs root: this machine's own addresses are exempt, so the relay gets a network in which it has others.
#[test]
fn one_address_has_so_many_places_in_which_newcomers_take_turns_and_another_its_own() {
    for (listen, own, alike, other) in [
        ("192.0.2.1:0", "192.0.2.7", "192.0.2.7", "192.0.2.8"),
        // Whoever has one address of IPv6 has all of its /64.
        ("[2001:db8::1]:0", "2001:db8:0:1::7", "2001:db8:0:1::8", "2001:db8:0:2::7"),
    ] {
        let ends = ["192.0.2.1/32", "192.0.2.7/32", "192.0.2.8/32"].map(str::to_owned).into_iter().chain(
            ["2001:db8::1", "2001:db8:0:1::7", "2001:db8:0:1::8", "2001:db8:0:2::7"].map(|end| format!("{end}/128 nodad")),
        );
        let ends: Vec<String> = ends.collect();
        let network = Network::with(&ends.iter().map(String::as_str).collect::<Vec<_>>());
        let mut site = site(47);
        site.top = site.top.replace("127.0.0.1:0", listen) + &format!("max_per_address = {PLACES}\n");
        network.within(async {
            let process = start(&site);
            let seat = |from: &'static str| seat(from, process.address, process.spki, b"http/1.1");
            let mut seated = Vec::new();
            for _ in 0..PLACES {
                seated.push(is_served(seat(own).await.expect("there is a place")).await);
            }
            is_served(seat(other).await.expect("somebody else's places are free")).await;
            for client in &mut seated {
                client.get("notice").await.ok();
            }
            let mut newcomer = is_served(seat(alike).await.expect("the place of another")).await;
            let mut left = 0;
            for client in &mut seated {
                left += usize::from(is_there(client).await);
            }
            assert_eq!(left, PLACES - 1, "{listen}: one more of the same address, one less of them");
            assert!(is_there(&mut newcomer).await, "{listen}");
            let mut more = Vec::new();
            let refused = async {
                while let Some(one) = seat(alike).await {
                    more.push(one);
                }
            };
            assert!(timeout(PATIENCE, refused).await.is_ok(), "{listen}: nobody is refused, however many knock");
            process.stop().await;
        });
    }
}

/// Needs root, as the one before. Where one address has all places there are, nobody else has more of them than it.
#[test]
fn in_a_full_house_too_a_newcomer_takes_the_place_of_another_of_their_address() {
    let network = Network::with(&["192.0.2.1/32", "192.0.2.7/32"]);
    let mut site = site(54);
    site.top = site.top.replace("127.0.0.1:0", "192.0.2.1:0") + "max_connections = 2\nmax_per_address = 2\n";
    network.within(async {
        let process = start(&site);
        let seat = || seat("192.0.2.7", process.address, process.spki, b"http/1.1");
        let mut first = is_served(seat().await.expect("there is a place")).await;
        let mut second = is_served(seat().await.expect("there is another")).await;
        let mut newcomer = is_served(seat().await.expect("the place of one of them")).await;
        assert!(is_there(&mut first).await != is_there(&mut second).await, "one of the two has left");
        assert!(is_there(&mut newcomer).await);
        process.stop().await;
    });
}

/// Needs root, as those before. Many connections from one address, as a whole province may have, announce bodies on all their streams and send
/// none: they take all that their address may, at the price of their heads.
#[test]
fn bodies_that_do_not_come_shut_out_nobody_who_shares_their_address() {
    let network = Network::with(&["192.0.2.1/32", "192.0.2.7/32"]);
    let mut site = site(53);
    site.top = site.top.replace("127.0.0.1:0", "192.0.2.1:0");
    network.within(async {
        let process = start(&site);
        let seat = |alpn: &'static [u8]| seat("192.0.2.7", process.address, process.spki, alpn);
        let block = head("POST", b"/", &[(b"content-length", b"65536")]);
        let mut asks = [PREFACE, &frame(SETTINGS, 0, 0, &[])].concat();
        asks.extend((0..31).flat_map(|nth| frame(HEADERS, END_HEADERS, 2 * nth + 1, &block)));
        // Whatever it says to a ping comes after the heads.
        asks.extend(frame(PING, 0, 0, &[7; 8]));
        let mut holding = Vec::new();
        for _ in 0..40 {
            let mut connection = seat(b"h2").await.expect("there is a place");
            connection.write_all(&asks).await.unwrap();
            while hear(&mut connection).await.expect("the connection stands").kind != PING {}
            holding.push(connection);
        }
        // One body more of the last of them is sent away at once.
        let last = holding.last_mut().unwrap();
        last.write_all(&frame(HEADERS, END_HEADERS, 63, &block)).await.unwrap();
        let refused = async { while hear(last).await.expect("the connection stands").stream != 63 {} };
        assert!(timeout(SHORT * 10, refused).await.is_ok(), "VOID: there is room for more");
        for alpn in [b"http/1.1".as_slice(), b"h2"] {
            let http = if alpn == b"h2" { Http::Two } else { Http::One };
            let mut caller = Client::over(seat(alpn).await.expect("there is a place"), http).await;
            caller.get("notice").await.ok();
            assert_eq!(post(&mut caller, &site.line.post()).await, UpOutcome::Stored, "{http:?}");
            caller.get("down/fast").await.ok();
        }
        let mut device = Client::over(seat(b"h2").await.expect("there is a place"), Http::Two).await;
        let beat = site.line.beat(None, None, Floor::default()).to_bytes();
        let blob = format!("/v1/desk/blob/{:032x}", 7);
        for (method, path, body) in [("POST", "/v1/desk/beat", beat.as_slice()), ("PUT", &blob, &[7; 65_536])] {
            let token = site.line.token(&site.line.worker, &process.spki, (method, path), body, now());
            let reply = device.send(method, &format!("/{GATE}{path}"), Some(&token), body).await.ok();
            assert_eq!(DeskReply::parse(&reply).unwrap().outcome, DeskOutcome::Done, "{path}");
        }
        drop(holding);
        process.stop().await;
    });
}

//! What a desk costs on the wire: three devices on watch at the usual pace, TLS and all, counted by what stands between.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::site::{Plan, Running, Site, free_address};

const DESKS: [&str; 3] = ["desk", "second", "third"];
/// Devices open connections and hand in what is missing at first: that is not counted.
const WARM: Duration = Duration::from_secs(20);
const COUNTED: Duration = Duration::from_secs(60);

/// Bytes to the relay, and from it.
#[derive(Default)]
struct Counted {
    up: AtomicU64,
    down: AtomicU64,
}

/// Passes bytes on and counts them, until one side ends.
fn pass(mut from: TcpStream, mut to: TcpStream, count: &AtomicU64) {
    let mut bytes = vec![0; 65_536];
    while let Ok(len @ 1..) = from.read(&mut bytes) {
        count.fetch_add(len as u64, Ordering::Relaxed);
        if to.write_all(&bytes[..len]).is_err() {
            break;
        }
    }
    let _ended = to.shutdown(Shutdown::Write);
}

fn stand_between(listener: TcpListener, relay: SocketAddr, counted: Arc<Counted>) {
    std::thread::spawn(move || {
        for near in listener.incoming().map_while(Result::ok) {
            let Ok(far) = TcpStream::connect(relay) else { continue };
            let (near_end, far_end) = (near.try_clone().unwrap(), far.try_clone().unwrap());
            let (up, down) = (Arc::clone(&counted), Arc::clone(&counted));
            std::thread::spawn(move || pass(near, far, &up.up));
            std::thread::spawn(move || pass(far_end, near_end, &down.down));
        }
    });
}

#[test]
#[ignore = "a figure, by name: it takes a minute and a half of real time"]
fn bytes_of_a_device_in_an_hour() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let relay = free_address();
    let (seen, counted) = (listener.local_addr().unwrap(), Arc::new(Counted::default()));
    stand_between(listener, relay, Arc::clone(&counted));
    let (site, _relay) = Site::published(Plan { through: Some((seen, relay)), usual_pace: true, ..Plan::default() });
    DESKS[1..].iter().for_each(|dir| site.join(dir));
    let _watches: Vec<Running> = DESKS.iter().map(|dir| site.watch_in(dir)).collect();
    std::thread::sleep(WARM);
    let now = || [&counted.up, &counted.down].map(|count| count.load(Ordering::Relaxed));
    let before = now();
    std::thread::sleep(COUNTED);
    let after = now();
    let [up, down] = [0, 1].map(|way| (after[way] - before[way]) * (3600 / COUNTED.as_secs()) / DESKS.len() as u64);
    println!("of three devices on watch, each in an hour: {up} bytes to the relay, {down} from it");
    assert!(up > 350 * 6176, "a bundle every ten seconds");
}

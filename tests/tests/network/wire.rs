//! A line between two networks, and the weather on it: IP packets are lost, delayed and held up, and TCP is the kernel's own.
//!
//! Each end is a TUN device in a namespace; a thread of this test carries the packets between them. What `tc netem` would do is done here
//! because kernels without it are common, and because the losses then follow a seed.

use std::fs::File;
use std::net::Ipv4Addr;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, Mutex, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tokio::sync::{mpsc as queue, watch};
use tokio::time::Instant;
use tokio_tun::Tun;

use crate::namespace::Namespace;

/// Bytes in the longest packet.
const PACKET: usize = 1400;

/// How long a packet may wait for those before it: a router that holds more than four seconds drops what comes.
const LONGEST_QUEUE: Duration = Duration::from_secs(4);

/// Where every relay of these tests is, in its own network.
pub const RELAY: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 1);

/// How a line is, in each direction.
#[derive(Clone, Copy, Debug)]
pub struct Weather {
    /// Of a hundred packets, how many are lost.
    pub lost_percent: u32,
    /// How long one takes.
    pub delay: Duration,
    /// Bits in a second; 0 for as many as there are.
    pub bits_per_s: u64,
}

impl Weather {
    /// A good line to somewhere.
    pub const FAIR: Self = Self { lost_percent: 0, delay: Duration::from_millis(20), bits_per_s: 0 };
    /// Nothing comes through, and nobody is told.
    pub const CUT: Self = Self { lost_percent: 100, ..Self::FAIR };
}

/// A line between a relay's network and another. Gone when it is dropped.
pub struct Wire {
    weather: Arc<watch::Sender<Weather>>,
    counts: Arc<Counts>,
    thread: Option<JoinHandle<()>>,
}

/// What a line has done.
#[derive(Default)]
struct Counts {
    offered: AtomicU64,
    lost: AtomicU64,
    /// So many more packets, and the line is cut and somebody told.
    fuse: Mutex<Option<(u64, mpsc::Sender<()>)>>,
}

impl Wire {
    /// Lays line `number` from `hub`, where a relay is, to `leaf`.
    pub fn lay(hub: &Namespace, leaf: &Namespace, number: u8, seed: u64, weather: Weather) -> Self {
        let (ends, seeds) = ([hub.path(), leaf.path()], ChaCha20Rng::seed_from_u64(seed));
        let (weather, seen) = watch::channel(weather);
        let (weather, counts) = (Arc::new(weather), Arc::new(Counts::default()));
        let (tell, laid) = mpsc::channel();
        // Weak: or the thread itself would keep the line from being gone.
        let carried = (Arc::clone(&counts), Arc::downgrade(&weather));
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let name = format!("line{number}");
                let addresses = [1, 2].map(|end| Ipv4Addr::new(10, 77, number, end));
                let tuns = [end(&ends[0], &name, addresses[0], addresses[1]), end(&ends[1], &name, addresses[1], addresses[0])];
                tell.send(()).unwrap();
                let mut seeds = seeds;
                let mut direction = |from: usize| Direction {
                    from: &tuns[from],
                    to: &tuns[1 - from],
                    weather: seen.clone(),
                    dice: ChaCha20Rng::seed_from_u64(seeds.next_u64()),
                    counts: Arc::clone(&carried.0),
                    cutter: carried.1.clone(),
                };
                let (there, back) = (direction(0), direction(1));
                let mut gone = seen.clone();
                tokio::select! {
                    () = there.carry() => {}
                    () = back.carry() => {}
                    () = async { while gone.changed().await.is_ok() {} } => {}
                }
            });
        });
        laid.recv().expect("the kernel gives a TUN device (CONFIG_TUN, /dev/net/tun)");
        leaf.ip(&format!("route add default dev line{number}"));
        Self { weather, counts, thread: Some(thread) }
    }

    /// From now on the line is like this.
    pub fn set(&self, weather: Weather) {
        *self.counts.fuse.lock().unwrap() = None;
        self.weather.send_replace(weather);
    }

    /// Cuts the line when `packets` more have been offered to it, and waits for that or for `patience` to end. Says whether it is cut.
    pub fn cut_after(&self, packets: u64, patience: Duration) -> bool {
        let (tell, cut) = mpsc::channel();
        *self.counts.fuse.lock().unwrap() = Some((packets, tell));
        cut.recv_timeout(patience).is_ok()
    }

    /// Packets offered, and of these lost.
    pub fn counts(&self) -> (u64, u64) {
        (self.counts.offered.load(Ordering::SeqCst), self.counts.lost.load(Ordering::SeqCst))
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        // The last sender: the thread hears of it and ends.
        let (gone, _) = watch::channel(Weather::CUT);
        self.weather = Arc::new(gone);
        let _ended = self.thread.take().map(JoinHandle::join);
    }
}

/// One end: a device in a namespace, into which this thread moves for that.
fn end(namespace: &str, name: &str, address: Ipv4Addr, other: Ipv4Addr) -> Tun {
    let place = File::open(namespace).unwrap();
    move_into_link_name_space(place.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
    let mtu = i32::try_from(PACKET).unwrap();
    let mut tuns = Tun::builder().name(name).mtu(mtu).address(address).destination(other).up().build().unwrap();
    tuns.remove(0)
}

/// One way of a line.
struct Direction<'a> {
    from: &'a Tun,
    to: &'a Tun,
    weather: watch::Receiver<Weather>,
    dice: ChaCha20Rng,
    counts: Arc<Counts>,
    cutter: Weak<watch::Sender<Weather>>,
}

impl Direction<'_> {
    async fn carry(mut self) {
        let (put, mut take) = queue::unbounded_channel::<(Instant, Vec<u8>)>();
        let (to, weather) = (self.to, self.weather.clone());
        let give = async {
            while let Some((due, packet)) = take.recv().await {
                tokio::time::sleep_until(due).await;
                // What was under way when the line was cut does not come out of it.
                if weather.borrow().lost_percent < 100 {
                    let _full = to.send(&packet).await;
                }
            }
        };
        tokio::join!(self.take(put), give);
    }

    async fn take(&mut self, put: queue::UnboundedSender<(Instant, Vec<u8>)>) {
        let mut free = Instant::now();
        let mut packet = [0; PACKET];
        while let Ok(len) = self.from.recv(&mut packet).await {
            // IPv6 looks for its neighbours here: not part of any scene.
            if packet[0] >> 4 != 4 {
                continue;
            }
            self.burn();
            self.counts.offered.fetch_add(1, Ordering::SeqCst);
            let weather = *self.weather.borrow();
            let now = Instant::now();
            let waits = free.max(now) - now;
            if self.dice.next_u32() % 100 < weather.lost_percent || waits > LONGEST_QUEUE {
                self.counts.lost.fetch_add(1, Ordering::SeqCst);
                continue;
            }
            let bits = u64::try_from(len).unwrap() * 8_000_000;
            let takes = bits.checked_div(weather.bits_per_s).map_or(Duration::ZERO, Duration::from_micros);
            free = now + waits + takes;
            if put.send((free + weather.delay, packet[..len].to_vec())).is_err() {
                return;
            }
        }
    }

    /// Cuts the line if that was asked for after as many packets as there were.
    fn burn(&self) {
        let mut fuse = self.counts.fuse.lock().unwrap();
        let Some((left, tell)) = fuse.as_mut() else { return };
        *left = left.saturating_sub(1);
        if *left == 0 {
            self.cutter.upgrade().map(|weather| weather.send_replace(Weather::CUT));
            let _heard = tell.send(());
            *fuse = None;
        }
    }
}

/// Gives a relay's network its address.
pub fn relay_network() -> Namespace {
    let network = Namespace::new();
    network.ip(&format!("addr add {RELAY}/32 dev lo"));
    network
}

//! A network of its own for some programs: a namespace that is gone when whoever made it is.

use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};

/// Debian's, wherever root's path leads.
const PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";

/// A network namespace. It belongs to a process that ends when this test does, however that happens: then the kernel takes it away.
pub struct Namespace {
    holder: Child,
}

impl Namespace {
    /// A new one, with nothing in it but its own loopback.
    pub fn new() -> Self {
        assert!(rustix::process::geteuid().is_root(), "this test makes networks of its own: run it as root");
        let mut holder = Command::new("unshare")
            .args(["--net", "--", "cat"])
            .env("PATH", PATH)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("unshare comes with util-linux");
        // The echo of a byte says that the namespace is there.
        holder.stdin.as_mut().unwrap().write_all(b".").unwrap();
        let there = holder.stdout.as_mut().unwrap().read_exact(&mut [0]);
        assert!(there.is_ok(), "the kernel gives no network namespace (CONFIG_NET_NS, CAP_SYS_ADMIN)");
        let namespace = Self { holder };
        namespace.ip("link set lo up");
        // Every kernel has this one, and none suffers more from losses: what holds here holds with any other.
        namespace.run(&["sh", "-c", "echo reno > /proc/sys/net/ipv4/tcp_congestion_control"]);
        namespace
    }

    /// Where the kernel shows it.
    pub fn path(&self) -> String {
        format!("/proc/{}/ns/net", self.holder.id())
    }

    /// Words that run a command in it, and end that command with the thread that started it.
    pub fn words(&self) -> Vec<String> {
        let enter = format!("--net={}", self.path());
        ["/usr/bin/nsenter", &enter, "--", "/usr/bin/setpriv", "--pdeathsig", "KILL", "--"].map(str::to_owned).to_vec()
    }

    /// `ip`, in it.
    pub fn ip(&self, line: &str) {
        self.run(&[&["ip"][..], &line.split(' ').collect::<Vec<_>>()].concat());
    }

    /// TCP connections of a port here that both ends, as far as this one knows, still hold.
    pub fn established(&self, port: u16) -> usize {
        let table = std::fs::read_to_string(format!("/proc/{}/net/tcp", self.holder.id())).unwrap();
        let port = format!(":{port:04X}");
        let rows = table.lines().skip(1).map(|row| row.split_whitespace().collect::<Vec<_>>());
        rows.filter(|row| row[3] == "01" && (row[1].ends_with(&port) || row[2].ends_with(&port))).count()
    }

    fn run(&self, words: &[&str]) {
        let enter = format!("--net={}", self.path());
        let ran = Command::new("nsenter").args([&enter, "--"]).args(words).env("PATH", PATH).output().unwrap();
        assert!(ran.status.success(), "{words:?}: {}", String::from_utf8_lossy(&ran.stderr));
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _gone = self.holder.kill();
        let _reaped = self.holder.wait();
    }
}

//! What the process does to itself before it serves, and what an operator can ask of it.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::binary::*;
use crate::support::*;
use porchlight_proto::api::UpOutcome;
use porchlight_relay::process::confine::{Held, Reach, confine};
use rustix::process::{Pid, Signal, kill_process};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, apply_filter};

fn status(pid: u32, key: &str) -> String {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(&format!("{key}:")));
    line.unwrap_or_else(|| panic!("no {key}")).trim().to_owned()
}

/// Needs root, to run the relay as somebody else: only then does the owner of its `/proc` show whether it can be traced.
#[test]
fn it_can_be_neither_dumped_nor_traced_nor_swapped_nor_run_other_programs() {
    assert!(rustix::process::geteuid().is_root(), "this test runs the relay as nobody: run it as root");
    let mut site = site(70);
    // Its account can neither read this build's directories nor write to root's.
    let program = site.path("relay");
    std::fs::copy(BINARY, &program).unwrap();
    std::fs::set_permissions(site.dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::create_dir(site.path("own")).unwrap();
    std::os::unix::fs::chown(site.path("own"), Some(65_534), Some(65_534)).unwrap();
    site.top = site.top.replace("\"data\"", "\"own/data\"").replace("\"keys\"", "\"own/keys\"");
    std::fs::write(site.path("relay.toml"), site.text()).unwrap();
    let start = |more: &[&str]| {
        let mut command = Command::new("setpriv");
        command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]).args(more).arg(&program);
        command.args(["run", "--dev", "--config"]).arg(site.path("relay.toml"));
        Process::spawn(command)
    };
    let mut process = start(&["--inh-caps", "+ipc_lock", "--ambient-caps", "+ipc_lock"]);
    let pid = process.child.id();
    assert_eq!(status(pid, "Uid").split_whitespace().next(), Some("65534"));
    // The kernel gives the entries of a process that may not be dumped to root.
    assert_eq!(std::fs::metadata(format!("/proc/{pid}/environ")).unwrap().uid(), 0, "not dumpable, so not traceable");
    let mut control = Command::new("setpriv")
        .args(["--reuid", "65534", "--regid", "65534", "--clear-groups", "cat"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    while std::fs::read_to_string(format!("/proc/{}/comm", control.id())).unwrap() != "cat\n" {
        std::thread::yield_now();
    }
    assert_eq!(
        std::fs::metadata(format!("/proc/{}/environ", control.id())).unwrap().uid(),
        65_534,
        "the control: an ordinary process"
    );
    drop(control.stdin.take());
    control.wait().unwrap();
    let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
    let cores: Vec<&str> = limits.lines().find(|line| line.starts_with("Max core")).unwrap().split_whitespace().collect();
    assert_eq!(cores[4..6], ["0", "0"], "{cores:?}");
    let [locked, resident] = ["VmLck", "VmRSS"].map(|key| kib(pid, key));
    assert!(locked >= resident, "all that is in memory is locked: {locked} of {resident} KiB");
    // Each thread: who confines itself after others have begun confines itself alone.
    let threads: Vec<String> = std::fs::read_dir(format!("/proc/{pid}/task"))
        .unwrap()
        .map(|entry| entry.unwrap().path().display().to_string())
        .collect();
    assert!(threads.len() > 1, "VOID: {threads:?}");
    for thread in threads {
        // One may have ended since.
        let Ok(text) = std::fs::read_to_string(format!("{thread}/status")) else { continue };
        assert!(text.contains("NoNewPrivs:\t1\n") && text.contains("Seccomp:\t2\n"), "{text}");
    }
    // Whether a core is written depends on the machine as well: what one would show who may have one is the control.
    process.signal(Signal::ABORT);
    let ended = process.child.wait().unwrap();
    assert_eq!((ended.signal(), ended.core_dumped()), (Some(Signal::ABORT.as_raw()), false));
    let mut willing = Command::new("prlimit");
    willing.args(["--core=unlimited", "sh", "-c", "kill -ABRT $$"]).current_dir(site.dir.path());
    let is_written = willing.status().unwrap().core_dumped();
    println!("a core of the relay: none (pass: none); of a program that may have one: {is_written}");
    let has_pattern = !std::fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap().trim().is_empty();
    assert!(is_written || !has_pattern, "VOID: this machine writes no core of anybody's");

    // Without the right to lock as much as it likes it goes on without.
    let mut limited = start(&[]);
    assert_eq!(status(limited.child.id(), "VmLck"), "0 kB");
    limited.signal(Signal::TERM);
    assert_eq!(limited.child.wait().unwrap().code(), Some(0));
}

/// Needs root, to lay another table of swaps over the kernel's in a namespace of its own.
#[test]
fn it_does_not_start_where_there_is_swap_unless_it_is_told_to() {
    let mut site = site(71);
    site.top += "keyring_on_disk = true\n";
    std::fs::write(site.path("relay.toml"), site.text()).unwrap();
    std::fs::write(site.path("swaps"), "Filename Type Size Used Priority\n/dev/vda2 partition 2097148 0 -2\n").unwrap();
    let command = |more: &str| {
        let mut command = Command::new("unshare");
        command.args(["-m", "--propagation", "private", "sh", "-c"]);
        command.arg(format!("mount --bind \"$1\" /proc/swaps && exec \"$2\" run {more} --config \"$3\""));
        command.arg("sh").arg(site.path("swaps")).arg(BINARY).arg(site.path("relay.toml"));
        command
    };
    let refused = command("").output().unwrap();
    let said = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert!(said.contains("swaps to /dev/vda2") && said.contains("--allow-swap"), "{said}");
    assert!(!site.path("keys").exists(), "refused before there is a key");
    for told in ["--allow-swap", "--dev"] {
        let mut process = Process::spawn(command(told));
        process.signal(Signal::TERM);
        assert_eq!(process.child.wait().unwrap().code(), Some(0), "{told}");
    }
}

/// Since Linux 6.7 Landlock knows TCP, since 6.12 all that is asked for; Debian 12's kernel is 6.1.
fn kernel() -> (u32, u32) {
    let told = rustix::system::uname();
    let mut numbers = told.release().to_str().unwrap().split(|c: char| !c.is_ascii_digit()).map(|number| number.parse().unwrap());
    (numbers.next().unwrap(), numbers.next().unwrap())
}

#[test]
fn a_confined_thread_reaches_its_own_directories_and_nothing_else() {
    let kernel = kernel();
    let knows_tcp = kernel >= (6, 7);
    if !knows_tcp {
        println!(
            "not judged: whether a way out over TCP is closed. This kernel's Landlock knows no TCP (Linux {}.{})",
            kernel.0, kernel.1
        );
    }
    let site = site(72);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (outside, reach, data) = (site.path("outside"), Reach::of(&site.settings()), site.path("data"));
    std::fs::write(&outside, "secret").unwrap();
    std::fs::create_dir(site.path("keys")).unwrap();
    TcpStream::connect(address).expect("the control: an ordinary thread connects");
    // A confinement is for good; this thread has it, the other tests do not.
    let confined = std::thread::spawn(move || {
        let held = confine(&reach).unwrap();
        let refused = std::io::ErrorKind::PermissionDenied;
        std::fs::write(data.join("inside"), "fine").unwrap();
        assert_eq!(std::fs::read_to_string(&outside).unwrap_err().kind(), refused, "reading outside");
        assert_eq!(std::fs::write(data.with_file_name("new"), "").unwrap_err().kind(), refused, "writing outside");
        assert_eq!(std::fs::read_to_string("/etc/passwd").unwrap_err().kind(), refused, "the system's files");
        let way_out = TcpStream::connect(address);
        assert!(!knows_tcp || way_out.is_err_and(|error| error.kind() == refused), "a way out");
        assert_eq!(Command::new("/bin/true").status().unwrap_err().kind(), refused, "another program");
        held
    });
    let held = if kernel >= (6, 12) { Held::Whole } else { Held::Partly };
    assert_eq!(confined.join().unwrap(), held, "this kernel has a Landlock");
}

/// What the relay says when it panics.
const BUG_TEXT: &str = "porchlight-relay: stopped by a bug in this program; nothing about it was recorded";

/// An account that nobody else of this machine has, so that a limit of its threads is the relay's alone.
const ACCOUNT: &str = "64123";

/// Needs root, to run the relay under an account that may have few threads: tokio panics where the system gives it none.
#[test]
fn it_does_not_start_where_it_may_have_too_few_threads() {
    assert!(rustix::process::geteuid().is_root(), "this test runs the relay under another account: run it as root");
    let mut site = site(78);
    let program = site.path("relay");
    std::fs::copy(BINARY, &program).unwrap();
    std::fs::set_permissions(site.dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::create_dir(site.path("own")).unwrap();
    std::os::unix::fs::chown(site.path("own"), Some(64_123), Some(64_123)).unwrap();
    site.top = site.top.replace("\"data\"", "\"own/data\"").replace("\"keys\"", "\"own/keys\"");
    std::fs::write(site.path("relay.toml"), site.text()).unwrap();
    let command = |threads: &str| {
        let mut command = Command::new("setpriv");
        command.args(["--reuid", ACCOUNT, "--regid", ACCOUNT, "--clear-groups", "prlimit", threads]).arg(&program);
        command.args(["run", "--dev", "--config"]).arg(site.path("relay.toml"));
        command
    };
    // The control: the same with room for threads starts and serves.
    let mut process = Process::spawn(command("--nproc=500:500"));
    process.signal(Signal::TERM);
    assert_eq!(process.child.wait().unwrap().code(), Some(0), "VOID: with room for threads it runs");
    for few in ["--nproc=1:1", "--nproc=2:2", "--nproc=12:12"] {
        let refused = command(few).stdin(Stdio::null()).output().unwrap();
        let said = String::from_utf8(refused.stderr).unwrap();
        assert_eq!((refused.status.code(), refused.stdout.as_slice()), (Some(1), b"".as_slice()), "{few}: {said}");
        assert!(
            said.ends_with("porchlight-relay: this account may have too few threads (ulimit -u, or TasksMax=600)\n"),
            "{said}"
        );
    }
}

#[test]
fn it_does_not_start_where_files_must_stay_short() {
    let site = site(87);
    let command = |limit: &str| {
        let mut command = Command::new("prlimit");
        command.arg(limit).arg(BINARY).args(["run", "--dev", "--config"]).arg(site.path("relay.toml"));
        command
    };
    let refused = command("--fsize=1024000:1024000").output().unwrap();
    let said = String::from_utf8(refused.stderr).unwrap();
    assert_eq!((refused.status.code(), refused.stdout.as_slice()), (Some(1), b"".as_slice()), "{said}");
    assert!(said.contains("files may grow to 1024000 bytes here") && said.contains("ulimit -f"), "{said}");
    // The keyring's is longer.
    let mut process = Process::spawn(command("--fsize=1024000:unlimited"));
    process.signal(Signal::TERM);
    assert_eq!(process.child.wait().unwrap().code(), Some(0), "what it may raise it raises");
}

/// tokio panics where the system gives it no pair of sockets.
#[test]
fn a_panic_says_one_fixed_line_and_ends_with_two() {
    let site = site(78);
    let mut command = Command::new(BINARY);
    command.args(["run", "--dev", "--config"]).arg(site.path("relay.toml")).stdin(Stdio::null());
    command.env("RUST_BACKTRACE", "full").env("RUST_LIB_BACKTRACE", "1").env("RUST_LOG", "trace");
    // What is refused to a thread is refused to what it starts.
    let panicked = std::thread::spawn(move || {
        let refused = SeccompAction::Errno(libc::EMFILE.unsigned_abs());
        let rules = BTreeMap::from([(libc::SYS_socketpair, Vec::new())]);
        let filter = SeccompFilter::new(rules, SeccompAction::Allow, refused, std::env::consts::ARCH.try_into().unwrap());
        let filter: BpfProgram = filter.unwrap().try_into().unwrap();
        apply_filter(&filter).unwrap();
        command.output().unwrap()
    });
    let panicked = panicked.join().unwrap();
    let said = String::from_utf8(panicked.stderr).unwrap();
    assert_eq!((panicked.status.code(), panicked.stdout.as_slice()), (Some(2), b"".as_slice()), "{said}");
    // What it says of its configuration before comes from the start that it did not get through.
    let lines: Vec<&str> = said.lines().filter(|line| !line.starts_with("porchlight-relay: warning: ")).collect();
    assert_eq!(lines, [BUG_TEXT], "{said}");
    for telling in [".rs", "panicked", "backtrace", "thread '", "tokio", &site.dir.path().display().to_string()] {
        assert!(!said.contains(telling), "{telling:?} in {said}");
    }
}

/// The addresses that a process of this network listens on over TCP and IPv4, as the kernel has them.
fn listening(pid: u32) -> Vec<SocketAddr> {
    let links =
        std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().filter_map(|entry| std::fs::read_link(entry.unwrap().path()).ok());
    let sockets: Vec<String> =
        links.filter_map(|link| Some(link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned())).collect();
    let listening = |table: &str| {
        let text = std::fs::read_to_string(format!("/proc/{pid}/net/{table}")).unwrap();
        let rows = text.lines().skip(1).map(|row| row.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
        rows.filter(|row| row[3] == "0A" && sockets.contains(&row[9])).map(|row| row[1].clone()).collect::<Vec<_>>()
    };
    assert_eq!(listening("tcp6"), [""; 0], "nothing listens on IPv6");
    let address = |hex: String| {
        let (ip, port) = hex.split_once(':').unwrap();
        let ip = Ipv4Addr::from(u32::from_str_radix(ip, 16).unwrap().to_le_bytes());
        SocketAddr::from((ip, u16::from_str_radix(port, 16).unwrap()))
    };
    listening("tcp").into_iter().map(address).collect()
}

/// A request over plain HTTP/1.1, and all that comes back.
fn asked(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).unwrap();
    reply
}

/// The numbers of a text as Prometheus reads it (its exposition format 0.0.4), strictly: each with one HELP and one TYPE before it, no labels, no
/// times, no name twice.
fn numbers(text: &str) -> BTreeMap<String, u64> {
    assert!(text.ends_with('\n'), "the last line ends");
    let lines: Vec<&str> = text.lines().collect();
    let mut numbers = BTreeMap::new();
    for three in lines.chunks(3) {
        let [help, kind, sample] = three else { panic!("three lines each: {three:?}") };
        let (name, number) = sample.split_once(' ').unwrap();
        assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "a name and no labels: {sample}");
        assert!(help.strip_prefix(&format!("# HELP {name} ")).is_some_and(|help| !help.trim().is_empty()), "{help}");
        let is_counter = name.ends_with("_total");
        assert_eq!(*kind, format!("# TYPE {name} {}", if is_counter { "counter" } else { "gauge" }));
        let number = number.parse().unwrap_or_else(|_| panic!("a number and no time: {sample}"));
        assert_eq!(numbers.insert(name.to_owned(), number), None, "{name} twice");
    }
    numbers
}

#[tokio::test(flavor = "multi_thread")]
async fn the_counters_are_rounded_say_nothing_of_anybody_and_are_for_this_machine_alone() {
    let mut site = site(79);
    // On every address of this machine, so that it shows which of the two listeners is.
    site.top = site.top.replace("127.0.0.1:0", "0.0.0.0:0") + "admin_listen = \"127.0.0.1:0\"\n";
    std::fs::write(site.path("relay.toml"), site.text()).unwrap();
    let process = Process::start(&site.path("relay.toml"));
    let (open, own): (Vec<_>, Vec<_>) =
        listening(process.child.id()).into_iter().partition(|address| address.port() == process.address.port());
    assert_eq!(open.iter().map(SocketAddr::ip).collect::<Vec<_>>(), [Ipv4Addr::UNSPECIFIED]);
    let [admin] = own[..] else { panic!("one listener for counters: {own:?}") };
    assert_eq!(admin.ip(), Ipv4Addr::LOCALHOST);
    for (address, port, is_there) in [("127.0.0.2", process.address.port(), true), ("127.0.0.2", admin.port(), false)] {
        assert_eq!(TcpStream::connect((address, port)).is_ok(), is_there, "{address}:{port}");
    }

    // As many as there are places keep others out until they go.
    let all: Vec<TcpStream> = (0..16).map(|_| TcpStream::connect(admin).unwrap()).collect();
    let mut one_more = TcpStream::connect(admin).unwrap();
    assert_eq!(one_more.read(&mut [0]).unwrap(), 0, "the seventeenth is let go");
    drop(all);
    let answers = || {
        let mut stream = TcpStream::connect(admin)?;
        stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: a\r\n\r\n")?;
        std::io::read_to_string(stream)
    };
    while !answers().is_ok_and(|said| !said.is_empty()) {}

    let mut client = process.client().await;
    for _ in 0..137 {
        assert_eq!(post(&mut client, &site.line.post()).await, UpOutcome::Stored);
    }
    held(&process, &mut client, &site.line).await;
    client.send("GET", "/marker-of-a-path", None, &[]).await;
    let scrape = || asked(admin, "GET /metrics HTTP/1.1\r\nhost: a\r\n\r\n");
    let reply = scrape();
    let (head, text) = reply.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert!(head.to_lowercase().contains("\r\ncontent-type: text/plain; version=0.0.4\r\n"), "{head}");
    let shown = numbers(text);
    println!("{} numbers, {:?}", shown.len(), shown.get("porchlight_cells_stored_total"));
    assert_eq!(shown["porchlight_cells_stored_total"], 130, "137, with two digits");
    assert_eq!(shown["porchlight_cells_held"], 130);
    assert_eq!(shown["porchlight_store_bytes"], 0, "what 137 posts take does not show");
    assert!(shown["porchlight_connections_total"] < 20);
    assert_eq!(["shelves_unreadable", "unforgotten"].map(|name| shown[&format!("porchlight_{name}")]), [0, 0]);
    for (name, number) in &shown {
        let digits = number.to_string();
        assert!(
            number % 10 == 0 && digits.trim_end_matches('0').len() <= 2,
            "{name} {number} tells more than two digits, or single acts"
        );
    }
    let hex = |bytes: &[u8]| data_encoding::HEXLOWER.encode(bytes);
    let base64 = |bytes: &[u8]| data_encoding::BASE64.encode(bytes);
    let line = &site.line;
    let mut telling = vec![GATE.to_owned(), "127.0".into(), "marker".into(), "v1".into(), process.address.port().to_string()];
    for bytes in
        [line.id.as_bytes().as_slice(), line.root.public().as_bytes(), line.worker.key.public().as_bytes(), &process.spki]
    {
        telling.extend([hex(&bytes[..4]), base64(&bytes[..6])]);
    }
    // The control: this search finds each of them where it is.
    let planted = format!("{text}{}", telling.join(" "));
    for word in &telling {
        assert!(!reply.contains(word.as_str()), "{word} in {reply}");
        assert!(planted.contains(word.as_str()), "VOID");
    }
    for (name, request) in [
        ("another method", "POST /metrics HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n"),
        ("another path", "GET / HTTP/1.1\r\nhost: a\r\n\r\n"),
        ("a call", &format!("GET /{GATE}/v1/notice HTTP/1.1\r\nhost: a\r\n\r\n")),
    ] {
        let reply = asked(admin, request);
        assert!(reply.starts_with("HTTP/1.1 404 ") && reply.ends_with("\r\n\r\n"), "{name}: {reply}");
    }

    // What strangers reach knows nothing of it: the same bytes as for any path that is not there.
    for http in [Http::One, Http::Two] {
        let mut client = Client::connect(process.address, process.spki, http).await;
        let nowhere = client.send("GET", "/nowhere", None, &[]).await;
        assert_eq!(nowhere.status, 404, "VOID");
        for path in ["/metrics", &format!("/{GATE}/metrics"), &format!("/{GATE}/v1/metrics")] {
            assert_eq!(client.send("GET", path, None, &[]).await, nowhere, "{path} over {http:?}");
        }
    }
    process.stop().await;
    assert!(TcpStream::connect(admin).is_err(), "it ends with the relay");

    for address in ["0.0.0.0:9100", "192.0.2.1:9100", "[::]:9100", "[2001:db8::1]:9100", "[::ffff:192.0.2.1]:9100"] {
        let text = site.text().replace("127.0.0.1:0", address);
        std::fs::write(site.path("relay.toml"), text).unwrap();
        for verb in ["check-config", "run"] {
            let output = output(verb, &site.path("relay.toml"), &["--dev"]);
            let said = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(1), "{verb} with {address}: {said}");
            assert!(said.contains("admin_listen: must be a loopback address"), "{said}");
        }
    }
}

/// The certificate's bytes that a new connection is shown.
async fn shown(process: &Process) -> Vec<u8> {
    let stream = tls(process.address, process.spki, b"h2").await;
    stream.get_ref().1.peer_certificates().unwrap().first().unwrap().to_vec()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hangup_takes_a_renewed_certificate_and_no_other_key() {
    use porchlight_relay::door::tls::self_signed;
    let site = site(73);
    let certs = site.path("certs");
    self_signed(&certs, "localhost").unwrap();
    std::fs::write(
        site.path("relay.toml"),
        site.text().replace("self_signed = true", "cert = \"certs/cert.pem\"\nkey = \"certs/key.pem\""),
    )
    .unwrap();
    let process = Process::start(&site.path("relay.toml"));
    let mut open = process.client().await;
    let first = shown(&process).await;
    std::fs::remove_file(certs.join("cert.pem")).unwrap();
    process.signal(Signal::HUP);
    process.hear("SIGHUP changes nothing: tls.cert: cannot read the file");
    assert_eq!(shown(&process).await, first);
    // The same key's certificate by a link to where the relay may not read, though the account may.
    std::fs::create_dir(site.path("elsewhere")).unwrap();
    self_signed(&certs, "localhost").unwrap();
    std::fs::rename(certs.join("cert.pem"), site.path("elsewhere/cert.pem")).unwrap();
    std::os::unix::fs::symlink(site.path("elsewhere/cert.pem"), certs.join("cert.pem")).unwrap();
    process.signal(Signal::HUP);
    process.hear("SIGHUP changes nothing: tls.cert: cannot read the file");
    std::fs::remove_file(certs.join("cert.pem")).unwrap();
    std::fs::rename(site.path("elsewhere/cert.pem"), certs.join("cert.pem")).unwrap();
    process.signal(Signal::HUP);
    process.hear("new connections get the certificate that ends on 4096-01-01");
    let second = shown(&process).await;
    assert_ne!(second, first);
    process.signal(Signal::HUP);
    process.hear("SIGHUP changes nothing: the file holds the certificate that is in use");
    self_signed(&site.path("other"), "localhost").unwrap();
    // A longer chain, and then one that has ended, both of the same key.
    let longer = ["certs", "other"].map(|dir| std::fs::read_to_string(site.path(dir).join("cert.pem")).unwrap()).concat();
    std::fs::write(certs.join("cert.pem"), longer).unwrap();
    process.signal(Signal::HUP);
    process.hear("new connections get the certificate that ends on 4096-01-01");
    let pair = rcgen::KeyPair::from_pem(&std::fs::read_to_string(certs.join("key.pem")).unwrap()).unwrap();
    let mut params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    params.not_after = rcgen::date_time_ymd(2020, 2, 29);
    std::fs::write(certs.join("cert.pem"), params.self_signed(&pair).unwrap().pem()).unwrap();
    process.signal(Signal::HUP);
    process.hear("new connections get a certificate that ended on 2020-02-29: browsers turn away");
    let second = shown(&process).await;
    for name in ["cert.pem", "key.pem"] {
        std::fs::copy(site.path("other").join(name), certs.join(name)).unwrap();
    }
    process.signal(Signal::HUP);
    process.hear("the certificate has another key");
    assert_eq!(shown(&process).await, second);
    open.get("notice").await.ok();
    process.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_has_ended_or_soon_will_is_said() {
    let site = site(77);
    let pair = rcgen::KeyPair::generate().unwrap();
    std::fs::write(site.path("key.pem"), pair.serialize_pem()).unwrap();
    let files = "cert = \"cert.pem\"\nkey = \"key.pem\"";
    std::fs::write(site.path("relay.toml"), site.text().replace("self_signed = true", files)).unwrap();
    let said_of = |not_after| {
        let mut params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.not_after = not_after;
        std::fs::write(site.path("cert.pem"), params.self_signed(&pair).unwrap().pem()).unwrap();
        said_of_a_certificate(&site)
    };
    let said = said_of(rcgen::date_time_ymd(2020, 2, 29));
    assert!(said.iter().any(|line| line.contains("the certificate ended on 2020-02-29")), "{said:?}");
    let in_days = |days: u64| x509_parser::time::ASN1Time::now().to_datetime() + std::time::Duration::from_secs(days * 86_400);
    let said = said_of(in_days(20));
    assert!(
        said.iter().any(|line| line.contains("the certificate ends on ") && line.contains("renew it, with its key")),
        "{said:?}"
    );
    let said = said_of(in_days(23));
    assert!(!said.iter().any(|line| line.contains("certificate")), "{said:?}");
    for (algorithm, says) in
        [(&rcgen::PKCS_ED25519, "common browsers do not take"), (&rcgen::PKCS_ECDSA_P521_SHA512, "P-521, which Chrome")]
    {
        let pair = rcgen::KeyPair::generate_for(algorithm).unwrap();
        let params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        std::fs::write(site.path("cert.pem"), params.self_signed(&pair).unwrap().pem()).unwrap();
        std::fs::write(site.path("key.pem"), pair.serialize_pem()).unwrap();
        let said = said_of_a_certificate(&site);
        assert!(said.iter().any(|line| line.contains(says)), "{says}: {said:?}");
    }
}

/// What `run` says of the certificate when it starts, and `check-config` before, which takes it all the same.
fn said_of_a_certificate(site: &Site) -> Vec<String> {
    let of_it = |said: &mut Vec<String>| said.retain(|line| line.contains("certificate"));
    let mut command = Command::new(BINARY);
    command.args(["run", "--dev", "--config"]).arg(site.path("relay.toml"));
    let mut said = said_at_the_start(command);
    let checked = output("check-config", &site.path("relay.toml"), &["--dev"]);
    let mut before: Vec<String> = String::from_utf8(checked.stderr).unwrap().lines().map(str::to_owned).collect();
    [&mut said, &mut before].into_iter().for_each(of_it);
    assert_eq!((checked.status.code(), &before), (Some(0), &said), "check-config says what run says");
    said
}

/// What a relay says until it serves or ends; then it is stopped.
fn said_at_the_start(mut command: Command) -> Vec<String> {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let said = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    let said = said.take_while(|line| !line.contains(" pin ")).collect();
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    child.wait().unwrap();
    said
}

/// Where a relay may open fewer files than it may have connections, strangers who hold all of them are asked to leave like anywhere else.
#[tokio::test(flavor = "multi_thread")]
async fn few_open_files_are_said_and_strangers_cannot_use_them_up() {
    let site = site(82);
    std::fs::write(site.path("relay.toml"), site.text()).unwrap();
    let command = |files: &str| {
        let mut command = Command::new("prlimit");
        command.args([files, BINARY, "run", "--dev", "--config"]).arg(site.path("relay.toml"));
        command
    };
    let said = said_at_the_start(command("--nofile=575:575"));
    assert!(said.iter().any(|line| line.contains("575 open files are too few")), "{said:?}");
    let said = said_at_the_start(command("--nofile=640:640"));
    assert!(said.iter().any(|line| line.contains("640 open files leave room for 128 connections instead of 8192")), "{said:?}");

    let process = Process::spawn(command("--nofile=640:640"));
    // More than there are descriptors; each comes again when it is put out.
    let mut strangers = tokio::task::JoinSet::new();
    let (held, mut all_came) = tokio::sync::watch::channel(0);
    for nth in 0..800_u16 {
        let (from, address, held) = (Ipv4Addr::new(127, 7, 1, 1 + (nth % 4) as u8), process.address, held.clone());
        strangers.spawn(async move {
            loop {
                let socket = tokio::net::TcpSocket::new_v4().unwrap();
                socket.bind((from, 0).into()).unwrap();
                let Ok(mut stream) = socket.connect(address).await else { continue };
                held.send_modify(|count| *count += 1);
                let _ended = tokio::io::AsyncReadExt::read(&mut stream, &mut [0]).await;
            }
        });
    }
    all_came.wait_for(|count| *count >= 800).await.unwrap();
    for _ in 0..20 {
        let mut client = process.client().await;
        let reply = client.send("POST", &format!("/{GATE}/v1/up"), None, site.line.post().to_bytes().as_slice()).await;
        assert_eq!(porchlight_proto::api::UpReply::parse(&reply.ok()).unwrap().outcome, UpOutcome::Stored);
    }
    strangers.shutdown().await;
    process.stop().await;
}

/// A certificate that does not come, and an operator who does not listen, keep nobody from being served, nor the relay from stopping.
#[tokio::test(flavor = "multi_thread")]
async fn neither_a_pipe_for_a_certificate_nor_one_that_nobody_reads_stops_the_relay() {
    use porchlight_relay::door::tls::self_signed;
    let site = site(83);
    self_signed(&site.path("certs"), "localhost").unwrap();
    let files = "cert = \"certs/cert.pem\"\nkey = \"certs/key.pem\"";
    std::fs::write(site.path("relay.toml"), site.text().replace("self_signed = true", files)).unwrap();
    let process = Process::start(&site.path("relay.toml"));
    let first = shown(&process).await;
    std::fs::remove_file(site.path("certs/cert.pem")).unwrap();
    assert!(Command::new("mkfifo").arg(site.path("certs/cert.pem")).status().unwrap().success());
    process.signal(Signal::HUP);
    process.hear("SIGHUP changes nothing: tls.cert: cannot read the file");
    assert_eq!(shown(&process).await, first);
    process.stop().await;

    std::fs::remove_file(site.path("certs/cert.pem")).unwrap();
    self_signed(&site.path("certs"), "localhost").unwrap();
    let (reader, writer) = std::io::pipe().unwrap();
    let mut command = Command::new(BINARY);
    command.args(["run", "--dev", "--config"]).arg(site.path("relay.toml")).stdout(Stdio::piped());
    let mut child = command.stderr(writer.try_clone().unwrap()).spawn().unwrap();
    let mut ready = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut ready).unwrap();
    let address = ready.trim().strip_prefix("ready https://").unwrap().parse().unwrap();
    let spki = *porchlight_relay::door::tls::of_files(&site.path("certs/cert.pem"), &site.path("certs/key.pem"))
        .map(|own| own.spki)
        .as_ref()
        .unwrap();
    // Full to the last byte, through a description of our own: the relay's own waits.
    let own = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&writer));
    let nonblocking = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap();
    let mut full =
        std::os::unix::fs::OpenOptionsExt::custom_flags(std::fs::File::options().write(true), nonblocking).open(own).unwrap();
    for piece in [4096, 1] {
        while full.write(&vec![b'x'; piece]).is_ok() {}
    }
    let shown = || async {
        Client::connect(address, spki, Http::Two).await.get("notice").await.ok();
        let stream = tls(address, spki, b"h2").await;
        stream.get_ref().1.peer_certificates().unwrap().first().unwrap().to_vec()
    };
    for _ in 0..3 {
        let before = shown().await;
        std::fs::remove_file(site.path("certs/cert.pem")).unwrap();
        self_signed(&site.path("certs"), "localhost").unwrap();
        kill_process(Pid::from_child(&child), Signal::HUP).unwrap();
        let renewed = async { while shown().await == before {} };
        tokio::time::timeout(PATIENCE, renewed).await.expect("each hangup counts");
    }
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    let ended = tokio::time::timeout(PATIENCE, tokio::task::spawn_blocking(move || child.wait().unwrap())).await;
    assert_eq!(ended.expect("it stops").unwrap().code(), Some(0));
    drop(reader);
}

/// Whatever is made is for the relay's own account, under the usual umask; and a keyring that is another's is not used.
#[tokio::test(flavor = "multi_thread")]
async fn no_file_is_for_anybody_else() {
    assert!(rustix::process::geteuid().is_root(), "this test gives a file to another account: run it as root");
    let site = site(84);
    std::fs::write(site.path("relay.toml"), site.text()).unwrap();
    let process = Process::start(&site.path("relay.toml"));
    let mut client = process.client().await;
    client.send("POST", &format!("/{GATE}/v1/up"), None, site.line.post().to_bytes().as_slice()).await.ok();
    let mut folders = vec![site.path("data"), site.path("keys")];
    let mut count = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let Ok(found) = path.symlink_metadata() else { continue };
            assert_eq!(found.mode() & 0o077, 0, "{} is for others too", path.display());
            count += 1;
            folders.extend(found.is_dir().then_some(path));
        }
    }
    assert!(count > 10, "VOID: {count}");
    process.stop().await;
    std::os::unix::fs::chown(site.path("keys/keyring"), Some(64_123), None).unwrap();
    let mut command = Command::new(BINARY);
    command.args(["run", "--dev", "--config"]).arg(site.path("relay.toml"));
    let said = said_at_the_start(command);
    assert!(said.iter().any(|line| line.contains("it belongs to another account")), "{said:?}");
}

/// As systemd starts it: the socket is descriptor 3, and somebody waits to hear that it is ready.
#[tokio::test(flavor = "multi_thread")]
async fn it_serves_on_a_socket_that_it_is_handed_and_says_when() {
    let mut site = site(74);
    site.top = site.top.replace("127.0.0.1:0", "systemd");
    std::fs::write(site.path("relay.toml"), site.text()).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let manager = UnixDatagram::bind(site.path("notify")).unwrap();
    let command = |handed: Stdio| {
        let mut command = Command::new("sh");
        command.args(["-c", "exec 3<&0 </dev/null; LISTEN_FDS=1 LISTEN_PID=$$ exec \"$0\" run --dev --config \"$1\""]);
        command.arg(BINARY).arg(site.path("relay.toml")).env("NOTIFY_SOCKET", site.path("notify")).stdin(handed);
        command
    };
    let mut child = command(Stdio::from(OwnedFd::from(listener))).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut said = [0; 64];
    let length = manager.recv(&mut said).unwrap();
    assert_eq!(std::str::from_utf8(&said[..length]).unwrap().trim(), "READY=1");
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line.trim(), format!("ready https://{address}"));
    let pin = std::fs::read_to_string(site.path("data/tls/pin")).unwrap();
    let spki = data_encoding::BASE64.decode(pin.trim().strip_prefix("sha256/").unwrap().as_bytes()).unwrap().try_into().unwrap();
    Client::connect(address, spki, Http::Two).await.get("notice").await.ok();
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    let length = manager.recv(&mut said).unwrap();
    assert_eq!(std::str::from_utf8(&said[..length]).unwrap().trim(), "STOPPING=1");
    assert_eq!(child.wait().unwrap().code(), Some(0));

    let unix = std::os::unix::net::UnixListener::bind(site.path("handed.sock")).unwrap();
    for (handed, says) in [(Stdio::null(), "is not a socket"), (Stdio::from(OwnedFd::from(unix)), "does not fit [tls]")] {
        let output = command(handed).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), stderr.contains(says)), (Some(3), true), "{stderr}");
    }
}

#[test]
fn the_doctor_says_what_is_wrong_and_fails_for_it() {
    let site = site(75);
    std::fs::set_permissions(site.path("relay.toml"), std::fs::Permissions::from_mode(0o644)).unwrap();
    let doctor = output("doctor", &site.path("relay.toml"), &["--dev"]);
    let said = String::from_utf8(doctor.stdout).unwrap();
    assert_eq!(doctor.status.code(), Some(1), "{said}");
    let verdict =
        |what: &str| said.lines().find(|line| line.contains(&format!(" {what}: "))).unwrap().split_whitespace().next().unwrap();
    assert_eq!((verdict("configuration"), verdict("keyring")), ("BAD", "BAD"), "{said}");
    assert_eq!(verdict("data_dir"), "fine", "{said}");
}

/// Needs root, to lay other logs over the machine's in a namespace of its own, and to look at them as somebody who may not read them all.
#[test]
fn logs_that_the_doctor_may_not_read_are_not_fine() {
    let site = site(76);
    std::fs::set_permissions(site.dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let (logs, closed) = (site.path("logs"), site.path("logs/closed"));
    std::fs::create_dir_all(&closed).unwrap();
    std::fs::write(logs.join("access.log"), "GET /\n").unwrap();
    let logs_are = |account: &str| {
        let mut command = Command::new("unshare");
        command.args(["-m", "--propagation", "private", "sh", "-c"]);
        // The program is opened before, since that account cannot reach it by name.
        command.arg("mount --bind \"$1\" /var/log && exec 4<\"$2\" && exec setpriv --reuid \"$4\" /proc/self/fd/4 doctor --dev --config \"$3\"");
        command.arg("sh").arg(&logs).arg(BINARY).arg(site.path("relay.toml")).arg(account);
        let said = String::from_utf8(command.output().unwrap().stdout).unwrap();
        said.lines().find(|line| line.contains(" logs: ")).unwrap_or_else(|| panic!("{said}")).to_owned()
    };
    assert!(logs_are("65534").starts_with("fine"), "the control: nothing is closed yet");
    for path in [closed.clone(), logs.join("closed.log")] {
        let gate = if path.is_dir() { path.join("gate.log") } else { path.clone() };
        std::fs::write(gate, format!("GET /{GATE}/v1/notice\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).unwrap();
        let says = logs_are("65534");
        assert!(says.starts_with("doubtful") && says.contains(path.file_name().unwrap().to_str().unwrap()), "{says}");
        assert!(logs_are("0").starts_with("BAD"), "who may read it finds it");
    }
}

/// As the unit has it: the key lies sealed beside where the configuration says. Whoever checks before a restart hears everything else.
#[test]
fn a_configuration_whose_key_is_sealed_can_be_checked() {
    use porchlight_relay::door::tls::{pin_text, self_signed};
    let site = site(88);
    let certs = site.path("certs");
    let spki = self_signed(&certs, "localhost").unwrap().spki;
    let files = "cert = \"certs/cert.pem\"\nkey = \"certs/key.pem\"";
    std::fs::write(site.path("relay.toml"), site.text().replace("self_signed = true", files)).unwrap();
    std::fs::rename(certs.join("key.pem"), certs.join("key.pem.cred")).unwrap();
    let check = || {
        let output = output("check-config", &site.path("relay.toml"), &["--dev"]);
        [output.stdout, output.stderr].map(|said| String::from_utf8(said).unwrap())
    };
    let [out, said] = check();
    assert!(out.contains(&format!("\npin {}\n", pin_text(&spki))) && said.contains("the key is sealed"), "{out}{said}");
    std::fs::write(certs.join("cert.pem"), "nothing").unwrap();
    let [out, said] = check();
    assert!(out.is_empty() && said.contains("tls.cert"), "{out}{said}");
    std::fs::remove_file(certs.join("key.pem.cred")).unwrap();
    let [out, said] = check();
    assert!(out.is_empty() && said.contains("tls."), "{out}{said}");
}

/// deploy/renewed, with a systemctl that only notes that it was called.
#[test]
fn a_renewed_certificate_is_handed_over_if_its_key_is_the_old_one() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let certificate = |name: &str, pair: &rcgen::KeyPair| {
        std::fs::create_dir_all(at(name).parent().unwrap()).unwrap();
        let params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        std::fs::write(at(name), params.self_signed(pair).unwrap().pem()).unwrap();
        std::fs::read(at(name)).unwrap()
    };
    let [pair, other] = std::array::from_fn(|_| rcgen::KeyPair::generate().unwrap());
    let held = certificate("cert.pem", &pair);
    let renewed = certificate("lineage/fullchain.pem", &pair);
    let foreign = certificate("foreign.pem", &other);
    std::fs::write(at("garbage.pem"), "nothing").unwrap();
    let mut params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    params.not_after = rcgen::date_time_ymd(2020, 2, 29);
    std::fs::write(at("ended.pem"), params.self_signed(&pair).unwrap().pem()).unwrap();
    std::fs::create_dir(at("bin")).unwrap();
    std::fs::write(at("bin/systemctl"), format!("#!/bin/sh\necho \"$@\" >> {}\n", at("called").display())).unwrap();
    std::fs::set_permissions(at("bin/systemctl"), std::fs::Permissions::from_mode(0o755)).unwrap();
    let run = |new: &[&str]| {
        let mut command = Command::new("sh");
        command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/renewed")).args(new.iter().map(|name| at(name)));
        command.env("PATH", format!("{}:/usr/bin:/bin", at("bin").display()));
        command.env("PORCHLIGHT_CERT", at("cert.pem")).env("RENEWED_LINEAGE", at("lineage"));
        command.output().unwrap().status.success()
    };
    std::os::unix::fs::symlink(at("cert.pem"), at("linked.pem")).unwrap();
    for name in ["foreign.pem", "garbage.pem", "nowhere.pem", "ended.pem", "linked.pem", "cert.pem"] {
        assert!(!run(&[name]), "{name}");
        assert!(std::fs::read(at("cert.pem")).unwrap() == held && !at("called").exists(), "{name}: nothing is changed");
    }
    assert_ne!(foreign, held, "VOID");
    // A relay that does not start with it has the old one again.
    let does = |says: &str| {
        std::fs::write(at("bin/systemctl"), format!("#!/bin/sh\necho \"$@\" >> {}\n{says}\n", at("called").display())).unwrap();
    };
    does(&format!("cmp -s {} {}", at("cert.pem").display(), at("kept.pem").display()));
    std::fs::write(at("kept.pem"), &held).unwrap();
    assert!(!run(&[]));
    assert_eq!(std::fs::read(at("cert.pem")).unwrap(), held);
    std::fs::remove_file(at("called")).unwrap();
    does("");
    assert!(run(&[]), "as certbot calls it");
    assert_eq!(std::fs::read(at("cert.pem")).unwrap(), renewed);
    assert_eq!(std::fs::read(at("cert.pem.before")).unwrap(), held);
    assert_eq!(std::fs::read_to_string(at("called")).unwrap(), "restart porchlight-relay.service\n");
}

/// The units as they are installed, with deploy/front or without, and this build as the relay.
fn units(dir: &Path, has_front: bool) {
    let deploy = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy");
    for name in ["porchlight-relay.service", "porchlight-relay.socket", "porchlight-watch.service"] {
        let text = std::fs::read_to_string(deploy.join(name)).unwrap();
        let text = text.replace("/usr/local/bin/porchlight-relay", BINARY).replace("/usr/local/bin/porchlight ", "/bin/true ");
        std::fs::write(dir.join(name), text).unwrap();
        if has_front && name.starts_with("porchlight-relay") {
            let more = dir.join(format!("{name}.d"));
            std::fs::create_dir(&more).unwrap();
            std::fs::copy(deploy.join(format!("front/{name}.d/front.conf")), more.join("front.conf")).unwrap();
        }
    }
}

/// What systemd-analyze says of the units in a directory.
fn analyze(dir: &Path, arguments: &[&str], names: &[&str]) -> Output {
    let paths = names.iter().map(|name| dir.join(name));
    Command::new("systemd-analyze").args(arguments).args(paths).output().unwrap()
}

/// The lower, the less is left open; what is left is the network of its one socket.
#[test]
fn the_unit_leaves_little_open() {
    for has_front in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        units(dir.path(), has_front);
        let output = analyze(dir.path(), &["security", "--offline=yes", "--no-pager"], &["porchlight-relay.service"]);
        let said = String::from_utf8(output.stdout).unwrap();
        let level = said.lines().find_map(|line| line.split_once("exposure level for porchlight-relay.service: ")).unwrap().1;
        let level: f64 = level.split_whitespace().next().unwrap().parse().unwrap();
        println!("exposure {level} (pass: at most 1.5), behind a website: {has_front}");
        assert!(level <= 1.5, "{said}");
    }
}

/// What the score gives no points for, or too few to notice: keys that outlive a restart and nothing else, and memory that goes nowhere.
#[test]
fn the_unit_keeps_keys_over_a_restart_and_memory_off_every_disk() {
    let unit = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/porchlight-relay.service")).unwrap();
    for setting in [
        "RuntimeDirectory=porchlight",
        "RuntimeDirectoryMode=0700",
        "RuntimeDirectoryPreserve=yes",
        "DynamicUser=yes",
        "LimitCORE=0",
        "LimitMEMLOCK=infinity",
        "MemorySwapMax=0",
        "Restart=always",
        // What is freed is given back, or the bounds on memory that were measured do not hold (docs/BENCH.md).
        "Environment=MALLOC_ARENA_MAX=2",
        "Environment=MALLOC_MMAP_THRESHOLD_=131072",
    ] {
        assert!(unit.lines().any(|line| line == setting), "{setting}");
    }
}

/// MiB from which on a relay sends connections away: `MEMORY_ENOUGH` in `server/src/relay.rs`, which
/// [`the_end_that_the_unit_sets_lies_far_behind_where_the_relay_helps_itself`] holds it against.
const ENOUGH_MIB: u64 = 384;

/// As much again: what lies in the kernel for a full house, and what comes while the relay has not looked yet.
#[test]
fn the_end_that_the_unit_sets_lies_far_behind_where_the_relay_helps_itself() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let unit = std::fs::read_to_string(here.join("../deploy/porchlight-relay.service")).unwrap();
    let source = std::fs::read_to_string(here.join("src/relay.rs")).unwrap();
    assert!(source.contains(&format!("\nconst MEMORY_ENOUGH: u64 = {ENOUGH_MIB} << 20;\n")), "the relay has another");
    let most: Vec<&str> = unit.lines().filter_map(|line| line.strip_prefix("MemoryMax=")).collect();
    let [most] = most[..] else { panic!("{most:?}") };
    let (number, unit) = most.split_at(most.len() - 1);
    let mib = number.parse::<u64>().unwrap() * [("M", 1), ("G", 1024)].iter().find(|(name, _)| *name == unit).unwrap().1;
    println!("{mib} MiB (pass: at least {})", 2 * ENOUGH_MIB);
    assert!(mib >= 2 * ENOUGH_MIB, "{most}");
}

#[test]
fn systemd_knows_every_word_of_the_units() {
    let verify = |dir: &Path| {
        let names = ["porchlight-relay.service", "porchlight-relay.socket", "porchlight-watch.service"];
        let output = analyze(dir, &["verify"], &names);
        let said = String::from_utf8(output.stderr).unwrap();
        // Of this machine's other units it may think what it likes.
        said.lines().filter(|line| line.contains("porchlight") || !output.status.success()).map(str::to_owned).collect::<Vec<_>>()
    };
    for has_front in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        units(dir.path(), has_front);
        assert_eq!(verify(dir.path()), Vec::<String>::new(), "behind a website: {has_front}");
    }
    for name in ["porchlight-relay.service.d/front.conf", "porchlight-relay.socket.d/front.conf", "porchlight-watch.service"] {
        let dir = tempfile::tempdir().unwrap();
        units(dir.path(), true);
        std::fs::write(dir.path().join(name), "[Unit]\nNonesuch=1\n").unwrap();
        assert!(verify(dir.path()).iter().any(|line| line.contains("Nonesuch")), "VOID: {name} is not read");
    }
}

/// What a relay behind a website is given: its configuration and no file of a certificate, which is not there; and one socket, not two.
#[test]
fn behind_a_website_the_units_name_no_file_that_is_not_there() {
    let deploy =
        |name: &str| std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy").join(name)).unwrap();
    // As systemd reads a list: what comes later is added, and an empty value takes back what came before.
    let list = |keys: &[&str], name: &str| {
        let (unit, more) = (deploy(name), deploy(&format!("front/{name}.d/front.conf")));
        let mut list: Vec<String> = Vec::new();
        for (key, value) in unit.lines().chain(more.lines()).filter_map(|line| line.split_once('=')) {
            match (keys.contains(&key), value) {
                (true, "") => list.clear(),
                (true, value) => list.push(value.to_owned()),
                (false, _) => {}
            }
        }
        list
    };
    let credentials = list(&["LoadCredential", "LoadCredentialEncrypted"], "porchlight-relay.service");
    assert_eq!(credentials, ["relay.toml:/etc/porchlight/relay.toml"]);
    let sockets = list(&["ListenStream"], "porchlight-relay.socket");
    let [socket] = &sockets[..] else { panic!("{sockets:?}") };
    let kept = deploy("porchlight-relay.service");
    let closed = kept.lines().find_map(|line| line.strip_prefix("RuntimeDirectory=")).unwrap();
    assert!(!socket.starts_with(&format!("/run/{closed}/")), "nobody but the relay may enter the directory of its keys");
    for name in ["nginx.conf", "README.md"] {
        assert!(deploy(name).contains(socket.as_str()), "{name} names another socket");
    }
}

//! The binary as an operator has it: its one line, its exit codes, its signals, what it refuses and in which words.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::binary::*;
use crate::disk::Disk;
use crate::support::*;
use porchlight_proto::api::{LanePage, UpOutcome};
use porchlight_relay::clock::{Clock, SystemClock};
use rustix::process::{Pid, Signal, kill_process};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule, apply_filter,
};
use tokio::time::{sleep, timeout};

#[tokio::test]
async fn it_says_ready_serves_and_stops_cleanly_at_either_signal() {
    let site = site(50);
    for signal in [Signal::TERM, Signal::INT] {
        let process = Process::start(&site.path("relay.toml"));
        let mut client = Client::connect(process.address, process.spki, Http::Two).await;
        client.get("notice").await.ok();
        process.signal(signal);
        assert_eq!(process.ended().await.0.code(), Some(0), "{signal:?}");
    }
    let pin = std::fs::read_to_string(site.path("data/tls/pin")).unwrap();
    let checked = output("check-config", &site.path("relay.toml"), &["--dev"]);
    assert_eq!(checked.status.code(), Some(0));
    assert!(String::from_utf8(checked.stdout).unwrap().ends_with(&format!("lines 1\nstore Sled\npin {pin}")));
}

/// The kernel answers `prctl(PR_GET_AUXV)` since Linux 6.4, and Debian 12 has 6.1. Before that how large a page is stands in a file that a process
/// which is not dumpable may not open: whoever asks for it once the relay is confined panics.
#[tokio::test]
async fn it_goes_on_where_the_kernel_is_older_than_6_4() {
    const PR_GET_AUXV: u64 = 0x4155_5856;
    let site = site(57);
    let config = site.path("relay.toml");
    // What is refused to a thread is refused to what it starts.
    let process = std::thread::spawn(move || {
        let asks = SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, PR_GET_AUXV).unwrap();
        let rules = BTreeMap::from([(libc::SYS_prctl, vec![SeccompRule::new(vec![asks]).unwrap()])]);
        let (rest, unknown) = (SeccompAction::Allow, SeccompAction::Errno(libc::EINVAL.unsigned_abs()));
        let filter: BpfProgram =
            SeccompFilter::new(rules, rest, unknown, std::env::consts::ARCH.try_into().unwrap()).unwrap().try_into().unwrap();
        apply_filter(&filter).unwrap();
        Process::start(&config)
    });
    let mut process = process.join().unwrap();
    let mut client = Client::connect(process.address, process.spki, Http::Two).await;
    // It looks at its memory four times a second.
    let ended = timeout(Duration::from_secs(2), async {
        while process.child.try_wait().unwrap().is_none() {
            client.get("notice").await.ok();
            sleep(Duration::from_millis(50)).await;
        }
    });
    assert!(ended.await.is_err(), "it ended: {:?}", process.child.wait());
    process.signal(Signal::TERM);
    assert_eq!(process.ended().await.0.code(), Some(0));
}

#[test]
fn it_refuses_with_the_key_and_what_to_do_about_it() {
    let site = site(52);
    let write = |name: &str, text: &str| {
        std::fs::write(site.path(name), text).unwrap();
        site.path(name)
    };
    let text = site.text();
    let (public, certificate) = (text.replace("127.0.0.1:0", "0.0.0.0:0"), "cert = \"cert.pem\"\nkey = \"key.pem\"");
    for (name, config, code, says) in [
        ("no file", site.path("nowhere.toml"), 1, "cannot read"),
        ("an unknown key", write("a.toml", &format!("colour = 1\n{text}")), 1, "unknown field, expected one of `listen`"),
        ("its own certificate in public", write("e.toml", &public), 1, "tls.self_signed: is for this machine alone"),
        (
            "no decoy on a public address",
            write("b.toml", &public.replace("self_signed = true", certificate)),
            1,
            "decoy_dir: is missing",
        ),
        ("a keyring on a disk", write("c.toml", &text.replace("\"keys\"", "\"data/keys\"")), 1, "keyring_dir"),
        ("a port in use", write("d.toml", &text.replace("127.0.0.1:0", &taken())), 3, "cannot listen on"),
    ] {
        let more: &[&str] = if code == 3 { &["--dev"] } else { &[] };
        let output = output("run", &config, more);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{name}: {stderr}");
        assert!(stderr.contains(says), "{name}: {stderr}");
        assert_eq!(output.stdout, b"", "{name}");
    }
    assert_eq!(Command::new(BINARY).arg("dance").output().unwrap().status.code(), Some(1));
}

#[test]
fn what_run_refuses_check_config_refuses_with_the_same_words_and_makes_nothing() {
    use std::os::unix::fs::symlink;
    /// Its name, lines of the configuration, how the site's directory is changed, and what is said.
    type Mistake = (&'static str, &'static str, fn(&Site), &'static str);
    fn decoy(site: &Site) {
        std::fs::create_dir(site.path("site")).unwrap();
        ["site/index.html", "site/404.html", "outside"].iter().for_each(|name| std::fs::write(site.path(name), "x").unwrap());
    }
    let mistakes: [Mistake; 6] = [
        ("a keyring on a disk", "", |_| {}, "is not on a file system in RAM"),
        (
            "a file of the decoy elsewhere",
            "keyring_on_disk = true\ndecoy_dir = \"site\"\n",
            |site| {
                decoy(site);
                symlink("../outside", site.path("site/linked.html")).unwrap();
            },
            "decoy_dir: /linked.html is a link that leads out of decoy_dir",
        ),
        (
            "the cells elsewhere",
            "keyring_on_disk = true\n",
            |site| {
                ["data", "elsewhere"].iter().for_each(|name| std::fs::create_dir(site.path(name)).unwrap());
                symlink("../elsewhere", site.path("data/cells")).unwrap();
            },
            "data_dir: cells is a link that leads out of data_dir",
        ),
        (
            "a pipe in the place of a file",
            "keyring_on_disk = true\n",
            |site| {
                std::fs::create_dir(site.path("data")).unwrap();
                rustix::fs::mkfifoat(rustix::fs::CWD, site.path("data/lock"), rustix::fs::Mode::RWXU).unwrap();
            },
            "data_dir: lock is no file",
        ),
        (
            "no page for what is not there",
            "keyring_on_disk = true\ndecoy_dir = \"site\"\n",
            |site| std::fs::create_dir(site.path("site")).unwrap(),
            "decoy_dir: there is no index.html",
        ),
        (
            "a site among the relay's own files",
            "keyring_on_disk = true\ndecoy_dir = \".\"\n",
            |_| {},
            "decoy_dir: the configuration lies in it",
        ),
    ];
    for (name, more, change, says) in mistakes {
        let mut site = site(56);
        site.top += more;
        std::fs::write(site.path("relay.toml"), site.text()).unwrap();
        change(&site);
        let before = files_under(site.dir.path());
        for verb in ["check-config", "run"] {
            let output = output(verb, &site.path("relay.toml"), &[]);
            let stderr = String::from_utf8(output.stderr).unwrap();
            assert_eq!((output.status.code(), output.stdout), (Some(1), vec![]), "{verb}, {name}: {stderr}");
            assert!(stderr.contains(says), "{verb}, {name}: {stderr}");
            if verb == "check-config" {
                assert_eq!(files_under(site.dir.path()), before, "{name}");
            }
        }
    }
}

#[test]
fn something_else_where_its_socket_should_be_is_told_before_the_start() {
    let mut site = site(61);
    site.top = site.top.replace("127.0.0.1:0", "unix:relay.sock");
    std::fs::write(site.path("relay.toml"), site.text().replace("self_signed = true", "")).unwrap();
    std::fs::write(site.path("relay.sock"), "no socket").unwrap();
    for verb in ["check-config", "run"] {
        let output = output(verb, &site.path("relay.toml"), &["--dev"]);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), output.stdout), (Some(3), vec![]), "{verb}: {said}");
        assert!(said.contains("relay.sock: something that is no socket lies there"), "{verb}: {said}");
    }
    assert_eq!(std::fs::read_to_string(site.path("relay.sock")).unwrap(), "no socket", "it is somebody's");
}

/// Whoever keeps the pin in a file on a full disk has none.
#[test]
fn what_cannot_be_written_to_stdout_is_no_success() {
    let site = site(62);
    for verb in ["check-config", "doctor"] {
        let mut command = Command::new(BINARY);
        command.args([verb, "--dev", "--config"]).arg(site.path("relay.toml"));
        command.stdout(std::fs::File::options().write(true).open("/dev/full").unwrap());
        let output = command.output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{verb}: {said}");
        assert!(said.contains("standard output cannot be written: "), "{verb}: {said}");
    }
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    assert_eq!(Command::new(BINARY).arg("--help").stdout(full).status().unwrap().code(), Some(1));
}

#[test]
fn each_verbs_help_says_the_exit_codes() {
    for verb in [&[][..], &["run"], &["check-config"], &["doctor"]] {
        let output = Command::new(BINARY).args(verb).arg("--help").output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success() && said.contains("Exit codes: 0 done"), "{verb:?}: {said}");
    }
}

#[test]
fn check_config_makes_no_key_unless_it_is_told_to() {
    let site = site(57);
    let pin = |more: &[&str]| {
        let checked = output("check-config", &site.path("relay.toml"), &[&["--dev"], more].concat());
        assert_eq!(checked.status.code(), Some(0));
        String::from_utf8(checked.stdout).unwrap().rsplit_once("pin ").unwrap().1.to_owned()
    };
    assert_eq!(pin(&[]), "none yet: the first start makes the key, or --make-key now\n");
    assert_eq!(files_under(site.dir.path()), [site.path("relay.toml")]);
    let made = pin(&["--make-key"]);
    assert_eq!(std::fs::read_to_string(site.path("data/tls/pin")).unwrap(), made);
    assert_eq!(pin(&[]), made, "from now on it is there");
}

/// A private key that was given for its path.
#[test]
fn no_verb_repeats_a_key_that_stands_where_its_path_should() {
    let site = site(58);
    let pem = "-----BEGIN PRIVATE KEY-----\nk3v9q2k3v9q2\n-----END PRIVATE KEY-----\n";
    // One that nothing tells from a path.
    let bare = "MC4CAQAwBQYDK2VwBCIEIk3v9q2k3v9q2";
    for (key, value) in [("key", pem), ("cert", pem), ("key", bare), ("cert", bare)] {
        let other = if key == "key" { "cert = \"cert.pem\"" } else { "key = \"key.pem\"" };
        let files = format!("{key} = {value:?}\n{other}");
        std::fs::write(site.path("relay.toml"), site.text().replace("self_signed = true", &files)).unwrap();
        if value == bare {
            let pair = rcgen::KeyPair::generate().unwrap();
            let params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
            std::fs::write(site.path("cert.pem"), params.self_signed(&pair).unwrap().pem()).unwrap();
            std::fs::write(site.path("key.pem"), pair.serialize_pem()).unwrap();
        }
        for verb in ["check-config", "run", "doctor"] {
            let output = output(verb, &site.path("relay.toml"), &["--dev"]);
            let said = [output.stdout, output.stderr].concat();
            let said = String::from_utf8(said).unwrap();
            // The doctor looks at the key alone.
            let named = if verb == "doctor" { "tls." } else { &format!("tls.{key}: ") };
            assert!(said.contains(named), "{verb}: {said}");
            assert!(!said.contains("k3v9q2k3v9q2"), "{verb}: {said}");
        }
    }
}

/// An address that somebody listens on for as long as the tests run.
fn taken() -> String {
    let listener = Box::leak(Box::new(std::net::TcpListener::bind("127.0.0.1:0").unwrap()));
    listener.local_addr().unwrap().to_string()
}

#[test]
fn a_second_relay_on_the_same_data_is_refused() {
    let site = site(53);
    let mut process = Process::start(&site.path("relay.toml"));
    let output = output("run", &site.path("relay.toml"), &["--dev"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr).unwrap().contains("another relay is using data_dir"));
    process.signal(Signal::TERM);
    process.child.wait().unwrap();
}

#[tokio::test]
async fn a_socket_serves_plain_http_and_is_gone_afterwards() {
    let mut site = site(54);
    site.top = site.top.replace("127.0.0.1:0", "unix:relay.sock");
    let spki = [9; 32];
    let text = site.text().replace("self_signed = true", &format!("spki = \"{}\"", data_encoding::HEXLOWER.encode(&spki)));
    std::fs::write(site.path("relay.toml"), text).unwrap();
    for life in 0..2 {
        let mut child = Command::new(BINARY)
            .args(["run", "--dev", "--config"])
            .arg(site.path("relay.toml"))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        assert_eq!(line.trim(), format!("ready unix:{}", site.path("relay.sock").display()));
        let stream = tokio::net::UnixStream::connect(site.path("relay.sock")).await.unwrap();
        let (sender, talk) = hyper::client::conn::http1::handshake(hyper_util::rt::TokioIo::new(stream)).await.unwrap();
        tokio::spawn(talk);
        let mut client = Client::One(sender);
        client.get("notice").await.ok();
        let path = "/v1/desk/up?after=0000000000000000-0&wait=0";
        let token = site.line.token(&site.line.worker, &spki, ("GET", path), &[], now());
        client.send("GET", &format!("/{GATE}{path}"), Some(&token), &[]).await.ok();
        // Killed the first time, so that the second finds the socket it left behind.
        kill_process(Pid::from_child(&child), if life == 0 { Signal::KILL } else { Signal::TERM }).unwrap();
        child.wait().unwrap();
        assert_eq!(site.path("relay.sock").exists(), life == 0);
        let mut rest = String::new();
        stdout.read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "", "one line and no more");
    }
}

/// Its directory is then the one that it was started in, and the process is confined to that.
#[test]
fn a_configuration_of_a_bare_name_has_its_paths_from_where_it_is_started() {
    let mut site = site(59);
    site.top = site.top.replace("127.0.0.1:0", "unix:relay.sock");
    std::fs::write(site.path("relay.toml"), site.text().replace("self_signed = true", "")).unwrap();
    let mut command = Command::new(BINARY);
    command.args(["run", "--dev", "--config", "relay.toml"]).current_dir(site.dir.path());
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    assert_eq!((child.wait().unwrap().code(), line.as_str()), (Some(0), "ready unix:./relay.sock\n"));
    assert!(!site.path("relay.sock").exists(), "it can be removed there as well");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_ends_long_polls_and_silent_connections_and_a_hangup_stops_nothing() {
    let site = site(55);
    let process = Process::start(&site.path("relay.toml"));
    process.signal(Signal::HUP);
    process.hear("SIGHUP changes nothing here");
    let mut client = process.client().await;
    let mut other = client.another();
    let silent = [tls(process.address, process.spki, b"http/1.1").await, tls(process.address, process.spki, b"h2").await];
    let poll =
        desk(&process, &mut client, &site.line, &site.line.worker, ("GET", "desk/up?after=0000000000000000-0&wait=30"), &[]);
    let stopped = async {
        // On the same connection and after the poll: so the poll has begun when this is answered.
        other.get("notice").await.ok();
        process.signal(Signal::TERM);
    };
    let (page, ()) = tokio::join!(poll, stopped);
    assert!(LanePage::parse(&page.ok()).unwrap().cells.is_empty(), "the poll ends with an ordinary answer");
    let began = SystemClock.boot();
    let (status, said) = process.ended().await;
    println!("ended {} ms after the poll", SystemClock.boot().since(began));
    assert_eq!(status.code(), Some(0));
    assert_eq!(said, [""; 0], "nothing more to say");
    drop(silent);
}

/// The relay waits for its configuration, which comes through a pipe: whoever opened that for writing knows how far it is.
#[test]
fn a_hangup_before_it_is_ready_is_heard_when_it_is() {
    let site = site(61);
    let config = site.path("relay.toml");
    std::fs::remove_file(&config).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, &config, rustix::fs::Mode::RWXU).unwrap();
    let text = site.text();
    let mut command = Command::new("sh");
    command
        .args(["-c", "echo $$ > \"$3\"; exec \"$1\" run --dev --config \"$2\"", "sh", BINARY])
        .arg(&config)
        .arg(site.path("pid"));
    let pid = site.path("pid");
    let writer = std::thread::spawn(move || {
        let mut pipe = std::fs::OpenOptions::new().write(true).open(&config).unwrap();
        let pid = std::fs::read_to_string(pid).unwrap().trim().parse().unwrap();
        kill_process(Pid::from_raw(pid).unwrap(), Signal::HUP).unwrap();
        std::io::Write::write_all(&mut pipe, text.as_bytes()).unwrap();
    });
    let mut process = Process::spawn(command);
    writer.join().unwrap();
    process.hear("SIGHUP changes nothing here");
    process.signal(Signal::TERM);
    assert_eq!(process.child.wait().unwrap().code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ends_it_at_once() {
    let site = site(56);
    let mut process = Process::start(&site.path("relay.toml"));
    let mut slow = tls(process.address, process.spki, b"http/1.1").await;
    let half = format!("POST /{GATE}/v1/up HTTP/1.1\r\nhost: a\r\ncontent-length: 2080\r\n\r\nhalf");
    tokio::io::AsyncWriteExt::write_all(&mut slow, half.as_bytes()).await.unwrap();
    process.signal(Signal::TERM);
    // It has heard the first when it accepts nobody any more.
    while std::net::TcpStream::connect(process.address).is_ok() {
        tokio::task::yield_now().await;
    }
    process.signal(Signal::TERM);
    process.hear("stopped at once");
    assert_eq!(process.child.wait().unwrap().code(), Some(0));
}

/// Whoever has to say that a disk does not answer does not wait for it, nor does what else is to be said.
#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_does_not_answer_is_said_and_what_else_is_wrong() {
    assert!(rustix::process::geteuid().is_root(), "this test mounts a file system: run it as root");
    let (site, disk) = (site(61), Disk::new());
    std::fs::create_dir_all(site.path("data/cells")).unwrap();
    let _mounted = disk.mount(&site.path("data/cells"));
    let process = Process::start(&site.path("relay.toml"));
    let mut client = process.client().await;
    assert_eq!(post(&mut client, &site.line.post()).await, UpOutcome::Stored);
    let hangs = disk.hang();
    let mut waits = client.another();
    let up = site.line.post();
    let waiting = tokio::spawn(async move { post(&mut waits, &up).await });
    client.get("notice").await.ok();
    process.hear("does not answer");
    std::fs::remove_file(site.path("keys/keyring")).unwrap();
    process.hear("removed the keyring's file");
    waiting.abort();
    drop(hangs);
    process.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_does_not_answer_is_not_waited_for_at_the_end() {
    assert!(rustix::process::geteuid().is_root(), "this test mounts a file system: run it as root");
    let (site, disk) = (site(60), Disk::new());
    std::fs::create_dir_all(site.path("data/cells")).unwrap();
    let _mounted = disk.mount(&site.path("data/cells"));
    let mut process = Process::start(&site.path("relay.toml"));
    let mut client = process.client().await;
    assert_eq!(post(&mut client, &site.line.post()).await, UpOutcome::Stored);
    let hangs = disk.hang();
    let mut waits = client.another();
    let up = site.line.post();
    let waiting = tokio::spawn(async move { post(&mut waits, &up).await });
    // On the same connection and after the post: so that has begun when this is answered.
    client.get("notice").await.ok();
    process.signal(Signal::TERM);
    process.hear("does the disk answer?");
    waiting.abort();
    // A kernel lets nobody go that waits for a disk of this kind.
    drop(hangs);
    assert_eq!(process.child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_second_relay_on_the_same_keyring_is_refused() {
    let site = site(57);
    let mut process = Process::start(&site.path("relay.toml"));
    std::fs::write(site.path("other.toml"), site.text().replace("\"data\"", "\"other\"")).unwrap();
    let output = output("run", &site.path("other.toml"), &["--dev"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr).unwrap().contains("another relay is using the keyring"));
    process.signal(Signal::TERM);
    process.child.wait().unwrap();
}

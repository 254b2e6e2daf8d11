//! A look at the host: what would make this relay's promises untrue on this machine.
//!
//! Reads and changes nothing. Everything is looked up below a root directory, which is `/` but for tests.

use std::fs::{self, DirEntry, File};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{SeekFrom, seek};
use rustix::io::Errno;

use super::swap;
use crate::config::{Listen, Settings, StoreKind, Tls};
use crate::door::tls::of_certificate;
use crate::files::{is_no_file, nearest};
use crate::seal;

/// How a finding stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// As it should be.
    Fine,
    /// It could not be told, or it is a matter of taste that an operator should know of.
    Doubtful,
    /// A promise is not kept on this machine.
    Bad,
}

/// One thing looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What.
    pub what: &'static str,
    /// How it stands.
    pub verdict: Verdict,
    /// In words, with what to do about it.
    pub says: String,
}

/// Bytes of a log that are looked at together.
const CHUNK: u64 = 1 << 20;

/// Endings of logs that are packed, whole or, as the long entries of a journal, in part.
const PACKED: [&str; 16] =
    ["gz", "tgz", "z", "zip", "xz", "lzma", "zst", "zstd", "bz2", "lz4", "lzo", "br", "7z", "rar", "journal", "journal~"];

/// Days before a certificate's end from which on it is doubtful (and the relay says so once a day), and bad.
pub const SOON_DAYS: i64 = 21;
const LAST_DAYS: i64 = 3;

/// Paths that a finding names; the rest is counted.
const NAMED: usize = 3;

/// Signs that something sets the clock: systemd-timesyncd, chrony, ntpd, OpenNTPD.
const TIME_SIGNS: [&str; 6] = [
    "run/systemd/timesync/synchronized",
    "run/chrony/chronyd.pid",
    "run/chronyd.pid",
    "run/ntpd.pid",
    "run/ntpsec/ntpd.pid",
    "run/openntpd/ntpd.sock",
];

/// Who owns what systemd maps to an account that exists while the unit runs, and the accounts that it takes for that (DynamicUser).
const NOBODY: u32 = 65_534;
const DYNAMIC: std::ops::RangeInclusive<u32> = 61_184..=65_519;

/// A host as the doctor sees it.
pub struct Host<'a> {
    /// Where its file system begins.
    pub root: &'a Path,
    /// The relay's settings.
    pub settings: &'a Settings,
    /// The file they came from.
    pub config: &'a Path,
    /// Directories of logs, beside /var/log. Not below the root.
    pub logs: &'a [PathBuf],
}

impl Host<'_> {
    /// Everything that was looked at, in a fixed order.
    #[must_use]
    pub fn examine(&self) -> Vec<Finding> {
        let mut found = vec![self.swap(), self.cores(), self.freed_memory(), self.keyring(), self.time()];
        found.extend(self.certificate());
        found.extend(self.permissions());
        found.push(self.logs());
        found
    }

    fn swap(&self) -> Finding {
        let what = "swap";
        match swap::in_use_at(&self.root.join("proc/swaps")) {
            Ok(names) if names.is_empty() => finding(what, Verdict::Fine, "off".into()),
            Ok(names) => finding(
                what,
                Verdict::Bad,
                format!("on ({}): keys would be written to it. swapoff -a, and take it out of /etc/fstab", names.join(", ")),
            ),
            Err(error) => finding(what, Verdict::Doubtful, format!("cannot be told: {error}")),
        }
    }

    fn cores(&self) -> Finding {
        let what = "core dumps";
        let pattern = match fs::read_to_string(self.root.join("proc/sys/kernel/core_pattern")) {
            Ok(pattern) => pattern,
            Err(error) => return finding(what, Verdict::Doubtful, format!("cannot be told: {error}")),
        };
        if pattern.starts_with('|') {
            let says = "a program is handed every crash on this machine. The relay switches its own dumps off; for the web server in front \
                        set LimitCORE=0 too";
            return finding(what, Verdict::Doubtful, says.into());
        }
        finding(what, Verdict::Fine, "go to no program".into())
    }

    /// A program that is killed cannot wipe what it had in memory.
    fn freed_memory(&self) -> Finding {
        let what = "freed memory";
        let told = fs::read_to_string(self.root.join("proc/cmdline")).unwrap_or_default();
        // Of several the last one counts.
        let value = told.split_whitespace().filter_map(|word| word.strip_prefix("init_on_free=")).next_back();
        if value.is_some_and(|value| ["1", "y", "on"].contains(&value)) {
            return finding(what, Verdict::Fine, "is cleared".into());
        }
        let says = "the kernel is not told to clear it: a relay that is killed leaves its keys there until something else comes to lie over them. Put \
                    init_on_free=1 on the kernel's command line (GRUB_CMDLINE_LINUX)";
        finding(what, Verdict::Doubtful, says.into())
    }

    fn keyring(&self) -> Finding {
        let what = "keyring";
        let (dir, data) = (&self.settings.keyring_dir, &self.settings.data_dir);
        if self.settings.store == StoreKind::Memory {
            return finding(what, Verdict::Fine, "in the process's memory alone".into());
        }
        match seal::lies_in_ram(nearest(dir), nearest(data)) {
            Ok(true) => finding(what, Verdict::Fine, "keyring_dir is in RAM".into()),
            Ok(false) => {
                let says =
                    "keyring_dir is on a disk, or where data_dir is: keys outlive their cells there. Use a directory under /run";
                finding(what, Verdict::Bad, says.into())
            }
            Err(error) => finding(what, Verdict::Doubtful, format!("keyring_dir cannot be told: {error}")),
        }
    }

    fn time(&self) -> Finding {
        let what = "clock";
        if TIME_SIGNS.iter().any(|sign| self.root.join(sign).exists()) {
            return finding(what, Verdict::Fine, "something that sets it was started".into());
        }
        let says = "nothing is seen to set it: pages and slots go by it, and more than a day off it turns desks away. Install systemd-timesyncd or \
                    chrony";
        finding(what, Verdict::Bad, says.into())
    }

    /// When the certificate ends; one that a website in front has is the website's matter.
    fn certificate(&self) -> Option<Finding> {
        let Tls::Files { cert, .. } = &self.settings.tls else { return None };
        let what = "tls.cert";
        if is_no_file(cert) {
            return Some(finding(what, Verdict::Bad, "is no file: name one that holds PEM".into()));
        }
        let (verdict, says) = match of_certificate(cert) {
            Ok((_, until)) if until.is_over() => (Verdict::Bad, format!("ended on {until}: browsers turn away")),
            Ok((_, until)) if until.days() < LAST_DAYS => (Verdict::Bad, format!("ends on {until}: renew it now, with its key")),
            Ok((_, until)) if until.days() < SOON_DAYS => (Verdict::Doubtful, format!("ends on {until}: renew it, with its key")),
            Ok((_, until)) => (Verdict::Fine, format!("ends on {until}")),
            Err(error) => (Verdict::Bad, error.to_string()),
        };
        Some(finding(what, verdict, says))
    }

    fn permissions(&self) -> Vec<Finding> {
        let settings = self.settings;
        let mut found = Vec::new();
        let mut files = vec![("configuration", self.config.to_path_buf(), 0o027), ("data_dir", settings.data_dir.clone(), 0o077)];
        if settings.store == StoreKind::Sled {
            // Whoever may write to the directory can put a keyring of their own there; and it is there before the first start.
            files.push(("keyring_dir", settings.keyring_dir.clone(), 0o022));
            files.push(("keyring file", settings.keyring_dir.join(seal::KEYRING_FILE), 0o077));
        }
        match &settings.tls {
            Tls::Files { key, .. } if key.exists() => files.push(("tls.key", key.clone(), 0o037)),
            Tls::Files { key, .. } => found.push(sealed_key("tls.key", key)),
            Tls::SelfSigned if !matches!(settings.listen, Listen::Unix(_)) => {
                files.push(("tls.key", settings.data_dir.join("tls/key.pem"), 0o077))
            }
            Tls::SelfSigned | Tls::Front(_) => {}
        }
        let trusted = self.trusted();
        found.extend(files.into_iter().map(|(what, path, refused)| {
            // A configuration, and a certificate's key, may be somebody else's who writes them.
            let taken = if ["data_dir", "keyring_dir"].contains(&what) { strangers(&path, &trusted) } else { None };
            taken.map_or_else(|| private(what, &path, refused), |says| finding(what, Verdict::Bad, says))
        }));
        found
    }

    /// The accounts that may own what is the relay's: root's, that of whoever asks, and the relay's own, which data_dir belongs to, or will.
    fn trusted(&self) -> Vec<u32> {
        let mut trusted = vec![0, rustix::process::geteuid().as_raw()];
        let owner = fs::metadata(nearest(&self.settings.data_dir)).map(|found| found.uid());
        trusted.extend(owner.iter());
        if owner.is_ok_and(|owner| owner == NOBODY) {
            trusted.extend(DYNAMIC);
        }
        trusted
    }

    /// A log that holds a gate's path holds who knocked there and when.
    fn logs(&self) -> Finding {
        let what = "logs";
        let gates: Vec<Vec<u8>> = self
            .settings
            .lines
            .iter()
            .flat_map(|line| &line.gates)
            .map(|gate| format!("/{}", gate.as_str()).into_bytes())
            .collect();
        if gates.is_empty() {
            let says = "there is no [[line]] part yet, so there is no gate to look for. Run this again when there is one";
            return finding(what, Verdict::Doubtful, says.into());
        }
        let mut search = Search { gates, hits: Vec::new(), unread: Vec::new() };
        search.below(&self.root.join("var/log"));
        // Where it is not kept on the disk, and where it begins at each boot.
        let journal = self.root.join("run/log/journal");
        if journal.exists() {
            search.below(&journal);
        }
        for logs in self.logs {
            if search.is_named_for_a_gate(logs) { search.hits.push(logs.clone()) } else { search.below(logs) }
        }
        if let Some(first) = search.hits.first() {
            let says = format!(
                "{} in {} say which gate was knocked at, by what they hold or by their name: callers' visits are written down. Take the gate's \
                 paths out of the web server's logs (deploy/nginx.conf), then delete these files",
                search.hits.len(),
                first.parent().unwrap_or(first).display()
            );
            return finding(what, Verdict::Bad, says);
        }
        if search.unread.is_empty() {
            let places = ["/var/log".to_owned()].into_iter().chain(self.logs.iter().map(|logs| logs.display().to_string()));
            let says = format!(
                "no gate of this configuration stands in any below {}; earlier gates are yours to look for, and logs elsewhere want --logs",
                places.collect::<Vec<_>>().join(", ")
            );
            return finding(what, Verdict::Fine, says);
        }
        let says = format!(
            "no gate of this configuration stands in those that can be read. Packed, unreadable, or links that lead to no file: {}. Look into them by hand \
             (zgrep, journalctl --grep)",
            some_of(&search.unread)
        );
        finding(what, Verdict::Doubtful, says)
    }
}

/// The first few, and how many more there are.
fn some_of(paths: &[PathBuf]) -> String {
    let named: Vec<String> = paths.iter().take(NAMED).map(|path| path.display().to_string()).collect();
    match paths.len().saturating_sub(NAMED) {
        0 => named.join(", "),
        more => format!("{} and {more} more", named.join(", ")),
    }
}

/// A search for gates in logs: where one stands, and what could not be searched whole.
struct Search {
    gates: Vec<Vec<u8>>,
    hits: Vec<PathBuf>,
    unread: Vec<PathBuf>,
}

impl Search {
    fn below(&mut self, dir: &Path) {
        let Ok(entries) = fs::read_dir(dir) else {
            self.unread.push(dir.to_path_buf());
            return;
        };
        for entry in entries {
            match entry {
                Ok(entry) => self.entry(&entry),
                Err(_) => self.unread.push(dir.to_path_buf()),
            }
        }
    }

    /// Whether a gate is a word of a file's or a directory's own name.
    fn is_named_for_a_gate(&self, path: &Path) -> bool {
        let name = path.file_name().unwrap_or_default().as_encoded_bytes();
        let mut words = name.split(|byte| !byte.is_ascii_alphanumeric());
        words.any(|word| self.gates.iter().any(|gate| gate.strip_prefix(b"/") == Some(word)))
    }

    fn entry(&mut self, entry: &DirEntry) {
        let path = entry.path();
        match entry.file_type() {
            // Neither it nor what lies in it is named: the gate would be said again.
            _ if self.is_named_for_a_gate(&path) => self.hits.push(path),
            Ok(kind) if kind.is_dir() => self.below(&path),
            Ok(kind) if kind.is_file() => self.file(path),
            // A link to a directory could lead back here, and one to a pipe would never end.
            Ok(kind) if kind.is_symlink() && path.is_file() => self.file(path),
            _ => self.unread.push(path),
        }
    }

    fn file(&mut self, path: PathBuf) {
        let is_packed = path.extension().is_some_and(|end| PACKED.iter().any(|packed| end.eq_ignore_ascii_case(packed)));
        match self.stands_in(&path) {
            Ok(true) => self.hits.push(path),
            Ok(false) if !is_packed => {}
            Ok(false) | Err(_) => self.unread.push(path),
        }
    }

    /// Whether a gate stands in a file, however long it is. Holes are passed over: /var/log/lastlog can be one of many gigabytes.
    fn stands_in(&self, path: &Path) -> io::Result<bool> {
        let mut file = File::open(path)?;
        // Somebody may go on writing to it faster than it is read.
        let end = file.metadata()?.len();
        let overlap = self.gates.iter().map(Vec::len).max().unwrap_or(0);
        let (mut window, mut at) = (Vec::new(), 0);
        while let Some(begin) = data_from(&file, at)?.filter(|begin| *begin < end) {
            let kept = if begin == at { overlap.min(window.len()) } else { 0 };
            window.drain(..window.len() - kept);
            let read = file.by_ref().take(CHUNK).read_to_end(&mut window)?;
            if self.gates.iter().any(|gate| window.windows(gate.len()).any(|part| part == gate)) {
                return Ok(true);
            }
            if read == 0 {
                break;
            }
            at = begin + read as u64;
        }
        Ok(false)
    }
}

/// Goes to where there is something in the file, from `at` on; nothing if there is only a hole, or the end.
fn data_from(file: &File, at: u64) -> io::Result<Option<u64>> {
    match seek(file, SeekFrom::Data(at)) {
        Ok(begin) => Ok(Some(begin)),
        Err(Errno::NXIO) => Ok(None),
        // This file system knows no holes.
        Err(_) => Ok(Some(seek(file, SeekFrom::Start(at))?)),
    }
}

fn finding(what: &'static str, verdict: Verdict, says: String) -> Finding {
    Finding { what, verdict, says }
}

/// Where a certificate's key lies that is not where the configuration says: the unit takes it from there, encrypted for this machine
/// (deploy/porchlight-relay.service).
#[must_use]
pub fn sealed(key: &Path) -> PathBuf {
    PathBuf::from(format!("{}.cred", key.display()))
}

fn sealed_key(what: &'static str, key: &Path) -> Finding {
    let sealed = sealed(key);
    if sealed.exists() {
        return finding(
            what,
            Verdict::Fine,
            format!("{} is encrypted for one machine, and no other key lies there", sealed.display()),
        );
    }
    // What is not there is not named: somebody may have given the key itself for its path.
    finding(what, Verdict::Doubtful, "neither the file that it names nor one beside it that ends in .cred is there yet".into())
}

/// What is wrong if others than these accounts could put something else in its place: whoever owns it, or a directory above it, and everybody
/// where a directory above lets them, and keeps nobody from what is not theirs (the sticky bit).
fn strangers(path: &Path, trusted: &[u32]) -> Option<String> {
    let is_strangers = |found: &fs::Metadata| !trusted.contains(&found.uid());
    if let Some(found) = fs::metadata(path).ok().filter(is_strangers) {
        return Some(format!("{} belongs to another account ({}): chown it to the relay's", path.display(), found.uid()));
    }
    // Above where it is named, and where it leads to if it is a link.
    let named = path.parent().and_then(|above| nearest(above).canonicalize().ok());
    let real = path.canonicalize().ok().and_then(|real| Some(real.parent()?.to_path_buf()));
    let is_open =
        |dir: &&Path| fs::metadata(dir).is_ok_and(|found| is_strangers(&found) || found.permissions().mode() & 0o1002 == 0o002);
    let dir = [&named, &real].into_iter().flatten().flat_map(|dir| dir.ancestors()).find(is_open)?;
    Some(format!(
        "{} lies in {}, where others could put something else in its place: choose another directory, or give that one to root (chown, chmod o-w)",
        path.display(),
        dir.display()
    ))
}

/// Whether the bits of `refused` are off; what is not there yet is made the right way.
fn private(what: &'static str, path: &Path, refused: u32) -> Finding {
    let mode = match fs::metadata(path) {
        Ok(data) => data.permissions().mode() & 0o777,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return finding(what, Verdict::Fine, "is not there yet".into());
        }
        Err(error) => return finding(what, Verdict::Doubtful, format!("cannot be told: {error}")),
    };
    if mode & refused == 0 {
        return finding(what, Verdict::Fine, format!("{} is private ({mode:o})", path.display()));
    }
    finding(what, Verdict::Bad, format!("{} is open to others ({mode:o}): chmod {:o}", path.display(), mode & !refused))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Mode;

    /// Its name, what should notice it, how, and how it is brought about.
    type Fault = (&'static str, &'static str, Verdict, Box<dyn FnOnce(&Path)>);

    const TEXT: &str = "listen = \"127.0.0.1:0\"\ndata_dir = \"data\"\nkeyring_dir = \"keys\"\n[tls]\nself_signed = true\n";

    fn host(change: impl FnOnce(&Path)) -> Vec<Finding> {
        let line = porchlight_proto::line::LineId::from_root(&porchlight_proto::sign::PublicKey::from_bytes([7; 32]));
        let hex = |bytes: &[u8]| data_encoding::HEXLOWER.encode(bytes);
        host_of(
            &format!("[[line]]\nid = \"{}\"\nroot = \"{}\"\ngates = [\"k3v9q2\"]\n", hex(line.as_bytes()), hex(&[7; 32])),
            change,
        )
    }

    /// A sound host whose relay has these lines, changed.
    fn host_of(lines: &str, change: impl FnOnce(&Path)) -> Vec<Finding> {
        let root = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("proc/swaps", "Filename Type Size Used Priority\n");
        write("proc/sys/kernel/core_pattern", "core\n");
        write("proc/cmdline", "BOOT_IMAGE=/vmlinuz ro quiet init_on_free=1\n");
        write("run/systemd/timesync/synchronized", "");
        write("var/log/nginx/access.log", "GET / 200\n");
        write("srv/logs/site.log", "GET / 200\n");
        write("relay.toml", TEXT);
        fs::set_permissions(root.path().join("relay.toml"), fs::Permissions::from_mode(0o640)).unwrap();
        change(root.path());
        let settings = Settings::parse(&format!("{TEXT}{lines}"), Path::new("relay.toml"), root.path(), Mode::Dev).unwrap();
        let logs = [root.path().join("srv/logs")];
        Host { root: root.path(), settings: &settings, config: &root.path().join("relay.toml"), logs: &logs }.examine()
    }

    fn verdict(found: &[Finding], what: &str) -> Verdict {
        found.iter().find(|finding| finding.what == what).unwrap().verdict
    }

    #[test]
    fn a_certificate_that_ends_is_told_in_time() {
        let ended = x509_parser::time::ASN1Time::now().to_datetime() - std::time::Duration::from_secs(86_400);
        for (days, wanted) in [(0, Verdict::Bad), (3, Verdict::Bad), (21, Verdict::Doubtful), (60, Verdict::Fine)] {
            let dir = tempfile::tempdir().unwrap();
            let pair = rcgen::KeyPair::generate().unwrap();
            let mut params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
            params.not_after = ended + std::time::Duration::from_secs(days * 86_400);
            let text = TEXT.replace("self_signed = true", "cert = \"cert.pem\"\nkey = \"key.pem\"");
            let settings = Settings::parse(&text, Path::new("relay.toml"), dir.path(), Mode::Dev).unwrap();
            let config = dir.path().join("relay.toml");
            let examine = || Host { root: dir.path(), settings: &settings, config: &config, logs: &[] }.examine();
            assert_eq!(verdict(&examine(), "tls.cert"), Verdict::Bad, "there is none");
            fs::write(dir.path().join("cert.pem"), params.self_signed(&pair).unwrap().pem()).unwrap();
            assert_eq!(verdict(&examine(), "tls.cert"), wanted, "a day less than {days} from now");
        }
        assert!(host(|_| ()).iter().all(|finding| finding.what != "tls.cert"), "its own never ends");
    }

    #[test]
    fn each_fault_of_a_host_is_found_and_named() {
        let write = |name: &'static str, text: &'static str| {
            move |root: &Path| {
                fs::create_dir_all(root.join(name).parent().unwrap()).unwrap();
                fs::write(root.join(name), text).unwrap();
            }
        };
        let open = |name: &'static str| {
            move |root: &Path| {
                fs::create_dir_all(root.join(name).parent().unwrap()).unwrap();
                fs::OpenOptions::new().append(true).create(true).open(root.join(name)).unwrap();
                fs::set_permissions(root.join(name), fs::Permissions::from_mode(0o644)).unwrap();
            }
        };
        let faults: Vec<Fault> = vec![
            ("swap", "swap", Verdict::Bad, Box::new(write("proc/swaps", "Filename\n/dev/vda2 partition 1 0 -2\n"))),
            (
                "no table of swaps",
                "swap",
                Verdict::Doubtful,
                Box::new(|root: &Path| {
                    fs::remove_file(root.join("proc/swaps")).unwrap();
                    fs::create_dir(root.join("proc/swaps")).unwrap();
                }),
            ),
            (
                "a crash handler",
                "core dumps",
                Verdict::Doubtful,
                Box::new(write("proc/sys/kernel/core_pattern", "|/usr/bin/apport %p\n")),
            ),
            (
                "no core pattern",
                "core dumps",
                Verdict::Doubtful,
                Box::new(|root: &Path| fs::remove_file(root.join("proc/sys/kernel/core_pattern")).unwrap()),
            ),
            (
                "memory that keeps what it held",
                "freed memory",
                Verdict::Doubtful,
                Box::new(write("proc/cmdline", "BOOT_IMAGE=/vmlinuz ro init_on_free=1 init_on_free=0\n")),
            ),
            (
                "a directory of logs that cannot be read",
                "logs",
                Verdict::Doubtful,
                Box::new(|root: &Path| fs::remove_dir_all(root.join("var/log")).unwrap()),
            ),
            (
                "nobody sets the clock",
                "clock",
                Verdict::Bad,
                Box::new(|root: &Path| fs::remove_file(root.join("run/systemd/timesync/synchronized")).unwrap()),
            ),
            (
                "a gate in a log",
                "logs",
                Verdict::Bad,
                Box::new(write("var/log/nginx/access.log", "192.0.2.1 GET /k3v9q2/v1/notice\n")),
            ),
            (
                "a gate in a log that lies elsewhere",
                "logs",
                Verdict::Bad,
                Box::new(write("srv/logs/site.log", "GET /k3v9q2/v1/notice\n")),
            ),
            (
                "a directory of other logs that is not there",
                "logs",
                Verdict::Doubtful,
                Box::new(|root: &Path| fs::remove_dir_all(root.join("srv/logs")).unwrap()),
            ),
            (
                "a gate in a packed log that is not packed after all",
                "logs",
                Verdict::Bad,
                Box::new(write("var/log/journal/system.journal", "GET /k3v9q2")),
            ),
            (
                "a gate at the end of a log",
                "logs",
                Verdict::Bad,
                Box::new(|root: &Path| {
                    fs::write(root.join("var/log/access.log"), ["x".repeat(3 << 20), "/k3v9q2".into()].concat()).unwrap();
                }),
            ),
            (
                "a gate at the beginning of a log",
                "logs",
                Verdict::Bad,
                Box::new(|root: &Path| {
                    fs::write(root.join("var/log/access.log"), ["/k3v9q2".into(), "x".repeat(65 << 20)].concat()).unwrap();
                }),
            ),
            (
                "a gate at the beginning of a log, behind it too much for any memory",
                "logs",
                Verdict::Bad,
                Box::new(|root: &Path| {
                    fs::write(root.join("var/log/access.log"), "GET /k3v9q2").unwrap();
                    fs::OpenOptions::new().write(true).open(root.join("var/log/access.log")).unwrap().set_len(1 << 40).unwrap();
                }),
            ),
            (
                "a gate behind a hole",
                "logs",
                Verdict::Bad,
                Box::new(|root: &Path| {
                    use std::os::unix::fs::FileExt;
                    let log = File::create(root.join("var/log/lastlog")).unwrap();
                    log.write_all_at(b"GET /k3v9q2", 1 << 40).unwrap();
                }),
            ),
            (
                "a gate in a log elsewhere, linked to",
                "logs",
                Verdict::Bad,
                Box::new(|root: &Path| {
                    fs::write(root.join("elsewhere"), "GET /k3v9q2").unwrap();
                    std::os::unix::fs::symlink(root.join("elsewhere"), root.join("var/log/linked.log")).unwrap();
                }),
            ),
            (
                "a link to a directory",
                "logs",
                Verdict::Doubtful,
                Box::new(|root: &Path| std::os::unix::fs::symlink(root.join("var"), root.join("var/log/linked")).unwrap()),
            ),
            (
                "a link to nothing",
                "logs",
                Verdict::Doubtful,
                Box::new(|root: &Path| std::os::unix::fs::symlink("nowhere", root.join("var/log/linked")).unwrap()),
            ),
            (
                "what is no file",
                "logs",
                Verdict::Doubtful,
                Box::new(|root: &Path| _ = std::os::unix::net::UnixListener::bind(root.join("var/log/socket")).unwrap()),
            ),
            ("a packed log", "logs", Verdict::Doubtful, Box::new(write("var/log/old.gz", "x"))),
            ("a journal", "logs", Verdict::Doubtful, Box::new(write("var/log/journal/system.journal", "x"))),
            ("a journal in memory", "logs", Verdict::Doubtful, Box::new(write("run/log/journal/system.journal", "x"))),
            ("an open configuration", "configuration", Verdict::Bad, Box::new(open("relay.toml"))),
            ("an open keyring", "keyring file", Verdict::Bad, Box::new(open("keys/keyring"))),
            (
                "a keyring directory that others may write to",
                "keyring_dir",
                Verdict::Bad,
                Box::new(|root: &Path| {
                    fs::create_dir_all(root.join("keys")).unwrap();
                    fs::set_permissions(root.join("keys"), fs::Permissions::from_mode(0o1777)).unwrap();
                }),
            ),
            (
                "a keyring directory of another account's",
                "keyring_dir",
                Verdict::Bad,
                Box::new(|root: &Path| {
                    fs::create_dir_all(root.join("keys")).unwrap();
                    std::os::unix::fs::chown(root.join("keys"), Some(64_124), None).unwrap();
                }),
            ),
            (
                "data below a directory that everybody may write to",
                "data_dir",
                Verdict::Bad,
                Box::new(|root: &Path| {
                    fs::create_dir_all(root.join("open/deep")).unwrap();
                    fs::set_permissions(root.join("open"), fs::Permissions::from_mode(0o777)).unwrap();
                    std::os::unix::fs::symlink(root.join("open/deep"), root.join("data")).unwrap();
                }),
            ),
            (
                "data below a directory of another account's",
                "data_dir",
                Verdict::Bad,
                Box::new(|root: &Path| {
                    fs::create_dir_all(root.join("theirs/deep")).unwrap();
                    std::os::unix::fs::chown(root.join("theirs"), Some(64_124), None).unwrap();
                    std::os::unix::fs::symlink(root.join("theirs/deep"), root.join("data")).unwrap();
                }),
            ),
            (
                "a log that is named for a gate",
                "logs",
                Verdict::Bad,
                Box::new(write("var/log/nginx/site-k3v9q2_access.log.1", "GET / 200\n")),
            ),
            ("logs in a directory that is named for a gate", "logs", Verdict::Bad, Box::new(write("var/log/k3v9q2/a.log", ""))),
            ("an open key", "tls.key", Verdict::Bad, Box::new(open("data/tls/key.pem"))),
        ];
        for (name, what, expected, change) in faults {
            assert_eq!(verdict(&host(change), what), expected, "{name}");
        }
        let sound = host(|_| {});
        for what in ["swap", "core dumps", "clock", "logs", "configuration", "keyring_dir", "keyring file", "tls.key"] {
            assert_eq!(verdict(&sound, what), Verdict::Fine, "{what}");
        }
        assert_eq!(verdict(&sound, "keyring"), Verdict::Bad, "the keyring of this test lies where the data lies");
    }

    /// Needs root, to give directories away.
    #[test]
    fn directories_may_be_the_relays_own_whoever_asks() {
        let give = |data: u32, keys: u32| {
            host(move |root| {
                for (name, owner) in [("data", data), ("keys", keys)] {
                    fs::create_dir(root.join(name)).unwrap();
                    fs::set_permissions(root.join(name), fs::Permissions::from_mode(0o700)).unwrap();
                    std::os::unix::fs::chown(root.join(name), Some(owner), None).unwrap();
                }
            })
        };
        for (name, data, keys, wanted) in [
            ("an account of its own", 64_123, 64_123, Verdict::Fine),
            ("root's keyring_dir", 64_123, 0, Verdict::Fine),
            ("what systemd maps to an account", NOBODY, NOBODY, Verdict::Fine),
            ("what systemd maps in part", NOBODY, *DYNAMIC.start(), Verdict::Fine),
            ("two accounts", 64_123, 64_124, Verdict::Bad),
            ("an account that systemd maps nothing to", NOBODY, 1000, Verdict::Bad),
            ("an account of systemd's that nothing is mapped to", 0, *DYNAMIC.start(), Verdict::Bad),
        ] {
            let found = give(data, keys);
            assert_eq!((verdict(&found, "data_dir"), verdict(&found, "keyring_dir")), (Verdict::Fine, wanted), "{name}");
        }
    }

    #[test]
    fn what_is_named_for_a_gate_is_found_and_the_gate_is_not_said_again() {
        let found = host(|root| {
            fs::rename(root.join("var/log/nginx"), root.join("var/log/k3v9q2")).unwrap();
            fs::write(root.join("var/log/k3v9q2/access.log"), "GET /k3v9q2/v1/notice\n").unwrap();
            fs::write(root.join("var/log/k3v9q2.gz"), "x").unwrap();
        });
        let logs = found.iter().find(|finding| finding.what == "logs").unwrap();
        assert!(logs.says.starts_with("2 in ") && !logs.says.contains("k3v9q2"), "{}", logs.says);
        let part = host(|root| fs::write(root.join("var/log/ak3v9q2.log"), "").unwrap());
        assert_eq!(verdict(&part, "logs"), Verdict::Fine, "part of a word: a short gate may be one of another");
    }

    #[test]
    fn a_certificate_that_is_a_pipe_is_not_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let cert = dir.path().join("cert.pem");
        rustix::fs::mkfifoat(rustix::fs::CWD, &cert, rustix::fs::Mode::RWXU).unwrap();
        let text = TEXT.replace("self_signed = true", "cert = \"cert.pem\"\nkey = \"key.pem\"");
        let settings = Settings::parse(&text, Path::new("relay.toml"), dir.path(), Mode::Dev).unwrap();
        let found = Host { root: dir.path(), settings: &settings, config: &dir.path().join("relay.toml"), logs: &[] }.examine();
        let found = found.iter().find(|finding| finding.what == "tls.cert").unwrap();
        assert_eq!((found.verdict, found.says.as_str()), (Verdict::Bad, "is no file: name one that holds PEM"));
    }

    #[test]
    fn the_key_of_a_certificate_may_lie_there_sealed() {
        let dir = tempfile::tempdir().unwrap();
        let key = dir.path().join("key.pem");
        let missing = sealed_key("tls.key", &key);
        assert_eq!(missing.verdict, Verdict::Doubtful);
        assert!(!missing.says.contains("key.pem"), "what it is given for a path may be the key: {}", missing.says);
        fs::write(dir.path().join("key.pem.cred"), "x").unwrap();
        let found = sealed_key("tls.key", &key);
        assert_eq!(found.verdict, Verdict::Fine);
        assert!(found.says.contains("key.pem.cred"), "{}", found.says);
    }

    /// Wherever it lies: the parts that are looked at together overlap.
    #[test]
    fn a_gate_is_found_across_the_parts_that_a_log_is_read_in() {
        let at_edge = usize::try_from(CHUNK).unwrap();
        for before in at_edge - 8..=at_edge + 1 {
            let found =
                host(|root| fs::write(root.join("var/log/a.log"), ["x".repeat(before), "/k3v9q2".into()].concat()).unwrap());
            assert_eq!(verdict(&found, "logs"), Verdict::Bad, "{before} bytes before it");
        }
    }

    #[test]
    fn without_a_line_there_is_no_saying_whether_logs_hold_its_gate() {
        let found = host_of("", |_| {});
        let logs = found.iter().find(|finding| finding.what == "logs").unwrap();
        assert_eq!(logs.verdict, Verdict::Doubtful);
        assert!(logs.says.contains("no [[line]] part"), "{}", logs.says);
    }

    #[test]
    fn what_was_not_read_is_named() {
        let found = host(|root| {
            for nth in 0..5 {
                fs::write(root.join(format!("var/log/old{nth}.gz")), "x").unwrap();
            }
        });
        let logs = found.iter().find(|finding| finding.what == "logs").unwrap();
        assert!(logs.says.contains("/var/log/old") && logs.says.contains(" and 2 more"), "{}", logs.says);
    }
}

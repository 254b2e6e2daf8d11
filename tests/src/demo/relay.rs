//! The relay of the demo: its configuration, its pin, and what it may be asked.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::house::House;
use super::live::Live;
use super::trouble::{Trouble, While};
use crate::leash::Leash;
use crate::program::Program;

/// How long a relay may take to accept its first connection.
const STARTING: Duration = Duration::from_secs(20);

/// Where the relay will listen, and what proves that it is the one.
pub(crate) struct Plan {
    /// As the card has it.
    pub(crate) url: String,
    /// SHA-256 of its public key, in hexadecimal digits.
    pub(crate) pin: String,
    counters: String,
}

impl Plan {
    /// Writes a configuration without a line and has the relay make its key.
    ///
    /// # Errors
    ///
    /// When the relay refuses the configuration or says no pin.
    pub(crate) fn make(house: &House, leash: &Leash) -> Result<Self, Trouble> {
        let (address, counters) = (free_address()?, free_address()?);
        fs::write(house.path("relay.toml"), configuration(house, &address, &counters)).during("writing relay.toml")?;
        let said = house.said_by(&relay(house, "check-config").word("--make-key"), leash)?;
        let pin = said.lines().find_map(|line| line.strip_prefix("pin ")).map(str::to_owned);
        let pin = pin.ok_or_else(|| Trouble::Wrong(format!("the relay says no pin:\n{said}")))?;
        Ok(Self { url: format!("https://{address}"), pin, counters })
    }

    /// Adds the line's part to the configuration and starts the relay.
    ///
    /// # Errors
    ///
    /// When it does not get ready.
    pub(crate) fn start(&self, house: &House, leash: &Leash) -> Result<Live, Trouble> {
        let line = fs::read_to_string(house.path("line/relay.toml")).during("reading the line's part of relay.toml")?;
        let so_far = fs::read_to_string(house.path("relay.toml")).during("reading relay.toml")?;
        fs::write(house.path("relay.toml"), format!("{so_far}\n{line}")).during("writing relay.toml")?;
        let live = Live::start("the relay", &relay(house, "run"), house.path("relay.log"), leash)?;
        live.hear("the relay to get ready", STARTING, |said| said.strip_prefix("ready ").map(str::to_owned))?;
        Ok(live)
    }

    /// What the relay counts, rounded as its operator reads it on loopback; what it has not counted yet is left out.
    ///
    /// # Errors
    ///
    /// When the counters cannot be read.
    pub(crate) fn counters(&self) -> Result<String, Trouble> {
        let mut answer = String::new();
        TcpStream::connect(&self.counters)
            .and_then(|mut stream| {
                stream.set_read_timeout(Some(STARTING))?;
                write!(stream, "GET /metrics HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n", self.counters)?;
                stream.read_to_string(&mut answer)
            })
            .during("reading the relay's counters")?;
        let counts = answer.lines().filter_map(|line| line.strip_prefix("porchlight_")).filter(|line| !line.ends_with(" 0"));
        Ok(counts.collect::<Vec<_>>().join("\n"))
    }
}

/// One file of the relay's and its size.
pub(crate) struct Held {
    pub(crate) name: String,
    pub(crate) bytes: Vec<u8>,
}

/// Every file below `folder`.
///
/// # Errors
///
/// When one cannot be read.
pub(crate) fn held_in(folder: &Path) -> Result<Vec<Held>, Trouble> {
    let mut found = Vec::new();
    let mut folders: Vec<PathBuf> = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).during("listing the relay's files")? {
            let path = entry.during("listing the relay's files")?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.is_file() {
                let name = path.strip_prefix(folder).unwrap_or(&path).display().to_string();
                found.push(Held { name, bytes: fs::read(&path).during("reading the relay's files")? });
            }
        }
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

fn relay(house: &House, verb: &str) -> Program {
    house.program("porchlight-relay").word(verb).word("--config").word(house.text("relay.toml")).word("--dev")
}

/// A port nobody listens on just now.
fn free_address() -> Result<String, Trouble> {
    let address = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    address.map(|address| address.to_string()).during("finding a free port")
}

fn configuration(house: &House, address: &str, counters: &str) -> String {
    format!(
        "listen = \"{address}\"\nadmin_listen = \"{counters}\"\ndata_dir = {:?}\nkeyring_dir = {:?}\nstore = \"sled\"\n\n[tls]\nself_signed = true\n",
        house.text("relay"),
        house.keyring().display().to_string(),
    )
}

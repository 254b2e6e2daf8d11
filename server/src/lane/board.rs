//! What a line says in public: its rosters and its bulletin. The one thing the relay keeps in the clear, because everyone may read it.
//!
//! One file per line in `data_dir/public`, replaced whole:
//! ```text
//! magic 8 ‖ check 16 ‖ generation 4 ‖ highest serial 4 ‖ bulletin 80 ‖ rosters 4,096 each
//! ```
//! Rosters and bulletin are signed; `check` is for the two numbers, which only ever grow: one flipped bit in them would refuse every
//! later roster, or every device, for good. Where it does not fit they are taken from the rosters that are still whole.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use porchlight_proto::bulletin::Bulletin;
use porchlight_proto::kdf;
use porchlight_proto::limits::{BULLETIN_LEN, ROSTER_LEN};
use porchlight_proto::line::DeviceId;
use porchlight_proto::roster::{Rosters, SignedRoster, UncheckedRoster};
use porchlight_proto::sign::PublicKey;
use porchlight_proto::time::{Seconds, Timing};

use crate::config::LineSettings;
use crate::counters::Counters;

pub(super) const MAGIC: &[u8; 8] = b"PLBOARD2";

/// The most rosters kept: the one in force and what leads publish ahead.
const ROSTERS_MAX: usize = 17;

/// Why a roster or bulletin was not put up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BoardError {
    /// It does not check, is older than what hangs there, or has another pace than the relay.
    #[error("the roster or bulletin was refused")]
    Refused,
    /// It could not be written to the disk.
    #[error("the public file could not be written: {0}")]
    Medium(#[from] io::Error),
}

/// The rosters and the bulletin of one line.
pub struct Board {
    path: PathBuf,
    root: PublicKey,
    timing: Timing,
    counters: Arc<Counters>,
    hung: RwLock<Arc<Hung>>,
    /// Held while something is put up. Whoever reads never waits for a disk.
    putting: Mutex<()>,
    /// Whether something may be missing of what hung here when the relay last ran.
    is_damaged: bool,
    /// Whether the bulletin that hangs there stands, in that second: everybody asks, and each time is a check of a signature.
    stood: Mutex<Option<(Arc<Hung>, Seconds, bool)>>,
}

#[derive(Clone)]
struct Hung {
    rosters: Rosters,
    bulletin: [u8; BULLETIN_LEN],
    /// Whom the newest roster put out that hung here when the line had another pace.
    put_out: Vec<DeviceId>,
}

impl Board {
    /// Reads what hung there when the relay last ran. What does not check any more is left out.
    ///
    /// # Errors
    ///
    /// What the file system says, unless there is no file yet.
    pub(super) fn open(public_dir: &Path, settings: &LineSettings, counters: Arc<Counters>) -> io::Result<Self> {
        crate::files::make_private_dir(public_dir)?;
        let path = public_dir.join(data_encoding::HEXLOWER.encode(settings.id.as_bytes()));
        let bytes = match std::fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            read => Some(read?),
        };
        let (hung, is_whole) = match &bytes {
            Some(bytes) => read(bytes, &settings.root, settings.timing).unwrap_or_else(|| (Hung::nothing(), false)),
            None => (Hung::nothing(), true),
        };
        Ok(Self {
            path,
            root: settings.root,
            timing: settings.timing,
            counters,
            hung: RwLock::new(Arc::new(hung)),
            putting: Mutex::default(),
            is_damaged: !is_whole,
            stood: Mutex::default(),
        })
    }

    /// Whether the file was altered or torn when the relay started: an older roster may be in force, the bulletin may be gone.
    pub(crate) const fn is_damaged(&self) -> bool {
        self.is_damaged
    }

    fn hung(&self) -> Arc<Hung> {
        Arc::clone(&self.hung.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn putting(&self) -> MutexGuard<'_, ()> {
        self.putting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hang(&self, fresh: Hung) -> io::Result<()> {
        let bytes = fresh.to_bytes();
        let replaced = crate::files::replace(&self.path, &bytes);
        // What the disk could not promise may have taken the old one's place all the same, and would be in force after a restart.
        if replaced.is_err() {
            self.counters.store_failures.add(1);
        }
        if replaced.is_ok() || std::fs::read(&self.path).is_ok_and(|there| there == bytes) {
            *self.hung.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(fresh);
        }
        replaced
    }

    /// Puts up a roster. May block on the medium.
    ///
    /// # Errors
    ///
    /// [`BoardError`]; what hung there is then still there, unless the medium refused when the new one lay there already.
    pub fn put_roster(&self, bytes: &[u8], now: Seconds) -> Result<(), BoardError> {
        let roster = self.believe(bytes).filter(|roster| roster.not_after() > now).ok_or(BoardError::Refused)?;
        let _putting = self.putting();
        let hung = self.hung();
        let mut fresh = Hung::clone(&hung);
        fresh.rosters.forget_before(now);
        fresh.rosters.insert(roster, now).map_err(|_| BoardError::Refused)?;
        if fresh.rosters.iter().count() > ROSTERS_MAX {
            return Err(BoardError::Refused);
        }
        // One that was taken down is not kept: who raised it, and when, would lie there in the clear for months.
        let is_taken_down = fresh.is_taken_down(now)
            || hung.void_before(now).is_some_and(|before| fresh.void_before(now) > Some(before))
                && fresh.stands(now) == Some(false);
        if is_taken_down {
            fresh.bulletin = [0; BULLETIN_LEN];
        }
        Ok(self.hang(fresh)?)
    }

    fn believe(&self, bytes: &[u8]) -> Option<SignedRoster> {
        believe(bytes, &self.root).filter(|roster| roster.timing() == self.timing)
    }

    /// Puts up a bulletin, if it is newer than the one that stands. May block on the medium.
    ///
    /// # Errors
    ///
    /// As [`Board::put_roster`].
    pub fn put_bulletin(&self, bytes: &[u8; BULLETIN_LEN], now: Seconds) -> Result<(), BoardError> {
        let _putting = self.putting();
        let hung = self.hung();
        let roster = hung.rosters.in_force(now).ok_or(BoardError::Refused)?;
        let bulletin = Bulletin::check(bytes, roster, now).ok().flatten().ok_or(BoardError::Refused)?;
        let standing = Bulletin::check(&hung.bulletin, roster, now).ok().flatten();
        if hung.bulletin == *bytes {
            return Ok(());
        }
        if standing.is_some_and(|old| old.time >= bulletin.time) {
            return Err(BoardError::Refused);
        }
        Ok(self.hang(Hung { bulletin: *bytes, ..Hung::clone(&hung) })?)
    }

    /// The roster in force; if none is, the newest that has begun, so that a reader sees what has expired.
    #[must_use]
    pub fn roster(&self, now: Seconds) -> Option<Box<[u8; ROSTER_LEN]>> {
        let hung = self.hung();
        let begun = || hung.rosters.iter().filter(|roster| roster.not_before() <= now).max_by_key(|roster| roster.serial());
        hung.rosters.in_force(now).or_else(begun).map(|roster| Box::new(*roster.bytes()))
    }

    /// The serial of the roster in force, or 0.
    #[must_use]
    pub fn serial(&self, now: Seconds) -> u32 {
        self.hung().rosters.in_force(now).map_or(0, SignedRoster::serial)
    }

    /// The lowest generation that is not void.
    #[must_use]
    pub fn generation(&self) -> u32 {
        self.hung().rosters.generation()
    }

    /// Whether a device with a certificate of this generation is not let in: that generation is void, or rosters of the same name the
    /// device as revoked. What rosters of a lower one say does not count: they may be a stolen lead's, and the root has spoken since.
    #[must_use]
    pub fn shuts_out(&self, device: DeviceId, generation: u32, now: Seconds) -> bool {
        let least = self.generation();
        generation < least || generation == least && self.revoked(device, now)
    }

    /// Whether the roster in force names the device as revoked; if none is, the newest there is: a line that was not kept up lets nobody
    /// in again who was put out.
    fn revoked(&self, device: DeviceId, now: Seconds) -> bool {
        let hung = self.hung();
        let newest = || hung.rosters.iter().max_by_key(|roster| roster.serial());
        hung.rosters.in_force(now).or_else(newest).map_or_else(|| hung.put_out.contains(&device), |roster| roster.revoked(device))
    }

    /// The bulletin that stands, or zeros.
    #[must_use]
    pub fn bulletin(&self, now: Seconds) -> [u8; BULLETIN_LEN] {
        let hung = self.hung();
        let mut stood = self.stood.lock().unwrap_or_else(PoisonError::into_inner);
        let known = stood.as_ref().filter(|(of, at, _)| Arc::ptr_eq(of, &hung) && *at == now).map(|(_, _, stands)| *stands);
        let stands = known.unwrap_or_else(|| hung.stands(now) == Some(true));
        *stood = Some((Arc::clone(&hung), now, stands));
        if stands { hung.bulletin } else { [0; BULLETIN_LEN] }
    }
}

impl Hung {
    const fn nothing() -> Self {
        Self { rosters: Rosters::new(), bulletin: [0; BULLETIN_LEN], put_out: Vec::new() }
    }

    /// Whether the bulletin stands by the roster in force; nothing if none is.
    fn stands(&self, now: Seconds) -> Option<bool> {
        let roster = self.rosters.in_force(now)?;
        Some(matches!(Bulletin::check(&self.bulletin, roster, now), Ok(Some(_))))
    }

    /// Up to when the roster in force takes bulletins down.
    fn void_before(&self, now: Seconds) -> Option<Seconds> {
        self.rosters.in_force(now).map(SignedRoster::bulletins_void_before)
    }

    /// Whether the roster in force says that the bulletin never stands again. One that only seems to come from later stands when the clock is right.
    fn is_taken_down(&self, now: Seconds) -> bool {
        let roster = self.rosters.in_force(now);
        roster.is_some_and(|roster| Bulletin::check(&self.bulletin, roster, Seconds(u64::MAX)).is_err())
    }

    fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend_from_slice(&self.rosters.generation().to_be_bytes());
        bytes.extend_from_slice(&self.rosters.highest_serial().to_be_bytes());
        bytes.extend_from_slice(&self.bulletin);
        for roster in self.rosters.iter() {
            bytes.extend_from_slice(roster.bytes());
        }
        [MAGIC.as_slice(), &check_of(&bytes), &bytes].concat()
    }
}

fn believe(bytes: &[u8], root: &PublicKey) -> Option<SignedRoster> {
    UncheckedRoster::parse(bytes).ok()?.check_signed(root).ok()
}

fn check_of(bytes: &[u8]) -> [u8; 16] {
    let hash = kdf::hash("relay/board", &[bytes]);
    hash.split_first_chunk().map_or([0; 16], |(check, _)| *check)
}

/// What hung there, and whether the file is as it was written.
fn read(bytes: &[u8], root: &PublicKey, timing: Timing) -> Option<(Hung, bool)> {
    let (MAGIC, rest) = bytes.split_first_chunk()? else { return None };
    let (check, rest) = rest.split_first_chunk()?;
    let is_whole = check_of(rest) == *check;
    let (generation, rest) = rest.split_first_chunk()?;
    let (serial, rest) = rest.split_first_chunk()?;
    let (bulletin, rest) = rest.split_first_chunk()?;
    let [generation, serial] = [*generation, *serial].map(|number| if is_whole { u32::from_be_bytes(number) } else { 0 });
    let mut rosters = Rosters::after(generation, serial);
    let believed = rest.chunks_exact(ROSTER_LEN).filter_map(|bytes| believe(bytes, root));
    let (own, of_another_pace): (Vec<_>, Vec<_>) = believed.partition(|roster| roster.timing() == timing);
    let newest = of_another_pace.iter().max_by_key(|roster| (roster.generation(), roster.serial()));
    let put_out = newest.map(|roster| roster.revoked_ids().collect()).unwrap_or_default();
    for roster in own {
        // One that a later one has voided was voided before it was written; leaving it out changes nothing.
        // How far ahead it begins was held against the clock when it was hung.
        let begins = roster.not_before();
        let _ = rosters.insert(roster, begins);
    }
    Some((Hung { rosters, bulletin: *bulletin, put_out }, is_whole))
}

//! The office: a desk and its vault, shared by every process of one directory.
use crate::desk::{Admission, Desk, DeskError, JoinRequest, LinePlan, SafeguardingKeys, record::Record};
use crate::vault::{self, Hold, Holding, News, Passphrase, Ring, Vault, VaultError};
use porchlight_proto::{sign::SecretKey, time::Seconds};
use rand_core::CryptoRng;
use std::path::Path;
use zeroize::Zeroizing;

/// Bytes of records that go into one record of the vault when the journal is rewritten.
const BATCH_LEN: usize = 1 << 20;
/// The journal is rewritten when it has grown to this many times its last rewritten length, and to the length below.
const GROWTH: u64 = 4;
const GROWTH_LEAST: u64 = 8 << 20;

/// Why the office does not open, or a transaction is not kept.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OfficeError {
    /// The vault.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The vault's records are of a later version.
    #[error("the vault holds records that this version does not know")]
    Newer,
}

/// A line just founded.
#[derive(Debug)]
pub struct Founded {
    /// The office of its first lead.
    pub office: Office,
    /// For the safeguarding person, if there is one.
    pub safeguarding: Option<SafeguardingKeys>,
}

/// A desk on disk. One per process; several processes may share a directory.
#[derive(Debug)]
pub struct Office {
    /// None once it is burned: from then on everything is in memory alone.
    pub(super) vault: Option<Vault>,
    pub(super) desk: Desk,
    base_len: u64,
    /// The version of the vault's ring that the desk holds.
    ring_version: u64,
    /// The state in memory may be ahead of the disk: read everything again before going on.
    pub(super) stale: bool,
}

impl Office {
    /// Founds a line: a vault in `dir`, with this device as its first lead. Nothing has been published yet.
    ///
    /// # Errors
    ///
    /// [`DeskError::Office`] for the disk; [`DeskError::BadAdmission`] for a plan that cannot be signed.
    pub fn found(
        dir: &Path,
        passphrase: &Passphrase,
        root: &SecretKey,
        plan: &LinePlan,
        now: Seconds,
        rng: &mut impl CryptoRng,
    ) -> Result<Founded, DeskError> {
        let mut office = Self::create(dir, passphrase, rng)?;
        let safeguarding = office.act(rng, |desk, rng| desk.found(root, plan, now, rng))?;
        Ok(Founded { office, safeguarding })
    }

    /// Makes a vault for a device that wants to join a line, and what to show the lead.
    ///
    /// # Errors
    ///
    /// [`DeskError::Office`].
    pub fn join(dir: &Path, passphrase: &Passphrase, rng: &mut impl CryptoRng) -> Result<(Self, JoinRequest), DeskError> {
        let mut office = Self::create(dir, passphrase, rng)?;
        let request = office.act(rng, |desk, rng| desk.request(rng))?;
        Ok((office, request))
    }

    /// Takes the lead's admission.
    ///
    /// # Errors
    ///
    /// [`DeskError::BadAdmission`] if it is not for this device; nothing is kept then.
    pub fn accept(&mut self, admission: &Admission, now: Seconds, rng: &mut impl CryptoRng) -> Result<(), DeskError> {
        self.act(rng, |desk, rng| desk.accept(admission, now, rng))
    }

    fn create(dir: &Path, passphrase: &Passphrase, rng: &mut impl CryptoRng) -> Result<Self, DeskError> {
        let vault = Vault::create(dir, passphrase, rng).map_err(OfficeError::from)?;
        Ok(Self { vault: Some(vault), desk: Desk::empty(), base_len: 0, ring_version: 0, stale: true })
    }

    /// Opens the office in `dir`. Takes as long as Argon2id does.
    ///
    /// # Errors
    ///
    /// [`OfficeError::Vault`]: a wrong passphrase, no vault, a damaged one. [`OfficeError::Newer`].
    pub fn open(dir: &Path, passphrase: &Passphrase) -> Result<Self, OfficeError> {
        let vault = Vault::open(dir, passphrase)?;
        let mut office = Self { vault: Some(vault), desk: Desk::empty(), base_len: 0, ring_version: 0, stale: true };
        office.look()?;
        Ok(office)
    }

    /// The desk as it is on disk now, to look at.
    ///
    /// # Errors
    ///
    /// As [`Office::open`], but for the passphrase.
    pub fn look(&mut self) -> Result<&Desk, OfficeError> {
        let hold = self.hold(Holding::Shared)?;
        self.catch_up(hold.as_ref())?;
        Ok(&self.desk)
    }

    /// Destroys the vault, the keys first, and goes on from memory alone, for a last word: nothing is read or written any more.
    ///
    /// # Errors
    ///
    /// As [`Vault::burn`]; then, too, nothing is read or written any more.
    pub fn burn(&mut self) -> Result<(), OfficeError> {
        // What another process wrote last comes before the last word. If it cannot be read, what is known has to do.
        let _known = self.look().is_ok();
        self.vault.take().map_or(Ok(()), Vault::destroy).map_err(OfficeError::from)
    }

    fn hold(&self, holding: Holding) -> Result<Option<Hold>, OfficeError> {
        Ok(self.vault.as_ref().map(|vault| vault.hold(holding)).transpose()?)
    }

    /// Runs one transaction: reads what other processes wrote, runs `deed`, and saves what it changed before returning.
    /// What `deed` gives may be sent afterwards. If it fails nothing is kept.
    ///
    /// # Errors
    ///
    /// Those of `deed`; [`OfficeError`] if the disk refuses: then nothing may be sent.
    pub fn act<T, E, R>(&mut self, rng: &mut R, deed: impl FnOnce(&mut Desk, &mut R) -> Result<T, E>) -> Result<T, E>
    where
        E: From<OfficeError>,
        R: CryptoRng,
    {
        let hold = self.hold(Holding::Alone)?;
        self.catch_up(hold.as_ref())?;
        let done = deed(&mut self.desk, rng);
        let unsaved = !self.desk.pending.is_empty() || self.desk.ring_changed;
        match done {
            Ok(done) => {
                self.save(hold.as_ref(), rng).inspect_err(|_| self.stale = true)?;
                if let Some(now) = self.desk.rewrite_due.take() {
                    // A crash here leaves the old journal: what it says is forgotten again when it is read.
                    self.rewrite(hold.as_ref(), now, rng)?;
                }
                Ok(done)
            }
            Err(refused) => {
                self.stale |= unsaved;
                Err(refused)
            }
        }
    }

    /// Whether the vault's files were moved or restored since they were written. See [`Desk::note_own_tags`].
    #[must_use]
    pub fn restored(&self) -> bool {
        self.vault.as_ref().is_some_and(Vault::restored)
    }

    /// Rewrites the journal as short as it can be. Done by itself when it has grown.
    ///
    /// # Errors
    ///
    /// [`OfficeError::Vault`]; the old journal stands then.
    pub fn compact(&mut self, now: Seconds, rng: &mut impl CryptoRng) -> Result<(), OfficeError> {
        let hold = self.hold(Holding::Alone)?;
        self.catch_up(hold.as_ref())?;
        self.rewrite(hold.as_ref(), now, rng)
    }

    /// Takes note of a restored backup: until that is settled nothing but filler is sent.
    ///
    /// # Errors
    ///
    /// [`OfficeError`].
    pub fn doubt_if_restored(&mut self, now: Seconds, rng: &mut impl CryptoRng) -> Result<bool, OfficeError> {
        if !self.restored() {
            return Ok(false);
        }
        self.act(rng, |desk, _| {
            desk.doubt(now);
            desk.read_lanes_again(now);
            Ok::<_, OfficeError>(())
        })?;
        self.compact(now, rng)?;
        Ok(true)
    }

    fn catch_up(&mut self, hold: Option<&Hold>) -> Result<(), OfficeError> {
        let (Some(vault), Some(hold)) = (&mut self.vault, hold) else { return Ok(()) };
        if self.stale {
            vault.read_anew()?;
        }
        let news = vault.news(hold)?;
        if self.desk.ring_changed || self.ring_version != vault.ring_version() {
            self.desk.hold_ring(vault.ring());
            self.ring_version = vault.ring_version();
        }
        let records = match news {
            News::Tail(records) => records,
            News::Anew(records) => {
                self.desk.forget_state();
                self.base_len = vault.journal_len();
                records
            }
        };
        for batch in &records {
            for record in batch_records(batch)? {
                self.desk.state.apply(&record, &self.desk.ring);
            }
        }
        self.stale = false;
        Ok(())
    }

    fn save(&mut self, hold: Option<&Hold>, rng: &mut impl CryptoRng) -> Result<(), OfficeError> {
        let (Some(vault), Some(hold)) = (&mut self.vault, hold) else {
            self.desk.ring_changed = false;
            self.desk.pending.clear();
            return Ok(());
        };
        // Keys before the records that need them, and none forgotten before the records that do without it: a crash between leaves a
        // key too many, which is forgotten at the next tidying.
        let (ring, changed) = (&self.desk.ring, self.desk.ring_changed);
        if changed && vault.ring().lacks(ring) {
            vault.save_ring(hold, vault.ring().with(ring), rng)?;
        }
        if !self.desk.pending.is_empty() {
            let batch = Zeroizing::new(minicbor::to_vec(&self.desk.pending).map_err(|_| OfficeError::Newer)?);
            vault.append(hold, &[batch], rng)?;
            self.desk.pending.clear();
        }
        if changed && ring.lacks(vault.ring()) {
            vault.save_ring(hold, ring.clone(), rng)?;
        }
        self.desk.ring_changed = false;
        self.ring_version = vault.ring_version();
        Ok(())
    }

    fn rewrite(&mut self, hold: Option<&Hold>, now: Seconds, rng: &mut impl CryptoRng) -> Result<(), OfficeError> {
        let (Some(vault), Some(hold)) = (&mut self.vault, hold) else { return Ok(()) };
        let mut batches = Vec::new();
        let mut batch: Vec<Record> = Vec::new();
        let mut len = 0;
        for record in self.desk.state.records(now.0) {
            len += minicbor::to_vec(&record).map_or(0, |bytes| bytes.len());
            batch.push(record);
            if len > BATCH_LEN {
                batches.push(Zeroizing::new(minicbor::to_vec(&batch).map_err(|_| OfficeError::Newer)?));
                (batch, len) = (Vec::new(), 0);
            }
        }
        batches.push(Zeroizing::new(minicbor::to_vec(&batch).map_err(|_| OfficeError::Newer)?));
        vault.rewrite(hold, &batches, rng)?;
        self.base_len = vault.journal_len();
        Ok(())
    }

    /// Rewrites the journal if it has grown much. Call it now and then, with [`Desk::tidy`].
    ///
    /// # Errors
    ///
    /// As [`Office::compact`].
    pub fn compact_if_grown(&mut self, now: Seconds, rng: &mut impl CryptoRng) -> Result<bool, OfficeError> {
        let limit = GROWTH_LEAST.max(self.base_len.saturating_mul(GROWTH));
        let grown = self.vault.as_ref().is_some_and(|vault| vault.journal_len() > limit);
        if grown {
            self.compact(now, rng)?;
        }
        Ok(grown)
    }
}

fn batch_records(batch: &vault::Record) -> Result<Vec<Record>, OfficeError> {
    minicbor::decode(batch).map_err(|_| OfficeError::Newer)
}

impl Desk {
    /// Takes the ring as it is on the disk. A secret that another process has forgotten is not kept expanded here.
    fn hold_ring(&mut self, ring: &Ring) {
        self.ring = ring.clone();
        self.ring_changed = false;
        self.secrets.retain(|name, _| ring.key(*name).is_some());
    }

    /// Forgets what came from the journal; what only this process knows stays.
    fn forget_state(&mut self) {
        self.state = super::state::State::default();
        self.pending.clear();
        self.secrets.clear();
    }

    /// Reads every lane from its beginning again: what a lost part of the vault held may still be there, and so may parts of an event whose
    /// others are lost with the process. Colleagues hold for received what the lost part held: what is not there any more is asked for.
    fn read_lanes_again(&mut self, now: Seconds) {
        self.state.replayed.clear();
        let is_alone = self.colleagues(now).is_empty();
        // What was asked for before says nothing of this, whatever the clock of this machine.
        let asked = self.state.line.as_ref().and_then(|line| self.state.asks.get(&line.device));
        let noticed = asked.map_or(0, |ask| ask.time.saturating_add(1));
        let on_card: Vec<u8> = self.relays().iter().map(|relay| relay.number).collect();
        let relays: Vec<u8> = self.state.relays.keys().copied().filter(|number| on_card.contains(number)).collect();
        for relay in relays {
            let known = self.state.relays.get(&relay).copied().unwrap_or_default();
            self.commit(Record::Relay(relay, super::record::RelayRecord { life: 0, position: 0, ..known }));
            if !is_alone {
                self.commit(Record::Missed(known.blind.map_or(known.moved, |(_, since)| since), noticed));
            }
        }
    }
}

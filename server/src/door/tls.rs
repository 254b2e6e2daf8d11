//! The certificate and what is negotiated with it.
//!
//! TLS 1.3 with X25519MLKEM768 preferred, TLS 1.2 with ECDHE and AEAD for old browsers; h2 and HTTP/1.1. No tickets and no session
//! memory: resumption would let the relay, and for TLS 1.2 anyone watching, link two connections of one phone.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use porchlight_proto::kdf;
use rcgen::{CertificateParams, DnType, KeyPair, PKCS_ECDSA_P256_SHA256, PublicKeyData};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::NoServerSessionStorage;
use rustls::{CertificateError, ServerConfig};
use x509_parser::prelude::{ASN1Time, FromDer, X509Certificate};

use crate::files;

/// Why there is no certificate to serve with.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A PEM file cannot be read or holds nothing of the kind.
    ///
    /// Names the key of the configuration, and neither its value nor what the file holds: either may be a private key.
    #[error("{0}: {said}", said = pem_text(.1))]
    Pem(&'static str, #[source] pem::Error),
    /// Certificate and key do not fit, or are of a kind that is not spoken.
    #[error("tls: this certificate and key cannot be used: {0}")]
    Unusable(#[from] rustls::Error),
    /// The self-signed certificate could not be made.
    #[error("tls: cannot make a self-signed certificate: {0}")]
    Making(#[from] rcgen::Error),
    /// The self-signed certificate could not be kept.
    #[error("tls: cannot keep the self-signed certificate in tls below data_dir: {0}")]
    Keeping(#[source] io::Error),
}

fn pem_text(error: &pem::Error) -> String {
    match error {
        pem::Error::Io(error) => format!("cannot read the file: {error}"),
        pem::Error::NoItemsFound => "there is nothing of the kind in the file".into(),
        _ => "the file is damaged: it must be PEM".into(),
    }
}

/// What a relay serves TLS with.
#[derive(Clone)]
pub struct Identity {
    /// For the handshakes.
    pub config: Arc<ServerConfig>,
    /// SHA-256 of the certificate's SubjectPublicKeyInfo: what cards pin and tokens are bound to.
    pub spki: [u8; 32],
    /// When the certificate ends.
    pub until: Until,
    /// SHA-256 of the certificate and its chain.
    print: [u8; 32],
}

/// When a certificate ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Until(ASN1Time);

impl Until {
    /// Whether it has ended.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.0 < ASN1Time::now()
    }

    /// Whole days from now until then; less than nothing once it has ended.
    #[must_use]
    pub fn days(&self) -> i64 {
        (self.0.timestamp() - ASN1Time::now().timestamp()).div_euclid(86_400)
    }
}

/// The day, as in 2026-11-29.
impl fmt::Display for Until {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.to_datetime().date().fmt(out)
    }
}

/// The certificate that handshakes are done with now. It can be renewed while the relay serves, its key cannot.
pub struct Certificate {
    held: RwLock<Identity>,
    files: Option<(PathBuf, PathBuf)>,
    /// Held while files are read: of two renewals the later one counts.
    renewing: Mutex<()>,
}

/// What became of a renewal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Renewal {
    /// New connections get the new certificate, which lives so long.
    Done(Until),
    /// The file holds the certificate that is in use already, which lives so long.
    Same(Until),
    /// It comes from no file that somebody else renews.
    Nothing,
    /// The file has another key. Desks and cards know the old one, so it stays in use.
    OtherKey,
}

impl Certificate {
    /// One that begins as `identity`, and is renewed from `files` (certificate, key).
    #[must_use]
    pub fn new(identity: Identity, files: Option<(PathBuf, PathBuf)>) -> Self {
        Self { held: RwLock::new(identity), files, renewing: Mutex::default() }
    }

    /// What the next handshake is done with.
    #[must_use]
    pub fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.held.read().unwrap_or_else(PoisonError::into_inner).config)
    }

    /// When it ends.
    #[must_use]
    pub fn until(&self) -> Until {
        self.held.read().unwrap_or_else(PoisonError::into_inner).until
    }

    /// Reads the files again. Connections that are open keep what they have.
    ///
    /// # Errors
    ///
    /// [`TlsError::Pem`], [`TlsError::Unusable`]; the old certificate stays in use.
    pub fn renew(&self) -> Result<Renewal, TlsError> {
        let Some((cert, key)) = &self.files else { return Ok(Renewal::Nothing) };
        let _renewing = self.renewing.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = of_files(cert, key)?;
        let mut held = self.held.write().unwrap_or_else(PoisonError::into_inner);
        if fresh.spki != held.spki {
            return Ok(Renewal::OtherKey);
        }
        let (until, is_same) = (fresh.until, fresh.print == held.print);
        *held = fresh;
        Ok(if is_same { Renewal::Same(until) } else { Renewal::Done(until) })
    }
}

/// A pin as people copy it.
#[must_use]
pub fn pin_text(spki: &[u8; 32]) -> String {
    format!("sha256/{}", data_encoding::BASE64.encode(spki))
}

/// The identity of PEM files.
///
/// # Errors
///
/// [`TlsError::Pem`], [`TlsError::Unusable`].
pub fn of_files(cert: &Path, key: &Path) -> Result<Identity, TlsError> {
    let wrong = |name| move |error| TlsError::Pem(name, error);
    for (name, path) in [("tls.cert", cert), ("tls.key", key)] {
        // A pipe would be waited for, by whoever handed it over.
        if std::fs::metadata(path).is_ok_and(|found| !found.is_file()) {
            return Err(TlsError::Pem(name, pem::Error::Io(io::Error::other("is no file"))));
        }
    }
    let chain: Vec<_> = CertificateDer::pem_file_iter(cert).and_then(Iterator::collect).map_err(wrong("tls.cert"))?;
    let secret = PrivateKeyDer::from_pem_file(key).map_err(wrong("tls.key"))?;
    let (spki, until) = read(&chain)?;
    let print = kdf::digest(&chain.iter().map(AsRef::as_ref).collect::<Vec<&[u8]>>().concat());
    Ok(Identity { config: Arc::new(config(chain, secret)?), spki, until, print })
}

/// The pin of a certificate's file and when it ends, without its key: that may be sealed.
///
/// # Errors
///
/// [`TlsError::Pem`], [`TlsError::Unusable`].
pub fn of_certificate(cert: &Path) -> Result<([u8; 32], Until), TlsError> {
    let chain: Vec<_> =
        CertificateDer::pem_file_iter(cert).and_then(Iterator::collect).map_err(|error| TlsError::Pem("tls.cert", error))?;
    read(&chain)
}

/// What the first of a chain says: SHA-256 of its SubjectPublicKeyInfo, and when it ends.
fn read(chain: &[CertificateDer<'_>]) -> Result<([u8; 32], Until), TlsError> {
    let leaf = chain.first().ok_or(TlsError::Pem("tls.cert", pem::Error::NoItemsFound))?;
    let (_, read) = X509Certificate::from_der(leaf).map_err(|_| rustls::Error::from(CertificateError::BadEncoding))?;
    Ok((kdf::digest(read.public_key().raw), Until(read.validity().not_after)))
}

/// The identity kept in `dir`, made at the first call: the pin stays the same as long as the directory does.
///
/// For one machine and for trying out: its dates and its form are not those of any website's certificate.
///
/// # Errors
///
/// [`TlsError`].
pub fn self_signed(dir: &Path, host: &str) -> Result<Identity, TlsError> {
    let [cert, key] = kept_files(dir);
    files::make_private_dir(dir).map_err(TlsError::Keeping)?;
    // A certificate that was left behind is of another key.
    let mut is_new = false;
    if !key.exists() {
        let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        files::replace(&key, pair.serialize_pem().as_bytes()).map_err(TlsError::Keeping)?;
        is_new = true;
    }
    if is_new || !cert.exists() {
        let text = std::fs::read_to_string(&key).map_err(TlsError::Keeping)?;
        files::replace(&cert, certificate(&KeyPair::from_pem(&text)?, host)?.as_bytes()).map_err(TlsError::Keeping)?;
    }
    let identity = of_files(&cert, &key)?;
    files::replace(&dir.join("pin"), format!("{}\n", pin_text(&identity.spki)).as_bytes()).map_err(TlsError::Keeping)?;
    Ok(identity)
}

/// The pin of the key kept in `dir`, if one is there yet. Makes nothing.
///
/// # Errors
///
/// [`TlsError`].
pub fn kept_pin(dir: &Path) -> Result<Option<[u8; 32]>, TlsError> {
    let [cert, key] = kept_files(dir);
    if !key.try_exists().map_err(TlsError::Keeping)? {
        return Ok(None);
    }
    if cert.exists() {
        return of_files(&cert, &key).map(|identity| Some(identity.spki));
    }
    let text = std::fs::read_to_string(&key).map_err(TlsError::Keeping)?;
    Ok(Some(kdf::digest(&KeyPair::from_pem(&text)?.subject_public_key_info())))
}

fn kept_files(dir: &Path) -> [PathBuf; 2] {
    ["cert.pem", "key.pem"].map(|name| dir.join(name))
}

fn certificate(pair: &KeyPair, host: &str) -> Result<String, rcgen::Error> {
    let mut params = CertificateParams::new(vec![host.to_owned()])?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, host);
    Ok(params.self_signed(pair)?.pem())
}

/// The name in a self-signed certificate. Nobody checks it; it only must not say what this is.
#[must_use]
pub fn host_of(address: &SocketAddr) -> String {
    if address.ip().is_loopback() || address.ip().is_unspecified() { "localhost".into() } else { address.ip().to_string() }
}

fn config(chain: Vec<CertificateDer<'static>>, key: PrivateKeyDer<'static>) -> Result<ServerConfig, TlsError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let versions = [&rustls::version::TLS13, &rustls::version::TLS12];
    let builder = ServerConfig::builder_with_provider(provider).with_protocol_versions(&versions)?;
    let mut config = builder.with_no_client_auth().with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::NamedGroup;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn the_self_signed_identity_stays_and_its_key_is_private() {
        let dir = tempfile::tempdir().unwrap();
        let tls = dir.path().join("tls");
        assert_eq!(kept_pin(&tls).unwrap(), None);
        assert!(!tls.exists(), "asking makes nothing");
        let first = self_signed(&tls, "localhost").unwrap();
        assert_eq!(kept_pin(&tls).unwrap(), Some(first.spki));
        assert_eq!(self_signed(&tls, "localhost").unwrap().spki, first.spki);
        std::fs::remove_file(tls.join("key.pem")).unwrap();
        assert_eq!(kept_pin(&tls).unwrap(), None);
        let first = {
            let other = self_signed(&tls, "localhost").unwrap();
            assert_ne!(other.spki, first.spki, "a new key has a certificate of its own");
            other
        };
        std::fs::remove_file(tls.join("cert.pem")).unwrap();
        assert_eq!(kept_pin(&tls).unwrap(), Some(first.spki), "of the key alone");
        assert_eq!(self_signed(&tls, "localhost").unwrap().spki, first.spki, "a new certificate of the old key");
        let mode = |name: &str| std::fs::metadata(tls.join(name)).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode("key.pem"), 0o600);
        assert_eq!(std::fs::read_to_string(tls.join("pin")).unwrap(), format!("{}\n", pin_text(&first.spki)));
    }

    #[test]
    fn a_renewed_certificate_is_taken_and_another_key_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let (tls, other) = (dir.path().join("tls"), dir.path().join("other"));
        let identity = self_signed(&tls, "localhost").unwrap();
        let files = (tls.join("cert.pem"), tls.join("key.pem"));
        let held = Certificate::new(identity.clone(), Some(files.clone()));
        std::fs::remove_file(&files.0).unwrap();
        assert!(matches!(held.renew(), Err(TlsError::Pem(..))), "no file");
        assert!(Arc::ptr_eq(&held.config(), &identity.config));
        assert_eq!(Certificate::new(identity.clone(), None).until().to_string(), "4096-01-01");
        self_signed(&tls, "localhost").unwrap();
        assert!(matches!(held.renew().unwrap(), Renewal::Done(until) if !until.is_over()));
        assert!(matches!(held.renew().unwrap(), Renewal::Same(_)), "nobody has renewed it since");
        let renewed = held.config();
        assert!(!Arc::ptr_eq(&renewed, &identity.config));
        self_signed(&other, "localhost").unwrap();
        for name in ["cert.pem", "key.pem"] {
            std::fs::copy(other.join(name), tls.join(name)).unwrap();
        }
        assert_eq!(held.renew().unwrap(), Renewal::OtherKey);
        assert!(Arc::ptr_eq(&held.config(), &renewed));
        assert_eq!(Certificate::new(identity, None).renew().unwrap(), Renewal::Nothing);
    }

    #[test]
    fn the_hybrid_group_is_preferred() {
        let groups = aws_lc_rs::default_provider().kx_groups;
        assert_eq!(groups.first().map(|group| group.name()), Some(NamedGroup::X25519MLKEM768));
    }

    #[test]
    fn what_is_no_certificate_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let empty = dir.path().join("empty.pem");
        std::fs::write(&empty, "nothing").unwrap();
        assert!(matches!(of_files(&empty, &empty), Err(TlsError::Pem(..))));
        // A key that lost its line ends: what it holds is in the parser's error, and not in ours.
        std::fs::write(&empty, "-----BEGIN PRIVATE KEY----- k3v9q2\n-----END PRIVATE KEY-----\n").unwrap();
        assert_eq!(of_files(&empty, &empty).err().unwrap().to_string(), "tls.cert: the file is damaged: it must be PEM");
        let nowhere = of_files(&dir.path().join("k3v9q2"), &empty).err().unwrap().to_string();
        assert!(nowhere.starts_with("tls.cert: cannot read the file: No such file"), "{nowhere}");
        let (one, other) = (dir.path().join("one"), dir.path().join("other"));
        self_signed(&one, "localhost").unwrap();
        self_signed(&other, "localhost").unwrap();
        assert!(matches!(of_files(&one.join("cert.pem"), &other.join("key.pem")), Err(TlsError::Unusable(_))));
    }
}

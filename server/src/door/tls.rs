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
use rustls::{InconsistentKeys, ServerConfig};
use x509_parser::oid_registry::{
    OID_EC_P256, OID_KEY_TYPE_EC_PUBLIC_KEY, OID_NIST_EC_P384, OID_NIST_EC_P521, OID_PKCS1_RSAENCRYPTION,
};
use x509_parser::prelude::{ASN1Time, FromDer, SubjectPublicKeyInfo, X509Certificate, X509Version};

use crate::files;

/// Certificate and key, as the configuration names them, and where the relay keeps those that it made.
const NAMED: [&str; 2] = ["tls.cert", "tls.key"];
const KEPT: [&str; 2] = ["data_dir/tls/cert.pem", "data_dir/tls/key.pem"];

/// Why there is no certificate to serve with.
///
/// Names the key of the configuration, and neither its value nor what the file holds: either may be a private key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A PEM file cannot be read.
    #[error("{0}: {said}", said = pem_text(.1))]
    Pem(&'static str, #[source] pem::Error),
    /// A PEM file holds something else than it should.
    #[error("{0}: {1}")]
    Holds(&'static str, #[source] Instead),
    /// The certificate's file, and the key's, each hold what they should, and not of one another.
    #[error("{0}: is the certificate of another key than {1}: name the two that belong together")]
    Apart(&'static str, &'static str),
    /// Something else is wrong with certificate or key.
    #[error("tls: this certificate and key cannot be used: {0}")]
    Unusable(#[from] rustls::Error),
    /// What the relay once made for itself was altered: what is wrong, and what to do.
    #[error("{0}. {1}")]
    Altered(#[source] Box<Self>, &'static str),
    /// The self-signed certificate could not be made.
    #[error("tls: cannot make a self-signed certificate: {0}")]
    Making(#[from] rcgen::Error),
    /// The self-signed certificate could not be kept.
    #[error("tls: cannot keep the self-signed certificate in tls below data_dir: {0}")]
    Keeping(#[source] io::Error),
}

/// What a file holds in place of a certificate or a key to serve with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Instead {
    /// A key under a passphrase.
    #[error("the key is encrypted, and nobody can type its passphrase here: give it without (openssl pkey -in OLD -out NEW)")]
    EncryptedKey,
    /// A certificate where a key should be.
    #[error("there is a certificate in the file, and no key: are cert and key swapped?")]
    Certificate,
    /// A key where a certificate should be.
    #[error("there is a key in the file, and no certificate: are cert and key swapped?")]
    Key,
    /// What is sent to whoever issues a certificate.
    #[error("there is a request for a certificate in the file: name the certificate that was issued for it")]
    Request,
    /// Neither.
    #[error("there is neither a certificate nor a key in the file: it must be PEM")]
    Nothing,
    /// A key that no handshake can be done with.
    #[error(
        "the key is damaged, or of a kind that is not taken: RSA of 2048 to 8192 bits, P-256, P-384, P-521 or Ed25519. Use P-256"
    )]
    UnusableKey,
    /// Something that no certificate looks like.
    #[error("the certificate is damaged, or none for a website")]
    UnusableCertificate,
    /// One of X.509 version 1.
    #[error(
        "the certificate is of X.509 version 1, which nobody takes any more: make one of version 3 (openssl req -x509 -addext \
         subjectAltName=DNS:NAME)"
    )]
    OldCertificate,
}

fn pem_text(error: &pem::Error) -> String {
    match error {
        pem::Error::Io(error) => format!("cannot read the file: {error}"),
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
    /// What its key is.
    pub kind: KeyKind,
    /// SHA-256 of the certificate and its chain.
    print: [u8; 32],
}

/// What a certificate says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leaf {
    /// SHA-256 of its SubjectPublicKeyInfo.
    pub spki: [u8; 32],
    /// When it ends.
    pub until: Until,
    /// What its key is.
    pub kind: KeyKind,
}

/// Which browsers take a certificate's key. The native programs take each that a relay does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyKind {
    /// RSA, P-256, P-384: all of them.
    Common,
    /// P-521: Firefox and Safari, and none that is made of Chromium.
    P521,
    /// Ed25519 and whatever is rarer: none that is common.
    Rare,
}

impl KeyKind {
    /// What to tell an operator of it, if anything.
    #[must_use]
    pub const fn warning(self) -> Option<&'static str> {
        match self {
            Self::Common => None,
            Self::P521 => Some(
                "the certificate's key is P-521, which Chrome and its kin do not take: callers who have one see an error. Use P-256; desks and \
                 cards then need the new pin",
            ),
            Self::Rare => Some(
                "the certificate's key is Ed25519 or rarer, which common browsers do not take: callers see an error. Use P-256; desks and cards \
                 then need the new pin",
            ),
        }
    }

    fn of(key: &SubjectPublicKeyInfo<'_>) -> Self {
        if key.algorithm.algorithm == OID_PKCS1_RSAENCRYPTION {
            return Self::Common;
        }
        let curve = key.algorithm.parameters.as_ref().and_then(|curve| curve.as_oid().ok());
        match curve.filter(|_| key.algorithm.algorithm == OID_KEY_TYPE_EC_PUBLIC_KEY) {
            Some(curve) if curve == OID_EC_P256 || curve == OID_NIST_EC_P384 => Self::Common,
            Some(curve) if curve == OID_NIST_EC_P521 => Self::P521,
            _ => Self::Rare,
        }
    }
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

    /// What its key is.
    #[must_use]
    pub fn kind(&self) -> KeyKind {
        self.held.read().unwrap_or_else(PoisonError::into_inner).kind
    }

    /// Reads the files again. Connections that are open keep what they have.
    ///
    /// # Errors
    ///
    /// As [`of_files`]; the old certificate stays in use.
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
/// [`TlsError::Pem`], [`TlsError::Holds`], [`TlsError::Apart`], [`TlsError::Unusable`].
pub fn of_files(cert: &Path, key: &Path) -> Result<Identity, TlsError> {
    identity(NAMED, cert, key)
}

fn identity(names: [&'static str; 2], cert: &Path, key: &Path) -> Result<Identity, TlsError> {
    let chain = chain(names[0], cert)?;
    let Leaf { spki, until, kind } = leaf(names[0], &chain)?;
    let secret = private_key(names[1], key)?;
    let print = kdf::digest(&chain.iter().map(AsRef::as_ref).collect::<Vec<&[u8]>>().concat());
    Ok(Identity { config: Arc::new(config(names, chain, secret)?), spki, until, kind, print })
}

/// What a certificate's file says, without its key: that may be sealed.
///
/// # Errors
///
/// [`TlsError::Pem`], [`TlsError::Holds`].
pub fn leaf_of(cert: &Path) -> Result<Leaf, TlsError> {
    leaf(NAMED[0], &chain(NAMED[0], cert)?)
}

/// The pin of a certificate's file and when it ends.
///
/// # Errors
///
/// As [`leaf_of`].
pub fn of_certificate(cert: &Path) -> Result<([u8; 32], Until), TlsError> {
    leaf_of(cert).map(|leaf| (leaf.spki, leaf.until))
}

/// The certificates of a file: one at least.
fn chain(name: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    wait_for_no_pipe(name, path)?;
    let chain: Vec<_> =
        CertificateDer::pem_file_iter(path).and_then(Iterator::collect).map_err(|error| TlsError::Pem(name, error))?;
    if chain.is_empty() {
        let labels = labels(path);
        let instead = match () {
            () if labels.contains("CERTIFICATE REQUEST") => Instead::Request,
            () if labels.contains("PRIVATE KEY") => Instead::Key,
            () => Instead::Nothing,
        };
        return Err(TlsError::Holds(name, instead));
    }
    Ok(chain)
}

fn private_key(name: &'static str, path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    wait_for_no_pipe(name, path)?;
    let error = match PrivateKeyDer::from_pem_file(path) {
        Ok(key) => return Ok(key),
        Err(error @ pem::Error::Io(_)) => return Err(TlsError::Pem(name, error)),
        Err(error) => error,
    };
    let labels = labels(path);
    let instead = match error {
        // The older way says so in lines of its own, which are no base64.
        _ if labels.contains("ENCRYPTED") => Instead::EncryptedKey,
        pem::Error::NoItemsFound if labels.contains("PRIVATE KEY") => Instead::UnusableKey,
        pem::Error::NoItemsFound if labels.contains("CERTIFICATE") => Instead::Certificate,
        pem::Error::NoItemsFound => Instead::Nothing,
        error => return Err(TlsError::Pem(name, error)),
    };
    Err(TlsError::Holds(name, instead))
}

/// A pipe would be waited for, by whoever handed it over.
fn wait_for_no_pipe(name: &'static str, path: &Path) -> Result<(), TlsError> {
    if std::fs::metadata(path).is_ok_and(|found| !found.is_file()) {
        return Err(TlsError::Pem(name, pem::Error::Io(io::Error::other("is no file"))));
    }
    Ok(())
}

/// The lines of a PEM file that say what it holds, for a look and never for a message.
fn labels(path: &Path) -> String {
    let all = std::fs::read(path).unwrap_or_default();
    let is_label = |line: &&str| line.starts_with("-----BEGIN ") || line.starts_with("Proc-Type:");
    String::from_utf8_lossy(&all).lines().filter(is_label).collect::<Vec<_>>().join("\n")
}

/// What the first of a chain says.
fn leaf(name: &'static str, chain: &[CertificateDer<'_>]) -> Result<Leaf, TlsError> {
    let holds = |instead| TlsError::Holds(name, instead);
    let first = chain.first().ok_or(holds(Instead::Nothing))?;
    let (_, read) = X509Certificate::from_der(first).map_err(|_| holds(Instead::UnusableCertificate))?;
    if read.version() != X509Version::V3 {
        return Err(holds(Instead::OldCertificate));
    }
    let key = read.public_key();
    Ok(Leaf { spki: kdf::digest(key.raw), until: Until(read.validity().not_after), kind: KeyKind::of(key) })
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
        files::replace(&cert, certificate(&kept_pair(&key)?, host)?.as_bytes()).map_err(TlsError::Keeping)?;
    }
    let identity = kept(&cert, &key)?;
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
        return kept(&cert, &key).map(|identity| Some(identity.spki));
    }
    Ok(Some(kdf::digest(&kept_pair(&key)?.subject_public_key_info())))
}

fn kept(cert: &Path, key: &Path) -> Result<Identity, TlsError> {
    identity(KEPT, cert, key).map_err(altered)
}

fn kept_pair(key: &Path) -> Result<KeyPair, TlsError> {
    let bytes = std::fs::read(key).map_err(TlsError::Keeping)?;
    let unusable = |_| altered(TlsError::Holds(KEPT[1], Instead::UnusableKey));
    KeyPair::from_pem(&String::from_utf8_lossy(&bytes)).map_err(unusable)
}

/// What to do about what the relay made itself: no line of a configuration names it.
fn altered(error: TlsError) -> TlsError {
    let what_to_do = match &error {
        // It may be whole where it cannot be read.
        TlsError::Pem(_, pem::Error::Io(_)) => return error,
        TlsError::Pem(name, _) | TlsError::Holds(name, _) if *name == KEPT[1] => {
            "Put back a copy of it. Without one remove it, and the next start makes another: desks and cards then need the new pin"
        }
        TlsError::Pem(..) | TlsError::Holds(..) => "Remove it: the next start makes another of the same key, and the pin stays",
        TlsError::Apart(..) => {
            "Remove the certificate, and the next start makes one of this key: if that is not the one that was there, desks and cards then need \
             the new pin"
        }
        _ => return error,
    };
    TlsError::Altered(Box::new(error), what_to_do)
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

fn config(
    [cert_name, key_name]: [&'static str; 2],
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<ServerConfig, TlsError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let versions = [&rustls::version::TLS13, &rustls::version::TLS12];
    let builder = ServerConfig::builder_with_provider(provider).with_protocol_versions(&versions)?;
    let mut config = builder.with_no_client_auth().with_single_cert(chain, key).map_err(|error| match error {
        // So it says of each key that it does not take.
        rustls::Error::General(_) => TlsError::Holds(key_name, Instead::UnusableKey),
        rustls::Error::InvalidCertificate(_) => TlsError::Holds(cert_name, Instead::UnusableCertificate),
        rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => TlsError::Apart(cert_name, key_name),
        error => error.into(),
    })?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}

#[cfg(test)]
mod tests;

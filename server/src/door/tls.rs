//! The certificate and what is negotiated with it.
//!
//! TLS 1.3 with X25519MLKEM768 preferred, TLS 1.2 with ECDHE and AEAD for old browsers; h2 and HTTP/1.1. No tickets and no session
//! memory: resumption would let the relay, and for TLS 1.2 anyone watching, link two connections of one phone.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use porchlight_proto::kdf;
use rcgen::{CertificateParams, DnType, KeyPair, PKCS_ECDSA_P256_SHA256};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{NoServerSessionStorage, ParsedCertificate};

use crate::files;

/// Why there is no certificate to serve with.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A PEM file cannot be read or holds nothing of the kind.
    #[error("tls: cannot read {0}: {1}")]
    Pem(PathBuf, #[source] rustls::pki_types::pem::Error),
    /// Certificate and key do not fit, or are of a kind that is not spoken.
    #[error("tls: this certificate and key cannot be used: {0}")]
    Unusable(#[from] rustls::Error),
    /// The self-signed certificate could not be made.
    #[error("tls: cannot make a self-signed certificate: {0}")]
    Making(#[from] rcgen::Error),
    /// The self-signed certificate could not be kept.
    #[error("tls: cannot keep the self-signed certificate in {0}: {1}")]
    Keeping(PathBuf, #[source] io::Error),
}

/// What a relay serves TLS with.
#[derive(Clone)]
pub struct Identity {
    /// For the handshakes.
    pub config: Arc<ServerConfig>,
    /// SHA-256 of the certificate's SubjectPublicKeyInfo: what cards pin and tokens are bound to.
    pub spki: [u8; 32],
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
    let pem = |path: &Path| {
        let path = path.to_path_buf();
        move |error| TlsError::Pem(path, error)
    };
    let chain: Vec<_> = CertificateDer::pem_file_iter(cert).and_then(Iterator::collect).map_err(pem(cert))?;
    let secret = PrivateKeyDer::from_pem_file(key).map_err(pem(key))?;
    let leaf = chain.first().ok_or_else(|| TlsError::Pem(cert.to_path_buf(), rustls::pki_types::pem::Error::NoItemsFound))?;
    let spki = spki_of(leaf)?;
    Ok(Identity { config: Arc::new(config(chain, secret)?), spki })
}

/// The identity kept in `dir`, made at the first call: the pin stays the same as long as the directory does.
///
/// # Errors
///
/// [`TlsError`].
pub fn self_signed(dir: &Path, host: &str) -> Result<Identity, TlsError> {
    let keeping = |error| TlsError::Keeping(dir.to_path_buf(), error);
    let [cert, key] = ["cert.pem", "key.pem"].map(|name| dir.join(name));
    files::make_private_dir(dir).map_err(keeping)?;
    if !key.exists() {
        let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        files::replace(&key, pair.serialize_pem().as_bytes()).map_err(keeping)?;
    }
    if !cert.exists() {
        let text = std::fs::read_to_string(&key).map_err(keeping)?;
        files::replace(&cert, certificate(&KeyPair::from_pem(&text)?, host)?.as_bytes()).map_err(keeping)?;
    }
    let identity = of_files(&cert, &key)?;
    files::replace(&dir.join("pin"), format!("{}\n", pin_text(&identity.spki)).as_bytes()).map_err(keeping)?;
    Ok(identity)
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

fn spki_of(cert: &CertificateDer<'_>) -> Result<[u8; 32], TlsError> {
    Ok(kdf::digest(&ParsedCertificate::try_from(cert)?.subject_public_key_info()))
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
        let first = self_signed(&tls, "localhost").unwrap();
        assert_eq!(self_signed(&tls, "localhost").unwrap().spki, first.spki);
        std::fs::remove_file(tls.join("cert.pem")).unwrap();
        assert_eq!(self_signed(&tls, "localhost").unwrap().spki, first.spki, "a new certificate of the old key");
        let mode = |name: &str| std::fs::metadata(tls.join(name)).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode("key.pem"), 0o600);
        assert_eq!(std::fs::read_to_string(tls.join("pin")).unwrap(), format!("{}\n", pin_text(&first.spki)));
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
        let (one, other) = (dir.path().join("one"), dir.path().join("other"));
        self_signed(&one, "localhost").unwrap();
        self_signed(&other, "localhost").unwrap();
        assert!(matches!(of_files(&one.join("cert.pem"), &other.join("key.pem")), Err(TlsError::Unusable(_))));
    }
}

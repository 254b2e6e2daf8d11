//! A real TLS server on loopback, for tests.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use rcgen::{CertificateParams, KeyPair};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::Pin;

/// A TLS server that counts its connections and answers by path.
pub(crate) struct Server {
    pub(crate) at: SocketAddr,
    pub(crate) pin: Pin,
    pub(crate) connections: Arc<AtomicUsize>,
}

pub(crate) fn certificate(seed: &KeyPair) -> CertificateDer<'static> {
    let mut params = CertificateParams::new(vec!["some.other.name".to_owned()]).expect("a name");
    // Long expired: with a pin, only the key counts.
    params.not_before = rcgen::date_time_ymd(2001, 1, 1);
    params.not_after = rcgen::date_time_ymd(2002, 1, 1);
    params.self_signed(seed).expect("signs").der().clone()
}

/// What answers requests.
pub(crate) trait Answers: Fn(Request<Incoming>) -> Self::Future + Clone + Send + 'static {
    type Future: Future<Output = Result<Response<Full<Bytes>>, hyper::Error>> + Send;
}

impl<S, F> Answers for S
where
    S: Fn(Request<Incoming>) -> F + Clone + Send + 'static,
    F: Future<Output = Result<Response<Full<Bytes>>, hyper::Error>> + Send,
{
    type Future = F;
}

/// A server that shows `shown` but holds the key of `held`.
pub(crate) async fn serve(shown: &KeyPair, held: &KeyPair, alpn: &[&[u8]], answers: impl Answers) -> Server {
    let shown = certificate(shown);
    let pin = Pin::of_certificate(&shown).expect("a certificate");
    let key = PrivateKeyDer::try_from(held.serialize_der()).expect("a key");
    let provider = Arc::new(aws_lc_rs::default_provider());
    let signer = rustls::sign::CertifiedKey::new(vec![shown], provider.key_provider.load_private_key(key).expect("a key"));
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(Shows(Arc::new(signer))));
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let at = listener.local_addr().expect("bound");
    let connections = Arc::new(AtomicUsize::new(0));
    tokio::spawn(accept(listener, TlsAcceptor::from(Arc::new(config)), Arc::clone(&connections), answers));
    Server { at, pin, connections }
}

#[derive(Debug)]
struct Shows(Arc<rustls::sign::CertifiedKey>);

impl rustls::server::ResolvesServerCert for Shows {
    fn resolve(&self, _hello: rustls::server::ClientHello<'_>) -> Option<Arc<rustls::sign::CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }
}

async fn accept(listener: TcpListener, tls: TlsAcceptor, connections: Arc<AtomicUsize>, answers: impl Answers) {
    while let Ok((tcp, _)) = listener.accept().await {
        connections.fetch_add(1, Ordering::SeqCst);
        let (tls, answers) = (tls.clone(), answers.clone());
        tokio::spawn(async move {
            let Ok(stream) = tls.accept(tcp).await else { return };
            let _ended = auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service_fn(answers)).await;
        });
    }
}

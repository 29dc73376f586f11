//! TLS in front of a scripted upstream, with its own certificate.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;

use rcgen::{CertificateParams, KeyPair};
use tokio::io::{AsyncWriteExt as _, copy};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::server::danger::ClientCertVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

/// A TLS endpoint for `localhost` that forwards everything to a plain one.
pub(crate) struct TlsFront {
    pub(crate) address: SocketAddr,
    /// The certificate that a client must trust, as PEM.
    pub(crate) certificate: String,
}

/// How it ends a connection after the plain endpoint has ended it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Farewell {
    /// With `close_notify`, as TLS requires.
    CloseNotify,
    /// With the end of the TCP connection only, as anyone on the network path can cause.
    None,
}

impl TlsFront {
    pub(crate) fn before(upstream: SocketAddr, farewell: Farewell) -> Self {
        let params = CertificateParams::new(["localhost".to_owned()]).expect("a name");
        Self::with_certificate(upstream, farewell, &params)
    }

    /// Serves only clients with this certificate, given as PEM.
    pub(crate) fn for_client(upstream: SocketAddr, certificate: &str) -> Self {
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_slice(certificate.as_bytes()).expect("PEM"))
            .expect("a certificate");
        let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
        let verifier = verifier.build().expect("a verifier");
        let params = CertificateParams::new(["localhost".to_owned()]).expect("a name");
        Self::start(upstream, Farewell::CloseNotify, &params, verifier)
    }

    /// With a self-signed certificate of this content.
    pub(crate) fn with_certificate(
        upstream: SocketAddr,
        farewell: Farewell,
        params: &CertificateParams,
    ) -> Self {
        Self::start(upstream, farewell, params, WebPkiClientVerifier::no_client_auth())
    }

    fn start(
        upstream: SocketAddr,
        farewell: Farewell,
        params: &CertificateParams,
        clients: Arc<dyn ClientCertVerifier>,
    ) -> Self {
        let key = KeyPair::generate().expect("a key");
        let signed = params.self_signed(&key).expect("a certificate");
        let certificate = signed.pem();
        let secret = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
        let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("known versions")
            .with_client_cert_verifier(clients)
            .with_single_cert(vec![signed.der().clone()], secret)
            .expect("its own key");
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound");
        listener.set_nonblocking(true).expect("a socket");
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = runtime.expect("a runtime");
            runtime.block_on(accept(listener, TlsAcceptor::from(Arc::new(config)), (upstream, farewell)));
        });
        Self { address, certificate }
    }

    pub(crate) fn base_url(&self) -> String {
        format!("https://localhost:{}", self.address.port())
    }
}

async fn accept(
    listener: std::net::TcpListener,
    acceptor: TlsAcceptor,
    (upstream, farewell): (SocketAddr, Farewell),
) {
    let listener = TcpListener::from_std(listener).expect("a socket");
    while let Ok((stream, _)) = listener.accept().await {
        let acceptor = acceptor.clone();
        tokio::spawn(async move {
            let Ok(secured) = acceptor.accept(stream).await else { return };
            let Ok(plain) = TcpStream::connect(upstream).await else { return };
            let (mut from_client, mut to_client) = tokio::io::split(secured);
            let (mut from_upstream, mut to_upstream) = plain.into_split();
            let up = async {
                let _copied = copy(&mut from_client, &mut to_upstream).await;
                let _closed = to_upstream.shutdown().await;
            };
            let down = async {
                let _copied = copy(&mut from_upstream, &mut to_client).await;
                if farewell == Farewell::CloseNotify {
                    let _closed = to_client.shutdown().await;
                }
            };
            // The client may keep its side open. The connection ends when the upstream has ended it.
            tokio::pin!(up);
            tokio::pin!(down);
            tokio::select! {
                () = &mut down => {}
                () = &mut up => down.await,
            }
        });
    }
}

//! A client of a gateway that speaks TLS: certificates for the gateway, and a tunnel that lets the plain client of the other
//! tests speak to it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;

use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;

/// A self-signed certificate for `localhost`, as PEM.
#[derive(Clone)]
pub(crate) struct Identity {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

impl Identity {
    pub(crate) fn new() -> Self {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(["localhost".to_owned()]).expect("a name");
        let certificate = params.self_signed(&key).expect("a certificate").pem();
        Self { certificate, key: key.serialize_pem() }
    }

    /// A client configuration that trusts this certificate and no other.
    pub(crate) fn trusted(&self, protocols: &[&[u8]]) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        let certificate = CertificateDer::from_pem_slice(self.certificate.as_bytes()).expect("PEM");
        roots.add(certificate).expect("a certificate");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let mut config = config.expect("versions").with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        Arc::new(config)
    }

    /// Completes a handshake with a server that must present this certificate; the protocol that was negotiated.
    pub(crate) fn handshake(&self, address: SocketAddr, protocols: &[&[u8]]) -> Result<Vec<u8>, String> {
        let name = ServerName::try_from("localhost").expect("a name");
        let session = rustls::ClientConnection::new(self.trusted(protocols), name).expect("a session");
        let stream = std::net::TcpStream::connect(address).map_err(|error| error.to_string())?;
        stream.set_read_timeout(Some(super::PATIENCE)).expect("a socket");
        let mut tls = rustls::StreamOwned::new(session, stream);
        while tls.conn.is_handshaking() {
            tls.conn.complete_io(&mut tls.sock).map_err(|error| error.to_string())?;
        }
        Ok(tls.conn.alpn_protocol().unwrap_or_default().to_vec())
    }

    /// An address at which plain connections are forwarded to `gateway` over TLS.
    pub(crate) fn tunnel(&self, gateway: SocketAddr) -> SocketAddr {
        let connector = TlsConnector::from(self.trusted(&[b"http/1.1"]));
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound");
        listener.set_nonblocking(true).expect("a socket");
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(forward(listener, connector, gateway));
        });
        address
    }
}

async fn forward(listener: std::net::TcpListener, connector: TlsConnector, gateway: SocketAddr) {
    let listener = TcpListener::from_std(listener).expect("a socket");
    while let Ok((mut plain, _)) = listener.accept().await {
        let connector = connector.clone();
        tokio::spawn(async move {
            let Ok(stream) = TcpStream::connect(gateway).await else { return };
            let name = ServerName::try_from("localhost").expect("a name");
            let Ok(mut secured) = connector.connect(name, stream).await else { return };
            let _ended = tokio::io::copy_bidirectional(&mut plain, &mut secured).await;
        });
    }
}

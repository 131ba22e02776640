//! A cache behind TLS, with a certificate of its own, that speaks HTTP/2 to those who want it.

use crate::support::dirs::Dir;
use bytes::Bytes;
use http::{Request, Response, Version};
use http_body_util::Full;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use std::collections::HashMap;
use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio_rustls::TlsAcceptor;

/// A running cache and the certificate that a client must trust.
pub struct TlsCache {
    _runtime: Runtime,
    port: u16,
    versions: Arc<Mutex<Vec<Version>>>,
    identity: Identity,
}

/// A certificate for `localhost`, signed by itself, and its key.
pub struct Identity {
    config: Arc<ServerConfig>,
    dir: Dir,
}

impl Identity {
    pub fn new() -> Self {
        let signed = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let dir = Dir::new();
        dir.write("ca.pem", signed.cert.pem());
        let key = PrivateKeyDer::try_from(signed.signing_key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![signed.cert.der().clone()], key)
            .unwrap();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Self { config: Arc::new(config), dir }
    }

    pub fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.config))
    }

    /// The certificate that a client must trust.
    pub fn ca_file(&self) -> PathBuf {
        self.dir.join("ca.pem")
    }
}

impl TlsCache {
    pub fn serve(files: HashMap<String, Vec<u8>>) -> Self {
        let identity = Identity::new();
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let port = listener.local_addr().unwrap().port();
        let versions = Arc::new(Mutex::new(Vec::new()));
        let (files, seen) = (Arc::new(files), Arc::clone(&versions));
        let acceptor = identity.acceptor();
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, files, seen) = (acceptor.clone(), Arc::clone(&files), Arc::clone(&seen));
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(stream).await else { return };
                    let answer = service_fn(|request: Request<hyper::body::Incoming>| {
                        seen.lock().unwrap().push(request.version());
                        let file = files.get(request.uri().path()).cloned();
                        let status = if file.is_some() { 200 } else { 404 };
                        let body = Full::new(Bytes::from(file.unwrap_or_default()));
                        let response = Response::builder().status(status).body(body).unwrap();
                        async move { Ok::<_, Infallible>(response) }
                    });
                    auto::Builder::new(TokioExecutor::new())
                        .serve_connection(TokioIo::new(stream), answer)
                        .await
                        .ok();
                });
            }
        });
        Self { _runtime: runtime, port, versions, identity }
    }

    pub fn url(&self) -> String {
        format!("https://localhost:{}", self.port)
    }

    pub fn ca_file(&self) -> PathBuf {
        self.identity.ca_file()
    }

    /// The versions of HTTP that were spoken.
    pub fn versions(&self) -> Vec<Version> {
        self.versions.lock().unwrap().clone()
    }
}

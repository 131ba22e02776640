//! moto's server: an S3 that shares no code with `s3s-fs`. It does not check signatures, and knows conditions, lists of
//! uploads and regions.

use crate::support::client;
use crate::support::dirs::Dir;
use std::fs::File;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A running server with a bucket. It is gone with its owner.
pub struct Moto {
    process: Child,
    port: u16,
    dir: Dir,
}

impl Moto {
    /// The bucket.
    pub const BUCKET: &str = "acme-cache";

    pub fn start() -> Self {
        // It takes seconds until it listens; a port that somebody else took meanwhile is not tried again.
        std::iter::repeat_with(Self::try_start).take(5).flatten().next().expect("moto serves")
    }

    fn try_start() -> Option<Self> {
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/moto/bin/moto_server");
        assert!(program.exists(), "{} is missing: run tests/install", program.display());
        let (dir, port) =
            (Dir::new(), TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port());
        let log = || File::options().create(true).append(true).open(dir.join("log")).unwrap();
        let process = Command::new(program)
            .args(["-H", "127.0.0.1", "-p", &port.to_string()])
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", dir.path())
            .stdin(Stdio::null())
            .stdout(log())
            .stderr(log())
            .spawn()
            .unwrap();
        let mut server = Self { process, port, dir };
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            if server.process.try_wait().unwrap().is_some() {
                eprintln!("moto ended: {}", server.log());
                return None;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        server.ask("PUT", "", "");
        Some(server)
    }

    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// A request about the bucket or an object in it, which must be answered with success.
    pub fn ask(&self, method: &str, name: &str, body: &str) -> client::Reply {
        let path = format!("/{}{}{name}", Self::BUCKET, if name.starts_with(['?', '/']) { "" } else { "/" });
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nAuthorization: AWS4-HMAC-SHA256 Credential=AKIDTEST/\
             20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0\r\nContent-Length: {}\r\n\
             Connection: close\r\n\r\n{body}",
            self.port,
            body.len()
        );
        let reply = client::parse(&client::raw(self.port, request.as_bytes()));
        assert!(matches!(reply.status, 200..=299), "{method} {path}: {}\n{}", reply.status, reply.text());
        reply
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.dir.join("log")).unwrap_or_default()
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        self.process.kill().unwrap_or_default();
        self.process.wait().map(drop).unwrap_or_default();
    }
}

//! A listener that takes connections at once and passes bytes on, both ways, only after a time: in front of a server
//! with TLS, a handshake that takes that long.

use std::io::copy;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

/// A running door; it ends with the test's process.
#[derive(Debug)]
pub struct SlowDoor {
    port: u16,
    passed: Arc<AtomicUsize>,
}

impl SlowDoor {
    /// Leads to the server at this port of loopback.
    pub fn before(server: u16, wait: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let passed = Arc::new(AtomicUsize::new(0));
        let seen = Arc::clone(&passed);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                seen.fetch_add(1, Ordering::Relaxed);
                thread::spawn(move || {
                    thread::sleep(wait);
                    pass_on(client, server)
                });
            }
        });
        Self { port, passed }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// How many connections came.
    pub fn passed(&self) -> usize {
        self.passed.load(Ordering::Relaxed)
    }
}

fn pass_on(client: TcpStream, server: u16) -> Option<()> {
    let server = TcpStream::connect(("127.0.0.1", server)).ok()?;
    let (mut from, mut to) = (client.try_clone().ok()?, server.try_clone().ok()?);
    let asking = thread::spawn(move || {
        copy(&mut from, &mut to).ok();
        to.shutdown(Shutdown::Write).ok()
    });
    copy(&mut &server, &mut &client).ok();
    client.shutdown(Shutdown::Both).ok();
    asking.join().ok()?
}

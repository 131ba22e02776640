//! A daemon that follows a script, on one end of a pair of sockets.

use super::super::{Store, StoreError};
use crate::format::StoreDir;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Bytes of the protocol, put together by hand.
#[derive(Clone, Debug, Default)]
pub(super) struct Said(pub(super) Vec<u8>);

impl Said {
    pub(super) fn n(mut self, number: u64) -> Self {
        self.0.extend(number.to_le_bytes());
        self
    }

    pub(super) fn s(self, text: impl AsRef<[u8]>) -> Self {
        let text = text.as_ref();
        let mut said = self.n(text.len() as u64);
        said.0.extend(text);
        said.0.extend(vec![0; (8 - text.len() % 8) % 8]);
        said
    }

    pub(super) fn list(self, texts: &[&str]) -> Self {
        texts.iter().fold(self.n(texts.len() as u64), Self::s)
    }

    /// The frame after which the answer comes.
    pub(super) fn last(self) -> Self {
        self.n(0x616c_7473)
    }

    /// An error as Nix frames it.
    pub(super) fn error(self, message: impl AsRef<[u8]>) -> Self {
        self.n(0x6378_7470).s("Error").n(0).s("Error").s(message).n(0).n(1).n(0).s("while testing")
    }
}

pub(super) fn said() -> Said {
    Said::default()
}

/// What the greeting of a client must be.
pub(super) fn greeting() -> Said {
    said().n(0x6e69_7863).n(0x122).n(0).n(0)
}

/// What a daemon answers that offers this protocol.
pub(super) fn welcome(protocol: u64) -> Said {
    said().n(0x6478_696f).n(protocol).s("2.8.0").last()
}

/// What a daemon does next.
#[derive(Clone, Debug)]
pub(super) enum Step {
    /// Reads this many bytes' worth, which must be these.
    Hear(Said),
    Say(Said),
    /// Says one byte at a time with this pause between them.
    Drip(Said, Duration),
    /// Says this over and over, for as long as anybody reads.
    Flood(Said),
    /// Says nothing more, but does not hang up before the client does.
    Wait,
}

/// Plays a script behind a welcome, then hangs up.
pub(super) fn after_welcome(steps: Vec<Step>) -> (Result<Store, StoreError>, JoinHandle<()>) {
    let mut all = vec![Step::Hear(greeting()), Step::Say(welcome(0x122))];
    all.extend(steps);
    play(all)
}

/// Plays a script and connects to it.
pub(super) fn play(steps: Vec<Step>) -> (Result<Store, StoreError>, JoinHandle<()>) {
    play_with(steps, Duration::from_secs(30))
}

pub(super) fn play_with(steps: Vec<Step>, patience: Duration) -> (Result<Store, StoreError>, JoinHandle<()>) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let daemon = thread::spawn(move || act(theirs, steps));
    (Store::over(ours, StoreDir::default(), patience), daemon)
}

fn act(mut stream: UnixStream, steps: Vec<Step>) {
    for step in steps {
        match step {
            Step::Hear(said) => {
                let mut heard = vec![0; said.0.len()];
                stream.read_exact(&mut heard).unwrap();
                assert_eq!(heard, said.0);
            }
            Step::Say(said) => stream.write_all(&said.0).unwrap(),
            Step::Drip(said, pause) => {
                for byte in said.0 {
                    if stream.write_all(&[byte]).is_err() {
                        return;
                    }
                    thread::sleep(pause);
                }
            }
            Step::Flood(said) => while stream.write_all(&said.0).is_ok() {},
            Step::Wait => {
                // Until the client is gone; what it says meanwhile does not matter.
                stream.read_to_end(&mut Vec::new()).unwrap_or_default();
            }
        }
    }
}

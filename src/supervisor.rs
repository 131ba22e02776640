//! What the service manager is told: that we are ready, how we are, and that we live (sd_notify(3)).
//!
//! Where nobody supervises, as without `$NOTIFY_SOCKET`, nothing is sent. That we live is said only after we were
//! found to do our work: the watchdog hangs on a probe, not on a timer. What the probe is, is for who watches.

use sd_notify::NotifyState;
use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// We do our work; `status` is one line that `systemctl status` shows.
pub fn ready(status: &str) {
    notify(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// We read the configuration again; [`ready`] ends that.
pub fn reloading() {
    // Without the time, systemd 253 and later take the reload of a `Type=notify-reload` service for failed.
    match NotifyState::monotonic_usec_now() {
        Ok(now) => notify(&[NotifyState::Reloading, now]),
        Err(_) => notify(&[NotifyState::Reloading]),
    }
}

/// We stop; what is under way may take this long at most.
pub fn stopping() {
    notify(&[NotifyState::Stopping, NotifyState::Status("stopping after what is under way")]);
}

/// What wants to hear that we live, if anybody does.
#[derive(Debug)]
pub struct Watchdog {
    /// Silence for longer, and we are killed and started again.
    patience: Duration,
}

impl Watchdog {
    /// As `$WATCHDOG_USEC` and `$WATCHDOG_PID` have it.
    pub fn of_process() -> Option<Self> {
        sd_notify::watchdog_enabled().filter(|patience| !patience.is_zero()).map(|patience| Self { patience })
    }

    /// Probes three times in each span of patience, and says that we live whenever the probe succeeds in time. Never
    /// ends.
    pub async fn watch(self, probe: impl AsyncFn() -> Result<(), String>) {
        let each = self.patience / 3;
        let mut is_well = true;
        loop {
            let began = tokio::time::Instant::now();
            let found = tokio::time::timeout(each, probe()).await;
            match found.unwrap_or_else(|_| Err(format!("no answer within {each:?}"))) {
                Ok(()) => {
                    if !is_well {
                        tracing::info!("answers itself again");
                    }
                    is_well = true;
                    notify(&[NotifyState::Watchdog]);
                }
                Err(trouble) => {
                    if is_well {
                        tracing::error!(
                            trouble,
                            "does not answer itself, so the watchdog is not told that it lives"
                        );
                    }
                    is_well = false;
                }
            }
            tokio::time::sleep_until(began + each).await;
        }
    }
}

/// Somebody who supervises and cannot be told changes nothing for those whom we serve.
fn notify(states: &[NotifyState<'_>]) {
    let Some(place) = std::env::var_os("NOTIFY_SOCKET").filter(|place| !place.is_empty()) else { return };
    let mut words = String::new();
    for state in states {
        words.push_str(&format!("{state}\n"));
    }
    if let Err(error) = send(&place, words.as_bytes()) {
        tracing::debug!(%error, "could not notify the service manager");
    }
}

/// One datagram. `sd_notify::notify` does not know the abstract sockets that containers use: a leading `@` stands for
/// the zero byte of their names (sd_notify(3)).
fn send(place: &OsStr, words: &[u8]) -> io::Result<()> {
    let place = place.as_bytes();
    let address = match place.strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(OsStr::from_bytes(place))?,
    };
    UnixDatagram::unbound()?.send_to_addr(words, &address).map(drop)
}

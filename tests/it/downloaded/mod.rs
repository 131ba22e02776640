//! What was downloaded and not rebuilt is never signed as ours, however it came and whichever command is tried.

mod attempts;
mod ways;

use crate::support::nix_daemon::{NixDaemon, full};
use crate::support::uploads::Uploads;
use countersign::format::StorePath;

/// A party that builds and publishes under its own key, or under none.
struct Party {
    daemon: NixDaemon,
    secret: std::path::PathBuf,
    public: String,
}

impl Party {
    fn new(generation: &'static str) -> Self {
        let daemon = NixDaemon::start(generation);
        let (secret, public) = (daemon.machine.dir.join("party.sec"), daemon.machine.dir.join("party.pub"));
        let files = [secret.to_str().unwrap(), public.to_str().unwrap()];
        daemon.ok("nix-store", &["--generate-binary-cache-key", "party-1", files[0], files[1]]);
        let public = std::fs::read_to_string(public).unwrap().trim_end().to_owned();
        Self { daemon, secret, public }
    }

    /// Publishes a path into a directory of its own; its URL.
    fn publish(&self, path: &StorePath, is_signed: bool) -> String {
        let name = if is_signed { "signed" } else { "unsigned" };
        let url = format!("file://{}", self.daemon.machine.dir.join(name).display());
        let key = format!("{url}?secret-key={}", self.secret.display());
        let to = if is_signed { &key } else { &url };
        // Past the daemon, which would not write into another's directory.
        self.daemon.machine.ok("nix", &["copy", "--no-check-sigs", "--to", to, &full(path)]);
        url
    }
}

/// Whether a narinfo carries a signature under our name.
fn is_signed_by_us(narinfo: &str) -> bool {
    narinfo.lines().any(|line| line.starts_with("Sig: acme-1:"))
}

/// Runs a command of the machine's Nix through its daemon; it must succeed.
fn nix(uploads: &Uploads, command: &str, arguments: &[&str]) -> String {
    uploads.daemon.ok(command, arguments)
}

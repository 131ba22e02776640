//! Builds that no hook reported, found in the store: by the uploader from the installation on, and by `push --since`.

mod conditions;
mod dates;
mod finding;
mod pushing;

use crate::support::nix_daemon::full;
use crate::support::uploads::{Uploader, Uploads};
use countersign::format::StorePath;
use countersign::state::StateDirectory;
use countersign::trust::Timestamp;

const DIRECTORY: &str = "[destinations.acme]\nurl = \"file://DIR/cache\"\npackages = [\"*\"]\n";

/// A machine without a hook on which Countersign was installed long ago.
fn installed_long_ago(generation: &'static str, upload: &str, destinations: &str) -> Uploads {
    let uploads = Uploads::new(generation, destinations);
    uploads.configure("", upload, destinations);
    install(&uploads, 1_000_000_000);
    uploads
}

/// Says when Countersign was installed on a machine.
fn install(uploads: &Uploads, at: i64) {
    let state = StateDirectory::at(uploads.state());
    state.create().unwrap();
    state.note_installed(Timestamp::from_seconds(at)).unwrap();
}

/// Says that a path was registered at some time, behind Nix's back.
fn register_at(uploads: &Uploads, path: &StorePath, at: i64) {
    let file = uploads.daemon.machine.dir.join("store/nix/var/nix/db/db.sqlite");
    let database = rusqlite::Connection::open(file).unwrap();
    database.busy_timeout(std::time::Duration::from_secs(30)).unwrap();
    let sql = "UPDATE ValidPaths SET registrationTime = ? WHERE path = ?";
    assert_eq!(database.execute(sql, rusqlite::params![at, full(path)]).unwrap(), 1);
}

/// Starts the uploader and waits until it has swept once more than before.
fn sweep(uploads: &Uploads) -> Uploader {
    let swept = |uploads: &Uploads| uploads.log().matches("swept: ").count();
    let before = swept(uploads);
    let uploader = uploads.start();
    uploads.wait_for("it swept", |uploads| swept(uploads) > before);
    uploader
}

/// The states and origins of a path's entries.
fn origins(uploads: &Uploads, path: &StorePath) -> Vec<(String, String)> {
    let queue = uploads.queue();
    let of_path = |entry: &&serde_json::Value| entry["path"] == *path.to_string();
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let entries = queue["entries"].as_array().unwrap().iter().filter(of_path);
    entries.map(|entry| (text(&entry["state"]), text(&entry["origin"]))).collect()
}

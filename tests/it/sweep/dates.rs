//! The installation's date: from when on builds are found, and that it does not get lost unsaid.

use super::{DIRECTORY, install, origins, register_at, sweep};
use crate::support::uploads::Uploads;
use countersign::queue::Queue;
use countersign::state::StateDirectory;
use countersign::trust::Timestamp;

/// Older builds are left alone; one at the very second goes.
#[test]
fn only_builds_from_the_installation_on_are_found() {
    let uploads = Uploads::new("2.34", DIRECTORY);
    install(&uploads, 1_700_000_000);
    let built = uploads
        .daemon
        .build("[ (shell \"acme-old\" \"echo old > $out\" {}) (shell \"acme-new\" \"echo new > $out\" {}) ]");
    register_at(&uploads, &built[0], 1_699_999_999);
    register_at(&uploads, &built[1], 1_700_000_000);
    let _uploader = sweep(&uploads);
    uploads.wait();
    assert_eq!(origins(&uploads, &built[0]), []);
    assert_eq!(origins(&uploads, &built[1]), [("done".to_owned(), "swept".to_owned())]);
}

/// The first start notes its date in the state directory and in the queue, and says so; each is made again from the
/// other.
#[test]
fn the_date_is_noted_at_the_first_start_and_restored_when_it_is_lost() {
    let uploads = Uploads::new("2.34", DIRECTORY);
    let state = StateDirectory::at(uploads.state());
    drop(sweep(&uploads));
    assert!(uploads.log().contains("first start: builds from now on are found"), "{}", uploads.log());
    let noted = state.installed().unwrap().unwrap();
    let queued = || Queue::open(&uploads.state()).unwrap().installed().unwrap();
    assert_eq!(queued(), Some(noted));

    // A person knows better: from then on it is that date.
    std::fs::write(state.installed_file(), "2020-01-01T00:00:00Z\n").unwrap();
    drop(sweep(&uploads));
    let noted = Timestamp::from_seconds(1_577_836_800);
    assert_eq!(queued(), Some(noted));

    std::fs::remove_file(state.installed_file()).unwrap();
    drop(sweep(&uploads));
    assert_eq!(state.installed().unwrap(), Some(noted), "not the time of the second start");
    assert!(uploads.log().contains("the date of the installation was gone"), "{}", uploads.log());

    for file in ["queue.db", "queue.db-wal", "queue.db-shm"] {
        std::fs::remove_file(uploads.state().join(file)).unwrap_or_default();
    }
    drop(sweep(&uploads));
    assert_eq!((state.installed().unwrap(), queued()), (Some(noted), Some(noted)));
    assert_eq!(uploads.log().matches("first start").count(), 1);
}

/// A file that holds no date stops the sweep and nothing else, and is not written over.
#[test]
fn a_date_that_cannot_be_read_is_said_and_left_alone() {
    let uploads = Uploads::new("2.34", DIRECTORY);
    install(&uploads, 1_000_000_000);
    std::fs::write(uploads.state().join("installed"), "soon\n").unwrap();
    let built = uploads.daemon.build_one("shell \"acme-tool\" \"echo tool > $out\" {}");
    let _uploader = uploads.start();
    uploads.wait_for("it is said", |u| u.log().contains("builds that no hook reports are not looked for"));
    assert!(uploads.log().contains("write one into it"), "{}", uploads.log());
    uploads.ok(&["push", built.to_string().as_str()]);
    assert_eq!(origins(&uploads, &built), [("done".to_owned(), "pushed".to_owned())]);
    assert_eq!(std::fs::read_to_string(uploads.state().join("installed")).unwrap(), "soon\n");
}

/// A date that is still to come, as a clock that was ahead leaves it: nothing is found, and why is said.
#[test]
fn a_date_that_is_still_to_come_is_said() {
    let uploads = Uploads::new("2.34", DIRECTORY);
    install(&uploads, 4_000_000_000);
    let built = uploads.daemon.build_one("shell \"acme-tool\" \"echo tool > $out\" {}");
    let _uploader = sweep(&uploads);
    assert!(uploads.log().contains("the date of the installation is still to come"), "{}", uploads.log());
    assert_eq!(origins(&uploads, &built), []);
}

//! Disks that are full, files that are locked, gone, damaged or of a newer program, directories that are not there.

use super::{check, is_there, open, runtime, verdict, wait_until};
use crate::support::dirs::Dir;
use countersign::evidence::{Batch, Earlier, Ledger, Outcome};
use rusqlite::Connection;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What must go on whatever the disk does: nothing here waits for ever, and it says what is wrong.
async fn goes_on(ledger: &Ledger, n: u64) {
    ledger.note(verdict(n, Outcome::Endorse));
    ledger.record(verdict(n + 1, Outcome::Refuse)).await;
    assert_eq!(ledger.earlier(super::hash_part(n)).await, Earlier::default());
}

fn trouble(ledger: &Ledger) -> String {
    ledger.status().trouble.map_or_else(String::new, |(text, _)| text.into())
}

fn broken(dir: &Path) -> Vec<PathBuf> {
    let names = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    names.filter(|path| path.to_str().unwrap().contains(".broken-")).collect()
}

#[test]
fn a_ledger_that_is_locked_is_waited_for_by_nobody_and_written_when_it_is_free() {
    let dir = Dir::new();
    runtime().block_on(async {
        let ledger = open(dir.path());
        ledger.record(verdict(1, Outcome::Refuse)).await;
        let other = Connection::open(dir.join("evidence.db")).unwrap();
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        goes_on(&ledger, 2).await;
        wait_until("it is said", || trouble(&ledger).contains("is locked by another program"));
        assert!(!is_there(dir.path(), 3));
        other.execute_batch("ROLLBACK").unwrap();
        wait_until("the trouble is over", || trouble(&ledger).is_empty() && ledger.status().waiting == 0);
        assert!(is_there(dir.path(), 2) && is_there(dir.path(), 3), "what waited is written");
        assert_eq!(ledger.status().lost, 0);
    });
    assert!(check(dir.path()).is_sound());
}

#[test]
fn a_ledger_that_is_removed_or_replaced_is_gone_on_with_anew() {
    let dir = Dir::new();
    let remove = || {
        for name in ["evidence.db", "evidence.db-wal", "evidence.db-shm"] {
            fs::remove_file(dir.join(name)).unwrap_or_default();
        }
    };
    runtime().block_on(async {
        let ledger = open(dir.path());
        ledger.record(verdict(1, Outcome::Refuse)).await;
        remove();
        ledger.record(verdict(2, Outcome::Refuse)).await;
        wait_until("it is written", || is_there(dir.path(), 2));
        assert!(!is_there(dir.path(), 1));
        remove();
        open(&fs::create_dir(dir.join("other")).map(|()| dir.join("other")).unwrap()).stop().await;
        fs::rename(dir.join("other/evidence.db"), dir.join("evidence.db")).unwrap();
        ledger.record(verdict(3, Outcome::Refuse)).await;
        wait_until("it is written", || is_there(dir.path(), 3));
        ledger.stop().await;
    });
    assert!(check(dir.path()).is_sound());
}

#[test]
fn a_damaged_ledger_is_set_aside_and_never_removed() {
    let dir = Dir::new();
    runtime().block_on(async {
        for n in 1..=3 {
            let rubbish = format!("rubbish {n} ").repeat(1000);
            dir.write("evidence.db", &rubbish);
            let ledger = open(dir.path());
            ledger.record(verdict(n, Outcome::Refuse)).await;
            wait_until("it is written", || ledger.status().waiting == 0);
            ledger.stop().await;
            assert!(is_there(dir.path(), n), "a new one is begun");
            let kept = broken(dir.path()).iter().any(|path| fs::read(path).unwrap() == rubbish.as_bytes());
            assert!(kept, "what was there is kept");
            // Each second has one name.
            fs::rename(&broken(dir.path())[0], dir.join(&format!("evidence.db.broken-{n}"))).unwrap();
            let others = broken(dir.path()).len();
            assert!(others <= 3);
            wait_until("another second", || {
                let now = countersign::clock::now();
                std::thread::sleep(std::time::Duration::from_millis(100));
                countersign::clock::now() != now
            });
        }
        fs::write(dir.join("evidence.db.broken-4"), "").unwrap();
        fs::write(dir.join("evidence.db.broken-5"), "").unwrap();
        let rubbish = "rubbish ".repeat(1000);
        dir.write("evidence.db", &rubbish);
        let ledger = open(dir.path());
        goes_on(&ledger, 10).await;
        assert!(trouble(&ledger).contains("look at the disk"), "{}", trouble(&ledger));
        assert_eq!(fs::read(dir.join("evidence.db")).unwrap(), rubbish.as_bytes(), "so many are enough");
    });
}

#[test]
fn a_ledger_that_is_damaged_while_it_is_used_is_set_aside() {
    let dir = Dir::new();
    runtime().block_on(async {
        let ledger = open(dir.path());
        for n in 1..400 {
            ledger.record(verdict(n, Outcome::Refuse)).await;
        }
        ledger.stop().await;
        let file = fs::OpenOptions::new().write(true).open(dir.join("evidence.db")).unwrap();
        let length = file.metadata().unwrap().len();
        // Every page but the first, which tells what the file is.
        std::os::unix::fs::FileExt::write_all_at(
            &file,
            &vec![0xa5; usize::try_from(length).unwrap() - 4096],
            4096,
        )
        .unwrap();
        drop(file);
        let ledger = open(dir.path());
        ledger.record(verdict(1000, Outcome::Refuse)).await;
        wait_until("it is written", || ledger.status().waiting == 0 && trouble(&ledger).is_empty());
        ledger.stop().await;
        assert!(is_there(dir.path(), 1000));
        assert_eq!(
            broken(dir.path()).iter().filter(|path| fs::metadata(path).unwrap().len() == length).count(),
            1
        );
    });
}

#[test]
fn the_ledger_of_a_newer_program_is_left_alone() {
    let dir = Dir::new();
    runtime().block_on(async {
        let ledger = open(dir.path());
        ledger.record(verdict(1, Outcome::Refuse)).await;
        ledger.stop().await;
        let database = Connection::open(dir.join("evidence.db")).unwrap();
        database.pragma_update(None, "user_version", 99).unwrap();
        drop(database);
        let before = fs::read(dir.join("evidence.db")).unwrap();
        let ledger = open(dir.path());
        goes_on(&ledger, 2).await;
        let said = trouble(&ledger);
        assert!(
            said.contains("is of a newer version (99) than this program knows (1): upgrade it"),
            "{said}"
        );
        ledger.stop().await;
        assert_eq!(fs::read(dir.join("evidence.db")).unwrap(), before);
    });
}

#[test]
fn a_directory_that_comes_later_is_used_from_then_on() {
    let dir = Dir::new();
    let state = dir.join("state");
    runtime().block_on(async {
        let ledger = open(&state);
        goes_on(&ledger, 1).await;
        let said = trouble(&ledger);
        assert!(said.starts_with("cannot open the ledger") && said.contains("No such file"), "{said}");
        assert!(!state.exists(), "it is not the ledger's to make");
        fs::create_dir(&state).unwrap();
        wait_until("it is written", || trouble(&ledger).is_empty() && ledger.status().waiting == 0);
        assert!(is_there(&state, 1) && is_there(&state, 2));
        assert_eq!(ledger.status().lost, 0);
    });
}

#[test]
fn what_waits_for_a_disk_is_bounded() {
    let dir = Dir::new();
    runtime().block_on(async {
        let ledger = open(&dir.join("nowhere"));
        (0..20_000).for_each(|n| ledger.note(verdict(n, Outcome::Endorse)));
        let status = ledger.status();
        assert_eq!(status.waiting + status.lost, 20_000);
        assert!(status.waiting <= 8192, "{status:?}");
    });
}

/// Names the small disk, in the second process.
const DISK: &str = "COUNTERSIGN_TEST_LEDGER_DISK";

#[test]
fn a_full_disk_stops_nothing_and_is_written_again_when_there_is_room() {
    if let Some(disk) = std::env::var_os(DISK) {
        return on_a_small_disk(disk.as_ref());
    }
    let dir = Dir::new();
    let script = "mount -t tmpfs -o size=2m none \"$1\" && exec \"$0\" --exact --nocapture \"$2\"";
    let name = "evidence_ledger::disk::a_full_disk_stops_nothing_and_is_written_again_when_there_is_room";
    // As root no user namespace is needed, and some machines allow none.
    let mut unshare = Command::new("unshare");
    if !rustix::process::getuid().is_root() {
        unshare.arg("--map-root-user");
    }
    let output = unshare
        .args(["--mount", "--", "sh", "-c", script])
        .arg(std::env::current_exe().unwrap())
        .arg(dir.path())
        .arg(name)
        .env(DISK, dir.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("1 passed"), "{said}");
}

fn on_a_small_disk(disk: &Path) {
    runtime().block_on(async {
        let ledger = open(disk);
        ledger.record(verdict(1, Outcome::Refuse)).await;
        fs::write(disk.join("filler"), vec![1; 3 << 20]).unwrap_err();
        let mut n = 1;
        while trouble(&ledger).is_empty() {
            n += 1;
            let mut rows = Batch::default();
            (0..500).for_each(|k| rows.append(verdict(n * 1000 + k, Outcome::Endorse)));
            ledger.note(rows);
            ledger.record(verdict(n, Outcome::Refuse)).await;
            assert!(n < 100, "the disk was never full");
        }
        assert!(trouble(&ledger).contains("full"), "{}", trouble(&ledger));
        assert!(is_there(disk, 1), "what was written is there");
        fs::remove_file(disk.join("filler")).unwrap();
        wait_until("it is written again", || trouble(&ledger).is_empty() && ledger.status().waiting == 0);
        ledger.stop().await;
        assert!(is_there(disk, n), "the refusal that found no room is written now");
        let report = check(disk);
        assert!(report.is_sound(), "{report:?}");
    });
}

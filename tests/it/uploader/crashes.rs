//! The uploader killed with -9, again and again, between every two things it does.

use crate::support::dirs::Dir;
use crate::support::nix_daemon::NixDaemon;
use crate::support::uploads::{Uploads, chain};
use countersign::format::{Limits, NarInfo, StoreDir, StorePath};
use countersign::queue::{Origin, Queue, Row, State, Terms, Wish};
use std::collections::{BTreeSet, HashMap};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const DIRECTORY: &str = "[destinations.acme]\nurl = \"file://DIR/cache\"\npackages = [\"*\"]\n";

/// Uploads of a chain of fifty paths, killed at two hundred different points, each kill followed by a start: nothing
/// is lost, nothing whose read-back was noted is put again, and no reader ever sees a narinfo whose NAR or
/// reference is missing.
///
/// A point is a place in the program and the path that it worked on; which one kills is counted, not timed.
#[test]
fn killed_at_two_hundred_points_nothing_is_lost() {
    let uploads = Uploads::with(NixDaemon::start("2.34"), Dir::new(), "", DIRECTORY);
    let cache = uploads.dir.join("cache");
    kill_again_and_again(&uploads, &cache, 200, &[]);
}

/// Uploads until it was killed at so many points; `cache` is where the destination's objects lie. It passes `further`
/// points beside those of every destination.
pub(crate) fn kill_again_and_again(uploads: &Uploads, cache: &Path, most: usize, further: &[&str]) {
    let built = uploads.daemon.build(&chain(50, 2000));
    let log = uploads.dir.join("crashes");
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        // A reader who looks all the time.
        scope.spawn(|| {
            while !stop.load(Ordering::SeqCst) {
                check_readable(cache);
                std::thread::sleep(Duration::from_millis(2));
            }
        });
        let _stop = StopOnDrop(&stop);
        let (mut after, mut rounds) = (0, 0);
        while points(&log).len() < most {
            rounds += 1;
            assert!(rounds < 12, "only {} points in so many uploads", points(&log).len());
            // At once: the reader must not see half of it go.
            std::fs::rename(cache, uploads.dir.join(&format!("cache-{rounds}"))).unwrap_or_default();
            std::fs::create_dir(cache).unwrap();
            std::fs::remove_dir_all(uploads.state()).unwrap_or_default();
            std::fs::create_dir_all(uploads.state()).unwrap();
            let queue = ask(uploads, &built);
            let mut settled = HashMap::new();
            while !queue.rows(true).unwrap().is_empty() {
                // The most is more than three threads pass before one of them has noted a step.
                after = after % 17 + 1;
                run_until_crash(uploads, &queue, &log, after);
                check_readable(cache);
                check_not_put_again(cache, &queue, &mut settled);
            }
            assert!(queue.rows(false).unwrap().iter().all(|row| row.entry.state == State::Done));
            check_complete(cache, &built);
        }
    });
    let names: BTreeSet<String> =
        points(&log).iter().map(|p| p.rsplit_once(' ').unwrap().0.to_owned()).collect();
    let all = [
        // Of the ledger, which is where builds are written.
        "changed the",
        "committed the",
        "let go",
        "nar stored",
        "narinfo made",
        "narinfo stored",
        "packed",
        "references asked",
        "step made",
        "step noted",
    ];
    assert!(
        all.iter().chain(further).all(|name| names.contains(*name)),
        "spread over every transition: {names:?}"
    );
}

struct StopOnDrop<'a>(&'a AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Puts all paths into the queue.
pub(crate) fn ask(uploads: &Uploads, paths: &[StorePath]) -> Queue {
    let mut queue = Queue::open(&uploads.state()).unwrap();
    let wish = |path: &StorePath| Wish {
        destination: "acme".into(),
        path: path.clone(),
        origin: Origin::Pushed,
        derivation: None,
    };
    let terms = Terms {
        now: countersign::clock::now(),
        give_up_after: Duration::from_secs(u64::MAX >> 2),
        jitter: 0,
    };
    queue.ask(&paths.iter().map(wish).collect::<Vec<_>>(), &terms).unwrap();
    queue
}

/// Runs the uploader until it kills itself at its point, or has nothing left to do; whether it was killed.
pub(crate) fn run_until_crash(uploads: &Uploads, queue: &Queue, log: &Path, after: u32) -> bool {
    let (after, log) = (after.to_string(), log.to_str().unwrap().to_owned());
    let mut uploader = uploads
        .start_with(&[("COUNTERSIGN_CRASH_AFTER", after.as_str()), ("COUNTERSIGN_CRASH_LOG", log.as_str())]);
    loop {
        if let Some(status) = uploader.try_wait() {
            use std::os::unix::process::ExitStatusExt;
            assert_eq!(status.signal(), Some(9), "{status}\n{}", uploads.log());
            return true;
        }
        if queue.rows(true).unwrap().is_empty() {
            return false;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// The distinct points at which it was killed.
pub(crate) fn points(log: &Path) -> BTreeSet<String> {
    std::fs::read_to_string(log).unwrap_or_default().lines().map(str::to_owned).collect()
}

/// Whatever narinfo is there: its NAR is there in full length, and so are the narinfos that it refers to.
pub(crate) fn check_readable(cache: &Path) {
    let Ok(entries) = std::fs::read_dir(cache) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name().into_string().unwrap();
        if !name.ends_with(".narinfo") {
            continue;
        }
        // Between two uploads all of it is removed.
        let Ok(text) = std::fs::read(entry.path()) else { continue };
        let info = NarInfo::parse(&text, &StoreDir::default(), &Limits::default()).unwrap();
        let own = &info.core.store_path;
        let is_whole = || {
            let nar = std::fs::metadata(cache.join(&info.hints.url))
                .is_ok_and(|m| Some(m.len()) == info.hints.file_size);
            let references = info.core.references.iter().filter(|path| *path != own);
            nar && references.clone().all(|path| cache.join(format!("{}.narinfo", path.hash_part())).exists())
        };
        assert!(is_whole() || !entry.path().exists(), "a reader sees {own} without what belongs to it");
    }
}

/// What the queue noted as read back is the same file as then.
fn check_not_put_again(cache: &Path, queue: &Queue, settled: &mut HashMap<String, (u64, i64, i64)>) {
    for row in queue.rows(false).unwrap() {
        for name in objects(cache, &row) {
            let meta = std::fs::metadata(cache.join(&name)).unwrap();
            let now = (meta.ino(), meta.mtime(), meta.mtime_nsec());
            assert_eq!(*settled.entry(name.clone()).or_insert(now), now, "{name} was put again");
        }
    }
}

/// The objects of an entry that were noted as read back.
fn objects(cache: &Path, row: &Row) -> Vec<String> {
    match &row.entry.state {
        State::Stored(nar) => vec![nar.url.to_string()],
        State::Done => {
            let narinfo = format!("{}.narinfo", row.path.hash_part());
            let text = std::fs::read(cache.join(&narinfo)).unwrap();
            let info = NarInfo::parse(&text, &StoreDir::default(), &Limits::default()).unwrap();
            vec![narinfo, info.hints.url]
        }
        State::Queued | State::Skipped | State::Dead => Vec::new(),
    }
}

pub(crate) fn check_complete(cache: &Path, paths: &[StorePath]) {
    for path in paths {
        let text = std::fs::read_to_string(cache.join(format!("{}.narinfo", path.hash_part()))).unwrap();
        assert!(text.contains("Sig: acme-1:"), "{text}");
        assert_eq!(text.matches("Sig: ").count(), 1, "nothing is signed twice: {text}");
    }
    let left: Vec<_> = walk(cache).into_iter().filter(|name| name.contains(".tmp.")).collect();
    assert_eq!(left, [""; 0], "leftovers of the killed are removed");
}

fn walk(dir: &Path) -> Vec<String> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap().flatten() {
        if entry.file_type().unwrap().is_dir() {
            names.extend(walk(&entry.path()));
        }
        names.push(entry.file_name().into_string().unwrap());
    }
    names
}

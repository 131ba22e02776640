use super::layout::Stem;
use super::place::Place;
use super::*;
use crate::format::store_path::{StoreDir, StorePath};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// Nobody's number, and nobody who runs these tests.
const STRANGER: u32 = 54_321;

struct Scene {
    dir: tempfile::TempDir,
    spool: Spool,
}

impl Scene {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let spool = Spool::create(&dir.path().join("spool")).unwrap();
        Self { dir, spool }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("spool")
    }

    /// Puts a record of a numbered build there, as the hook names it.
    fn put(&self, seconds: u64) -> PathBuf {
        let file = self.path().join(name(seconds));
        fs::write(&file, record(seconds).encode()).unwrap();
        file
    }

    fn times(&self, most: usize) -> Vec<u64> {
        let batch = self.spool.records(most).unwrap();
        assert!(batch.refused.is_empty(), "{:?}", batch.refused);
        batch.taken.iter().map(|taken| taken.record().built()).collect()
    }

    fn refused(&self) -> Vec<Refused> {
        self.spool.records(10).unwrap().refused
    }
}

fn name(seconds: u64) -> String {
    Stem { seconds, nanos: 0, pid: 1, attempt: 0 }.record()
}

fn path(name: &str) -> StorePath {
    StorePath::from_base_name(&format!("1b9p07z77phvv2hf6gm9f28syp39f1ag-{name}")).unwrap()
}

fn record(seconds: u64) -> Record {
    Record::new(seconds, StoreDir::default(), Some(path("a.drv")), [path("a")]).unwrap()
}

fn me() -> u32 {
    rustix::process::geteuid().as_raw()
}

#[test]
fn records_come_oldest_first_and_stay_until_done() {
    let scene = Scene::new();
    for seconds in [300, 100, 2000, 200] {
        scene.put(seconds);
    }
    assert_eq!(scene.spool.waiting().unwrap(), 4);
    assert_eq!(scene.times(2), [100, 200]);
    assert_eq!(scene.times(9), [100, 200, 300, 2000]);
    let mut batch = scene.spool.records(3).unwrap().taken;
    assert_eq!(batch[0].record(), &record(100));
    assert_eq!(batch[0].name(), name(100));
    batch.remove(0).done().unwrap();
    assert_eq!(scene.times(9), [200, 300, 2000]);
    scene.spool.done(batch).unwrap();
    assert_eq!(scene.times(9), [2000]);
    assert_eq!(scene.times(0), [0; 0]);
}

#[test]
fn what_is_no_record_is_told_once_and_delays_nobody() {
    let scene = Scene::new();
    let good = scene.put(500);
    let text = record(1).encode();
    fs::write(scene.path().join(name(1)), &text[..text.len() - 1]).unwrap();
    fs::write(scene.path().join(name(2)), vec![b'x'; Record::TEXT_MAX + 1]).unwrap();
    symlink(&good, scene.path().join(name(3))).unwrap();
    fs::write(scene.path().join(name(4)), &text).unwrap();
    fs::set_permissions(scene.path().join(name(4)), fs::Permissions::from_mode(0o620)).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, scene.path().join(name(5)), 0o600.into()).unwrap();
    fs::create_dir(scene.path().join(name(6))).unwrap();
    fs::write(scene.path().join("notes"), "not ours to judge").unwrap();

    let batch = scene.spool.records(100).unwrap();
    assert_eq!(batch.taken.len(), 1);
    assert_eq!(
        batch.refused.iter().map(|refused| refused.name.clone()).collect::<Vec<_>>(),
        [1, 2, 3, 4, 5, 6].map(name)
    );
    let faults: Vec<Fault> = batch.refused.into_iter().map(|refused| refused.fault).collect();
    assert!(
        matches!(
            &faults[..],
            [
                Fault::Record(RecordError::Unfinished),
                Fault::Record(RecordError::TooLong),
                Fault::Kind,
                Fault::Mode { mode: 0o620 },
                Fault::Kind,
                Fault::Kind
            ]
        ),
        "{faults:?}"
    );
    assert_eq!(scene.times(1), [500], "the bad ones are older, and no longer in the way");
    assert_eq!(fs::read_dir(scene.path().join("refused")).unwrap().count(), 6);
    assert!(scene.path().join("notes").exists());
}

#[test]
fn what_cannot_be_moved_aside_is_told_once_too() {
    let scene = Scene::new();
    // A directory does not replace a file of its name.
    fs::write(scene.path().join("refused").join(name(1)), "").unwrap();
    fs::create_dir(scene.path().join(name(1))).unwrap();
    scene.put(2);
    let batch = scene.spool.records(1).unwrap();
    assert!(matches!(&batch.refused[..], [Refused { is_moved: false, fault: Fault::Kind, .. }]));
    assert_eq!(scene.times(1), [2]);
}

#[test]
fn only_so_much_is_kept_for_looking_at() {
    let scene = Scene::new();
    for seconds in 0..120 {
        fs::write(scene.path().join(name(seconds)), "").unwrap();
    }
    assert_eq!(scene.spool.records(120).unwrap().refused.len(), 120);
    assert_eq!(fs::read_dir(scene.path().join("refused")).unwrap().count(), 100);
    assert_eq!(scene.spool.waiting().unwrap(), 0);
}

/// Only root can make a file another's; anybody else cannot have another's file in a spool that only they write.
#[test]
fn a_strangers_file_is_not_believed() {
    let scene = Scene::new();
    let file = scene.put(1);
    match chown(&file, Some(STRANGER), None) {
        Ok(()) => {
            assert!(matches!(scene.refused()[..], [Refused { fault: Fault::Owner { owner: STRANGER }, .. }]))
        }
        Err(error) => {
            assert_ne!(me(), 0, "{error}");
            assert_eq!(scene.times(1), [1]);
        }
    }
}

#[test]
fn a_spool_that_others_may_write_to_is_refused() {
    for mode in [0o775, 0o757, 0o1777, 0o720] {
        let scene = Scene::new();
        fs::set_permissions(scene.path(), fs::Permissions::from_mode(mode)).unwrap();
        let error = Spool::open(&scene.path()).unwrap_err();
        assert!(
            matches!(&error, SpoolError::Place(PlaceError::Open { mode: found, .. }) if *found == mode),
            "{error}"
        );
        fs::set_permissions(scene.path(), fs::Permissions::from_mode(0o700)).unwrap();
        Spool::open(&scene.path()).unwrap();
    }
}

#[test]
fn a_folder_in_it_that_others_may_write_to_is_refused() {
    for folder in ["roots", "refused"] {
        let scene = Scene::new();
        fs::set_permissions(scene.path().join(folder), fs::Permissions::from_mode(0o777)).unwrap();
        assert!(matches!(Spool::open(&scene.path()), Err(SpoolError::Place(PlaceError::Open { .. }))));
        fs::remove_dir(scene.path().join(folder)).unwrap();
        symlink("/tmp", scene.path().join(folder)).unwrap();
        assert!(matches!(Spool::open(&scene.path()), Err(SpoolError::Io { doing: "open", .. })));
    }
}

#[test]
fn somebody_elses_spool_is_refused() {
    let scene = Scene::new();
    if me() == 0 {
        chown(scene.path(), Some(STRANGER), None).unwrap();
        let error = Spool::open(&scene.path()).unwrap_err();
        assert!(
            matches!(error, SpoolError::Place(PlaceError::NotOurs { owner: STRANGER, me: 0, .. })),
            "{error}"
        );
        // The hook gives its files to whom the spool belongs.
        assert_eq!(Place::open(&scene.path(), 0).unwrap().owner, STRANGER);
    } else {
        let error = Spool::open(Path::new("/usr")).unwrap_err();
        assert!(matches!(error, SpoolError::Place(PlaceError::NotOurs { owner: 0, .. })), "{error}");
    }
    assert!(matches!(Place::open(&scene.path(), me() + 1), Err(PlaceError::NotOurs { .. })));
}

#[test]
fn the_way_to_the_spool_is_nobody_elses_either() {
    let scene = Scene::new();
    // A symlink in the spool's own place.
    let link = scene.dir.path().join("link");
    symlink(scene.path(), &link).unwrap();
    assert!(
        matches!(Spool::open(&link), Err(SpoolError::Place(PlaceError::Symlink { path })) if path == link)
    );
    // One on the way that is ours, absolute or not, is followed.
    let parent = scene.dir.path().join("parent");
    for target in
        [scene.dir.path().to_owned(), PathBuf::from("../").join(scene.dir.path().file_name().unwrap())]
    {
        symlink(target, &parent).unwrap();
        let spool = Spool::open(&parent.join("spool")).unwrap();
        assert_eq!(spool.path(), parent.join("spool"));
        fs::remove_file(&parent).unwrap();
    }
    // A circle of them ends.
    symlink("parent", &parent).unwrap();
    assert!(matches!(Spool::open(&parent.join("spool")), Err(SpoolError::Place(PlaceError::Io { .. }))));
    // A step that others may write to.
    fs::set_permissions(scene.dir.path(), fs::Permissions::from_mode(0o770)).unwrap();
    let error = Spool::open(&scene.path()).unwrap_err();
    assert!(matches!(error, SpoolError::Place(PlaceError::OpenWay { mode: 0o770, .. })), "{error}");
    // Sticky: nobody else can replace what we made there.
    fs::set_permissions(scene.dir.path(), fs::Permissions::from_mode(0o1770)).unwrap();
    Spool::open(&scene.path()).unwrap();
}

/// Root follows nobody's link in a directory where everybody may put one; the kernel's `protected_symlinks` is
/// not asked, since links are followed by hand.
#[test]
fn a_strangers_step_is_refused() {
    let scene = Scene::new();
    let (hall, link) = (scene.dir.path().join("hall"), scene.dir.path().join("hall/link"));
    fs::create_dir(&hall).unwrap();
    symlink(scene.dir.path(), &link).unwrap();
    fs::set_permissions(&hall, fs::Permissions::from_mode(0o1777)).unwrap();
    Spool::open(&link.join("spool")).unwrap();
    if me() == 0 {
        std::os::unix::fs::lchown(&link, Some(STRANGER), None).unwrap();
        let error = Spool::open(&link.join("spool")).unwrap_err();
        assert!(
            matches!(&error, SpoolError::Place(PlaceError::Way { owner: STRANGER, step, .. }) if *step == link),
            "{error}"
        );
        fs::remove_file(&link).unwrap();
        symlink(scene.dir.path(), &link).unwrap();
        fs::set_permissions(&hall, fs::Permissions::from_mode(0o755)).unwrap();
        chown(&hall, Some(STRANGER), None).unwrap();
        assert!(matches!(Spool::open(&link.join("spool")), Err(SpoolError::Place(PlaceError::Way { .. }))));
        // A stranger's own spool behind a stranger's own step is for root's hook to write to.
        chown(scene.path(), Some(STRANGER), None).unwrap();
        assert_eq!(Place::open(&link.join("spool"), 0).unwrap().owner, STRANGER);
    }
}

#[test]
fn only_a_plain_absolute_path_is_opened() {
    for odd in ["spool", "", "/", "./spool", "/tmp/../tmp"] {
        assert!(
            matches!(Spool::open(Path::new(odd)), Err(SpoolError::Place(PlaceError::NotAbsolute { .. }))),
            "{odd}"
        );
    }
    let scene = Scene::new();
    let spelled = format!("{}//./", scene.path().display());
    assert_eq!(Spool::open(Path::new(&spelled)).unwrap().path(), scene.path());
    let missing = scene.dir.path().join("missing");
    assert!(matches!(Spool::open(&missing), Err(SpoolError::Place(PlaceError::Io { .. }))));
    fs::write(&missing, "").unwrap();
    assert!(matches!(Spool::create(&missing), Err(SpoolError::Place(PlaceError::NotADirectory { .. }))));
}

#[test]
fn what_killed_hooks_left_is_swept_when_it_is_old() {
    let scene = Scene::new();
    let stem = Stem { seconds: 5, nanos: 0, pid: 9, attempt: 0 };
    let left = scene.path().join(stem.unfinished());
    fs::write(&left, "countersign-spool 1\n").unwrap();
    scene.put(1);
    assert_eq!(scene.times(9), [1], "half a record is not looked at");
    let made = fs::metadata(&left).unwrap().modified().unwrap();
    assert_eq!(scene.spool.sweep(made + Duration::from_secs(599)).unwrap(), 0);
    assert_eq!(scene.spool.sweep(SystemTime::UNIX_EPOCH).unwrap(), 0);
    assert_eq!(scene.spool.sweep(made + Duration::from_secs(601)).unwrap(), 1);
    assert!(!left.exists());
    assert_eq!(scene.times(9), [1]);
}

#[test]
fn links_are_made_listed_and_removed() {
    let scene = Scene::new();
    let store = StoreDir::default();
    let link = scene.spool.root(&store, &path("a")).unwrap();
    assert_eq!(link, scene.path().join("roots").join(path("a").to_string()));
    assert_eq!(fs::read_link(&link).unwrap(), Path::new(&path("a").to_absolute_path(&store)));
    assert_eq!(scene.spool.root(&store, &path("a")).unwrap(), link);
    // One that points elsewhere is put right.
    fs::remove_file(&link).unwrap();
    symlink("/elsewhere", &link).unwrap();
    scene.spool.root(&store, &path("a")).unwrap();
    assert_eq!(fs::read_link(&link).unwrap(), Path::new(&path("a").to_absolute_path(&store)));

    scene.spool.root(&store, &path("b")).unwrap();
    fs::write(scene.path().join("roots/odd"), "").unwrap();
    let mut rooted = scene.spool.rooted().unwrap();
    rooted.sort_by(|a, b| a.path.cmp(&b.path));
    assert_eq!(rooted.iter().map(|r| r.path.clone()).collect::<Vec<_>>(), [path("a"), path("b")]);
    assert_eq!(
        rooted[0].since.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs(),
        fs::symlink_metadata(&link).unwrap().mtime().unsigned_abs()
    );
    scene.spool.unroot(&path("a")).unwrap();
    scene.spool.unroot(&path("a")).unwrap();
    assert!(!link.is_symlink());
    assert_eq!(scene.spool.rooted().unwrap().len(), 1);
}

#[test]
fn news_come_with_a_record_and_only_then() {
    let scene = Scene::new();
    let notices = scene.spool.notices();
    assert!(notices.fd().is_some());
    assert!(!notices.wait(Duration::ZERO));
    let new = scene.path().join("1.new");
    fs::write(&new, "").unwrap();
    assert!(!notices.wait(Duration::ZERO), "nothing is there under its final name");
    fs::rename(&new, scene.path().join(name(1))).unwrap();
    assert!(notices.wait(Duration::from_secs(60)));
    assert!(!notices.wait(Duration::ZERO), "heard once");
}

#[test]
fn a_spool_that_was_replaced_is_told() {
    let scene = Scene::new();
    let notices = scene.spool.notices();
    fs::rename(scene.path(), scene.dir.path().join("moved")).unwrap();
    assert!(notices.wait(Duration::from_secs(60)));
    assert!(matches!(scene.spool.records(1), Err(SpoolError::Gone { .. })));
    Spool::create(&scene.path()).unwrap();
    assert!(matches!(scene.spool.waiting(), Err(SpoolError::Gone { .. })));
}

#[test]
fn what_is_held_is_out_of_the_way_and_shown_apart() {
    let scene = Scene::new();
    for seconds in [1, 2, 3] {
        scene.put(seconds);
    }
    let taken = scene.spool.records(2).unwrap().taken;
    assert!(scene.spool.hold(&taken[0], 2).unwrap());
    assert!(scene.spool.hold(&taken[1], 2).unwrap());
    assert_eq!(scene.times(10), [3]);
    assert_eq!(scene.spool.waiting().unwrap(), 1, "what is held waits for no uploader");
    let third = scene.spool.records(1).unwrap().taken.remove(0);
    assert!(!scene.spool.hold(&third, 2).unwrap(), "two are held already");
    assert_eq!(scene.times(10), [3]);
    // Whoever opens the spool anew finds it.
    let again = Spool::open(&scene.path()).unwrap();
    let mut held = again.held(10).unwrap().taken;
    assert_eq!(held.iter().map(|one| one.record().built()).collect::<Vec<_>>(), [1, 2]);
    held.remove(0).done().unwrap();
    assert_eq!(again.held(10).unwrap().taken.len(), 1);
    fs::write(scene.path().join("000000000009-000000000-1-0.held"), "no record").unwrap();
    assert!(again.held(10).unwrap().refused[0].is_moved);
}

//! The hook killed and refused at every system call: half a record is never seen, and no build fails.

use super::tracer::{Stop, Then, WAIT, trace};
use super::{DEV, OUT, Scene};
use nix::libc;
use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

/// A shell that becomes the hook, which says what it says into `said`.
fn waiting(scene: &Scene) -> Command {
    let said = fs::File::create(scene.dir.join("said")).unwrap();
    let mut shell = scene.after(WAIT);
    shell.stdout(Stdio::null()).stderr(said);
    shell
}

fn number(call: libc::c_long) -> u64 {
    u64::try_from(call).unwrap()
}

/// Once the program's own part has begun: what comes before is the loader's, and is refused by the loader.
struct Begun(bool);

impl Begun {
    fn by(&mut self, stop: Stop) -> bool {
        let ignores_pipe = Stop::Entry(number(libc::SYS_rt_sigaction), number(libc::SIGPIPE.into()));
        self.0 |= stop == ignores_pipe;
        self.0
    }
}

/// Every call that a hook makes: which, and which of its kind. Waiting for its thread it makes more or fewer.
fn all_calls() -> Vec<(u64, usize)> {
    let scene = Scene::new();
    let mut calls: Vec<(u64, usize)> = Vec::new();
    let ended = trace(waiting(&scene), |stop| {
        if let Stop::Entry(call, _) = stop
            && ![libc::SYS_futex, libc::SYS_sched_yield].map(number).contains(&call)
        {
            calls.push((call, calls.iter().filter(|(made, _)| *made == call).count()));
        }
        Then::Go
    });
    assert_eq!(ended, Some(0));
    calls
}

#[test]
fn killed_at_every_system_call_it_leaves_a_whole_record_or_none() {
    let scene = Scene::new();
    let (mut whole, mut unfinished) = (0, 0);
    let calls = all_calls();
    assert!(calls.len() > 60, "only {} calls", calls.len());
    for (call, nth) in calls {
        let mut made = 0;
        let ended = trace(waiting(&scene), |stop| {
            if !matches!(stop, Stop::Entry(this, _) if this == call) {
                return Then::Go;
            }
            made += 1;
            if made > nth { Then::Kill } else { Then::Go }
        });
        // Whatever has a record's name is one.
        let batch = scene.spool.records(9).unwrap();
        assert!(batch.refused.is_empty(), "killed at call {call}, {nth}: {:?}", batch.refused);
        for one in &batch.taken {
            assert_eq!(one.record().outputs(), [super::path(DEV), super::path(OUT)]);
        }
        assert!(batch.taken.len() <= 1);
        // The allocator's own calls may be one fewer this time, and nothing was killed.
        if ended.is_none() {
            whole += batch.taken.len();
            unfinished += scene.left().len();
        }
        let left = scene.left().len();
        scene.spool.done(batch.taken).unwrap();
        // What is left is known for what it is, and goes in time.
        #[expect(clippy::disallowed_methods, reason = "the files were made by the machine's clock")]
        let later = SystemTime::now() + Duration::from_secs(700);
        assert_eq!(scene.spool.sweep(later).unwrap(), left);
        assert_eq!(scene.left(), [""; 0]);
    }
    assert!(whole > 1 && unfinished > 2, "{whole} whole records, {unfinished} unfinished ones");
}

/// Full disks, read-only disks, broken disks, no more files, no more threads: each call of these fails in turn.
#[test]
fn whatever_fails_the_build_does_not() {
    let refusable = [
        libc::SYS_clone3,
        libc::SYS_close,
        libc::SYS_fchown,
        libc::SYS_fstat,
        libc::SYS_fsync,
        libc::SYS_mkdirat,
        libc::SYS_newfstatat,
        libc::SYS_open,
        libc::SYS_openat,
        libc::SYS_poll,
        libc::SYS_prlimit64,
        libc::SYS_read,
        libc::SYS_renameat2,
        libc::SYS_symlinkat,
        libc::SYS_write,
    ]
    .map(number);
    let mut complaints = 0;
    for (error, spool) in [
        (libc::ENOSPC, "spool"),
        (libc::EIO, "spool"),
        (libc::EAGAIN, "spool"),
        (libc::EINTR, "spool"),
        (libc::EIO, "missing"),
    ] {
        for refuse_at in 0.. {
            let scene = Scene::new();
            let (mut begun, mut calls, mut refused) = (Begun(false), 0, None);
            let mut shell = waiting(&scene);
            shell.env("COUNTERSIGN_SPOOL", scene.dir.join(spool));
            let ended = trace(shell, |stop| {
                let Stop::Entry(call, _) = stop else { return Then::Go };
                if !begun.by(stop) || !refusable.contains(&call) {
                    return Then::Go;
                }
                calls += 1;
                if calls == refuse_at + 1 {
                    refused = Some(call);
                    return Then::Fail(error);
                }
                Then::Go
            });
            let said = fs::read_to_string(scene.dir.join("said")).unwrap();
            let case = format!("call {refuse_at} ({refused:?}) failing with {error}: {said}");
            assert_eq!(ended, Some(0), "{case}");
            assert!(said.matches('\n').count() <= 1, "{case}");
            let records = scene.records().len();
            // A record whose directory could not be synced may be there, and may be lost.
            let is_told = said.contains("was not reported");
            // The system library takes this one for granted. That is a fault of ours, and no build's.
            let is_ours = refused == Some(number(libc::SYS_prlimit64)) && said.contains("a fault of its own");
            assert!(records == 1 || spool == "missing" || is_told || is_ours, "{case}");
            assert_eq!(scene.left(), [""; 0], "{case}");
            complaints += usize::from(!said.is_empty());
            if refused.is_none() {
                assert!(refuse_at > 10, "only {refuse_at} calls");
                break;
            }
        }
    }
    assert!(complaints > 20, "{complaints}");
}

/// What a crash of the machine leaves is decided by this order; no test can pull the plug.
#[test]
fn the_record_is_on_the_disk_before_it_has_its_name() {
    let scene = Scene::new();
    let (mut begun, mut calls) = (Begun(false), Vec::new());
    let ended = trace(waiting(&scene), |stop| {
        if let Stop::Entry(call, first) = stop
            && begun.by(stop)
        {
            calls.push((call, first));
        }
        Then::Go
    });
    assert_eq!(ended, Some(0));
    let last = |call| calls.iter().rposition(|(made, _)| *made == number(call)).unwrap();
    let (write, rename) = (last(libc::SYS_write), last(libc::SYS_renameat2));
    let synced: Vec<_> = (0..calls.len()).filter(|at| calls[*at].0 == number(libc::SYS_fsync)).collect();
    let [file, directory] = synced[..] else { panic!("{} syncs", synced.len()) };
    assert!(write < file && file < rename && rename < directory, "{write} {file} {rename} {directory}");
    assert_eq!(calls[write].1, calls[file].1, "the file that was written");
    assert_eq!(calls[rename].1, calls[directory].1, "the directory in which it was renamed");
    assert!(last(libc::SYS_symlinkat) < rename, "the links come before whoever may remove them");
    assert!(!calls.iter().any(|(made, _)| [libc::SYS_fork, libc::SYS_vfork].map(number).contains(made)));
}

/// A disk that never answers: Nix would wait for ever. This takes as long as the hook's patience.
#[test]
fn a_disk_that_hangs_holds_no_build_for_ever() {
    let scene = Scene::new();
    let mut begun = Begun(false);
    let ended = trace(waiting(&scene), |stop| match stop {
        Stop::Entry(call, _) if begun.by(stop) && call == number(libc::SYS_fsync) => Then::Hang,
        _ => Then::Go,
    });
    assert_eq!(ended, Some(0));
    let said = fs::read_to_string(scene.dir.join("said")).unwrap();
    assert!(said.contains("gave up after 30 s") && said.contains("countersign upload"), "{said}");
    assert_eq!(scene.records(), []);
}

//! Odd callers: hostile variables, closed and full outputs, tight limits. The build never fails.

use super::{DEV, DRV, HOOK, OUT, Scene, path, said};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{PipeWriter, Read, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::process::Stdio;

/// As much as the kernel passes in one variable: 32 pages, with its name and the end.
const LONGEST: usize = 131_000;

fn odd_words() -> Vec<OsString> {
    let base = &OUT["/nix/store/".len()..];
    let mut words: Vec<OsString> = [
        "",
        " ",
        "/",
        "/nix/store",
        "/nix/store/",
        "/nix/store/..",
        "hello",
        "/nix/store/1b9p07z77phvv2hf6gm9f28syp39f1ag-",
        "/nix/store/1b9p07z77phvv2hf6gm9f28syp39f1ae-hello",
        "/nix/store/1b9p07z77phvv2hf6gm9f28syp39f1ag-.-x",
        "$(touch /tmp/x)",
        "-rf",
    ]
    .map(OsString::from)
    .to_vec();
    words.extend(
        [
            format!("/nix/store/../store/{base}"),
            format!("/nix/store/./{base}"),
            format!("//nix/store/{base}"),
            format!("nix/store/{base}"),
            format!("/nix/store/{base}/bin"),
            format!("/nix/store/{base}/../../../etc/passwd"),
            format!("/nix/store/{base}\nend\ncountersign-spool 1\n"),
            format!("\n/nix/store/{base}"),
            format!("/nix/store/{base}\r"),
            format!("/nix/store/{base}\t"),
            format!("/nix/store/{base}\u{202e}"),
            format!("/nix/store/{}-{}", &base[..32], "n".repeat(212)),
            format!("/nix/store/{}", "x".repeat(LONGEST - 100)),
            format!("/{}/{base}", "s".repeat(2000)),
        ]
        .map(OsString::from),
    );
    words.push(OsString::from_vec([OUT.as_bytes(), b"\xff"].concat()));
    words.push(OsString::from_vec(vec![0xff; LONGEST - 100]));
    words
}

#[test]
fn odd_words_are_no_derivations() {
    let scene = Scene::new();
    let others = [OUT, "/nix/store/1b9p07z77phvv2hf6gm9f28syp39f1ag-.drv"].map(OsString::from);
    let with_drv = |word: &OsString| [word.as_os_str(), OsStr::new(".drv")].concat();
    let named = odd_words().iter().map(with_drv).collect::<Vec<_>>();
    for drv in odd_words().into_iter().chain(named).chain(others) {
        let line = said(scene.hook().env("DRV_PATH", &drv));
        assert!(line.contains("neither DRV_PATH nor OUT_PATHS"), "{drv:?}: {line}");
        assert_eq!(scene.records(), [], "{drv:?}");
        // Outputs are outputs, whatever became of the derivation.
        assert_eq!(said(scene.hook().env("DRV_PATH", &drv).env("OUT_PATHS", OUT)), "");
        let taken = scene.spool.records(9).unwrap().taken;
        assert_eq!(taken.len(), 1);
        assert_eq!((taken[0].record().drv(), taken[0].record().outputs()), (None, &[path(OUT)][..]));
        scene.spool.done(taken).unwrap();
    }
}

#[test]
fn odd_words_are_no_outputs() {
    let scene = Scene::new();
    for word in odd_words() {
        assert_eq!(said(scene.hook().env("DRV_PATH", DRV).env("OUT_PATHS", &word)), "");
        let taken = scene.spool.records(9).unwrap().taken;
        assert_eq!(taken[0].record().outputs(), [], "{word:?}");
        scene.spool.done(taken).unwrap();
        // Beside an output they are nothing either.
        let beside = [&word, OsStr::new(" "), OsStr::new(OUT)].concat();
        if !word.as_bytes().ends_with(b"\n") {
            said(scene.hook().env("DRV_PATH", DRV).env("OUT_PATHS", &beside));
            let taken = scene.spool.records(9).unwrap().taken;
            assert_eq!(taken[0].record().outputs(), [path(OUT)], "{word:?}");
            scene.spool.done(taken).unwrap();
        }
    }
    assert_eq!(scene.links("spool/roots").len(), 1);
}

trait Concat {
    fn concat(&self) -> OsString;
}

impl<T: AsRef<OsStr>, const N: usize> Concat for [T; N] {
    fn concat(&self) -> OsString {
        self.iter().map(AsRef::as_ref).collect()
    }
}

#[test]
fn outputs_elsewhere_than_the_derivation_are_left_out() {
    let scene = Scene::new();
    let other = OUT.replace("/nix/store", "/home/mallory/store");
    said(scene.hook().env("DRV_PATH", DRV).env("OUT_PATHS", format!("{other} {DEV}")));
    assert_eq!(scene.record().outputs(), [path(DEV)]);
}

#[test]
fn no_more_than_sixty_four_outputs_are_linked() {
    let scene = Scene::new();
    let many: Vec<String> = (0..500).map(|n| format!("{OUT}-{n}")).collect();
    assert_eq!(said(scene.hook().env("OUT_PATHS", many.join(" "))), "");
    assert_eq!(scene.record().outputs().len(), 64);
    assert_eq!(scene.links("spool/roots").len(), 64);
}

#[test]
fn a_derivation_that_is_no_file_is_not_waited_for() {
    let scene = Scene::new();
    let store = scene.dir.join("store");
    let drv = store.join(&DRV["/nix/store/".len()..]);
    fs::create_dir(&store).unwrap();
    // Nobody will ever write to it.
    rustix::fs::mkfifoat(rustix::fs::CWD, &drv, 0o600.into()).unwrap();
    assert_eq!(said(scene.hook().env("DRV_PATH", &drv)), "");
    fs::remove_file(&drv).unwrap();
    std::os::unix::fs::symlink("/dev/zero", &drv).unwrap();
    assert_eq!(said(scene.hook().env("DRV_PATH", &drv)), "");
    assert_eq!(scene.records().len(), 2);
}

#[test]
fn closed_and_odd_streams_do_no_harm() {
    let scene = Scene::new();
    let streams =
        ["<&-", ">&-", "2>&-", "<&- >&- 2>&-", "</ 2>/dev/full", "</dev/zero >/dev/full 2>&1", "1<&0 2<&0"];
    for (n, streams) in streams.into_iter().enumerate() {
        assert_eq!(said(&mut scene.after(&format!("exec \"$0\" {streams}"))), "", "{streams}");
        assert_eq!(scene.records().len(), n + 1, "{streams}");
        // And with something to say.
        let script = format!("COUNTERSIGN_SPOOL=/nowhere; export COUNTERSIGN_SPOOL; exec \"$0\" {streams}");
        let status = scene.after(&script).stderr(Stdio::null()).status().unwrap();
        assert_eq!(status.code(), Some(0), "{streams}");
    }
}

/// Nix shows what hooks say; should it stop reading, builds must not stop with it.
#[test]
fn a_pipe_that_nobody_empties_holds_up_nothing() {
    let scene = Scene::new();
    let (reader, mut writer) = std::io::pipe().unwrap();
    fill(&mut writer);
    let status =
        scene.told().env("COUNTERSIGN_SPOOL", "/nowhere").stderr(writer.try_clone().unwrap()).status();
    assert_eq!(status.unwrap().code(), Some(0));
    // One whose reader is gone.
    drop(reader);
    let status = scene.told().env("COUNTERSIGN_SPOOL", "/nowhere").stderr(writer).status();
    assert_eq!(status.unwrap().code(), Some(0));
}

fn fill(writer: &mut PipeWriter) {
    let flags = fcntl_getfl(&*writer).unwrap();
    fcntl_setfl(&*writer, flags | OFlags::NONBLOCK).unwrap();
    while writer.write(&[0; 512]).is_ok() {}
    fcntl_setfl(&*writer, flags).unwrap();
}

/// Nix waits for the end of the pipe, not of the hook: whatever held it would hold the build.
#[test]
fn nothing_keeps_the_streams_open() {
    for spool in ["", "/nowhere"] {
        let scene = Scene::new();
        let (mut reader, writer) = std::io::pipe().unwrap();
        // 7 and 9 stand for what leaks into hooks before Nix 2.35.
        let mut shell = scene.after("exec \"$0\" 7>&1 9>&2");
        if !spool.is_empty() {
            shell.env("COUNTERSIGN_SPOOL", spool);
        }
        shell.stdout(writer.try_clone().unwrap()).stderr(writer);
        assert_eq!(shell.status().unwrap().code(), Some(0));
        drop(shell);
        let mut all = String::new();
        reader.read_to_string(&mut all).unwrap();
        assert_eq!(all.is_empty(), spool.is_empty(), "{all}");
    }
}

#[test]
fn a_limit_on_files_is_lifted_or_told() {
    let scene = Scene::new();
    // Past it, a write ends the writer by a signal.
    assert_eq!(said(&mut scene.after("ulimit -S -f 0; exec \"$0\"")), "");
    assert_eq!(scene.records().len(), 1);
    let line = said(&mut scene.after("ulimit -f 0; exec \"$0\""));
    assert!(line.contains("files may have 0 bytes here"), "{line}");
    let log = scene.dir.join("log");
    let mut logging = scene.after("ulimit -f 0; exec \"$0\" 2>\"$LOG\"");
    assert_eq!(logging.env("LOG", log).status().unwrap().code(), Some(0));
    assert_eq!(scene.records().len(), 1);
    assert_eq!(scene.left(), [""; 0]);
}

#[test]
fn tight_limits_and_odd_masks_do_no_harm() {
    let scene = Scene::new();
    let scripts = [
        "umask 0; exec \"$0\"",
        "umask 0777; exec \"$0\"",
        "ulimit -s 64; exec \"$0\"",
        "mkdir here && cd here && rmdir ../here && exec \"$0\"",
        "trap '' PIPE TERM; exec \"$0\"",
    ];
    for (n, script) in scripts.into_iter().enumerate() {
        let mut shell = scene.after(script);
        shell.env("PATH", "/usr/bin:/bin").current_dir(scene.dir.path());
        assert_eq!(said(&mut shell), "", "{script}");
        assert_eq!(scene.records().len(), n + 1, "{script}");
    }
    for taken in scene.spool.records(99).unwrap().taken {
        let mode = fs::metadata(scene.dir.join("spool").join(taken.name())).unwrap().mode();
        assert_eq!(mode & 0o7777, 0o600);
    }
    // One file at a time.
    assert!(said(&mut scene.after("ulimit -n 4; exec \"$0\"")).contains("was not reported"));
    assert_eq!(scene.records().len(), scripts.len());
}

/// A caller that may have no more threads. Root has no such limit, so there it is the tracer's to refuse one.
#[test]
fn it_needs_no_threads() {
    let scene = Scene::new();
    let mut shell = scene.after("ulimit -u 1 2>/dev/null; exec \"$0\"");
    assert_eq!(said(&mut shell), "");
    assert_eq!(scene.records().len(), 1);
}

/// The program is found by its path alone; `argv` may be anything.
#[test]
fn arguments_are_not_read() {
    let scene = Scene::new();
    for arguments in [&["--help"][..], &["--version", "x"], &[""]] {
        assert_eq!(said(scene.told().args(arguments)), "", "{HOOK} {arguments:?}");
    }
    assert_eq!(scene.records().len(), 3);
}

//! Every operation, asked and answered as Nix 2.8 does it.

use super::fake::{Said, Step, after_welcome, greeting, play, said, welcome};
use super::*;
use crate::format::{ContentAddress, KeyName, NarHash, Signature};
use Step::{Hear, Say};

const FULL: &str = "/nix/store/00000000000000000000000000000000-one";
const HEX: &str = "6bc66a827fe86925af680be5e00da2b7a7f22947c8c0209b22563890258462f6";

/// What a well-known path's record is asked with.
fn question() -> Step {
    Hear(said().n(26).s(FULL))
}

fn signature() -> Signature {
    Signature::from_parts(KeyName::parse("k-1").unwrap(), [7; 64])
}

/// A record, with these signatures and this content address.
fn record(signatures: &[&str], content_address: &str) -> Said {
    said()
        .last()
        .n(1)
        .s("/nix/store/11111111111111111111111111111111-one.drv")
        .s(HEX)
        .list(&[FULL, "/nix/store/22222222222222222222222222222222-two"])
        .n(1_700_000_000)
        .n(120)
        .n(1)
        .list(signatures)
        .s(content_address)
}

/// The answer to that question.
fn info(answer: Said) -> PathInfo {
    let (store, daemon) = after_welcome(vec![question(), Say(answer)]);
    let info = store.unwrap().path_info(&path('0', "one")).unwrap().unwrap();
    daemon.join().unwrap();
    info
}

#[test]
fn a_record() {
    let info = info(record(&[&signature().to_string()], ""));
    assert_eq!(info.core.store_path, path('0', "one"));
    assert_eq!(info.core.nar_hash, NarHash::from_nix_str(&format!("sha256:{HEX}")).unwrap());
    assert_eq!(info.core.nar_size, 120);
    assert_eq!(info.core.references.iter().collect::<Vec<_>>(), [&path('0', "one"), &path('2', "two")]);
    assert_eq!(info.deriver, Some(path('1', "one.drv")));
    assert_eq!((info.registered, info.ultimate), (1_700_000_000, true));
    assert_eq!((info.signatures, info.malformed_signatures), (vec![signature()], 0));
    assert_eq!((info.content_address, info.unusable_content_address), (None, false));
}

#[test]
fn hints_that_mean_nothing_are_dropped_and_noted() {
    let good = signature().to_string();
    let with_bad = info(record(&["no signature", &good, "k-1:AAAA"], "fixed:git:sha1:00"));
    assert_eq!((with_bad.signatures, with_bad.malformed_signatures), (vec![signature()], 2));
    assert_eq!((with_bad.content_address, with_bad.unusable_content_address), (None, true));
    let address = format!("fixed:r:sha256:{HEX}");
    let certified = info(record(&[], &address));
    assert_eq!(certified.content_address, ContentAddress::from_nix_str(&address).ok());
    assert!(!certified.unusable_content_address && certified.content_address.is_some());
}

#[test]
fn a_path_that_is_not_valid() {
    let (store, daemon) = after_welcome(vec![question(), Say(said().last().n(0))]);
    assert_eq!(store.unwrap().path_info(&path('0', "one")).unwrap(), None);
    daemon.join().unwrap();
}

#[test]
fn a_record_without_a_deriver() {
    let mut bytes = record(&[], "").0;
    let deriver = said().s("/nix/store/11111111111111111111111111111111-one.drv").0;
    bytes.splice(16..16 + deriver.len(), said().s("").0);
    assert_eq!(info(Said(bytes)).deriver, None);
}

#[test]
fn a_record_that_cannot_be_used_leaves_the_connection_usable() {
    let replace = |from: Said, to: Said| {
        let mut bytes = record(&[], "").0;
        let at = bytes.windows(from.0.len()).position(|window| window == from.0).unwrap();
        bytes.splice(at..at + from.0.len(), to.0);
        Said(bytes)
    };
    let bad = [
        (replace(said().n(120), said().n(0)), "size"),
        (replace(said().s(HEX), said().s("xyz")), "base16"),
        (
            replace(
                said().s(FULL).s("/nix/store/22222222222222222222222222222222-two"),
                said().s(FULL).s("/etc"),
            ),
            "/etc",
        ),
        (replace(said().n(1_700_000_000), said().n(u64::MAX)), "time"),
    ];
    for (answer, word) in bad {
        let good = Say(record(&[], ""));
        let (store, daemon) = after_welcome(vec![question(), Say(answer), question(), good]);
        let mut store = store.unwrap();
        let error = store.path_info(&path('0', "one")).unwrap_err();
        assert!(matches!(error, StoreError::Record { .. }), "{error}");
        assert!(error.to_string().contains(word), "{error}");
        assert!(store.is_usable());
        assert!(store.path_info(&path('0', "one")).unwrap().is_some());
        daemon.join().unwrap();
    }
}

#[test]
fn outputs_of_a_derivation() {
    let answer = said().last().n(2).s("dev").s("").s("out").s(FULL);
    let question = said().n(41).s("/nix/store/11111111111111111111111111111111-one.drv");
    let (store, daemon) = after_welcome(vec![Hear(question.clone()), Say(answer)]);
    let outputs = store.unwrap().derivation_outputs(&path('1', "one.drv")).unwrap();
    assert_eq!(outputs, [("dev".into(), None), ("out".into(), Some(path('0', "one")))]);
    daemon.join().unwrap();
    for bad in [said().last().n(1).s("a/b").s(FULL), said().last().n(1).s("out").s("/tmp/x")] {
        let (store, daemon) = after_welcome(vec![Hear(question.clone()), Say(bad)]);
        let error = store.unwrap().derivation_outputs(&path('1', "one.drv")).unwrap_err();
        assert!(matches!(error, StoreError::Record { .. }), "{error}");
        daemon.join().unwrap();
    }
}

#[test]
fn valid_paths_without_substitution() {
    let two = "/nix/store/22222222222222222222222222222222-two";
    let question = said().n(31).list(&[FULL, two]).n(0);
    let asked = [path('0', "one"), path('2', "two")];
    let (store, daemon) = after_welcome(vec![Hear(question.clone()), Say(said().last().list(&[two]))]);
    assert_eq!(store.unwrap().valid_paths(&asked).unwrap(), [path('2', "two")]);
    daemon.join().unwrap();
    let stranger = "/nix/store/33333333333333333333333333333333-three";
    let (store, daemon) = after_welcome(vec![Hear(question), Say(said().last().list(&[stranger]))]);
    assert!(matches!(store.unwrap().valid_paths(&asked), Err(StoreError::Record { .. })));
    daemon.join().unwrap();
}

#[test]
fn all_valid_paths() {
    let two = "/nix/store/22222222222222222222222222222222-two";
    let question = said().n(23);
    let answer = said().last().list(&[FULL, two]);
    let (store, daemon) = after_welcome(vec![Hear(question.clone()), Say(answer)]);
    assert_eq!(store.unwrap().all_valid_paths().unwrap(), [path('0', "one"), path('2', "two")]);
    daemon.join().unwrap();
    let (store, daemon) = after_welcome(vec![Hear(question), Say(said().last().list(&[FULL, "/etc"]))]);
    let mut store = store.unwrap();
    let error = store.all_valid_paths().unwrap_err();
    assert!(matches!(error, StoreError::Record { .. }) && error.to_string().contains("/etc"), "{error}");
    assert!(store.is_usable());
    daemon.join().unwrap();
}

#[test]
fn roots_and_signatures() {
    let done = || Say(said().last().n(1));
    let (store, daemon) = after_welcome(vec![
        Hear(said().n(11).s(FULL)),
        done(),
        Hear(said().n(12).s("/var/lib/x/root")),
        done(),
        question(),
        Say(record(&[], "")),
        Hear(said().n(37).s(FULL).list(&[&signature().to_string()])),
        done(),
    ]);
    let mut store = store.unwrap();
    store.add_temp_root(&path('0', "one")).unwrap();
    store.add_indirect_root(std::path::Path::new("/var/lib/x/root")).unwrap();
    store.add_signatures(&path('0', "one"), &[signature()]).unwrap();
    daemon.join().unwrap();
}

#[test]
fn no_signature_for_a_path_that_is_not_valid() {
    let (store, daemon) = after_welcome(vec![question(), Say(said().last().n(0))]);
    let refused = store.unwrap().add_signatures(&path('0', "one"), &[signature()]);
    assert!(matches!(refused, Err(StoreError::NotValid { referrer: None, .. })));
    daemon.join().unwrap();
}

#[test]
fn a_symlink_that_cannot_be_said() {
    use std::os::unix::ffi::OsStrExt;
    let (store, daemon) = after_welcome(vec![]);
    let mut store = store.unwrap();
    let long = format!("/{}", "x".repeat(4096));
    for bad in [&b"relative"[..], b"/\xff", long.as_bytes()] {
        let bad = std::path::Path::new(std::ffi::OsStr::from_bytes(bad));
        assert!(matches!(store.add_indirect_root(bad), Err(StoreError::Path { .. })));
    }
    assert!(store.is_usable());
    daemon.join().unwrap();
}

#[test]
fn what_the_daemon_says_on_the_way_is_skipped() {
    let chatter = said()
        .n(0x6f6c_6d67)
        .s("a line\n")
        .n(0x5354_5254)
        .n(1)
        .n(3)
        .n(0)
        .s("activity")
        .n(2)
        .n(0)
        .n(42)
        .n(1)
        .s("text")
        .n(0)
        .n(0x5253_4c54)
        .n(1)
        .n(105)
        .n(1)
        .n(0)
        .n(7)
        .n(0x5354_4f50)
        .n(1);
    let answer = Said([chatter.0, record(&[], "").0].concat());
    assert_eq!(info(answer), info(record(&[], "")));
}

#[test]
fn a_refusal_leaves_the_connection_usable() {
    let refusal = said().error("\x1b[31;1merror:\x1b[0m no\n\u{202e}such\x07 path");
    let (store, daemon) = after_welcome(vec![question(), Say(refusal), question(), Say(record(&[], ""))]);
    let mut store = store.unwrap();
    let error = store.path_info(&path('0', "one")).unwrap_err();
    let StoreError::Daemon { message, .. } = &error else { panic!("{error}") };
    assert_eq!(message, "error: no  such  path");
    assert!(store.is_usable());
    store.path_info(&path('0', "one")).unwrap();
    daemon.join().unwrap();
}

#[test]
fn a_long_refusal_is_cut() {
    let (store, daemon) = after_welcome(vec![question(), Say(said().error("x".repeat(1 << 20)))]);
    let error = store.unwrap().path_info(&path('0', "one")).unwrap_err().to_string();
    assert!(error.len() < 9000 && error.ends_with('…'), "{}", error.len());
    daemon.join().unwrap();
}

#[test]
fn newer_daemons_are_spoken_to_as_older_ones() {
    for protocol in [0x122, 0x123, 0x126, 0x1ff] {
        let (store, daemon) = play(vec![Hear(greeting()), Say(welcome(protocol))]);
        assert_eq!(store.unwrap().nix_version(), "2.8.0");
        daemon.join().unwrap();
    }
}

#[test]
fn a_daemon_that_refuses_the_user() {
    let refusal = said().n(0x6478_696f).n(0x122).s("2.8.0").error("user 'x' is not allowed to connect");
    let (store, daemon) = play(vec![Hear(greeting()), Say(refusal)]);
    assert!(matches!(store, Err(StoreError::Daemon { message, .. }) if message.contains("not allowed")));
    daemon.join().unwrap();
}

#[test]
fn any_patience_will_do() {
    use std::io::Write;
    let dir = tempfile::tempdir().unwrap();
    let address = StoreAddress { socket: dir.path().join("s"), root: None };
    let listener = std::os::unix::net::UnixListener::bind(&address.socket).unwrap();
    let daemon = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(&welcome(0x122).0).unwrap();
        stream
    });
    let dir = crate::format::StoreDir::default();
    let store = Store::connect(&address, dir, std::time::Duration::MAX).unwrap();
    assert_eq!(store.nix_version(), "2.8.0");
    drop(daemon.join().unwrap());
}

#[test]
fn nobody_at_the_socket() {
    let dir = tempfile::tempdir().unwrap();
    let address = StoreAddress { socket: dir.path().join("none"), root: None };
    let patience = std::time::Duration::from_secs(5);
    let connect =
        |address: &StoreAddress| Store::connect(address, crate::format::StoreDir::default(), patience);
    assert!(matches!(connect(&address), Err(StoreError::Connect { .. })));
    let long = StoreAddress { socket: dir.path().join("x".repeat(200)), root: None };
    assert!(matches!(connect(&long), Err(StoreError::Connect { .. })));
}

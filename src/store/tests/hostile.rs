//! Daemons that lie, stall, flood and hang up: each ends in an error, soon, with little memory, and the
//! connection is not used again.

use super::fake::{Said, Step, after_welcome, greeting, play, play_with, said, welcome};
use super::*;
use Step::{Drip, Flood, Hear, Say, Wait};
use std::time::Duration;

const FULL: &str = "/nix/store/00000000000000000000000000000000-one";

fn question() -> Step {
    Hear(said().n(26).s(FULL))
}

/// What breaks the connection when this is the answer, after which the daemon does nothing.
fn fault(answer: Said) -> Fault {
    let (store, daemon) = after_welcome(vec![question(), Say(answer), Wait]);
    broken(store.unwrap(), daemon)
}

/// The fault; nothing can be asked afterwards.
fn broken(mut store: Store, daemon: std::thread::JoinHandle<()>) -> Fault {
    let fault = match store.path_info(&path('0', "one")) {
        Err(StoreError::Lost { source, doing }) => {
            assert!(doing.contains("00000000000000000000000000000000-one"));
            source
        }
        other => panic!("{other:?}"),
    };
    assert!(!store.is_usable());
    assert!(matches!(store.path_info(&path('0', "one")), Err(StoreError::Unusable)));
    assert!(matches!(store.add_temp_root(&path('0', "one")), Err(StoreError::Unusable)));
    drop(store);
    daemon.join().unwrap();
    fault
}

/// A record's beginning, up to the references.
fn begun() -> Said {
    said().last().n(1).s("").s("00".repeat(32))
}

#[test]
fn lengths_and_counts_beyond_reason() {
    for huge in [4097, 1 << 40, u64::MAX] {
        assert!(matches!(fault(said().last().n(1).n(huge)), Fault::Excess { .. }), "{huge}");
        assert!(
            matches!(fault(said().n(0x6f6c_6d67).n(huge << 10 | 1 << 40)), Fault::Excess { .. }),
            "{huge}"
        );
    }
    for huge in [100_001, 1 << 40, u64::MAX] {
        assert!(matches!(fault(begun().n(huge)), Fault::Excess { .. }), "{huge}");
    }
    let fields = said().n(0x5253_4c54).n(1).n(1).n(65);
    assert!(matches!(fault(fields), Fault::Excess { .. }));
    let traces = said().n(0x6378_7470).s("Error").n(0).s("").s("x").n(0).n(1001);
    assert!(matches!(fault(traces), Fault::Excess { .. }));
}

#[test]
fn an_answer_without_end() {
    // Signatures are the list that may be longest: it is the whole answer's bound that stops them.
    let begun = begun().n(0).n(0).n(120).n(0).n(1_000_000);
    let signature = said().s("x".repeat(1 << 20));
    let (store, daemon) = after_welcome(vec![question(), Say(begun), Flood(signature)]);
    assert!(matches!(broken(store.unwrap(), daemon), Fault::Excess { what: "bytes in one answer", .. }));
}

#[test]
fn messages_without_end() {
    let (store, daemon) = after_welcome(vec![question(), Flood(said().n(0x6f6c_6d67).s("still busy"))]);
    let fault = broken(store.unwrap(), daemon);
    assert!(matches!(fault, Fault::Excess { what: "messages before one answer", .. }), "{fault}");
    let (store, daemon) =
        after_welcome(vec![question(), Flood(said().n(0x6f6c_6d67).s("x".repeat(1 << 20)))]);
    assert!(matches!(broken(store.unwrap(), daemon), Fault::Excess { what: "bytes in one answer", .. }));
}

#[test]
fn text_that_is_none() {
    let found = fault(said().last().n(1).s(b"/nix/store/\xff"));
    assert!(matches!(found, Fault::Malformed { what: "a text that is not UTF-8" }), "{found}");
}

#[test]
fn padding_with_something_in_it() {
    for at in 1..8 {
        let mut answer = said().last().n(1).s("x");
        let length = answer.0.len();
        answer.0[length - at] = 1;
        assert!(matches!(fault(answer), Fault::Malformed { what: "padding that is not zero" }));
    }
}

#[test]
fn truth_that_is_neither() {
    for number in [2, 256, u64::MAX] {
        assert!(matches!(fault(said().last().n(number)), Fault::Malformed { .. }));
    }
}

#[test]
fn frames_that_make_no_sense() {
    let frames = [
        said().n(0),
        said().n(u64::MAX),
        // READ and WRITE: the daemon asks for data, or sends some.
        said().n(0x6461_7461).n(1),
        said().n(0x6461_7416).s("x"),
        // An error with a position, and a field of a third kind.
        said().n(0x6378_7470).s("Error").n(0).s("").s("x").n(1),
        said().n(0x5253_4c54).n(1).n(1).n(1).n(2),
    ];
    for frame in frames {
        assert!(matches!(fault(frame), Fault::Malformed { .. }));
    }
}

#[test]
fn more_than_was_asked_for() {
    assert!(matches!(fault(said().last().n(0).n(0)), Fault::Malformed { .. }));
    let (store, daemon) = after_welcome(vec![Hear(said().n(11).s(FULL)), Say(said().last().n(7)), Wait]);
    let mut store = store.unwrap();
    assert!(matches!(store.add_temp_root(&path('0', "one")), Err(StoreError::Lost { .. })));
    assert!(!store.is_usable());
    drop(store);
    daemon.join().unwrap();
}

#[test]
fn more_valid_paths_than_were_asked_for() {
    let (store, daemon) = after_welcome(vec![
        Hear(said().n(31).list(&[FULL]).n(0)),
        Say(said().last().list(&[FULL, FULL])),
        Wait,
    ]);
    let mut store = store.unwrap();
    assert!(matches!(store.valid_paths(&[path('0', "one")]), Err(StoreError::Lost { .. })));
    drop(store);
    daemon.join().unwrap();
}

#[test]
fn hanging_up_anywhere() {
    let answer = begun().list(&[FULL]).n(0).n(120).n(1).list(&["x"]).s("");
    for end in 0..answer.0.len() {
        let cut = Said(answer.0[..end].to_vec());
        let (store, daemon) = after_welcome(vec![question(), Say(cut)]);
        let found = broken(store.unwrap(), daemon);
        assert!(matches!(found, Fault::Closed), "{end}: {found}");
    }
    // Gone before the question.
    let (store, daemon) = after_welcome(vec![]);
    let store = store.unwrap();
    while !daemon.is_finished() {
        std::thread::yield_now();
    }
    assert!(matches!(broken(store, daemon), Fault::Closed));
}

#[test]
fn hanging_up_in_the_greeting() {
    let whole = welcome(0x122);
    for end in 0..whole.0.len() {
        let (store, daemon) = play(vec![Hear(greeting()), Say(Said(whole.0[..end].to_vec()))]);
        assert!(matches!(store, Err(StoreError::Lost { source: Fault::Closed, .. })), "{end}");
        daemon.join().unwrap();
    }
}

#[test]
fn something_else_at_the_socket() {
    for answer in [said().n(0), said().n(0x6e69_7863), Said(b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec())] {
        let (store, daemon) = play(vec![Hear(greeting()), Say(answer), Wait]);
        assert!(matches!(store, Err(StoreError::Lost { source: Fault::Magic, .. })));
        daemon.join().unwrap();
    }
}

#[test]
fn protocols_that_are_not_spoken() {
    for (version, major, minor) in
        [(0x121, 1, 0x21), (0x100, 1, 0), (0x222, 2, 0x22), (0x1_0122, 0x101, 0x22)]
    {
        let (store, daemon) = play(vec![Hear(greeting()), Say(said().n(0x6478_696f).n(version)), Wait]);
        let Err(StoreError::Lost { source: Fault::Version(found), .. }) = store else { panic!("{store:?}") };
        assert_eq!(found, TooOld { major, minor });
        daemon.join().unwrap();
    }
}

#[test]
fn silence_and_drips_end() {
    let patience = Duration::from_millis(200);
    let silent = play_with(vec![Hear(greeting()), Wait], patience);
    assert!(matches!(silent.0, Err(StoreError::Lost { source: Fault::Late { .. }, .. })));
    silent.1.join().unwrap();
    // Each byte comes well in time; all of them together do not.
    let pause = Duration::from_millis(20);
    let dripping = play_with(vec![Hear(greeting()), Drip(welcome(0x122), pause)], patience);
    assert!(matches!(dripping.0, Err(StoreError::Lost { source: Fault::Late { .. }, .. })));
    dripping.1.join().unwrap();
    let steps = vec![Hear(greeting()), Say(welcome(0x122)), question(), Drip(begun(), pause)];
    let (store, daemon) = play_with(steps, patience);
    assert!(matches!(broken(store.unwrap(), daemon), Fault::Late { .. }));
}

#[test]
fn a_daemon_that_does_not_read() {
    use std::io::Write;
    let (ours, mut theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    // It has said all that it will ever say before it is asked.
    theirs.write_all(&welcome(0x122).0).unwrap();
    let patience = Duration::from_millis(300);
    let mut store = Store::over(ours, crate::format::StoreDir::default(), patience).unwrap();
    let found = store.valid_paths(&vec![path('0', "one"); 200_000]);
    assert!(matches!(found, Err(StoreError::Lost { source: Fault::Late { .. }, .. })), "{found:?}");
    assert!(!store.is_usable());
}

#[test]
fn a_socket_that_takes_no_connection() {
    use rustix::net::{AddressFamily, SocketAddrUnix, SocketType, bind, listen, socket};
    let dir = tempfile::tempdir().unwrap();
    let address = StoreAddress { socket: dir.path().join("s"), root: None };
    let listener = socket(AddressFamily::UNIX, SocketType::STREAM, None).unwrap();
    bind(&listener, &SocketAddrUnix::new(&address.socket).unwrap()).unwrap();
    listen(&listener, 0).unwrap();
    let connect = || Store::connect(&address, crate::format::StoreDir::default(), Duration::from_millis(200));
    // The first is taken by the kernel and never answered; then its queue is full.
    let errors: Vec<_> = (0..3).map(|_| connect().unwrap_err()).collect();
    assert!(matches!(errors[0], StoreError::Lost { source: Fault::Late { .. }, .. }), "{errors:?}");
    assert!(errors.iter().all(|e| matches!(e, StoreError::Lost { .. } | StoreError::Connect { .. })));
}

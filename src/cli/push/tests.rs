use super::*;
use crate::queue::{Entry, Terms};
use crate::trust::Timestamp;

fn path(number: u32) -> StorePath {
    StorePath::from_base_name(&format!("{number:0>32}-x")).unwrap()
}

/// An entry to which this happened, if anything.
fn row(event: Option<Event>) -> Row {
    let terms = Terms { now: Timestamp::from_seconds(5), give_up_after: Duration::from_secs(60), jitter: 0 };
    let mut entry = Entry::new(Origin::Pushed, terms.now);
    if let Some(event) = event {
        entry = entry.on(event, &terms);
    }
    Row { id: 1, destination: "acme".into(), path: path(1), derivation: None, entry }
}

/// A destination that refuses everything is why a path waits, not the reference that waits for it as well.
#[test]
fn what_is_wrong_with_the_destination_is_told_where_a_path_waits_for_it() {
    let why = |event, of_all| {
        let mut summary = Summary::default();
        summary.add(&row(event), of_all);
        summary.held_back.pop().or_else(|| summary.given_up.pop()).unwrap().why
    };
    let held = || Some(Event::Held("waits for 2".to_owned(), Some(path(2))));
    let failed = || Some(Event::Failed("the NAR is gone".to_owned(), Duration::ZERO));
    assert_eq!(why(None, Some("SlowDown")), "SlowDown");
    assert_eq!(why(held(), Some("SlowDown")), "SlowDown");
    assert_eq!(why(held(), None), "waits for 2");
    assert_eq!(why(failed(), Some("SlowDown")), "the NAR is gone");
    assert_eq!(why(Some(Event::GivenUp("dissent".to_owned())), Some("SlowDown")), "dissent");
}

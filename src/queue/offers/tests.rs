use super::*;
use crate::queue::{Event, Origin, State};
use std::collections::HashSet;
use std::time::Duration;

#[test]
fn a_sweep_changes_nothing_of_what_is_known() {
    for event in [
        None,
        Some(Event::Failed("down".to_owned(), Duration::from_secs(500))),
        Some(Event::Published),
        Some(Event::Skipped("vouched for".to_owned())),
        Some(Event::GivenUp("dissent".to_owned())),
    ] {
        let (_dir, mut queue) = queue();
        queue.ask(&[wish("acme", 1, Origin::Built)], &terms(5)).unwrap();
        let id = queue.rows(false).unwrap()[0].id;
        if let Some(event) = event {
            queue.tell(id, event, &terms(6)).unwrap();
        }
        let before = queue.rows(false).unwrap();
        assert_eq!(queue.offer(&[wish("acme", 1, Origin::Swept)], &terms(7)).unwrap(), []);
        assert_eq!(queue.rows(false).unwrap(), before);
        let other = [wish("acme", 1, Origin::Swept), wish("other", 1, Origin::Swept)];
        assert_eq!(queue.unknown(other.to_vec()).unwrap(), [wish("other", 1, Origin::Swept)]);
        assert_eq!(queue.offer(&other, &terms(8)).unwrap(), [path(1)], "another destination has not got it");
        assert_eq!(queue.rows(false).unwrap().len(), 2);
    }
}

#[test]
fn what_was_dropped_comes_back_only_when_somebody_asks() {
    let (dir, mut queue) = queue();
    queue.offer(&[wish("acme", 1, Origin::Swept)], &terms(5)).unwrap();
    let id = queue.rows(false).unwrap()[0].id;
    queue.forget(id, &terms(6)).unwrap();
    drop(queue);
    let mut queue = Queue::open(dir.path()).unwrap();
    assert_eq!(queue.unknown(vec![wish("acme", 1, Origin::Swept)]).unwrap(), []);
    assert_eq!(queue.offer(&[wish("acme", 1, Origin::Swept)], &terms(7)).unwrap(), []);
    queue.ask(&[wish("acme", 1, Origin::Pushed)], &terms(8)).unwrap();
    let row = queue.find("acme", &path(1)).unwrap().unwrap();
    assert_eq!((row.entry.state, row.entry.origin), (State::Queued, Origin::Pushed));
    // Asked for anew, it is no longer one that was dropped.
    queue.forget(row.id, &terms(9)).unwrap();
    queue.ask(&[wish("acme", 1, Origin::Built)], &terms(10)).unwrap();
    assert!(!is_dropped(&queue.database, &wish("acme", 1, Origin::Swept)).unwrap());
}

#[test]
fn what_a_sweep_found_goes_when_nothing_else_is_due() {
    let (_dir, mut queue) = queue();
    queue.offer(&[wish("acme", 1, Origin::Swept), wish("acme", 2, Origin::Swept)], &terms(5)).unwrap();
    queue.ask(&[wish("acme", 3, Origin::Built)], &terms(9)).unwrap();
    let mut order = Vec::new();
    let mut busy = HashSet::new();
    while let Some(row) = queue.due("acme", at(9), &busy).unwrap() {
        busy.insert(row.id);
        order.push(row.path);
    }
    assert_eq!(order, [path(3), path(1), path(2)]);
    // Reported after all, it goes with the others.
    queue.ask(&[wish("acme", 2, Origin::Built)], &terms(10)).unwrap();
    let first = queue.due("acme", at(10), &HashSet::new()).unwrap().unwrap();
    assert_eq!((first.path, first.entry.origin), (path(2), Origin::Built));
}

#[test]
fn the_moment_of_the_installation_is_kept() {
    let (dir, mut queue) = queue();
    assert_eq!(queue.installed().unwrap(), None);
    queue.note_installed(at(77)).unwrap();
    drop(queue);
    assert_eq!(Queue::open(dir.path()).unwrap().installed().unwrap(), Some(at(77)));
}

#[test]
fn a_queue_of_the_first_version_is_brought_up() {
    let (dir, mut queue) = queue();
    queue.ask(&[wish("acme", 1, Origin::Built)], &terms(5)).unwrap();
    let before = queue.rows(false).unwrap();
    let as_it_was = "DROP TABLE dropped; DROP TABLE marks; DROP INDEX entries_due; \
                     CREATE INDEX entries_due ON entries (destination, state, due, id) \
                     WHERE state IN ('queued', 'stored'); PRAGMA user_version = 1;";
    queue.database.execute_batch(as_it_was).unwrap();
    drop(queue);
    let mut queue = Queue::open(dir.path()).unwrap();
    assert_eq!(queue.rows(false).unwrap(), before);
    assert_eq!(queue.offer(&[wish("acme", 2, Origin::Swept)], &terms(6)).unwrap(), [path(2)]);
}

fn queue() -> (tempfile::TempDir, Queue) {
    let dir = tempfile::tempdir().unwrap();
    let queue = Queue::open(dir.path()).unwrap();
    (dir, queue)
}

fn wish(destination: &str, n: u8, origin: Origin) -> Wish {
    Wish { destination: destination.into(), path: path(n), origin, derivation: None }
}

fn path(n: u8) -> StorePath {
    StorePath::from_base_name(&format!("{n}0000000000000000000000000000000-p{n}")).unwrap()
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_seconds(seconds)
}

fn terms(now: i64) -> Terms {
    Terms { now: at(now), give_up_after: Duration::from_secs(1 << 20), jitter: 0 }
}

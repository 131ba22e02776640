use super::*;
use crate::format::{FileHash, NarHash};
use crate::queue::StoredNar;

#[test]
fn an_entry_in_every_state_is_read_back_as_it_was() {
    let (_dir, mut queue) = queue();
    queue.ask(&[wish("acme", 1, Origin::Built)], &terms(5)).unwrap();
    let id = queue.due("acme", at(5), &HashSet::new()).unwrap().unwrap().id;
    let mut told = vec![queue.find("acme", &path(1)).unwrap().unwrap()];
    for event in [
        Event::Failed("the disk is full".to_owned(), Duration::ZERO),
        Event::NarStored(nar()),
        Event::Held("waits for 2".to_owned(), Some(path(2))),
        Event::Published,
        Event::Asked(Origin::Pushed),
        Event::GivenUp("dissent".to_owned()),
    ] {
        let row = match event {
            Event::Asked(origin) => {
                queue.ask(&[wish("acme", 1, origin)], &terms(9)).unwrap();
                queue.find("acme", &path(1)).unwrap().unwrap()
            }
            event => queue.tell(id, event, &terms(7)).unwrap().unwrap(),
        };
        assert_eq!(queue.find("acme", &path(1)).unwrap(), Some(row.clone()));
        told.push(row);
    }
    let states: Vec<_> = told.iter().map(|row| row.entry.state.label()).collect();
    assert_eq!(states, ["queued", "queued", "stored", "stored", "done", "queued", "dead"]);
    assert_eq!(told[0].derivation, Some(path(9)));
}

#[test]
fn a_queue_that_is_opened_again_has_what_it_had() {
    let (dir, mut queue) = queue();
    queue.ask(&[wish("a", 1, Origin::Built), wish("b", 1, Origin::Built)], &terms(5)).unwrap();
    let before = queue.rows(false).unwrap();
    drop(queue);
    assert_eq!(Queue::open(dir.path()).unwrap().rows(false).unwrap(), before);
    assert_eq!(before.len(), 2);
}

/// The uploader and a command that a person gives may be the first two.
#[test]
fn several_may_make_it_at_one_time() {
    for _ in 0..20 {
        let dir = tempfile::tempdir().unwrap();
        let all = std::sync::Barrier::new(8);
        std::thread::scope(|scope| {
            let one = || {
                all.wait();
                let mut queue = Queue::open(dir.path())?;
                queue.ask(&[wish("acme", 1, Origin::Built)], &terms(5))
            };
            let opened: Vec<_> = (0..8).map(|_| scope.spawn(one)).collect();
            opened.into_iter().for_each(|opened| opened.join().unwrap().unwrap());
        });
    }
}

#[test]
fn wishes_are_noted_together_or_not_at_all() {
    let (_dir, mut queue) = queue();
    queue
        .database
        .execute_batch(
            "CREATE TRIGGER full BEFORE UPDATE ON entries WHEN NEW.destination = 'b' \
             BEGIN SELECT RAISE(ABORT, 'full'); END",
        )
        .unwrap();
    let wishes = [wish("a", 1, Origin::Built), wish("b", 1, Origin::Built)];
    assert!(queue.ask(&wishes, &terms(5)).is_err());
    assert_eq!(queue.rows(false).unwrap(), []);
}

/// A reference that was published a short while ago stays so, and is looked for again later; who pushes it means it.
#[test]
fn what_is_finished_is_open_again_only_to_who_has_it_looked_at_again() {
    let (_dir, mut queue) = queue();
    let is_open =
        |queue: &Queue, origin, seconds| queue.is_open(&wish("acme", 1, origin), &terms(seconds)).unwrap();
    assert!(is_open(&queue, Origin::Reference, 5), "nothing is known of it");
    queue.ask(&[wish("acme", 1, Origin::Built)], &terms(5)).unwrap();
    assert!(is_open(&queue, Origin::Reference, 5), "it waits");
    let id = queue.find("acme", &path(1)).unwrap().unwrap().id;
    queue.tell(id, Event::Published, &terms(5)).unwrap();
    assert!(!is_open(&queue, Origin::Reference, 6) && is_open(&queue, Origin::Reference, 3605));
    assert!(is_open(&queue, Origin::Pushed, 6));
}

#[test]
fn what_is_stored_comes_before_what_is_queued_and_busy_ones_are_left_out() {
    let (_dir, mut queue) = queue();
    for n in 1..=4 {
        queue.ask(&[wish("acme", n, Origin::Built)], &terms(i64::from(n))).unwrap();
    }
    let id = |queue: &Queue, n| queue.find("acme", &path(n)).unwrap().unwrap().id;
    queue.tell(id(&queue, 3), Event::NarStored(nar()), &terms(5)).unwrap();
    let mut busy = HashSet::new();
    let mut order = Vec::new();
    while let Some(row) = queue.due("acme", at(3), &busy).unwrap() {
        busy.insert(row.id);
        order.push(row.path);
    }
    assert_eq!(order, [path(1), path(2)], "3 is due at 5 only, and 4 at 4");
    busy.clear();
    assert_eq!(queue.due("acme", at(5), &busy).unwrap().unwrap().path, path(3));
    assert_eq!(queue.due("other", at(5), &busy).unwrap(), None);
}

#[test]
fn what_waits_is_woken_when_its_reference_is_finished_however() {
    for (event, due) in [
        (Event::Published, 50),
        (Event::Skipped("vouched for".to_owned()), 50),
        (Event::GivenUp("dissent".to_owned()), 50),
        (Event::Failed("down".to_owned(), Duration::ZERO), 610),
    ] {
        let (_dir, mut queue) = queue();
        queue.ask(&[wish("acme", 1, Origin::Built), wish("acme", 2, Origin::Reference)], &terms(10)).unwrap();
        let [app, lib] = [1, 2].map(|n| queue.find("acme", &path(n)).unwrap().unwrap().id);
        queue.tell(app, Event::Held("waits".to_owned(), Some(path(2))), &terms(10)).unwrap();
        queue.tell(lib, event.clone(), &terms(50)).unwrap();
        assert_eq!(queue.find("acme", &path(1)).unwrap().unwrap().entry.due, at(due), "{event:?}");
    }
}

#[test]
fn a_dropped_entry_is_gone_and_wakes_what_waited() {
    let (_dir, mut queue) = queue();
    queue.ask(&[wish("acme", 1, Origin::Built), wish("acme", 2, Origin::Reference)], &terms(10)).unwrap();
    let [app, lib] = [1, 2].map(|n| queue.find("acme", &path(n)).unwrap().unwrap().id);
    queue.tell(app, Event::Held("waits".to_owned(), Some(path(2))), &terms(10)).unwrap();
    queue.forget(lib, &terms(20)).unwrap();
    assert_eq!(
        queue.tell(lib, Event::Published, &terms(30)).unwrap(),
        None,
        "what comes too late does nothing"
    );
    assert_eq!(queue.find("acme", &path(1)).unwrap().unwrap().entry.due, at(20));
    assert_eq!(queue.needed().unwrap(), [path(1)]);
}

#[test]
fn the_trouble_of_a_destination_is_kept_until_it_is_well() {
    let (_dir, mut queue) = queue();
    let trouble = Trouble { destination: "acme".into(), text: "down".to_owned(), since: at(1), until: at(9) };
    queue.set_trouble("acme", Some(&trouble)).unwrap();
    assert_eq!(queue.troubles().unwrap(), [trouble]);
    queue.set_trouble("acme", None).unwrap();
    assert_eq!(queue.troubles().unwrap(), []);
}

#[test]
fn a_queue_of_a_newer_program_is_refused_and_left_alone() {
    let (dir, queue) = queue();
    queue.database.pragma_update(None, "user_version", 3).unwrap();
    drop(queue);
    let error = Queue::open(dir.path()).unwrap_err().to_string();
    assert!(error.contains("newer version (3)"), "{error}");
}

#[test]
fn only_the_owner_can_read_it() {
    use std::os::unix::fs::PermissionsExt;
    let (dir, _queue) = queue();
    let mode = std::fs::metadata(dir.path().join(FILE)).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn no_queue_is_made_by_looking() {
    let dir = tempfile::tempdir().unwrap();
    assert!(Queue::open_existing(dir.path()).unwrap().is_none());
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}

fn queue() -> (tempfile::TempDir, Queue) {
    let dir = tempfile::tempdir().unwrap();
    let queue = Queue::open(dir.path()).unwrap();
    (dir, queue)
}

fn wish(destination: &str, n: u8, origin: Origin) -> Wish {
    Wish { destination: destination.into(), path: path(n), origin, derivation: Some(path(9)) }
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

fn nar() -> StoredNar {
    StoredNar {
        nar_hash: NarHash::from_digest([7; 32]),
        nar_size: 120,
        file_hash: FileHash::from_digest([8; 32]),
        file_size: 60,
        compression: "zstd".into(),
        url: "nar/x.nar.zst".into(),
    }
}

/// However many wait, one is found by the index, and none is sorted.
#[test]
fn what_is_due_is_found_without_sorting() {
    let (_dir, queue) = queue();
    for sql in DUE {
        let sql = format!("EXPLAIN QUERY PLAN {}", sql.replace("COLUMNS", COLUMNS));
        let mut plan = queue.database.prepare(&sql).unwrap();
        let given = named_params! { ":destination": "acme", ":now": 5, ":most": 3 };
        let steps = plan.query_map(given, |row| row.get::<_, String>(3)).unwrap();
        let steps: Vec<String> = steps.map(Result::unwrap).collect();
        assert_eq!(steps.len(), 1, "{steps:?}");
        assert!(
            steps[0].contains("USING INDEX entries_due (destination=? AND <expr>=? AND state=? AND due<?)"),
            "{steps:?}"
        );
    }
}

/// That something was published is not synced; all else is, also after that.
#[test]
fn changes_are_synced_again_after_one_that_is_not() {
    let (_dir, mut queue) = queue();
    queue.ask(&[wish("acme", 1, Origin::Built)], &terms(5)).unwrap();
    let row = queue.due("acme", at(5), &HashSet::new()).unwrap().unwrap();
    let told = queue.tell(row.id, Event::Published, &terms(6)).unwrap().unwrap();
    assert_eq!(told.entry.state, State::Done);
    let level: i64 = queue.database.pragma_query_value(None, "synchronous", |row| row.get(0)).unwrap();
    assert_eq!(level, 2, "FULL");
}

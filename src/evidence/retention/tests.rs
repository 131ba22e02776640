use super::*;
use crate::evidence::tests::samples::{
    DAY, at, build, claim, event, fate, hash_part, key, noise, path, public, verdict, verdicts,
};
use crate::evidence::{Batch, EventKind, Fate, Filter, Outcome, Sqlite, Terms, VerdictRow, verify};
use std::ops::ControlFlow;
use tempfile::TempDir;

const KEEP: Duration = Duration::from_secs(100 * 86_400);

fn ledger() -> (TempDir, Sqlite) {
    let dir = tempfile::tempdir().unwrap();
    let storage = Sqlite::open(dir.path(), &Terms::default()).unwrap();
    (dir, storage)
}

/// Everything on a path, of a day.
fn all(n: u32, day: i64) -> Batch {
    let at = day * DAY;
    let content = u8::try_from(n).unwrap();
    Batch {
        claims: vec![claim(n, 1, "one", at), noise(n, 2, "one", at)],
        verdicts: vec![verdict(n, Outcome::Refuse, at)],
        events: vec![event(n, EventKind::Gone, "one", at)],
        fates: vec![fate(content, "one", Fate::Right, at)],
        builds: vec![build(n, 1, at)],
    }
}

/// Runs a pass to its end, and says how many rows it removed.
fn pass(storage: &mut Sqlite, day: i64, under_pressure: bool, key: Option<&SigningKey>) -> u64 {
    // Odd paths are installed.
    let installed = |paths: &[StorePath]| {
        paths.iter().map(|path| path.hash_part().digest()[3] % 2 == 1).collect::<Vec<bool>>()
    };
    let rules = Rules { now: at(day * DAY), keep: KEEP, installed: &installed, key };
    let mut pass = Pass::begin(storage, under_pressure).unwrap();
    // In small steps, so that a pass has several.
    for _ in 0..1000 {
        pass.rows = 2;
        if pass.step(storage, rules).unwrap() == Step::Done {
            return pass.removed;
        }
    }
    panic!("it does not end: {pass:?}")
}

fn kept(storage: &mut Sqlite) -> [Vec<u32>; 4] {
    let number = |digest: &[u8; 20]| u32::from(digest[3]);
    let (mut claims, mut verdicts, mut events, mut builds) = (vec![], vec![], vec![], vec![]);
    let all = Filter::default();
    let go = ControlFlow::Continue(());
    storage
        .claims(&all, &mut |row| {
            claims.push(number(row.core.store_path.hash_part().digest()));
            go
        })
        .unwrap();
    storage
        .verdicts(&all, &mut |row| {
            verdicts.push(row.row.asked.map_or(0, |asked| number(asked.digest())));
            go
        })
        .unwrap();
    storage
        .events(&all, &mut |row| {
            events.push(number(row.path.digest()));
            go
        })
        .unwrap();
    storage
        .builds(&all, &mut |row| {
            builds.push(number(row.path.hash_part().digest()));
            go
        })
        .unwrap();
    let mut kept = [claims, verdicts, events, builds];
    kept.iter_mut().for_each(|rows| rows.sort_unstable());
    kept
}

#[test]
fn what_is_older_than_keep_goes_unless_its_path_is_installed() {
    let (_dir, mut storage) = ledger();
    for n in 1..=8 {
        storage.write(&all(n, i64::from(n))).unwrap();
    }
    storage.seal(at(8 * DAY), &|head| head.sign(&key(1))).unwrap();
    // Those of the first five days are older than a hundred days.
    let removed = pass(&mut storage, 106, false, Some(&key(1)));
    let twice = |rows: &[u32]| rows.iter().flat_map(|n| [*n, *n]).collect::<Vec<_>>();
    let left = vec![1, 3, 5, 6, 7, 8];
    let [claims, verdicts, events, builds] = kept(&mut storage);
    assert_eq!(verdicts, left);
    assert_eq!(claims, twice(&left));
    assert_eq!((events, builds), (left.clone(), left));
    // Of paths 2 and 4 two claims, a verdict, an event and a build each; and five fates, which have no path.
    assert_eq!(removed, 2 * 5 + 5);
    let report = verify(&mut storage, &[public(1)], &[]).unwrap();
    assert!(report.is_sound() && report.pruned == Some(5), "{report:?}");
    assert_eq!(pass(&mut storage, 106, false, Some(&key(1))), 0, "what was carried is not carried again");
    assert_eq!(storage.last().unwrap().unwrap().0, 8 + 3);
}

#[test]
fn without_a_key_verdicts_stay() {
    let (_dir, mut storage) = ledger();
    for n in 1..=4 {
        storage.write(&all(n, i64::from(n))).unwrap();
    }
    pass(&mut storage, 900, false, None);
    let [claims, verdicts, ..] = kept(&mut storage);
    assert_eq!(verdicts, [1, 2, 3, 4]);
    assert_eq!(claims, [1, 1, 3, 3]);
}

#[test]
fn the_last_verdict_of_all_does_not_keep_a_pass_from_ending() {
    let (_dir, mut storage) = ledger();
    storage.write(&verdicts(vec![verdict(2, Outcome::Refuse, 0), verdict(4, Outcome::Refuse, 1)])).unwrap();
    assert_eq!(pass(&mut storage, 900, false, Some(&key(1))), 1);
    assert_eq!(pass(&mut storage, 900, false, Some(&key(1))), 0);
    assert_eq!(kept(&mut storage)[1], [4]);
}

#[test]
fn a_verdict_without_a_name_is_of_no_installed_path() {
    let (_dir, mut storage) = ledger();
    let nameless = VerdictRow { name: None, ..verdict(1, Outcome::Refuse, 0) };
    storage.write(&verdicts(vec![nameless, verdict(3, Outcome::Refuse, 0)])).unwrap();
    storage.write(&verdicts(vec![verdict(5, Outcome::Refuse, 200 * DAY)])).unwrap();
    pass(&mut storage, 201, false, Some(&key(1)));
    assert_eq!(kept(&mut storage)[1], [3, 5]);
}

#[test]
fn under_pressure_noise_goes_first_and_installed_paths_stay() {
    let (_dir, mut storage) = ledger();
    for n in 1..=6 {
        storage.write(&all(n, i64::from(n))).unwrap();
    }
    let installed = |paths: &[StorePath]| vec![true; paths.len()];
    let rules = Rules { now: at(7 * DAY), keep: KEEP, installed: &installed, key: Some(&key(1)) };
    let mut first = Pass::begin(&mut storage, true).unwrap();
    first.step(&mut storage, rules).unwrap();
    let tally = storage.tally().unwrap();
    assert_eq!((tally.noise, tally.claims), (0, 6), "all of it, and nothing else");

    pass(&mut storage, 7, true, Some(&key(1)));
    let [claims, verdicts, events, builds] = kept(&mut storage);
    assert_eq!(claims, [1, 3, 5], "what is not installed goes in the end, however young");
    assert_eq!((verdicts, events, builds), (vec![1, 3, 5], vec![1, 3, 5], vec![1, 3, 5]));
    let report = verify(&mut storage, &[public(1)], &[]).unwrap();
    assert_eq!(report.flaws.len(), 1, "but for the head that nobody has signed yet: {report:?}");
}

#[test]
fn under_pressure_what_is_oldest_goes_first() {
    let (_dir, mut storage) = ledger();
    // Sixty, thirty and fifteen days ago: `keep` is halved once, twice and three times.
    for (n, day) in [(2, 10), (4, 40), (6, 55)] {
        storage.write(&all(n, day)).unwrap();
    }
    let nothing = |paths: &[StorePath]| vec![false; paths.len()];
    let rules = Rules { now: at(70 * DAY), keep: KEEP, installed: &nothing, key: Some(&key(1)) };
    let mut pass = Pass::begin(&mut storage, true).unwrap();
    let mut orders = Vec::new();
    while pass.step(&mut storage, rules).unwrap() == Step::More {
        let [claims, ..] = kept(&mut storage);
        if orders.last() != Some(&claims) {
            orders.push(claims);
        }
    }
    assert_eq!(orders[orders.len() - 4..], [vec![2, 4, 6], vec![4, 6], vec![6], vec![]]);
}

#[test]
fn a_step_takes_as_many_rows_as_it_has_time_for() {
    let (_dir, mut storage) = ledger();
    let mut pass = Pass::begin(&mut storage, false).unwrap();
    pass.paced(Duration::ZERO);
    assert_eq!(pass.rows, 2 * FIRST);
    (0..9).for_each(|_| pass.paced(Duration::ZERO));
    assert_eq!(pass.rows, MOST);
    (0..9).for_each(|_| pass.paced(Duration::from_secs(1)));
    assert_eq!(pass.rows, LEAST);
    pass.paced(Duration::ZERO);
    pass.paced(AIM);
    assert_eq!(pass.rows, 2 * LEAST, "it is right as it is");
}

#[test]
fn what_was_not_answered_is_kept() {
    let paths = [Some(path(1)), None, Some(path(2))];
    assert_eq!(installed(&paths, &|_| vec![false]), [false, false, true]);
    assert_eq!(hash_part(1), path(1).hash_part());
}

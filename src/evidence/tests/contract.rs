//! What every storage does, one function for each rule.

use super::memory::Memory;
use super::samples::{
    DAY, at, build, claim, claims, core, event, fate, hash_part, key, nar_hash, noise, path, public,
    signature, verdict, verdicts,
};
use crate::evidence::{
    Batch, BuildKind, BuildRow, Carried, Chained, ClaimRow, ClaimSeen, Earlier, EventKind, EventRow, Fate,
    FateRow, Filter, Kind, Outcome, Piece, Sqlite, Storage, Terms, VerdictRow, verify,
};
use std::ops::ControlFlow;

/// Runs every rule over both storages.
macro_rules! contract {
    ($($rule:ident)*) => {
        mod over_sqlite {
            $(#[test] fn $rule() {
                let dir = tempfile::tempdir().unwrap();
                super::$rule(&mut super::Sqlite::open(dir.path(), &super::terms()).unwrap());
            })*
        }
        mod over_memory {
            $(#[test] fn $rule() { super::$rule(&mut super::Memory::new(super::terms().limit)); })*
        }
    };
}

contract! {
    a_claim_is_read_back_as_it_was_heard
    a_claim_heard_again_is_counted
    what_was_credible_keeps_its_signatures
    noise_of_one_cache_on_one_path_is_bounded
    credible_claims_of_one_cache_on_one_path_are_bounded
    all_noise_together_is_bounded_and_credible_claims_stay
    builds_are_read_back_the_last_first
    verdicts_are_chained_without_gaps
    the_same_verdict_is_not_written_again_within_a_day
    a_verdict_that_differs_anywhere_is_written
    a_filter_admits_what_it_names
    events_are_counted_and_the_last_seen_come_first
    fates_are_counted_and_liars_are_named
    a_head_is_signed_once_for_each_end
    the_newest_row_is_known_and_a_reset_clock_is_recorded
    pruned_verdicts_leave_a_checkpoint_and_carry_installed_paths
    the_last_verdict_is_never_pruned
    what_is_old_is_told_in_its_order_and_removed
    a_tally_counts
}

/// Noise may have 4 KiB of it.
fn terms() -> Terms {
    Terms { limit: 64 << 10, ..Terms::default() }
}

fn heard(storage: &mut dyn Storage, seen: Vec<ClaimSeen>) {
    storage.write(&claims(seen)).unwrap();
}

fn judged(storage: &mut dyn Storage, rows: Vec<VerdictRow>) {
    storage.write(&verdicts(rows)).unwrap();
}

fn rows<T>(read: impl FnOnce(&mut dyn FnMut(T) -> ControlFlow<()>)) -> Vec<T> {
    let mut rows = Vec::new();
    read(&mut |row| {
        rows.push(row);
        ControlFlow::Continue(())
    });
    rows
}

fn all_verdicts(storage: &mut dyn Storage, filter: &Filter) -> Vec<Chained> {
    rows(|each| storage.verdicts(filter, each).unwrap())
}

fn contents(earlier: &Earlier) -> Vec<(u8, &str)> {
    earlier.claims.iter().map(|row| (row.core.nar_hash.digest()[0], &*row.cache)).collect()
}

fn a_claim_is_read_back_as_it_was_heard(storage: &mut dyn Storage) {
    let address = "text:sha256:0000000000000000000000000000000000000000000000000000";
    let address = crate::format::ContentAddress::from_nix_str(address).unwrap();
    let first = ClaimSeen { content_address: Some(address), ..claim(1, 1, "one", 0) };
    let second = ClaimSeen { deriver: None, ..claim(1, 1, "two", 1) };
    let third = claim(2, 1, "one", 2);
    heard(storage, vec![first.clone(), second.clone(), third]);
    let row = |seen: ClaimSeen| ClaimRow {
        cache: seen.cache,
        core: seen.core,
        signatures: seen.signatures,
        deriver: seen.deriver,
        content_address: seen.content_address,
        first_seen: seen.at,
        last_seen: seen.at,
        credible_at: Some(seen.at),
        count: 1,
    };
    let found = storage.earlier(hash_part(1)).unwrap();
    assert_eq!(found.claims, [row(second), row(first)], "the last heard first");
    assert_eq!(storage.earlier(hash_part(3)).unwrap(), Earlier::default());
}

fn a_claim_heard_again_is_counted(storage: &mut dyn Storage) {
    heard(storage, vec![claim(1, 1, "one", 0), claim(1, 1, "one", 5), claim(1, 1, "two", 6)]);
    heard(storage, vec![claim(1, 1, "one", 2 * DAY), claim(1, 1, "one", DAY)]);
    let found = storage.earlier(hash_part(1)).unwrap().claims;
    let row = &found[0];
    assert_eq!((&*row.cache, row.count), ("one", 4));
    assert_eq!((row.first_seen, row.last_seen), (at(0), at(2 * DAY)));
    assert_eq!(row.credible_at, Some(at(2 * DAY)));
    assert_eq!((found.len(), found[1].count), (2, 1), "another cache has another row");
}

fn what_was_credible_keeps_its_signatures(storage: &mut dyn Storage) {
    let said = |by: &str, is_credible, seconds| ClaimSeen {
        signatures: vec![signature(by, 1)],
        is_credible,
        ..claim(1, 1, "one", seconds)
    };
    let kept = |storage: &mut dyn Storage| {
        let row = storage.earlier(hash_part(1)).unwrap().claims.remove(0);
        (row.signatures[0].key_name().to_string(), row.credible_at)
    };
    heard(storage, vec![said("a", false, 0), said("b", false, 1)]);
    assert_eq!(kept(storage), ("b".into(), None), "the last ones, where it was never credible");
    heard(storage, vec![said("c", true, 2), said("d", true, 3)]);
    assert_eq!(kept(storage), ("d".into(), Some(at(3))));
    heard(storage, vec![said("e", false, 4)]);
    assert_eq!(kept(storage), ("d".into(), Some(at(3))), "not those that are not credible");
}

fn noise_of_one_cache_on_one_path_is_bounded(storage: &mut dyn Storage) {
    heard(storage, (1..=12).map(|n| noise(1, n, "one", i64::from(n))).collect());
    heard(storage, vec![claim(1, 50, "one", 0), noise(1, 60, "two", 1)]);
    let found = storage.earlier(hash_part(1)).unwrap();
    let left: Vec<_> = (5..=12).rev().map(|n| (n, "one")).chain([(60, "two"), (50, "one")]).collect();
    assert_eq!(contents(&found), left, "the eight that were heard last, and others' as they are");
    heard(storage, vec![noise(1, 5, "one", 20), noise(1, 70, "one", 21)]);
    let found = storage.earlier(hash_part(1)).unwrap();
    let ones = contents(&found);
    assert!(ones.contains(&(5, "one")) && !ones.contains(&(6, "one")), "heard again is not old: {ones:?}");
}

fn credible_claims_of_one_cache_on_one_path_are_bounded(storage: &mut dyn Storage) {
    heard(storage, (1..=40).map(|n| claim(1, n, "one", i64::from(n))).collect());
    let found = storage.earlier(hash_part(1)).unwrap();
    assert_eq!(contents(&found), (9..=40).rev().map(|n| (n, "one")).collect::<Vec<_>>());
}

fn all_noise_together_is_bounded_and_credible_claims_stay(storage: &mut dyn Storage) {
    heard(storage, vec![claim(1, 1, "one", 0)]);
    for n in 0..40 {
        heard(storage, (0..50).map(|m| noise(100 + n * 50 + m, 9, "one", DAY * i64::from(n))).collect());
        assert!(storage.tally().unwrap().noise <= 4096);
    }
    let kept = rows(|each| storage.claims(&Filter::default(), each).unwrap());
    assert!(kept.len() < 30, "{}", kept.len());
    assert_eq!(storage.tally().unwrap().claims, kept.len() as u64);
    assert!(kept.iter().any(|row| row.core.store_path == path(1)), "what was signed is not pushed out");
    assert!(kept.iter().any(|row| row.core.store_path == path(100 + 39 * 50 + 49)), "the oldest goes");
}

fn builds_are_read_back_the_last_first(storage: &mut dyn Storage) {
    let other = BuildRow { kind: BuildKind::RebuiltOther, ..build(1, 3, 7) };
    let failed = BuildRow {
        nar_hash: None,
        nar_size: None,
        derivation: None,
        kind: BuildKind::Failed,
        ..build(1, 0, 9)
    };
    let builds = vec![build(1, 2, 5), other.clone(), failed.clone(), build(2, 2, 6)];
    storage.write(&Batch { builds, ..Batch::default() }).unwrap();
    storage.write(&Batch { builds: vec![build(1, 2, 8)], ..Batch::default() }).unwrap();
    let found = storage.earlier(hash_part(1)).unwrap();
    assert_eq!(found.builds, [failed, build(1, 2, 8), other], "the same report again is no further build");
    let filter = Filter { package: Some("*-2".into()), ..Filter::default() };
    assert_eq!(rows(|each| storage.builds(&filter, each).unwrap()), [build(2, 2, 6)]);
    let builds = (0..40).map(|n| build(3, n, i64::from(n))).collect();
    storage.write(&Batch { builds, ..Batch::default() }).unwrap();
    let found = storage.earlier(hash_part(3)).unwrap().builds;
    assert_eq!((found.len(), found[31].nar_hash), (32, Some(nar_hash(8))), "the last 32");
}

fn verdicts_are_chained_without_gaps(storage: &mut dyn Storage) {
    assert_eq!(storage.last().unwrap(), None);
    judged(storage, vec![verdict(1, Outcome::Endorse, 0), verdict(2, Outcome::Refuse, 1)]);
    judged(
        storage,
        vec![VerdictRow { asked: None, name: None, rule: None, ..verdict(3, Outcome::Defer, 2) }],
    );
    let rows = all_verdicts(storage, &Filter::default());
    assert_eq!(rows.iter().map(|row| row.number).collect::<Vec<_>>(), [3, 2, 1], "the last first");
    assert_eq!(rows[1].row, verdict(2, Outcome::Refuse, 1), "as it was given");
    assert_eq!(rows[0].row.asked, None);
    assert_eq!(storage.last().unwrap(), Some((3, rows[0].hash)));
    storage.seal(at(3), &|head| head.sign(&key(1))).unwrap().unwrap();
    let report = verify(storage, &[public(1)], &[]).unwrap();
    assert!(report.is_sound() && report.rows == 3, "{report:?}");
}

fn the_same_verdict_is_not_written_again_within_a_day(storage: &mut dyn Storage) {
    let again = |seconds| verdict(1, Outcome::Defer, seconds);
    judged(storage, vec![again(0), again(1), verdict(2, Outcome::Defer, 1), again(2)]);
    judged(storage, vec![again(DAY - 1)]);
    assert_eq!(storage.last().unwrap().unwrap().0, 2);
    judged(storage, vec![again(DAY)]);
    assert_eq!(storage.last().unwrap().unwrap().0, 3, "a day later it is");
    judged(storage, vec![again(-5)]);
    assert_eq!(storage.last().unwrap().unwrap().0, 4, "and one from before, for the clock was set");
    let nothing = VerdictRow { asked: None, ..again(0) };
    judged(storage, vec![nothing.clone(), nothing]);
    assert_eq!(storage.last().unwrap().unwrap().0, 6, "what is about no path always is");
}

fn a_verdict_that_differs_anywhere_is_written(storage: &mut dyn Storage) {
    let first = verdict(1, Outcome::Refuse, 0);
    let mut fewer = first.heard.clone();
    fewer.pop();
    let others = vec![
        VerdictRow { outcome: Outcome::Defer, ..first.clone() },
        VerdictRow { observing: true, ..first.clone() },
        VerdictRow { rule: None, ..first.clone() },
        VerdictRow { nar_hash: Some(nar_hash(4)), ..first.clone() },
        VerdictRow { label: "other".into(), ..first.clone() },
        VerdictRow { reason: "other".into(), ..first.clone() },
        VerdictRow { heard: fewer, ..first.clone() },
        VerdictRow { name: None, ..first.clone() },
    ];
    let count = others.len() as u64;
    for (n, other) in (1..).zip(others) {
        judged(storage, vec![first.clone(), other]);
        assert_eq!(storage.last().unwrap().unwrap().0, 2 * n);
    }
    assert_eq!(storage.last().unwrap().unwrap().0, 2 * count);
}

fn a_filter_admits_what_it_names(storage: &mut dyn Storage) {
    judged(storage, (1..=6).map(|n| verdict(n, Outcome::Refuse, i64::from(n))).collect());
    let other = VerdictRow {
        label: "dissent".into(),
        outcome: Outcome::Endorse,
        heard: vec![crate::evidence::Heard { cache: "far".into(), word: crate::evidence::Word::NotFound }],
        ..verdict(7, Outcome::Endorse, 7)
    };
    judged(storage, vec![other]);
    let numbers = |storage: &mut dyn Storage, filter: Filter| -> Vec<u64> {
        all_verdicts(storage, &filter).iter().map(|row| row.number).collect()
    };
    let none = Filter::default;
    assert_eq!(numbers(storage, Filter { since: Some(at(5)), ..none() }), [7, 6, 5]);
    assert_eq!(numbers(storage, Filter { until: Some(at(3)), ..none() }), [2, 1]);
    assert_eq!(numbers(storage, Filter { path: Some(hash_part(4)), ..none() }), [4]);
    assert_eq!(numbers(storage, Filter { package: Some("*-3".into()), ..none() }), [3]);
    assert_eq!(numbers(storage, Filter { package: Some("".into()), ..none() }), [0; 0], "no pattern");
    assert_eq!(numbers(storage, Filter { cache: Some("far".into()), ..none() }), [7]);
    assert_eq!(numbers(storage, Filter { signer: Some("nixos".into()), ..none() }).len(), 6);
    assert_eq!(numbers(storage, Filter { reason: Some("dissent".into()), ..none() }), [7]);
    assert_eq!(numbers(storage, Filter { outcome: Some(Outcome::Endorse), ..none() }), [7]);
    let mut first = None;
    storage
        .verdicts(&none(), &mut |row| {
            assert_eq!(first.replace(row.number), None, "enough is enough");
            ControlFlow::Break(())
        })
        .unwrap();
    heard(storage, vec![claim(1, 1, "one", 0), claim(2, 1, "two", 1)]);
    let one = Filter { cache: Some("one".into()), ..none() };
    let found: Vec<ClaimRow> = rows(|each| storage.claims(&one, each).unwrap());
    assert_eq!(found.iter().map(|row| row.core.clone()).collect::<Vec<_>>(), [core(1, 1)]);
    for filter in [
        Filter { path: Some(hash_part(2)), ..none() },
        Filter { since: Some(at(1)), ..none() },
        Filter { package: Some("package-2".into()), ..none() },
    ] {
        let found: Vec<ClaimRow> = rows(|each| storage.claims(&filter, each).unwrap());
        assert_eq!(found.iter().map(|row| row.core.clone()).collect::<Vec<_>>(), [core(2, 1)], "{filter:?}");
    }
}

fn events_are_counted_and_the_last_seen_come_first(storage: &mut dyn Storage) {
    let again = EventRow { name: None, ..event(1, EventKind::Dissent, "", 9) };
    let events = vec![
        event(1, EventKind::Dissent, "", 0),
        event(2, EventKind::Gone, "one", 5),
        event(1, EventKind::Gone, "one", 4),
        again,
    ];
    storage.write(&Batch { events, ..Batch::default() }).unwrap();
    let all: Vec<EventRow> = rows(|each| storage.events(&Filter::default(), each).unwrap());
    let first = EventRow { first_seen: at(0), count: 2, ..event(1, EventKind::Dissent, "", 9) };
    assert_eq!(all, [first, event(2, EventKind::Gone, "one", 5), event(1, EventKind::Gone, "one", 4)]);
    let of = |filter: Filter, storage: &mut dyn Storage| {
        rows(|each| storage.events(&filter, each).unwrap())
            .iter()
            .map(|row: &EventRow| row.path)
            .collect::<Vec<_>>()
    };
    let gone = Filter { event: Some(EventKind::Gone), ..Filter::default() };
    assert_eq!(of(gone.clone(), storage), [hash_part(2), hash_part(1)]);
    assert_eq!(of(Filter { until: Some(at(5)), ..gone.clone() }, storage), [hash_part(1)]);
    assert_eq!(of(Filter { path: Some(hash_part(2)), ..gone.clone() }, storage), [hash_part(2)]);
    assert_eq!(of(Filter { cache: Some("two".into()), ..gone }, storage), []);
}

fn fates_are_counted_and_liars_are_named(storage: &mut dyn Storage) {
    let fates = vec![
        fate(1, "two", Fate::False, 0),
        fate(1, "one", Fate::Right, 1),
        fate(1, "one", Fate::Right, 2),
        fate(1, "one", Fate::BrokenOff, 1),
    ];
    storage.write(&Batch { fates, ..Batch::default() }).unwrap();
    let all: Vec<FateRow> = rows(|each| storage.fates(&Filter::default(), each).unwrap());
    let twice = FateRow { count: 2, ..fate(1, "one", Fate::Right, 2) };
    assert_eq!(all, [twice, fate(1, "one", Fate::BrokenOff, 1), fate(1, "two", Fate::False, 0)]);
    let filter = Filter { cache: Some("two".into()), ..Filter::default() };
    assert_eq!(rows(|each| storage.fates(&filter, each).unwrap()), [fate(1, "two", Fate::False, 0)]);
    assert_eq!(storage.liars().unwrap(), [Box::from("two")]);
}

fn a_head_is_signed_once_for_each_end(storage: &mut dyn Storage) {
    let sign = |storage: &mut dyn Storage| storage.seal(at(9), &|head| head.sign(&key(1))).unwrap();
    let begun = sign(storage).unwrap();
    assert_eq!((begun.head.serial, begun.head.number), (1, 0), "the first says that nothing is there yet");
    assert_eq!(sign(storage), None);
    judged(storage, vec![verdict(1, Outcome::Endorse, 0)]);
    let head = sign(storage).unwrap();
    assert_eq!((head.head.serial, head.head.number, head.head.at), (2, 1, at(9)));
    assert!(head.is_signed_by(&[public(1)]));
    assert_eq!(sign(storage), None, "it is covered");
    judged(storage, vec![verdict(2, Outcome::Endorse, 0)]);
    let second = sign(storage).unwrap();
    assert_eq!((second.head.serial, second.head.number), (3, 2));
    let report = verify(storage, &[public(1)], &[begun, head]).unwrap();
    assert!(report.is_sound() && report.confirmed == 2, "{report:?}");
    assert_eq!(storage.last_head().unwrap(), Some(second.to_string().into()));
}

fn the_newest_row_is_known_and_a_reset_clock_is_recorded(storage: &mut dyn Storage) {
    assert_eq!(storage.newest().unwrap(), None);
    heard(storage, vec![claim(1, 1, "one", 500)]);
    judged(storage, vec![verdict(1, Outcome::Endorse, 70), verdict(1, Outcome::Endorse, 71)]);
    assert_eq!(storage.newest().unwrap(), Some(at(500)));
    let batch = Batch { builds: vec![build(1, 1, 900)], ..Batch::default() };
    storage.write(&batch).unwrap();
    assert_eq!(storage.newest().unwrap(), Some(at(900)));
    assert_eq!(storage.reset_clock(at(100)).unwrap(), Some(at(900)));
    assert_eq!(storage.newest().unwrap(), Some(at(100)), "rows of the future do not count");
    let rows = all_verdicts(storage, &Filter { outcome: Some(Outcome::ClockReset), ..Filter::default() });
    assert_eq!((rows[0].number, rows[0].row.at), (2, at(100)));
    assert!(rows[0].row.reason.contains(&at(900).to_string()), "{}", rows[0].row.reason);
    assert_eq!(storage.earlier(hash_part(1)).unwrap().claims[0].last_seen, at(500), "they are left");
    judged(storage, vec![verdict(5, Outcome::Endorse, 101)]);
    assert_eq!(storage.newest().unwrap(), Some(at(101)));
}

fn pruned_verdicts_leave_a_checkpoint_and_carry_installed_paths(storage: &mut dyn Storage) {
    judged(storage, (1..=9).map(|n| verdict(n, Outcome::Endorse, i64::from(n))).collect());
    let sign = |head: crate::evidence::Head| head.sign(&key(1));
    let early = storage.seal(at(10), &sign).unwrap().unwrap();
    let oldest = storage.oldest(4).unwrap();
    assert_eq!(oldest.iter().map(|row| row.number).collect::<Vec<_>>(), [1, 2, 3, 4]);
    assert_eq!(storage.prune(4, &oldest[1..2], at(1000), &sign).unwrap(), 4);
    let rows = all_verdicts(storage, &Filter::default());
    assert_eq!(rows.iter().map(|row| row.number).collect::<Vec<_>>(), [10, 9, 8, 7, 6, 5]);
    assert_eq!(rows[0].row, verdict(2, Outcome::Endorse, 2), "with its own time");
    assert_eq!(rows[0].carried, Some(Carried { from: 2, at: at(1000) }));
    assert_eq!(rows[0].written(), at(1000));
    let again = storage.oldest(6).unwrap();
    storage.prune(9, &[], at(1001), &sign).unwrap();
    storage.prune(10, &again[5..], at(1002), &sign).unwrap();
    let rows = all_verdicts(storage, &Filter::default());
    assert_eq!(rows[0].carried, Some(Carried { from: 2, at: at(1002) }), "the first number that it had");
    storage.seal(at(1003), &sign).unwrap();
    let report = verify(storage, &[public(1)], &[early]).unwrap();
    assert!(report.is_sound(), "{report:?}");
    assert_eq!((report.pruned, report.pruned_since, report.rows), (Some(10), 1, 1));
    let mut checkpoints = 0;
    storage
        .chain(&mut |piece| {
            checkpoints += u32::from(matches!(piece, Piece::Checkpoint(_)));
            ControlFlow::Continue(())
        })
        .unwrap();
    assert_eq!(checkpoints, 1, "one for all that is gone");
}

fn the_last_verdict_is_never_pruned(storage: &mut dyn Storage) {
    let sign = |head: crate::evidence::Head| head.sign(&key(1));
    judged(storage, (1..=3).map(|n| verdict(n, Outcome::Endorse, i64::from(n))).collect());
    assert_eq!(storage.prune(3, &[], at(9), &sign).unwrap(), 2);
    assert_eq!(storage.prune(3, &[], at(9), &sign).unwrap(), 0);
    judged(storage, vec![verdict(4, Outcome::Endorse, 4)]);
    assert_eq!(storage.last().unwrap().unwrap().0, 4, "the numbers go on");
}

fn what_is_old_is_told_in_its_order_and_removed(storage: &mut dyn Storage) {
    heard(
        storage,
        vec![
            claim(1, 1, "one", 2 * DAY),
            claim(2, 1, "one", DAY),
            noise(3, 1, "one", 0),
            claim(4, 1, "one", 0),
            claim(4, 1, "two", 9 * DAY),
        ],
    );
    let old = |storage: &mut dyn Storage, kind, before, behind, limit| {
        let aged = storage.aged(kind, at(before), behind, limit).unwrap();
        (aged.iter().map(|aged| aged.path.clone().map(|path| path.hash_part())).collect::<Vec<_>>(), aged)
    };
    let (paths, aged) = old(storage, Kind::Claims, 9 * DAY, None, 3);
    assert_eq!(paths, [Some(hash_part(3)), Some(hash_part(4)), Some(hash_part(2))]);
    let (paths, _) = old(storage, Kind::Claims, 9 * DAY, Some(aged[2].key), 3);
    assert_eq!(paths, [Some(hash_part(1))], "behind the third");
    let (paths, _) = old(storage, Kind::Claims, DAY, None, 9);
    assert_eq!(paths.len(), 2, "those from before");
    let (paths, _) = old(storage, Kind::Noise, 99 * DAY, None, 9);
    assert_eq!(paths, [Some(hash_part(3))]);
    storage.remove(Kind::Claims, &[aged[0].key, aged[1].key]).unwrap();
    assert_eq!(storage.earlier(hash_part(3)).unwrap(), Earlier::default());
    assert_eq!(contents(&storage.earlier(hash_part(4)).unwrap()), [(1, "two")]);
    assert_eq!((storage.tally().unwrap().claims, storage.tally().unwrap().noise), (3, 0));
    heard(storage, vec![claim(3, 1, "one", 0)]);
    assert_eq!(storage.earlier(hash_part(3)).unwrap().claims.len(), 1, "what is gone may come again");

    let batch = Batch {
        events: vec![event(1, EventKind::Gone, "one", 0), event(2, EventKind::Gone, "one", 5)],
        fates: vec![fate(1, "one", Fate::False, 0), fate(2, "one", Fate::False, 5)],
        builds: vec![build(1, 1, 0), build(2, 1, 5)],
        ..Batch::default()
    };
    storage.write(&batch).unwrap();
    for kind in [Kind::Events, Kind::Fates, Kind::Builds] {
        let (paths, aged) = old(storage, kind, 5, None, 9);
        assert_eq!(paths, [(kind != Kind::Fates).then(|| hash_part(1))]);
        storage.remove(kind, &[aged[0].key]).unwrap();
        let (paths, aged) = old(storage, kind, 6, None, 9);
        assert_eq!((paths.len(), old(storage, kind, 6, Some(aged[0].key), 9).0.len()), (1, 0), "{kind:?}");
    }
}

fn a_tally_counts(storage: &mut dyn Storage) {
    heard(storage, vec![claim(1, 1, "one", 0), noise(2, 1, "one", 0), noise(2, 1, "one", 1)]);
    judged(storage, vec![verdict(1, Outcome::Endorse, 0), verdict(2, Outcome::Endorse, 0)]);
    let tally = storage.tally().unwrap();
    assert_eq!((tally.claims, tally.verdicts), (2, 2));
    assert!(tally.noise > 200 && tally.bytes > tally.noise, "{tally:?}");
    heard(storage, vec![claim(2, 1, "one", 2)]);
    assert_eq!(storage.tally().unwrap().noise, 0, "it is credible now");
}

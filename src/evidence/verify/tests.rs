//! Tampering with the file, as somebody does who has it and not the key.

use super::*;
use crate::evidence::tests::samples::{at, key, public, verdict, verdicts};
use crate::evidence::{Head, Outcome, Sqlite, Terms};
use rusqlite::Connection;
use tempfile::TempDir;

/// Twenty verdicts; heads after the fifth, the tenth and the fifteenth.
struct Ledger {
    dir: TempDir,
    heads: Vec<SignedHead>,
}

impl Ledger {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut storage = Sqlite::open(dir.path(), &Terms::default()).unwrap();
        let mut heads = Vec::new();
        for n in 1..=20 {
            storage.write(&verdicts(vec![verdict(n, Outcome::Refuse, i64::from(n))])).unwrap();
            if n % 5 == 0 && n < 20 {
                heads.extend(storage.seal(at(100 + i64::from(n)), &|head| head.sign(&key(1))).unwrap());
            }
        }
        Self { dir, heads }
    }

    fn storage(&self) -> Sqlite {
        Sqlite::open(self.dir.path(), &Terms::default()).unwrap()
    }

    fn sql(&self, sql: &str) {
        let database = Connection::open(self.dir.path().join("evidence.db")).unwrap();
        database.execute_batch(sql).unwrap();
    }

    fn check(&self, exported: &[SignedHead]) -> Report {
        verify(&mut self.storage(), &[public(9), public(1)], exported).unwrap()
    }

    /// After a change by SQL, what is wrong, in words.
    fn after(sql: &str) -> Vec<String> {
        let ledger = Self::new();
        ledger.sql(sql);
        told(&ledger.check(&[]))
    }

    /// Writes the chain anew from a verdict on, every hash right, after a change by SQL.
    fn rewrite(&self, sql: &str) {
        self.sql(sql);
        let mut rows = Vec::new();
        self.storage()
            .chain(&mut |piece| {
                if let Piece::Row(row) = piece {
                    rows.push(row);
                }
                ControlFlow::Continue(())
            })
            .unwrap();
        let (mut hash, mut number) = (ChainHash::START, 0);
        for row in rows {
            number += 1;
            hash = hash.next(number, row.carried, &row.row);
            let (was, hex) = (row.number, hash.to_string());
            self.sql(&format!("UPDATE verdicts SET number = {number}, hash = x'{hex}' WHERE number = {was}"));
        }
    }
}

fn told(report: &Report) -> Vec<String> {
    report.flaws.iter().map(ToString::to_string).collect()
}

fn changed(number: u64) -> String {
    let path = crate::evidence::tests::samples::path(u32::try_from(number).unwrap());
    let at = date(at(i64::try_from(number).unwrap()));
    format!("verdict {number} on {path} of {at} was changed or moved: its hash is of another one")
}

#[test]
fn what_was_written_is_sound() {
    let ledger = Ledger::new();
    let report = ledger.check(&ledger.heads);
    assert!(report.is_sound(), "{report:?}");
    assert_eq!((report.rows, report.last, report.covered, report.uncovered), (20, Some(20), Some(15), 5));
    assert_eq!((report.confirmed, report.pruned, report.pruned_since), (3, None, 0));
    let empty = tempfile::tempdir().unwrap();
    let mut storage = Sqlite::open(empty.path(), &Terms::default()).unwrap();
    assert_eq!(verify(&mut storage, &[], &[]).unwrap(), Report::default());
}

#[test]
fn a_field_that_was_changed_is_found_whichever_it_is() {
    for change in [
        "at = at + 1",
        "asked = x'0000000000000000000000000000000000000000'",
        "name = 'another'",
        "name = NULL",
        "outcome = 'endorse'",
        "observing = 1",
        "rule = ''",
        "rule = NULL",
        "nar_hash = x'0000000000000000000000000000000000000000000000000000000000000000'",
        "label = label || reason, reason = ''",
        "reason = 'none'",
        "heard = x'00000000'",
        "carried_from = 1, carried_at = 1",
    ] {
        let ledger = Ledger::new();
        ledger.sql(&format!("UPDATE verdicts SET {change} WHERE number = 7"));
        let report = ledger.check(&[]);
        assert!(matches!(&report.flaws[..], [Flaw::Changed(row)] if row.number == 7), "{change}: {report:?}");
    }
    assert_eq!(Ledger::after("UPDATE verdicts SET reason = 'none' WHERE number = 7"), [changed(7)]);
    let hash = "UPDATE verdicts SET hash = zeroblob(32) WHERE number = 7";
    let found = Ledger::after(hash);
    assert_eq!(found[..1], [changed(7)], "{found:?}");
}

#[test]
fn a_row_that_does_not_read_back_is_named() {
    for change in ["outcome = 'x'", "heard = x'01'", "observing = 2", "hash = x'00'", "carried_from = 1"] {
        let found = Ledger::after(&format!("UPDATE verdicts SET {change} WHERE number = 7"));
        assert!(
            found.len() == 1 && found[0].starts_with("verdict 7 does not read back"),
            "{change}: {found:?}"
        );
    }
}

#[test]
fn a_row_that_is_gone_is_named() {
    assert_eq!(Ledger::after("DELETE FROM verdicts WHERE number = 7"), ["verdict 7 is gone"]);
    let gone = "DELETE FROM verdicts WHERE number BETWEEN 1 AND 3";
    assert_eq!(Ledger::after(gone), ["verdicts 1 to 3 are gone"]);
}

#[test]
fn rows_that_changed_places_are_named() {
    let swap = "UPDATE verdicts SET number = -1 WHERE number = 7; UPDATE verdicts SET number = 7 WHERE number = 8; \
                UPDATE verdicts SET number = 8 WHERE number = -1";
    let numbers: Vec<String> = Ledger::after(swap).iter().map(|told| told[..9].to_owned()).collect();
    assert_eq!(numbers, ["verdict 7", "verdict 8", "verdict 9"]);
}

#[test]
fn a_row_that_was_put_in_is_named() {
    let insert = "UPDATE verdicts SET number = -number WHERE number >= 7; \
                  UPDATE verdicts SET number = 1 - number WHERE number < 0; \
                  INSERT INTO verdicts SELECT 7, hash, NULL, NULL, at, asked, name, outcome, observing, rule, nar_hash, \
                  label, reason, heard FROM verdicts WHERE number = 8";
    let found = Ledger::after(insert);
    assert!(found[0].starts_with("verdict 8 "), "behind its copy the seventh: {found:?}");
    let renumbered = "DELETE FROM verdicts WHERE number = 7; \
                      UPDATE verdicts SET number = -number WHERE number > 7; \
                      UPDATE verdicts SET number = -number - 1 WHERE number < 0";
    let found = Ledger::after(renumbered);
    assert!(found[0].starts_with("verdict 7 "), "{found:?}");
}

#[test]
fn rewritten_hashes_do_not_lead_to_the_next_head() {
    let ledger = Ledger::new();
    ledger.rewrite("UPDATE verdicts SET reason = 'none' WHERE number = 7");
    let report = ledger.check(&[]);
    let named: Vec<_> = report
        .flaws
        .iter()
        .map(|flaw| match flaw {
            Flaw::Rewritten { from, to, exported: false, .. } => (*from, to.number),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(named, [(6, 10), (6, 15)], "between the last head that holds and the first that does not");
    assert_eq!(report.covered, Some(5));
    assert!(told(&report)[0].contains("something from verdict 6 on was rewritten"));
    ledger.rewrite("DELETE FROM verdicts WHERE number = 3");
    assert!(matches!(ledger.check(&[]).flaws[0], Flaw::Rewritten { from: 1, .. }));
}

#[test]
fn behind_the_last_head_only_an_exported_one_tells() {
    let ledger = Ledger::new();
    let exported = ledger.storage().seal(at(200), &|head| head.sign(&key(1))).unwrap().unwrap();
    ledger
        .rewrite("UPDATE verdicts SET reason = 'none' WHERE number = 18; DELETE FROM heads WHERE serial = 4");
    assert!(ledger.check(&ledger.heads).is_sound(), "within the file nothing tells");
    let report = ledger.check(std::slice::from_ref(&exported));
    assert_eq!(report.flaws[0], Flaw::HeadNotKept { serial: 4 });
    assert!(matches!(report.flaws[1], Flaw::Rewritten { from: 16, exported: true, .. }), "{report:?}");
}

#[test]
fn an_end_that_was_cut_off_is_found() {
    let cut = "DELETE FROM verdicts WHERE number > 12";
    let signed = date(at(115));
    let gone = format!("verdict 15, for which the head of {signed} was signed, is gone");
    assert_eq!(Ledger::after(cut), [gone]);
    let ledger = Ledger::new();
    ledger.sql(&format!("{cut}; DELETE FROM heads WHERE serial = 3"));
    assert!(ledger.check(&[]).is_sound(), "within the file nothing tells");
    let found = told(&ledger.check(&ledger.heads));
    let gone = format!("verdict 15, for which the exported head of {signed} was signed, is gone");
    assert_eq!(found, ["head 3 was exported, and is not kept here as it was".to_owned(), gone]);
}

#[test]
fn a_ledger_that_was_begun_anew_is_betrayed_by_an_exported_head() {
    let ledger = Ledger::new();
    let other = tempfile::tempdir().unwrap();
    let mut storage = Sqlite::open(other.path(), &Terms::default()).unwrap();
    storage.write(&verdicts((1..=20).map(|n| verdict(n + 1, Outcome::Refuse, 0)).collect())).unwrap();
    storage.seal(at(0), &|head| head.sign(&key(1))).unwrap();
    let report = verify(&mut storage, &[public(1)], &ledger.heads[..1]).unwrap();
    assert_eq!(report.flaws[0], Flaw::HeadNotKept { serial: 1 });
    assert!(matches!(report.flaws[1], Flaw::Rewritten { to: Named { number: 5, .. }, exported: true, .. }));
}

#[test]
fn heads_that_are_gone_forged_or_foreign_are_named() {
    assert_eq!(Ledger::after("DELETE FROM heads WHERE serial = 2"), ["head 2 is gone"]);
    assert_eq!(Ledger::after("DELETE FROM heads WHERE serial < 3"), ["heads 1 to 2 are gone"]);
    let none = "there are verdicts and no signed head: every head was removed";
    assert_eq!(Ledger::after("DELETE FROM heads"), [none]);
    let spoilt = "UPDATE heads SET text = replace(text, ';10;', ';11;') WHERE serial = 2";
    assert_eq!(Ledger::after(spoilt), ["head 2 does not hold: no key of this machine signed it"]);
    let text = "UPDATE heads SET text = 'countersign-head' WHERE serial = 2";
    let found = Ledger::after(text);
    assert!(found[0].starts_with("head 2 does not hold: not of the form"), "{found:?}");
    let copied = "UPDATE heads SET text = (SELECT text FROM heads WHERE serial = 1) WHERE serial = 2";
    assert_eq!(Ledger::after(copied), ["head 2 does not hold: it is another head"]);

    let ledger = Ledger::new();
    let foreign = Head { hash: ChainHash::START, ..ledger.heads[1].head }.sign(&key(2));
    ledger.sql(&format!("UPDATE heads SET text = '{foreign}' WHERE serial = 2"));
    assert_eq!(
        told(&ledger.check(std::slice::from_ref(&foreign))),
        [
            "head 2 does not hold: no key of this machine signed it",
            "the exported head 2 was signed by no key of this machine"
        ]
    );
    let checkpoint = Head { kind: SealKind::Checkpoint, ..ledger.heads[1].head }.sign(&key(1));
    let report = Ledger::new().check(&[checkpoint]);
    assert!(matches!(report.flaws[..], [Flaw::ForeignExport { .. }]), "a checkpoint is no head: {report:?}");
}

#[test]
fn only_a_signed_checkpoint_explains_rows_that_are_gone() {
    let ledger = Ledger::new();
    let mut storage = ledger.storage();
    storage.prune(7, &[], at(300), &|head| head.sign(&key(1))).unwrap();
    drop(storage);
    let report = ledger.check(&ledger.heads);
    assert!(report.is_sound(), "{report:?}");
    assert_eq!((report.pruned, report.pruned_since, report.confirmed), (Some(7), 1, 2));
    assert_eq!((report.covered, report.uncovered), (Some(15), 5));

    ledger.sql("DELETE FROM verdicts WHERE number = 8");
    assert_eq!(told(&ledger.check(&[])), ["verdict 8 is gone"], "what is gone besides");
    let text = "UPDATE checkpoint SET text = replace(text, ';0;7;', ';0;8;')";
    ledger.sql(text);
    let found = told(&ledger.check(&[]));
    let forged = "the checkpoint does not hold: no key of this machine signed it";
    assert_eq!(found[..2], [forged, "verdicts 1 to 8 are gone"]);
    ledger.sql("DELETE FROM checkpoint");
    assert_eq!(told(&ledger.check(&[]))[0], "verdicts 1 to 8 are gone");
    let head = &ledger.heads[1];
    ledger.sql(&format!("INSERT INTO checkpoint VALUES (1, '{head}')"));
    assert_eq!(told(&ledger.check(&[]))[0], "the checkpoint does not hold: it is of another kind");
}

#[test]
fn a_row_behind_a_checkpoint_is_chained_to_what_is_gone() {
    let ledger = Ledger::new();
    let mut storage = ledger.storage();
    storage.prune(7, &[], at(300), &|head| head.sign(&key(1))).unwrap();
    drop(storage);
    ledger.sql("UPDATE verdicts SET reason = 'none' WHERE number = 8");
    assert_eq!(told(&ledger.check(&[])), [changed(8)]);
}

#[test]
fn what_is_told_is_escaped_and_bounded() {
    let mark = "UPDATE verdicts SET name = 'a' || char(27) || '[2J' || char(10) WHERE number = 7";
    let found = Ledger::after(mark);
    assert!(found[0].contains(r"a\u{1b}[2J\n"), "{found:?}");
    let mut check = Check::default();
    (0..Report::MOST + 5).for_each(|_| check.flaw(Flaw::NoHead));
    assert_eq!((check.report.flaws.len(), check.report.more), (Report::MOST, 5));
}

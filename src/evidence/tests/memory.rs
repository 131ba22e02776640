//! A storage in memory, as plain as can be: what the contract says, without a database.

use crate::evidence::sieve::Sieve;
use crate::evidence::{
    Aged, Batch, BuildRow, Carried, ChainHash, Chained, ClaimRow, ClaimSeen, Each, Earlier, EventRow, Fate,
    FateRow, Filter, Head, Kind, Outcome, Piece, SealKind, Sign, SignedHead, Storage, StorageError, Tally,
    VerdictRow, codec,
};
use crate::format::HashPart;
use crate::trust::Timestamp;
use std::ops::ControlFlow;

type Result<T> = std::result::Result<T, StorageError>;

#[derive(Debug, Default)]
pub(super) struct Memory {
    limit: u64,
    claims: Vec<(i64, ClaimRow)>,
    verdicts: Vec<Chained>,
    heads: Vec<SignedHead>,
    checkpoint: Option<SignedHead>,
    events: Vec<(i64, EventRow)>,
    fates: Vec<(i64, FateRow)>,
    builds: Vec<(i64, BuildRow)>,
    newest: Option<Timestamp>,
    next: i64,
}

impl Memory {
    pub(super) fn new(limit: u64) -> Self {
        Self { limit, ..Self::default() }
    }

    fn number(&mut self) -> i64 {
        self.next += 1;
        self.next
    }

    fn saw(&mut self, at: Timestamp) {
        self.newest = self.newest.max(Some(at));
    }

    fn claim(&mut self, seen: &ClaimSeen) {
        self.saw(seen.at);
        let ClaimSeen { cache, core, signatures, deriver, content_address, is_credible, at } = seen.clone();
        let known = self.claims.iter_mut().find(|(_, row)| row.cache == cache && row.core == core);
        if let Some((_, row)) = known {
            if is_credible || row.credible_at.is_none() {
                (row.signatures, row.deriver, row.content_address) = (signatures, deriver, content_address);
            }
            if is_credible {
                row.credible_at = row.credible_at.max(Some(at));
            }
            row.last_seen = row.last_seen.max(at);
            row.count += 1;
        } else {
            let (number, credible_at) = (self.number(), is_credible.then_some(at));
            let (first_seen, last_seen, count) = (at, at, 1);
            let row = ClaimRow {
                cache,
                core,
                signatures,
                deriver,
                content_address,
                first_seen,
                last_seen,
                credible_at,
                count,
            };
            self.claims.push((number, row));
        }
        let most = if is_credible { 32 } else { 8 };
        let of = |row: &ClaimRow| {
            row.cache == seen.cache
                && row.core.store_path == seen.core.store_path
                && row.credible_at.is_some() == is_credible
        };
        while self.claims.iter().filter(|(_, row)| of(row)).count() > most {
            let crowd = self.claims.iter().filter(|(_, row)| of(row));
            let oldest = crowd.min_by_key(|(number, row)| (row.last_seen, *number)).unwrap().0;
            self.claims.retain(|(number, _)| *number != oldest);
        }
    }

    fn tail(&self) -> (u64, ChainHash) {
        let pruned = self.checkpoint.as_ref().map(|seal| (seal.head.number, seal.head.hash));
        self.verdicts.last().map(|row| (row.number, row.hash)).or(pruned).unwrap_or((0, ChainHash::START))
    }

    fn append(&mut self, carried: Option<Carried>, row: VerdictRow) {
        let (number, hash) = self.tail();
        let hash = hash.next(number + 1, carried, &row);
        self.verdicts.push(Chained { number: number + 1, hash, carried, row });
    }

    fn noise(&self) -> u64 {
        self.claims.iter().filter(|(_, row)| row.credible_at.is_none()).map(|(_, row)| weight(row)).sum()
    }

    fn ages(&self, kind: Kind) -> Vec<(Aged, Timestamp)> {
        let of = |row: &ClaimRow| kind == Kind::Claims || row.credible_at.is_none();
        let aged = |key, path| Aged { key, path };
        let day = |at: Timestamp| at.seconds().div_euclid(86_400);
        match kind {
            Kind::Claims | Kind::Noise => {
                let claims = self.claims.iter().filter(|(_, row)| of(row));
                let last = |row: &ClaimRow| Timestamp::from_seconds(day(row.last_seen) * 86_400 + 86_399);
                let path = |row: &ClaimRow| Some(row.core.store_path.clone());
                claims.map(|(n, row)| (aged([day(row.last_seen), *n, 0], path(row)), last(row))).collect()
            }
            Kind::Events => {
                let path = |row: &EventRow| {
                    crate::format::StorePath::from_parts(row.path, row.name.as_deref()?).ok()
                };
                self.events.iter().map(|(n, row)| (aged([*n, 0, 0], path(row)), row.last_seen)).collect()
            }
            Kind::Fates => self.fates.iter().map(|(n, row)| (aged([*n, 0, 0], None), row.at)).collect(),
            Kind::Builds => {
                let path = |row: &BuildRow| Some(row.path.clone());
                self.builds.iter().map(|(n, row)| (aged([*n, 0, 0], path(row)), row.at)).collect()
            }
        }
    }
}

impl Storage for Memory {
    fn write(&mut self, batch: &Batch) -> Result<()> {
        batch.claims.iter().for_each(|seen| self.claim(seen));
        for row in &batch.verdicts {
            self.saw(row.at);
            let last = self.verdicts.iter().rev().find(|last| last.row.asked == row.asked);
            let is_repeat = row.asked.is_some()
                && last.is_some_and(|last| {
                    let age = row.at.seconds() - last.row.at.seconds();
                    (0..86_400).contains(&age) && VerdictRow { at: row.at, ..last.row.clone() } == *row
                });
            if !is_repeat {
                self.append(None, row.clone());
            }
        }
        for row in &batch.events {
            self.saw(row.last_seen);
            let is_same =
                |was: &EventRow| (was.kind, was.path, &was.party) == (row.kind, row.path, &row.party);
            match self.events.iter_mut().find(|(_, was)| is_same(was)) {
                Some((_, was)) => {
                    *was = EventRow {
                        name: row.name.clone().or_else(|| was.name.clone()),
                        first_seen: was.first_seen.min(row.first_seen),
                        last_seen: was.last_seen.max(row.last_seen),
                        count: was.count + row.count,
                        ..row.clone()
                    }
                }
                None => {
                    let number = self.number();
                    self.events.push((number, row.clone()));
                }
            }
        }
        for row in &batch.fates {
            self.saw(row.at);
            let is_same =
                |was: &FateRow| (was.nar_hash, &was.cache, was.fate) == (row.nar_hash, &row.cache, row.fate);
            match self.fates.iter_mut().find(|(_, was)| is_same(was)) {
                Some((_, was)) => (was.at, was.count) = (was.at.max(row.at), was.count + row.count),
                None => {
                    let number = self.number();
                    self.fates.push((number, row.clone()));
                }
            }
        }
        for row in &batch.builds {
            self.saw(row.at);
            let is_same = |was: &BuildRow| BuildRow { at: row.at, ..was.clone() } == *row;
            match self.builds.iter_mut().find(|(_, was)| is_same(was)) {
                Some((_, was)) => was.at = was.at.max(row.at),
                None => {
                    let number = self.number();
                    self.builds.push((number, row.clone()));
                }
            }
            while self.builds.iter().filter(|(_, was)| was.path == row.path).count() > 32 {
                let mine = self.builds.iter().filter(|(_, was)| was.path == row.path);
                let oldest = mine.min_by_key(|(number, row)| (row.at, *number)).unwrap().0;
                self.builds.retain(|(number, _)| *number != oldest);
            }
        }
        while self.noise() > self.limit / 16 {
            let oldest = self.ages(Kind::Noise).into_iter().map(|(aged, _)| aged.key).min().unwrap();
            self.claims.retain(|(number, _)| *number != oldest[1]);
        }
        Ok(())
    }

    fn earlier(&mut self, path: HashPart) -> Result<Earlier> {
        let of = |row: &ClaimRow| row.core.store_path.hash_part() == path;
        let mut claims: Vec<_> =
            self.claims.iter().map(|(_, row)| row).filter(|row| of(row)).cloned().collect();
        claims.sort_by_key(|row| std::cmp::Reverse(row.last_seen));
        let mut builds: Vec<_> =
            self.builds.iter().filter(|(_, row)| row.path.hash_part() == path).cloned().collect();
        builds.sort_by_key(|(number, row)| std::cmp::Reverse((row.at, *number)));
        Ok(Earlier { claims, builds: builds.into_iter().map(|(_, row)| row).collect() })
    }

    fn verdicts(&mut self, filter: &Filter, each: Each<'_, Chained>) -> Result<()> {
        let sieve = Sieve::new(filter);
        hand(self.verdicts.iter().rev().filter(|row| sieve.admits_verdict(&row.row)), each)
    }

    fn claims(&mut self, filter: &Filter, each: Each<'_, ClaimRow>) -> Result<()> {
        let sieve = Sieve::new(filter);
        let mut rows: Vec<&ClaimRow> = self.claims.iter().map(|(_, row)| row).collect();
        rows.sort_by_key(|row| *row.core.store_path.hash_part().digest());
        hand(rows.into_iter().filter(|row| sieve.admits_claim(row)), each)
    }

    fn events(&mut self, filter: &Filter, each: Each<'_, EventRow>) -> Result<()> {
        let sieve = Sieve::new(filter);
        let mut rows: Vec<_> = self.events.iter().filter(|(_, row)| sieve.admits_event(row)).collect();
        rows.sort_by_key(|(number, row)| std::cmp::Reverse((row.last_seen, *number)));
        hand(rows.into_iter().map(|(_, row)| row), each)
    }

    fn fates(&mut self, filter: &Filter, each: Each<'_, FateRow>) -> Result<()> {
        let sieve = Sieve::new(filter);
        let of = |row: &FateRow| {
            sieve.admits_time(row.at) && filter.cache.as_ref().is_none_or(|cache| *cache == row.cache)
        };
        let mut rows: Vec<_> = self.fates.iter().filter(|(_, row)| of(row)).collect();
        rows.sort_by_key(|(number, row)| std::cmp::Reverse((row.at, *number)));
        hand(rows.into_iter().map(|(_, row)| row), each)
    }

    fn builds(&mut self, filter: &Filter, each: Each<'_, BuildRow>) -> Result<()> {
        let sieve = Sieve::new(filter);
        let of = |row: &BuildRow| {
            sieve.admits_time(row.at)
                && sieve.admits_package(Some(row.path.name()))
                && filter.path.is_none_or(|path| path == row.path.hash_part())
        };
        let mut rows: Vec<_> = self.builds.iter().filter(|(_, row)| of(row)).collect();
        rows.sort_by_key(|(number, row)| std::cmp::Reverse((row.at, *number)));
        hand(rows.into_iter().map(|(_, row)| row), each)
    }

    fn chain(&mut self, each: Each<'_, Piece>) -> Result<()> {
        let checkpoint = self.checkpoint.iter().map(|seal| Piece::Checkpoint(seal.to_string().into()));
        let heads = self
            .heads
            .iter()
            .map(|seal| Piece::Head { serial: seal.head.serial, text: seal.to_string().into() });
        let rows = self.verdicts.iter().cloned().map(Piece::Row);
        let pieces: Vec<Piece> = checkpoint.chain(heads).chain(rows).collect();
        hand(pieces.iter(), each)
    }

    fn last(&mut self) -> Result<Option<(u64, ChainHash)>> {
        let tail = self.tail();
        Ok((tail.0 > 0).then_some(tail))
    }

    fn last_head(&mut self) -> Result<Option<Box<str>>> {
        Ok(self.heads.last().map(|seal| seal.to_string().into()))
    }

    fn seal(&mut self, now: Timestamp, sign: Sign<'_>) -> Result<Option<SignedHead>> {
        let (number, hash) = self.tail();
        let covered = self.heads.last().map(|seal| (seal.head.number, seal.head.hash));
        if covered == Some((number, hash)) {
            return Ok(None);
        }
        let serial = self.heads.last().map_or(0, |seal| seal.head.serial) + 1;
        self.heads.push(sign(Head { kind: SealKind::Head, serial, number, hash, at: now }));
        Ok(self.heads.last().cloned())
    }

    fn newest(&mut self) -> Result<Option<Timestamp>> {
        Ok(self.newest)
    }

    fn reset_clock(&mut self, now: Timestamp) -> Result<Option<Timestamp>> {
        let from = self.newest;
        let row = VerdictRow {
            at: now,
            asked: None,
            name: None,
            outcome: Outcome::ClockReset,
            observing: false,
            rule: None,
            nar_hash: None,
            label: "clock-reset".into(),
            reason: format!("from {}", from.unwrap_or_default()).into(),
            heard: Vec::new(),
        };
        self.append(None, row);
        self.newest = Some(now);
        Ok(from)
    }

    fn liars(&mut self) -> Result<Vec<Box<str>>> {
        let rows = self.fates.iter().filter(|(_, row)| row.fate == Fate::False);
        let mut liars: Vec<_> = rows.map(|(_, row)| row.cache.clone()).collect();
        liars.sort();
        liars.dedup();
        Ok(liars)
    }

    fn tally(&mut self) -> Result<Tally> {
        let all: u64 = self.claims.iter().map(|(_, row)| weight(row)).sum();
        Ok(Tally {
            bytes: all + 1,
            verdicts: self.verdicts.len() as u64,
            claims: self.claims.len() as u64,
            noise: self.noise(),
        })
    }

    fn oldest(&mut self, limit: usize) -> Result<Vec<Chained>> {
        Ok(self.verdicts.iter().take(limit).cloned().collect())
    }

    fn prune(&mut self, through: u64, carry: &[Chained], now: Timestamp, sign: Sign<'_>) -> Result<u64> {
        for row in carry {
            let from = row.carried.map_or(row.number, |carried| carried.from);
            self.append(Some(Carried { from, at: now }), row.row.clone());
        }
        let through = through.min(self.tail().0 - 1);
        let Some(last) = self.verdicts.iter().find(|row| row.number == through) else { return Ok(0) };
        let (number, hash) = (last.number, last.hash);
        self.checkpoint = Some(sign(Head { kind: SealKind::Checkpoint, serial: 0, number, hash, at: now }));
        let had = self.verdicts.len();
        self.verdicts.retain(|row| row.number > through);
        Ok((had - self.verdicts.len()) as u64)
    }

    fn aged(
        &mut self,
        kind: Kind,
        before: Timestamp,
        behind: Option<[i64; 3]>,
        limit: usize,
    ) -> Result<Vec<Aged>> {
        let mut rows = self.ages(kind);
        rows.retain(|(aged, at)| *at < before && behind.is_none_or(|behind| aged.key > behind));
        rows.sort_by_key(|(aged, _)| aged.key);
        Ok(rows.into_iter().map(|(aged, _)| aged).take(limit).collect())
    }

    fn remove(&mut self, kind: Kind, keys: &[[i64; 3]]) -> Result<()> {
        let is_claim = |number: i64| keys.iter().any(|key| key[1] == number);
        let goes = |number: i64| keys.iter().any(|key| key[0] == number);
        match kind {
            Kind::Claims | Kind::Noise => self.claims.retain(|(number, _)| !is_claim(*number)),
            Kind::Events => self.events.retain(|(number, _)| !goes(*number)),
            Kind::Fates => self.fates.retain(|(number, _)| !goes(*number)),
            Kind::Builds => self.builds.retain(|(number, _)| !goes(*number)),
        }
        Ok(())
    }
}

/// The bytes that a claim takes, about.
fn weight(row: &ClaimRow) -> u64 {
    let mut bytes = Vec::new();
    codec::put_references(&mut bytes, &row.core.references);
    codec::put_signatures(&mut bytes, &row.signatures);
    (bytes.len() + row.core.store_path.name().len() + 220) as u64
}

fn hand<'a, T: Clone + 'a>(rows: impl Iterator<Item = &'a T>, each: Each<'_, T>) -> Result<()> {
    for row in rows {
        if let ControlFlow::Break(()) = each(row.clone()) {
            break;
        }
    }
    Ok(())
}

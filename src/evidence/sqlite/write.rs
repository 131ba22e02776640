//! Writing: a batch, a head, and the reset of the clock.

use super::{Terms, read};
use crate::evidence::{
    Batch, BuildRow, Carried, Chained, ClaimSeen, EventRow, FateRow, Head, Outcome, SealKind, Sign,
    SignedHead, VerdictRow, codec,
};
use crate::format::Core;
use crate::trust::Timestamp;
use rusqlite::{Connection, OptionalExtension, Transaction, params};
use std::collections::HashMap;
use std::sync::Arc;

/// What a batch does to the tally.
#[derive(Debug, Default)]
pub(super) struct Change {
    pub(super) claims: i64,
    pub(super) noise: i64,
    pub(super) newest: Option<Timestamp>,
}

impl Change {
    fn saw(&mut self, at: Timestamp) {
        self.newest = self.newest.max(Some(at));
    }

    /// Applies it. Returns the bytes that noise takes now.
    pub(super) fn apply(self, database: &Connection) -> rusqlite::Result<i64> {
        let sql = "UPDATE tally SET newest = CASE WHEN newest IS NULL OR ?1 > newest THEN coalesce(?1, newest) ELSE newest END, \
                   claims = claims + ?2, noise = max(0, noise + ?3) RETURNING noise";
        let given = params![self.newest.map(Timestamp::seconds), self.claims, self.noise];
        // Without its row, which somebody removed, nothing is counted.
        Ok(database.prepare_cached(sql)?.query_row(given, |row| row.get(0)).optional()?.unwrap_or(0))
    }
}

pub(super) fn batch(
    transaction: &Transaction<'_>,
    caches: &mut HashMap<Box<str>, i64>,
    terms: &Terms,
    batch: &Batch,
) -> rusqlite::Result<()> {
    let Batch { claims, verdicts, events, fates, builds } = batch;
    let mut change = Change::default();
    let mut writer = Claims {
        database: transaction,
        last: None,
        written: Vec::new(),
        refs: Vec::new(),
        change: &mut change,
    };
    for seen in claims {
        writer.write(seen, cache(transaction, caches, &seen.cache)?)?;
    }
    append(transaction, verdicts, &mut change)?;
    for row in events {
        change.saw(row.last_seen);
        event(transaction, row)?;
    }
    for row in fates {
        change.saw(row.at);
        fate(transaction, row, cache(transaction, caches, &row.cache)?)?;
    }
    for row in builds {
        change.saw(row.at);
        build(transaction, row)?;
    }
    let noise = change.apply(transaction)?;
    let most = i64::try_from(terms.limit / NOISE_SHARE).unwrap_or(i64::MAX);
    if noise > most { shed(transaction, noise.saturating_sub(most)) } else { Ok(()) }
}

/// Makes room among noise, the oldest first.
fn shed(database: &Transaction<'_>, bytes: i64) -> rusqlite::Result<()> {
    let sql =
        "SELECT day, core, cache, weight FROM claims WHERE credible_at IS NULL ORDER BY day, core, cache";
    let mut statement = database.prepare_cached(sql)?;
    let mut rows = statement.query([])?;
    let (mut keys, mut shed) = (Vec::new(), 0_i64);
    while shed < bytes {
        let Some(row) = rows.next()? else { break };
        keys.push([row.get(0)?, row.get(1)?, row.get(2)?]);
        shed = shed.saturating_add(row.get::<_, i64>(3)?);
    }
    drop(rows);
    super::prune::remove(database, crate::evidence::Kind::Noise, &keys)
}

/// The number of a cache.
fn cache(database: &Connection, caches: &mut HashMap<Box<str>, i64>, name: &str) -> rusqlite::Result<i64> {
    if let Some(id) = caches.get(name) {
        return Ok(*id);
    }
    database
        .prepare_cached("INSERT INTO caches (name) VALUES (?) ON CONFLICT DO NOTHING")?
        .execute([name])?;
    let id = database
        .prepare_cached("SELECT id FROM caches WHERE name = ?")?
        .query_row([name], |row| row.get(0))?;
    caches.insert(name.into(), id);
    Ok(id)
}

/// Claims of one batch. Several caches often claim the same core, one after the other.
struct Claims<'a> {
    database: &'a Connection,
    last: Option<(Arc<Core>, Place)>,
    /// The caches whose claim of it was written since.
    written: Vec<i64>,
    /// References as they are stored, of the last core that was looked up.
    refs: Vec<u8>,
    change: &'a mut Change,
}

/// Where a core is.
#[derive(Clone, Copy)]
struct Place {
    id: i64,
    /// The bytes of its row, about.
    weight: i64,
    /// Nothing was claimed of it before this batch.
    is_new: bool,
    /// Other cores of its path are kept.
    has_others: bool,
}

impl Claims<'_> {
    fn write(&mut self, seen: &ClaimSeen, cache: i64) -> rusqlite::Result<()> {
        self.change.saw(seen.at);
        let place = match &self.last {
            Some((core, place)) if *core == seen.core => *place,
            _ => {
                let place = self.place(&seen.core)?;
                self.last = Some((Arc::clone(&seen.core), place));
                self.written.clear();
                place
            }
        };
        let mut signatures = Vec::with_capacity(seen.signatures.len().saturating_mul(96));
        codec::put_signatures(&mut signatures, &seen.signatures);
        let weight = i64::try_from(signatures.len()).unwrap_or(i64::MAX).saturating_add(place.weight);
        let known = self.known(place, cache)?;
        self.written.push(cache);
        let deriver = seen.deriver.as_ref().map(|path| {
            let mut bytes = Vec::with_capacity(96);
            codec::put_path(&mut bytes, path);
            bytes
        });
        let address = seen.content_address.as_ref().map(ToString::to_string);
        let (at, day) = (seen.at.seconds(), day(seen.at));
        let Some(known) = known else {
            let sql = "INSERT INTO claims (core, cache, day, first_seen, last_seen, credible_at, count, weight, \
                       signatures, deriver, address) VALUES (?1, ?2, ?3, ?4, ?4, ?5, 1, ?6, ?7, ?8, ?9)";
            let credible_at = seen.is_credible.then_some(at);
            let given = params![place.id, cache, day, at, credible_at, weight, signatures, deriver, address];
            self.database.prepare_cached(sql)?.execute(given)?;
            self.change.claims = self.change.claims.saturating_add(1);
            if !seen.is_credible {
                self.change.noise = self.change.noise.saturating_add(weight);
            }
            return if place.has_others { self.crowd_out(seen, cache) } else { Ok(()) };
        };
        // What was credible once keeps the signatures by which it was.
        let replaces = seen.is_credible || known.credible_at.is_none();
        let kept = if replaces { weight } else { known.weight };
        let last_seen = known.last_seen.max(at);
        let credible_at = if seen.is_credible { known.credible_at.max(Some(at)) } else { known.credible_at };
        // Without the day, which seldom changes, the index of days is left alone.
        let sql = if day > known.day {
            "UPDATE claims SET last_seen = ?3, credible_at = ?4, count = count + 1, weight = ?5, \
             signatures = CASE WHEN ?6 THEN ?7 ELSE signatures END, deriver = CASE WHEN ?6 THEN ?8 ELSE deriver END, \
             address = CASE WHEN ?6 THEN ?9 ELSE address END, day = ?10 WHERE core = ?1 AND cache = ?2"
        } else {
            "UPDATE claims SET last_seen = ?3, credible_at = ?4, count = count + 1, weight = ?5, \
             signatures = CASE WHEN ?6 THEN ?7 ELSE signatures END, deriver = CASE WHEN ?6 THEN ?8 ELSE deriver END, \
             address = CASE WHEN ?6 THEN ?9 ELSE address END WHERE core = ?1 AND cache = ?2 AND ?10 >= 0"
        };
        let given = params![
            place.id,
            cache,
            last_seen,
            credible_at,
            kept,
            replaces,
            signatures,
            deriver,
            address,
            day.max(0)
        ];
        self.database.prepare_cached(sql)?.execute(given)?;
        let was = if known.credible_at.is_none() { known.weight } else { 0 };
        let is = if credible_at.is_none() { kept } else { 0 };
        self.change.noise = self.change.noise.saturating_add(is.saturating_sub(was));
        if known.credible_at.is_none() && seen.is_credible && place.has_others {
            self.crowd_out(seen, cache)?;
        }
        Ok(())
    }

    /// Finds a core or adds it.
    fn place(&mut self, core: &Core) -> rusqlite::Result<Place> {
        let Core { store_path, nar_hash, nar_size, references } = core;
        self.refs.clear();
        codec::put_references(&mut self.refs, references);
        let bytes = self.refs.len().saturating_add(store_path.name().len()).saturating_add(ROW);
        let weight = i64::try_from(bytes).unwrap_or(i64::MAX);
        let sql = "SELECT id, nar_hash, nar_size, name, refs FROM cores WHERE path = ?";
        let mut statement = self.database.prepare_cached(sql)?;
        let mut rows = statement.query([store_path.hash_part().digest()])?;
        let (mut found, mut others) = (None, false);
        while let Some(row) = rows.next()? {
            // Compared where it lies: nothing is read back that is not needed.
            let is_same = row.get_ref(1)?.as_blob()? == nar_hash.digest()
                && u64::try_from(row.get_ref(2)?.as_i64()?).ok() == Some(*nar_size)
                && row.get_ref(3)?.as_bytes()? == store_path.name().as_bytes()
                && row.get_ref(4)?.as_blob()? == self.refs;
            if is_same {
                found = Some(row.get(0)?);
            } else {
                others = true;
            }
        }
        drop(rows);
        if let Some(id) = found {
            return Ok(Place { id, weight, is_new: false, has_others: others });
        }
        let sql = "INSERT INTO cores (path, name, nar_hash, nar_size, refs) VALUES (?, ?, ?, ?, ?)";
        let path = store_path.hash_part();
        let given = params![path.digest(), store_path.name(), nar_hash.digest(), nar_size, self.refs];
        self.database.prepare_cached(sql)?.execute(given)?;
        Ok(Place { id: self.database.last_insert_rowid(), weight, is_new: true, has_others: others })
    }

    fn known(&self, place: Place, cache: i64) -> rusqlite::Result<Option<Known>> {
        if place.is_new && !self.written.contains(&cache) {
            return Ok(None);
        }
        let sql = "SELECT day, last_seen, credible_at, weight FROM claims WHERE core = ? AND cache = ?";
        let read = |row: &rusqlite::Row<'_>| {
            Ok(Known {
                day: row.get(0)?,
                last_seen: row.get(1)?,
                credible_at: row.get(2)?,
                weight: row.get(3)?,
            })
        };
        self.database.prepare_cached(sql)?.query_row((place.id, cache), read).optional()
    }

    /// Keeps what one cache says of one path within its bound: the last heard stay.
    fn crowd_out(&mut self, seen: &ClaimSeen, cache: i64) -> rusqlite::Result<()> {
        let most = if seen.is_credible { MOST_CREDIBLE } else { MOST_NOISE };
        let sql = "SELECT k.day, k.core, k.cache FROM cores c JOIN claims k ON k.core = c.id AND k.cache = ?2 \
                   WHERE c.path = ?1 AND (k.credible_at IS NOT NULL) = ?3 \
                   ORDER BY k.last_seen DESC, k.core DESC LIMIT -1 OFFSET ?4";
        let path = seen.core.store_path.hash_part();
        let keys: Vec<[i64; 3]> = self
            .database
            .prepare_cached(sql)?
            .query_map(params![path.digest(), cache, seen.is_credible, most], |row| {
                Ok([row.get(0)?, row.get(1)?, row.get(2)?])
            })?
            .collect::<rusqlite::Result<_>>()?;
        if keys.is_empty() {
            return Ok(());
        }
        // A core may go with its last claim, and be claimed again.
        self.last = None;
        super::prune::remove_claims(self.database, &keys, self.change)
    }
}

/// A claim that is kept already.
struct Known {
    day: i64,
    last_seen: i64,
    credible_at: Option<i64>,
    weight: i64,
}

/// Chains verdicts to what is there.
pub(super) fn append(
    database: &Connection,
    rows: &[VerdictRow],
    change: &mut Change,
) -> rusqlite::Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let mut tail = read::tail(database)?;
    for row in rows {
        change.saw(row.at);
        if !is_repeat(database, row)? {
            tail = insert(database, tail, None, row)?;
        }
    }
    Ok(())
}

/// Writes one verdict behind the last one. Returns its number and hash.
pub(super) fn insert(
    database: &Connection,
    (number, hash): (u64, crate::evidence::ChainHash),
    carried: Option<Carried>,
    row: &VerdictRow,
) -> rusqlite::Result<(u64, crate::evidence::ChainHash)> {
    let number = number.saturating_add(1);
    let hash = hash.next(number, carried, row);
    let mut heard = Vec::with_capacity(256);
    codec::put_heard(&mut heard, &row.heard);
    let sql = "INSERT INTO verdicts (number, hash, carried_from, carried_at, at, asked, name, outcome, observing, rule, \
               nar_hash, label, reason, heard) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
    database.prepare_cached(sql)?.execute(params![
        number,
        hash.bytes(),
        carried.map(|carried| carried.from),
        carried.map(|carried| carried.at.seconds()),
        row.at.seconds(),
        row.asked.as_ref().map(|path| path.digest()),
        row.name,
        row.outcome.label(),
        row.observing,
        row.rule,
        row.nar_hash.as_ref().map(|hash| hash.digest()),
        row.label,
        row.reason,
        heard,
    ])?;
    Ok((number, hash))
}

/// Whether the last verdict on the path says the same, and is less than a day old.
fn is_repeat(database: &Connection, row: &VerdictRow) -> rusqlite::Result<bool> {
    let Some(asked) = &row.asked else { return Ok(false) };
    let mut statement = database.prepare_cached(read::LAST_ON_PATH)?;
    let mut rows = statement.query([asked.digest()])?;
    let Some(found) = rows.next()? else { return Ok(false) };
    // One that does not read back says nothing.
    let Ok(Chained { row: last, .. }) = read::chained(found) else { return Ok(false) };
    let age = row.at.seconds().saturating_sub(last.at.seconds());
    Ok((0..DAY).contains(&age) && VerdictRow { at: row.at, ..last } == *row)
}

fn event(database: &Connection, row: &EventRow) -> rusqlite::Result<()> {
    let EventRow { kind, path, name, party, before, after, first_seen, last_seen, count } = row;
    let sql = "INSERT INTO events (kind, path, name, party, before, after, first_seen, last_seen, count) \
               VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (path, kind, party) DO UPDATE SET \
               name = coalesce(excluded.name, name), before = excluded.before, after = excluded.after, \
               first_seen = min(first_seen, excluded.first_seen), last_seen = max(last_seen, excluded.last_seen), \
               count = count + excluded.count";
    let (first, last) = (first_seen.seconds(), last_seen.seconds());
    let given = params![kind.label(), path.digest(), name, party, before, after, first, last, count];
    database.prepare_cached(sql)?.execute(given).map(drop)
}

fn fate(database: &Connection, row: &FateRow, cache: i64) -> rusqlite::Result<()> {
    let sql = "INSERT INTO fates (nar_hash, cache, fate, at, count) VALUES (?, ?, ?, ?, ?) \
               ON CONFLICT (nar_hash, cache, fate) DO UPDATE SET at = max(at, excluded.at), count = count + excluded.count";
    let given = params![row.nar_hash.digest(), cache, row.fate.label(), row.at.seconds(), row.count];
    database.prepare_cached(sql)?.execute(given).map(drop)
}

fn build(database: &Connection, row: &BuildRow) -> rusqlite::Result<()> {
    let BuildRow { path, nar_hash, nar_size, derivation, kind, at } = row;
    let derivation = derivation.as_ref().map(|path| {
        let mut bytes = Vec::with_capacity(96);
        codec::put_path(&mut bytes, path);
        bytes
    });
    let hash_part = path.hash_part();
    let hash = nar_hash.as_ref().map(|hash| hash.digest());
    // The same report again, as a sweep makes it, is no further build.
    let sql = "UPDATE builds SET at = max(at, ?1) WHERE path = ?2 AND kind = ?3 AND nar_hash IS ?4 AND nar_size IS ?5 \
               AND derivation IS ?6";
    let given = params![at.seconds(), hash_part.digest(), kind.label(), hash, nar_size, derivation];
    if database.prepare_cached(sql)?.execute(given)? > 0 {
        return Ok(());
    }
    let sql = "INSERT INTO builds (path, name, nar_hash, nar_size, derivation, kind, at) VALUES (?, ?, ?, ?, ?, ?, ?)";
    let given =
        params![hash_part.digest(), path.name(), hash, nar_size, derivation, kind.label(), at.seconds()];
    database.prepare_cached(sql)?.execute(given)?;
    let sql = "DELETE FROM builds WHERE id IN \
               (SELECT id FROM builds WHERE path = ?1 ORDER BY at DESC, id DESC LIMIT -1 OFFSET ?2)";
    database.prepare_cached(sql)?.execute(params![hash_part.digest(), MOST_BUILDS]).map(drop)
}

pub(super) fn seal(
    transaction: &Transaction<'_>,
    now: Timestamp,
    sign: Sign<'_>,
) -> rusqlite::Result<Option<SignedHead>> {
    let (number, hash) = read::tail(transaction)?;
    let last = read::last_head(transaction)?;
    let covers = |text: &str| {
        SignedHead::parse(text).is_ok_and(|seal| seal.head.number == number && seal.head.hash == hash)
    };
    if last.as_ref().is_some_and(|(_, text)| covers(text)) {
        return Ok(None);
    }
    let serial = last.map_or(0, |(serial, _)| serial).saturating_add(1);
    let seal = sign(Head { kind: SealKind::Head, serial, number, hash, at: now });
    let sql = "INSERT INTO heads (serial, text) VALUES (?, ?)";
    transaction.prepare_cached(sql)?.execute(params![serial, seal.to_string()])?;
    Ok(Some(seal))
}

pub(super) fn reset_clock(
    transaction: &Transaction<'_>,
    now: Timestamp,
) -> rusqlite::Result<Option<Timestamp>> {
    let from = read::newest(transaction)?;
    let says = from.map_or_else(|| "an empty ledger".to_owned(), |from| from.to_string());
    let row = VerdictRow {
        at: now,
        asked: None,
        name: None,
        outcome: Outcome::ClockReset,
        observing: false,
        rule: None,
        nar_hash: None,
        label: "clock-reset".into(),
        reason: format!("the clock was reset from {says} to {now} (seconds since 1970)").into(),
        heard: Vec::new(),
    };
    append(transaction, &[row], &mut Change::default())?;
    transaction.prepare_cached("UPDATE tally SET newest = ?")?.execute([now.seconds()])?;
    Ok(from)
}

/// The day of a time, counted from 1970.
pub(super) fn day(at: Timestamp) -> i64 {
    at.seconds().div_euclid(DAY)
}

const DAY: i64 = 86_400;

/// How many noise claims of one cache on one path are kept (design §8).
const MOST_NOISE: i64 = 8;

/// How many others: a cache that rebuilds without end does not fill the ledger.
const MOST_CREDIBLE: i64 = 32;

/// How many builds of one path are kept.
const MOST_BUILDS: i64 = 32;

/// Noise may have this part of the limit, so that what anybody can invent never pushes out what was signed.
const NOISE_SHARE: u64 = 16;

/// Bytes of a claim and its core besides texts, references and signatures: hashes, numbers, and their places in indexes.
const ROW: usize = 220;

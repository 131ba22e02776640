//! Reading: rows become values again, through the same parsers as what comes from outside. What a filter admits is
//! decided by [`Sieve`]; the database only leaves out what it can tell cheaply.

use crate::evidence::sieve::Sieve;
use crate::evidence::{
    BuildKind, BuildRow, Carried, ChainHash, Chained, ClaimRow, Each, Earlier, EventKind, EventRow, Fate,
    FateRow, Filter, Outcome, Piece, SignedHead, Tally, VerdictRow, codec,
};
use crate::format::content_address::ContentAddress;
use crate::format::{Core, HashPart, NarHash, StorePath};
use crate::trust::Timestamp;
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Row, params};
use std::ops::ControlFlow;
use std::sync::Arc;

/// The statement whose rows [`chained`] reads.
macro_rules! verdicts {
    ($rest:literal) => {
        concat!(
            "SELECT number, hash, carried_from, carried_at, at, asked, name, outcome, observing, rule, nar_hash, label, ",
            "reason, heard FROM verdicts ",
            $rest
        )
    };
}

pub(super) fn earlier(database: &Connection, path: HashPart) -> rusqlite::Result<Earlier> {
    let sql = concat!(
        "SELECT c.id, c.path, c.name, c.nar_hash, c.nar_size, c.refs, (SELECT name FROM caches WHERE id = k.cache), ",
        "k.first_seen, k.last_seen, k.credible_at, k.count, k.signatures, k.deriver, k.address ",
        "FROM cores c JOIN claims k ON k.core = c.id WHERE c.path = ? ORDER BY k.last_seen DESC"
    );
    let mut earlier = Earlier::default();
    let mut last = None;
    let mut statement = database.prepare_cached(sql)?;
    let mut rows = statement.query([path.digest()])?;
    while let Some(row) = rows.next()? {
        // One that does not read back is no claim; the others are.
        earlier.claims.extend(claim(row, &mut last).ok());
    }
    let sql = "SELECT path, name, nar_hash, nar_size, derivation, kind, at FROM builds WHERE path = ? \
               ORDER BY at DESC, id DESC";
    let mut statement = database.prepare_cached(sql)?;
    let mut rows = statement.query([path.digest()])?;
    while let Some(row) = rows.next()? {
        earlier.builds.extend(build(row).ok());
    }
    Ok(earlier)
}

pub(super) fn verdicts(
    database: &Connection,
    filter: &Filter,
    each: Each<'_, Chained>,
) -> rusqlite::Result<()> {
    let sieve = Sieve::new(filter);
    let (since, until) = span(filter);
    let sql = match filter.path {
        Some(_) => verdicts!("WHERE asked = ?3 AND at >= ?1 AND at < ?2 ORDER BY number DESC"),
        None => verdicts!("WHERE ?3 IS NULL AND at >= ?1 AND at < ?2 ORDER BY number DESC"),
    };
    let path = filter.path.as_ref().map(|path| path.digest());
    let mut statement = database.prepare_cached(sql)?;
    let mut rows = statement.query(params![since, until, path])?;
    while let Some(row) = rows.next()? {
        // What does not read back is found by `verify`.
        if let Ok(row) = chained(row)
            && sieve.admits_verdict(&row.row)
            && each(row).is_break()
        {
            break;
        }
    }
    Ok(())
}

pub(super) fn claims(
    database: &Connection,
    filter: &Filter,
    each: Each<'_, ClaimRow>,
) -> rusqlite::Result<()> {
    let sieve = Sieve::new(filter);
    let (since, until) = span(filter);
    let narrow = if filter.path.is_some() { "c.path = ?3 AND" } else { "?3 IS NULL AND" };
    let sql = format!(
        "SELECT c.id, c.path, c.name, c.nar_hash, c.nar_size, c.refs, (SELECT name FROM caches WHERE id = k.cache), \
         k.first_seen, k.last_seen, k.credible_at, k.count, k.signatures, k.deriver, k.address \
         FROM cores c JOIN claims k ON k.core = c.id WHERE {narrow} k.last_seen >= ?1 AND k.last_seen < ?2 \
         ORDER BY c.path, c.id, k.cache"
    );
    let path = filter.path.as_ref().map(|path| path.digest());
    let mut last = None;
    let mut statement = database.prepare_cached(&sql)?;
    let mut rows = statement.query(params![since, until, path])?;
    while let Some(row) = rows.next()? {
        if let Ok(row) = claim(row, &mut last)
            && sieve.admits_claim(&row)
            && each(row).is_break()
        {
            break;
        }
    }
    Ok(())
}

pub(super) fn events(
    database: &Connection,
    filter: &Filter,
    each: Each<'_, EventRow>,
) -> rusqlite::Result<()> {
    let sieve = Sieve::new(filter);
    let sql = "SELECT kind, path, name, party, before, after, first_seen, last_seen, count FROM events \
               WHERE last_seen >= ?1 AND last_seen < ?2 AND (?3 IS NULL OR path = ?3) ORDER BY last_seen DESC, id DESC";
    let (since, until) = span(filter);
    let given = params![since, until, filter.path.as_ref().map(|path| path.digest())];
    every(database, sql, given, event, |row| {
        if sieve.admits_event(&row) { each(row) } else { ControlFlow::Continue(()) }
    })
}

pub(super) fn fates(database: &Connection, filter: &Filter, each: Each<'_, FateRow>) -> rusqlite::Result<()> {
    let sql = "SELECT nar_hash, (SELECT name FROM caches WHERE id = cache) AS name, fate, at, count FROM fates \
               WHERE at >= ?1 AND at < ?2 AND (?3 IS NULL OR name = ?3) ORDER BY at DESC, id DESC";
    let (since, until) = span(filter);
    every(database, sql, params![since, until, filter.cache], fate, each)
}

pub(super) fn builds(
    database: &Connection,
    filter: &Filter,
    each: Each<'_, BuildRow>,
) -> rusqlite::Result<()> {
    let sieve = Sieve::new(filter);
    let sql = "SELECT path, name, nar_hash, nar_size, derivation, kind, at FROM builds \
               WHERE at >= ?1 AND at < ?2 AND (?3 IS NULL OR path = ?3) ORDER BY at DESC, id DESC";
    let (since, until) = span(filter);
    let given = params![since, until, filter.path.as_ref().map(|path| path.digest())];
    every(database, sql, given, build, |row| {
        if sieve.admits_package(Some(row.path.name())) { each(row) } else { ControlFlow::Continue(()) }
    })
}

pub(super) fn chain(database: &Connection, each: Each<'_, Piece>) -> rusqlite::Result<()> {
    if let Some(text) = checkpoint(database)?
        && each(Piece::Checkpoint(text)).is_break()
    {
        return Ok(());
    }
    let mut heads = database.prepare("SELECT serial, text FROM heads ORDER BY serial")?;
    let mut rows = heads.query([])?;
    while let Some(row) = rows.next()? {
        let text = row.get_ref(1)?.as_str().unwrap_or_default().into();
        if each(Piece::Head { serial: number(row, 0)?, text }).is_break() {
            return Ok(());
        }
    }
    let mut verdicts = database.prepare(verdicts!("ORDER BY number"))?;
    let mut rows = verdicts.query([])?;
    while let Some(row) = rows.next()? {
        let piece = match chained(row) {
            Ok(chained) => Piece::Row(chained),
            Err(error) => Piece::Unreadable { number: number(row, 0)?, why: error.to_string().into() },
        };
        if each(piece).is_break() {
            break;
        }
    }
    Ok(())
}

/// The number and hash of the last verdict, of the last one that was pruned where none is left, else of none.
pub(super) fn tail(database: &Connection) -> rusqlite::Result<(u64, ChainHash)> {
    let sql = "SELECT number, hash FROM verdicts ORDER BY number DESC LIMIT 1";
    let read = |row: &Row<'_>| Ok((number(row, 0)?, ChainHash::from_bytes(row.get(1)?)));
    if let Some(last) = database.prepare_cached(sql)?.query_row([], read).optional()? {
        return Ok(last);
    }
    let checkpoint = checkpoint(database)?.and_then(|text| SignedHead::parse(&text).ok());
    Ok(checkpoint.map_or((0, ChainHash::START), |seal| (seal.head.number, seal.head.hash)))
}

pub(super) fn last_head(database: &Connection) -> rusqlite::Result<Option<(u64, Box<str>)>> {
    let sql = "SELECT serial, text FROM heads ORDER BY serial DESC LIMIT 1";
    let read = |row: &Row<'_>| Ok((number(row, 0)?, row.get(1)?));
    database.prepare_cached(sql)?.query_row([], read).optional()
}

fn checkpoint(database: &Connection) -> rusqlite::Result<Option<Box<str>>> {
    database.prepare_cached("SELECT text FROM checkpoint")?.query_row([], |row| row.get(0)).optional()
}

pub(super) fn newest(database: &Connection) -> rusqlite::Result<Option<Timestamp>> {
    let read = |row: &Row<'_>| row.get::<_, Option<i64>>(0);
    let newest = database.prepare_cached("SELECT newest FROM tally")?.query_row([], read).optional()?;
    Ok(newest.flatten().map(Timestamp::from_seconds))
}

pub(super) fn liars(database: &Connection) -> rusqlite::Result<Vec<Box<str>>> {
    let sql =
        "SELECT name FROM caches WHERE id IN (SELECT cache FROM fates WHERE fate = 'false') ORDER BY name";
    database.prepare_cached(sql)?.query_map([], |row| row.get(0))?.collect()
}

pub(super) fn tally(database: &Connection) -> rusqlite::Result<Tally> {
    let sql = "SELECT (page_count - freelist_count) * page_size, coalesce((SELECT claims FROM tally), 0), \
               coalesce((SELECT noise FROM tally), 0), \
               coalesce((SELECT max(number) FROM verdicts) - (SELECT min(number) FROM verdicts) + 1, 0) \
               FROM pragma_page_count, pragma_freelist_count, pragma_page_size";
    database.prepare_cached(sql)?.query_row([], |row| {
        let at = |index| row.get::<_, i64>(index).map(|n| u64::try_from(n).unwrap_or_default());
        Ok(Tally { bytes: at(0)?, claims: at(1)?, noise: at(2)?, verdicts: at(3)? })
    })
}

pub(super) fn oldest(database: &Connection, limit: usize) -> rusqlite::Result<Vec<Chained>> {
    let mut statement = database.prepare_cached(verdicts!("ORDER BY number LIMIT ?"))?;
    let rows = statement.query_map([i64::try_from(limit).unwrap_or(i64::MAX)], chained)?;
    Ok(rows.map_while(Result::ok).collect())
}

/// The last verdict on a path.
pub(super) const LAST_ON_PATH: &str = verdicts!("WHERE asked = ? ORDER BY number DESC LIMIT 1");

pub(super) fn chained(row: &Row<'_>) -> rusqlite::Result<Chained> {
    let carried = match (row.get_ref(2)?.as_i64_or_null()?, row.get_ref(3)?.as_i64_or_null()?) {
        (None, None) => None,
        (Some(_), Some(at)) => Some(Carried { from: number(row, 2)?, at: Timestamp::from_seconds(at) }),
        _ => return Err(unexpected(2)),
    };
    Ok(Chained {
        number: number(row, 0)?,
        hash: ChainHash::from_bytes(row.get(1)?),
        carried,
        row: VerdictRow {
            at: moment(row, 4)?,
            asked: row.get::<_, Option<_>>(5)?.map(HashPart::from_digest),
            name: row.get(6)?,
            outcome: label(row, 7, Outcome::parse)?,
            // Any other number than those two would be read as one of them.
            observing: match row.get_ref(8)?.as_i64()? {
                0 => false,
                1 => true,
                _ => return Err(unexpected(8)),
            },
            rule: row.get(9)?,
            nar_hash: row.get::<_, Option<_>>(10)?.map(NarHash::from_digest),
            label: row.get(11)?,
            reason: row.get(12)?,
            heard: codec::heard(row.get_ref(13)?.as_blob()?).ok_or_else(|| unexpected(13))?,
        },
    })
}

/// A claim; the core of the row before is shared where it is the same.
fn claim(row: &Row<'_>, last: &mut Option<(i64, Arc<Core>)>) -> rusqlite::Result<ClaimRow> {
    let id = row.get(0)?;
    let core = match last {
        Some((of, core)) if *of == id => Arc::clone(core),
        _ => {
            let core = Arc::new(Core {
                store_path: path(row, 1, 2)?,
                nar_hash: NarHash::from_digest(row.get(3)?),
                nar_size: number(row, 4)?,
                references: codec::references(row.get_ref(5)?.as_blob()?).ok_or_else(|| unexpected(5))?,
            });
            *last = Some((id, Arc::clone(&core)));
            core
        }
    };
    let address = row.get_ref(13)?.as_str_or_null()?;
    Ok(ClaimRow {
        cache: row.get(6)?,
        core,
        first_seen: moment(row, 7)?,
        last_seen: moment(row, 8)?,
        credible_at: row.get::<_, Option<_>>(9)?.map(Timestamp::from_seconds),
        count: number(row, 10)?,
        signatures: codec::signatures(row.get_ref(11)?.as_blob()?).ok_or_else(|| unexpected(11))?,
        deriver: coded_path(row, 12)?,
        content_address: address.map(ContentAddress::from_nix_str).transpose().map_err(|_| unexpected(13))?,
    })
}

fn event(row: &Row<'_>) -> rusqlite::Result<EventRow> {
    Ok(EventRow {
        kind: label(row, 0, EventKind::parse)?,
        path: HashPart::from_digest(row.get(1)?),
        name: row.get(2)?,
        party: row.get(3)?,
        before: row.get(4)?,
        after: row.get(5)?,
        first_seen: moment(row, 6)?,
        last_seen: moment(row, 7)?,
        count: number(row, 8)?,
    })
}

fn fate(row: &Row<'_>) -> rusqlite::Result<FateRow> {
    Ok(FateRow {
        nar_hash: NarHash::from_digest(row.get(0)?),
        cache: row.get(1)?,
        fate: label(row, 2, Fate::parse)?,
        at: moment(row, 3)?,
        count: number(row, 4)?,
    })
}

fn build(row: &Row<'_>) -> rusqlite::Result<BuildRow> {
    Ok(BuildRow {
        path: path(row, 0, 1)?,
        nar_hash: row.get::<_, Option<_>>(2)?.map(NarHash::from_digest),
        nar_size: row.get(3)?,
        derivation: coded_path(row, 4)?,
        kind: label(row, 5, BuildKind::parse)?,
        at: moment(row, 6)?,
    })
}

/// Hands on every row that reads back.
fn every<T>(
    database: &Connection,
    sql: &str,
    given: impl rusqlite::Params,
    read: fn(&Row<'_>) -> rusqlite::Result<T>,
    mut each: impl FnMut(T) -> ControlFlow<()>,
) -> rusqlite::Result<()> {
    let mut statement = database.prepare_cached(sql)?;
    let mut rows = statement.query(given)?;
    while let Some(row) = rows.next()? {
        if let Ok(row) = read(row)
            && each(row).is_break()
        {
            break;
        }
    }
    Ok(())
}

/// From when until when.
fn span(filter: &Filter) -> (i64, i64) {
    let since = filter.since.map_or(i64::MIN, Timestamp::seconds);
    (since, filter.until.map_or(i64::MAX, Timestamp::seconds))
}

pub(super) fn path(row: &Row<'_>, hash: usize, name: usize) -> rusqlite::Result<StorePath> {
    let hash_part = HashPart::from_digest(row.get(hash)?);
    StorePath::from_parts(hash_part, row.get_ref(name)?.as_str()?).map_err(|_| unexpected(name))
}

fn coded_path(row: &Row<'_>, index: usize) -> rusqlite::Result<Option<StorePath>> {
    let Some(bytes) = row.get_ref(index)?.as_blob_or_null()? else { return Ok(None) };
    codec::path(bytes).map(Some).ok_or_else(|| unexpected(index))
}

fn label<T>(row: &Row<'_>, index: usize, parse: fn(&str) -> Option<T>) -> rusqlite::Result<T> {
    parse(row.get_ref(index)?.as_str()?).ok_or_else(|| unexpected(index))
}

fn number(row: &Row<'_>, index: usize) -> rusqlite::Result<u64> {
    row.get(index)
}

fn moment(row: &Row<'_>, index: usize) -> rusqlite::Result<Timestamp> {
    row.get(index).map(Timestamp::from_seconds)
}

/// A value that we would not have written.
fn unexpected(column: usize) -> rusqlite::Error {
    rusqlite::Error::InvalidColumnType(column, "a value of another program".to_owned(), Type::Text)
}

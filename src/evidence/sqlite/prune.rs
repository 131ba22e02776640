//! Pruning: what has grown old goes in small steps, each of which holds the database for a moment.

use super::read;
use super::write::{Change, day, insert};
use crate::evidence::{Aged, Carried, ChainHash, Chained, Head, Kind, SealKind, Sign};
use crate::format::{HashPart, StorePath};
use crate::trust::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};

/// Carries rows to the end, removes what is in front, and says so with a checkpoint.
pub(super) fn verdicts(
    transaction: &Transaction<'_>,
    through: u64,
    carry: &[Chained],
    now: Timestamp,
    sign: Sign<'_>,
) -> rusqlite::Result<u64> {
    let mut tail = read::tail(transaction)?;
    for Chained { number, carried, row, .. } in carry {
        let from = carried.map_or(*number, |carried| carried.from);
        tail = insert(transaction, tail, Some(Carried { from, at: now }), row)?;
    }
    // The last row stays, so that the chain goes on from a row.
    let through = through.min(tail.0.saturating_sub(1));
    let sql = "SELECT hash FROM verdicts WHERE number = ?";
    let hash = transaction.prepare_cached(sql)?.query_row([through], |row| row.get(0)).optional()?;
    let Some(hash) = hash.map(ChainHash::from_bytes) else { return Ok(0) };
    let seal = sign(Head { kind: SealKind::Checkpoint, serial: 0, number: through, hash, at: now });
    let sql = "INSERT OR REPLACE INTO checkpoint (id, text) VALUES (1, ?)";
    transaction.prepare_cached(sql)?.execute([seal.to_string()])?;
    let gone = transaction.prepare_cached("DELETE FROM verdicts WHERE number <= ?")?.execute([through])?;
    Ok(u64::try_from(gone).unwrap_or(u64::MAX))
}

pub(super) fn aged(
    database: &Connection,
    kind: Kind,
    before: Timestamp,
    behind: Option<[i64; 3]>,
    limit: usize,
) -> rusqlite::Result<Vec<Aged>> {
    let sql = match kind {
        Kind::Claims => {
            "SELECT k.day, k.core, k.cache, c.path, c.name FROM claims k LEFT JOIN cores c ON c.id = k.core \
             WHERE k.day < ?1 AND (k.day, k.core, k.cache) > (?2, ?3, ?4) ORDER BY k.day, k.core, k.cache LIMIT ?5"
        }
        Kind::Noise => {
            "SELECT k.day, k.core, k.cache, c.path, c.name FROM claims k LEFT JOIN cores c ON c.id = k.core \
             WHERE k.credible_at IS NULL AND k.day < ?1 AND (k.day, k.core, k.cache) > (?2, ?3, ?4) \
             ORDER BY k.day, k.core, k.cache LIMIT ?5"
        }
        Kind::Events => {
            "SELECT id, 0, 0, path, name FROM events WHERE last_seen < ?1 AND id > ?2 AND ?3 <= 0 AND ?4 <= 0 \
             ORDER BY id LIMIT ?5"
        }
        Kind::Fates => {
            "SELECT id, 0, 0, NULL, NULL FROM fates WHERE at < ?1 AND id > ?2 AND ?3 <= 0 AND ?4 <= 0 \
             ORDER BY id LIMIT ?5"
        }
        Kind::Builds => {
            "SELECT id, 0, 0, path, name FROM builds WHERE at < ?1 AND id > ?2 AND ?3 <= 0 AND ?4 <= 0 \
             ORDER BY id LIMIT ?5"
        }
    };
    let before = match kind {
        Kind::Claims | Kind::Noise => day(before),
        Kind::Events | Kind::Fates | Kind::Builds => before.seconds(),
    };
    let [first, second, third] = behind.unwrap_or([i64::MIN; 3]);
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut statement = database.prepare_cached(sql)?;
    let read = |row: &Row<'_>| Ok(Aged { key: key(row)?, path: path(row) });
    statement.query_map(params![before, first, second, third, limit], read)?.collect()
}

fn key(row: &Row<'_>) -> rusqlite::Result<[i64; 3]> {
    Ok([row.get(0)?, row.get(1)?, row.get(2)?])
}

fn path(row: &Row<'_>) -> Option<StorePath> {
    let hash_part = HashPart::from_digest(row.get(3).ok()?);
    StorePath::from_parts(hash_part, row.get_ref(4).ok()?.as_str().ok()?).ok()
}

pub(super) fn remove(transaction: &Transaction<'_>, kind: Kind, keys: &[[i64; 3]]) -> rusqlite::Result<()> {
    let sql = match kind {
        Kind::Claims | Kind::Noise => {
            let mut change = Change::default();
            remove_claims(transaction, keys, &mut change)?;
            return change.apply(transaction).map(drop);
        }
        Kind::Events => "DELETE FROM events WHERE id = ?",
        Kind::Fates => "DELETE FROM fates WHERE id = ?",
        Kind::Builds => "DELETE FROM builds WHERE id = ?",
    };
    let mut statement = transaction.prepare_cached(sql)?;
    keys.iter().try_for_each(|[id, ..]| statement.execute([id]).map(drop))
}

/// Removes claims, and the cores that nobody claims any more.
pub(super) fn remove_claims(
    database: &Connection,
    keys: &[[i64; 3]],
    change: &mut Change,
) -> rusqlite::Result<()> {
    let sql = "DELETE FROM claims WHERE core = ? AND cache = ? RETURNING CASE WHEN credible_at IS NULL THEN weight ELSE 0 END";
    let mut claims = database.prepare_cached(sql)?;
    let sql = "DELETE FROM cores WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM claims WHERE core = ?1)";
    let mut cores = database.prepare_cached(sql)?;
    for [_, core, cache] in keys {
        let noise: Option<i64> = claims.query_row((core, cache), |row| row.get(0)).optional()?;
        if let Some(noise) = noise {
            change.claims = change.claims.saturating_sub(1);
            change.noise = change.noise.saturating_sub(noise);
            cores.execute([core])?;
        }
    }
    Ok(())
}

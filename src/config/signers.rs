//! `[signers.*]` as read: keys parsed, names of other signers not yet looked up.

use crate::config::fault::{At, Complaint, Located};
use crate::config::item::{Item, Listed, quoted};
use crate::config::read::{Desk, Table};
use crate::config::units::show_moment;
use crate::format::VerifyingKey;
use crate::trust::{Scope, SignerKey, Timestamp};

/// A signer as read.
#[derive(Debug)]
pub(super) struct RawSigner {
    pub(super) name: Located<Box<str>>,
    pub(super) keys: Vec<Located<SignerKey>>,
    pub(super) scope: Scope,
    pub(super) derives_from: Vec<Located<Box<str>>>,
    pub(super) suspended: Option<Box<str>>,
    /// False if something of it could not be read: then it is given the benefit of the doubt, so that one
    /// fault is not reported as several.
    pub(super) sure: bool,
}

/// Reads every signer, in the order of the file.
pub(super) fn read_signers(root: &Table<'_>) -> Vec<RawSigner> {
    let Some(table) = root.take("signers").and_then(|item| item.table()) else { return Vec::new() };
    table.named().into_iter().filter_map(|(name, item)| Some(read_signer(name, &item.table()?))).collect()
}

fn read_signer(name: Located<Box<str>>, table: &Table<'_>) -> RawSigner {
    let desk = table.desk();
    let named = parse_name(name.clone(), desk).is_some();
    let keys = table.need("keys", KEYS_HINT).and_then(|item| {
        let keys = item.list("keys", read_key)?;
        if keys.items.is_empty() && keys.sure {
            desk.put(item.at().error("the list is empty: such a signer could vouch for nothing", KEYS_HINT));
            return None;
        }
        Some(keys)
    });
    let scope = match table.take("may-vouch-for") {
        None => Some(Listed { items: Vec::new(), sure: true }),
        Some(item) => item.some("the packages that it may vouch for", Item::glob),
    };
    let derives_from = match table.take("derives-from") {
        None => Some(Listed { items: Vec::new(), sure: true }),
        Some(item) => item.set("signers", signer_name),
    };
    let suspended = table.take("suspended").map(|item| item.words());
    let sure = named
        && keys.as_ref().is_some_and(|k| k.sure)
        && scope.as_ref().is_some_and(|s| s.sure)
        && derives_from.as_ref().is_some_and(|d| d.sure);
    let globs: Vec<_> = scope.map_or_else(Vec::new, |s| s.items.into_iter().map(|g| g.value).collect());
    RawSigner {
        name,
        keys: keys.map_or_else(Vec::new, |k| k.items),
        scope: if globs.is_empty() { Scope::Everything } else { Scope::of(globs) },
        derives_from: derives_from.map_or_else(Vec::new, |d| d.items),
        suspended: suspended.map(|words| words.map_or_else(|| "unreadable".into(), |w| w.value)),
        sure,
    }
}

fn read_key(item: &Item<'_>) -> Option<Located<SignerKey>> {
    if !item.is_table() {
        let hint = "\"NAME:BASE64\", or { key = \"NAME:BASE64\", not-after = … }";
        let key = item.text("a key", hint, parse_key)?;
        let plain = SignerKey { key: key.value, not_before: None, not_after: None, revoked: None };
        return Some(Located::new(plain, key.at));
    }
    let table = item.table()?;
    let key = table.need("key", KEYS_HINT).and_then(|item| item.text("a key", KEYS_HINT, parse_key));
    let not_before = table.take("not-before").map(|item| item.moment());
    let not_after = table.take("not-after").map(|item| item.moment());
    let revoked = table.take("revoked").map(|item| item.words());
    if let (Some(Some(from)), Some(Some(to))) = (&not_before, &not_after)
        && to.value < from.value
    {
        table.desk().put(ends_before_it_begins(from, to));
    }
    let key = key?;
    let key = SignerKey {
        key: key.value,
        not_before: read_or_none(not_before)?,
        not_after: read_or_none(not_after)?,
        revoked: read_or_none(revoked)?,
    };
    Some(Located::new(key, table.at().clone()))
}

/// What was written, if it could be read; `Some(None)` if nothing was.
fn read_or_none<T>(value: Option<Option<Located<T>>>) -> Option<Option<T>> {
    value.map_or(Some(None), |read| read.map(|located| Some(located.value)))
}

fn ends_before_it_begins(from: &Located<Timestamp>, to: &Located<Timestamp>) -> crate::config::Fault {
    let found = format!("the key's validity ends before it begins, at {}", show_moment(from.value));
    to.at.error(found, "a later moment").aside(&from.at, "it begins here")
}

/// A signer's name where one is referred to.
pub(super) fn signer_name(item: &Item<'_>) -> Option<Located<Box<str>>> {
    item.text("a signer's name", "the name of a [signers.NAME] in quotes", |text| Ok(text.into()))
}

/// Checks a name that the file gives to a signer, a cache or a destination. They become labels of metrics,
/// words of log lines and parts of file names, so they are kept plain.
pub(super) fn parse_name(name: Located<Box<str>>, desk: &Desk) -> Option<Located<Box<str>>> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.@+".contains(c);
    let good = name.value.len() <= LONGEST_NAME
        && name.value.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.value.chars().all(plain);
    if !good {
        let found = format!("{} cannot be used as a name", quoted(&name.value));
        desk.put(name.at.error(found, "1 to 64 letters, digits and -_.@+, a letter or digit first"));
        return None;
    }
    Some(name)
}

fn parse_key(text: &str) -> Result<VerifyingKey, Complaint> {
    VerifyingKey::parse(text).map_err(|e| {
        // 64 bytes of base64: the form of a signing key. The text itself is in no message.
        if text.rsplit(':').next().is_some_and(|encoded| encoded.len() == 88) {
            let hint = "the public key; `countersign key public FILE` prints it. \
                        If others could read this file, the key is no longer secret: make a new one";
            return Complaint::new("this is a secret signing key", hint);
        }
        Complaint::new(format!("this is no usable public key: {e}"), KEYS_HINT)
    })
}

/// The place of a signer as a whole.
impl RawSigner {
    pub(super) fn at(&self) -> &At {
        &self.name.at
    }
}

const KEYS_HINT: &str =
    "\"NAME:BASE64\", as `nix key convert-secret-to-public` or a cache's own page gives it";
const LONGEST_NAME: usize = 64;

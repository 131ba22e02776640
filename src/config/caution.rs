//! Warnings: what may be used, and should be known.

use crate::config::address::{is_open_http, neighbourhood};
use crate::config::destination::{RawDestination, Target};
use crate::config::draft::Raw;
use crate::config::fault::{At, Located};
use crate::config::item::quoted;
use crate::config::read::Desk;
use crate::config::rules::{RawDissent, RawRule};
use crate::config::schema::{Mode, Upload};
use crate::config::settings::Settings;
use crate::config::units::show_moment;
use crate::trust::{Role, Timestamp};

/// Looks for all of it.
pub(super) fn warn(
    raw: &Raw,
    destinations: &[RawDestination],
    settings: &Settings,
    now: Timestamp,
    desk: &Desk,
) {
    if settings.mode.value == Mode::Observe {
        let found = "the policy is only observed: what one allowed signature admits is served";
        desk.put(settings.mode.at.warning(found, "\"enforce\", once what is refused has been looked at"));
    }
    warn_of_ends(raw, now, desk);
    warn_of_caches(raw, desk);
    warn_of_destinations(destinations, &settings.upload, desk);
    raw.rules.iter().for_each(|rule| warn_of_rule(rule, desk));
}

/// Keys and exceptions that end soon, or have ended.
fn warn_of_ends(raw: &Raw, now: Timestamp, desk: &Desk) {
    let soon = Timestamp::from_seconds(now.seconds().saturating_add(SOON));
    for key in raw.signers.iter().flat_map(|signer| &signer.keys) {
        let Some(end) = key.value.not_after.filter(|_| key.value.revoked.is_none()) else { continue };
        if end < now {
            let found =
                format!("the key's validity ended at {}; its signatures no longer count", show_moment(end));
            desk.put(key.at.warning(found, "the signer's newer key, or none of the old one"));
        } else if end < soon {
            let found = format!(
                "the key's validity ends at {}, and its signatures stop counting then",
                show_moment(end)
            );
            desk.put(key.at.warning(found, "the signer's next key beside it, in time"));
        }
    }
    for ends in raw.exceptions.iter().filter_map(|exception| exception.ends.as_ref()) {
        if ends.value <= now {
            let found = format!("the exception ended at {} and has no effect", show_moment(ends.value));
            desk.put(ends.at.warning(found, "a later day, if it is still needed; else leave it out"));
        } else if ends.value < soon {
            let found = format!("the exception ends at {}", show_moment(ends.value));
            desk.put(ends.at.warning(found, "a later day, if it is still needed by then"));
        }
    }
}

fn warn_of_caches(raw: &Raw, desk: &Desk) {
    let urls: Vec<_> = raw.caches.iter().filter_map(|cache| Some((cache, cache.url.as_ref()?))).collect();
    for (index, (cache, url)) in urls.iter().enumerate() {
        if is_open_http(&url.value) {
            let found = match cache.credentials_file {
                None => {
                    "claims over plain http can be changed on the way, so they do not count towards `operators`"
                }
                Some(_) => {
                    "the credentials, and the claims, can be read and changed on the way over plain http"
                }
            };
            desk.put(url.at.warning(found, "https"));
        }
        let neighbour = urls.iter().take(index).find(|(other, other_url)| {
            other.operator() != cache.operator()
                && neighbourhood(&other_url.value) == neighbourhood(&url.value)
        });
        if let Some((other, other_url)) = neighbour {
            let found = format!(
                "{} and {} are near each other, yet count as two operators, {} and {}",
                quoted(&cache.name.value),
                quoted(&other.name.value),
                quoted(cache.operator()),
                quoted(other.operator()),
            );
            let hint = "the same `operator` for both, if one party runs them";
            desk.put(url.at.warning(found, hint).aside(&other_url.at, "the other is here"));
        }
    }
    if !raw.caches.is_empty() && raw.caches.iter().all(|cache| cache.role == Role::Witness) {
        let found = "every cache is a witness: nothing could ever be served";
        desk.put(
            At::nowhere("caches").warning(found, "`role = \"source\"` for those that bytes may come from"),
        );
    }
}

fn warn_of_destinations(destinations: &[RawDestination], upload: &Upload, desk: &Desk) {
    for Located { value, at } in destinations.iter().map(|destination| &destination.url) {
        let url = match value {
            Target::Http(url) => Some(url),
            Target::S3(bucket) => bucket.endpoint.as_ref(),
            Target::Directory(_) => None,
        };
        if url.is_some_and(is_open_http) {
            desk.put(at.warning("what is sent over plain http can be read and changed on the way", "https"));
        }
    }
    if let (Some(first), true) = (destinations.first(), upload.signing_key_files.is_empty()) {
        let found = "there is a destination and no signing key: nothing that is built here could be sent";
        desk.put(first.name.at.warning(found, "`signing-key-files` in [upload]"));
    }
}

fn warn_of_rule(rule: &RawRule, desk: &Desk) {
    if let RawDissent::Outvote(at) = &rule.dissent {
        let found = "a signer that says otherwise is outvoted instead of stopping everything";
        desk.put(at.warning(found, "\"refuse\", unless you look at the dissent that is recorded"));
    }
    let Some(operators) = rule.operators.as_ref().filter(|o| o.value.get() > 1 && rule.sure) else { return };
    let Some((first, others)) = rule.clauses.split_first() else { return };
    let in_all = |name: &&Located<Box<str>>| {
        others.iter().all(|clause| clause.of.iter().any(|other| other.value == name.value))
    };
    let alone = rule.clauses.iter().all(|clause| clause.at_least.value.get() == 1);
    if let (true, Some(signer)) = (alone, first.of.iter().find(in_all)) {
        let found = format!(
            "{} operators must agree, yet {} alone can sign for all of them",
            operators.value,
            quoted(&signer.value)
        );
        let hint = "a higher `at-least`: one word published twice does not become two";
        desk.put(operators.at.warning(found, hint));
    }
}

/// Thirty days (design §6).
const SOON: i64 = 30 * 86_400;

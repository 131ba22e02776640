//! Where builds go: `[destinations.*]`.

use crate::config::address::{end_in_slash, parse_url};
use crate::config::bucket::{Bucket, parse_bucket};
use crate::config::fault::{Complaint, Located};
use crate::config::item::{Item, quoted};
use crate::config::read::Table;
use crate::config::signers::parse_name;
use crate::trust::{Glob, SignerSet};
use std::path::PathBuf;
use url::Url;

/// A place that builds are sent to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// The name in the configuration.
    pub name: Box<str>,
    /// Where it is.
    pub target: Target,
    /// What may go there; never empty.
    pub packages: Vec<Glob>,
    /// How NARs are compressed.
    pub compression: Compression,
    /// What is sent.
    pub publish: Publish,
    /// Signers whose vouching for a core in a source cache makes sending its bytes needless.
    pub skip_vouched_by: SignerSet,
    /// Its credentials.
    pub credentials_file: Option<PathBuf>,
}

/// Where a destination is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A directory on this machine.
    Directory(PathBuf),
    /// A server that takes PUT below this URL, which ends in a slash.
    Http(Url),
    /// An S3 bucket.
    S3(Box<Bucket>),
}

/// How NARs are compressed, and how hard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Compression {
    /// Not at all.
    None,
    /// By xz at this level, 0 to 9.
    Xz(u8),
    /// By zstd at this level, 1 to 19.
    Zstd(u8),
}

/// What is sent to a destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Publish {
    /// Signed narinfos alone, as a witness does.
    Claims,
    /// NARs and their narinfos.
    Nars,
}

/// A destination as read, its signers still names.
#[derive(Debug)]
pub(super) struct RawDestination {
    pub(super) name: Located<Box<str>>,
    pub(super) url: Located<Target>,
    pub(super) packages: Vec<Glob>,
    pub(super) compression: Compression,
    pub(super) publish: Publish,
    pub(super) skip_vouched_by: Option<Vec<Located<Box<str>>>>,
    pub(super) credentials_file: Option<PathBuf>,
}

/// Reads every destination; a faulty one is reported and left out.
pub(super) fn read_destinations(root: &Table<'_>) -> Vec<RawDestination> {
    let Some(table) = root.take("destinations").and_then(|item| item.table()) else { return Vec::new() };
    table.named().into_iter().filter_map(|(name, item)| read_destination(name, &item.table()?)).collect()
}

fn read_destination(name: Located<Box<str>>, table: &Table<'_>) -> Option<RawDestination> {
    let name = parse_name(name, table.desk());
    // Every key is read before any is given up on, so that all faults are told.
    let url = table.need("url", TARGET_HINT).and_then(|item| read_target(&item, table));
    let packages = table
        .need("packages", "`packages` names what may leave this machine; [\"*\"] for everything")
        .and_then(|item| item.some("the packages that may leave this machine", Item::glob));
    let compression = read_compression(table);
    let publish =
        table.take("publish").map(|i| i.choice(&[("nars", Publish::Nars), ("claims", Publish::Claims)]));
    let skipping = table.take("skip-vouched-by");
    let credentials = table.take("credentials-file").map(|item| item.path());
    let publish = publish.flatten().map_or(Publish::Nars, |p| p.value);
    if let (Some(item), Publish::Claims) = (&skipping, publish) {
        let found = "has no meaning here: this destination takes claims, which are always sent";
        table.desk().put(item.at().warning(found, "leave the key out"));
    }
    let skip_vouched_by = skipping.and_then(|item| {
        item.set("signers", |i| i.text("a signer's name", "its name in quotes", |s| Ok(s.into())))
    });
    Some(RawDestination {
        name: name?,
        url: url?,
        packages: packages?.items.into_iter().map(|glob| glob.value).collect(),
        compression,
        publish,
        skip_vouched_by: skip_vouched_by.map(|l| l.items),
        credentials_file: credentials.flatten().map(|path| path.value),
    })
}

fn read_compression(table: &Table<'_>) -> Compression {
    let options = [("zstd", Compression::Zstd(3)), ("xz", Compression::Xz(6)), ("none", Compression::None)];
    let chosen =
        table.take("compression").map_or(Some(Compression::Zstd(3)), |i| Some(i.choice(&options)?.value));
    let (Some(level), Some(chosen)) = (table.take("level"), chosen) else {
        return chosen.unwrap_or(Compression::None);
    };
    let within = |most| level.number(most).and_then(|n| u8::try_from(n.value).ok());
    match chosen {
        Compression::Zstd(usual) => Compression::Zstd(within(1..=19).unwrap_or(usual)),
        Compression::Xz(usual) => Compression::Xz(within(0..=9).unwrap_or(usual)),
        Compression::None => {
            table.desk().put(level.at().error("there is no level without compression", "leave the key out"));
            Compression::None
        }
    }
}

fn read_target(item: &Item<'_>, table: &Table<'_>) -> Option<Located<Target>> {
    let mut doubts = Vec::new();
    let target = item.text("a URL", TARGET_HINT, |text| parse_target(text, &mut doubts));
    for Complaint { found, would_do } in doubts {
        table.desk().put(item.at().warning(found, would_do));
    }
    target
}

/// Reads a target. `doubts` takes what is written in it and does not happen.
fn parse_target(text: &str, doubts: &mut Vec<Complaint>) -> Result<Target, Complaint> {
    let mut url = parse_url(text, TARGET_HINT)?;
    if url.fragment().is_some() {
        return Err(Complaint::new("the URL has a part after `#`", TARGET_HINT));
    }
    match url.scheme() {
        "s3" => Ok(Target::S3(Box::new(parse_bucket(&url, doubts)?))),
        _ if url.query().is_some() => {
            Err(Complaint::new("the URL has parameters", "parameters are for s3 URLs only"))
        }
        "http" | "https" => {
            end_in_slash(&mut url);
            Ok(Target::Http(url))
        }
        "file" => match url.to_file_path() {
            Ok(path) if url.host().is_none() => Ok(Target::Directory(path)),
            _ => Err(Complaint::new(
                format!("{} is no directory of this machine", quoted(text)),
                "\"file:///DIR\"",
            )),
        },
        _ => Err(Complaint::new(
            format!("{} is no place that builds can be sent to", quoted(text)),
            TARGET_HINT,
        )),
    }
}

const TARGET_HINT: &str = "\"s3://BUCKET?region=…\", \"file:///DIR\" or \"https://HOST/PREFIX\"";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_of_every_kind() {
        let parse_target = |text| parse_target(text, &mut Vec::new());
        let url = |text: &str| Url::parse(text).unwrap();
        assert_eq!(parse_target("file:///srv/cache"), Ok(Target::Directory("/srv/cache".into())));
        assert_eq!(parse_target("https://h/p"), Ok(Target::Http(url("https://h/p/"))));
        assert_eq!(parse_target("s3://b"), Ok(Target::S3(Box::new(Bucket::named("b")))));
    }

    #[test]
    fn what_is_no_target_is_refused() {
        for (text, found) in [
            ("acme", "\"acme\" is no URL: relative URL without a base"),
            ("ssh://h/x", "\"ssh://h/x\" is no place that builds can be sent to"),
            ("file://host/x", "\"file://host/x\" is no directory of this machine"),
            ("https://h/?x=1", "the URL has parameters"),
            ("https://u:p@h/", "the URL contains credentials"),
            ("s3:///x", "the URL names no bucket"),
        ] {
            assert_eq!(
                parse_target(text, &mut Vec::new()).map_err(|c| c.found),
                Err(found.to_owned()),
                "{text}"
            );
        }
    }
}

//! Which paths `witness` is asked to claim: those named, those of a file, and what they refer to.

use super::Options;
use crate::cli::queue::parse_path;
use crate::cli::{Exit, fail};
use crate::config::Config;
use crate::format::StorePath;
use crate::store::Store;
use std::collections::HashSet;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

/// A path to claim.
pub(super) struct Asked {
    pub(super) path: StorePath,
    /// Whether somebody named it; else something refers to it.
    pub(super) is_named: bool,
}

/// Every path once: what is referred to before what refers to it, where closures are asked for.
pub(super) fn paths(config: &Config, store: &mut Store, options: &Options) -> Result<Vec<Asked>, Exit> {
    let mut named = Vec::new();
    for text in &options.paths {
        named.push(parse_path(config, text).ok_or(Exit::Config)?);
    }
    if let Some(file) = &options.store_paths {
        read(config, file, &mut named)?;
    }
    let names: HashSet<StorePath> = named.iter().cloned().collect();
    let mut seen = HashSet::new();
    let mut paths = Vec::new();
    for path in named {
        let found = match options.closure && !seen.contains(&path) {
            true => store.closure(&path, MOST).map_err(|error| fail(Exit::Io, &error))?,
            false => Vec::new(),
        };
        for path in found.into_iter().map(|info| info.core.store_path).chain([path]) {
            if seen.insert(path.clone()) {
                paths.push(Asked { is_named: names.contains(&path), path });
            }
        }
    }
    if paths.is_empty() {
        eprintln!("countersign: no paths were named");
        return Err(Exit::Config);
    }
    if paths.len() > MOST {
        eprintln!("countersign: these are {} paths, more than {MOST}: name fewer at a time", paths.len());
        return Err(Exit::Config);
    }
    Ok(paths)
}

/// Reads a path from each line that is not empty.
fn read(config: &Config, file: &Path, named: &mut Vec<StorePath>) -> Result<(), Exit> {
    let failed = |error: std::io::Error| {
        eprintln!("countersign: cannot read {}: {error}", file.display());
        Exit::Io
    };
    let from: Box<dyn Read> = match file.to_str() {
        Some("-") => Box::new(std::io::stdin()),
        _ => Box::new(std::fs::File::open(file).map_err(failed)?),
    };
    for (line, number) in BufReader::new(from.take(LONGEST)).lines().zip(1_usize..) {
        let line = line.map_err(failed)?;
        if number > MOST {
            eprintln!("countersign: {} has more than {MOST} lines: name fewer at a time", file.display());
            return Err(Exit::Config);
        }
        let text = line.trim();
        if !text.is_empty() {
            named.push(parse_path(config, text).ok_or(Exit::Config)?);
        }
    }
    Ok(())
}

/// Paths at a time. A guess: as many as a large store has.
const MOST: usize = 200_000;

/// Bytes of a file of paths: as many lines as may be read, of the longest base names in `/nix/store`.
const LONGEST: u64 = MOST as u64 * 256;

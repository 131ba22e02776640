//! What the environment says was built. All of it may be missing, false or hostile.

use crate::format::store_path::{StoreDir, StorePath};
use crate::spool::derivation;
use crate::spool::record::{Record, is_derivation};
use rustix::fs::{FileType, Mode, OFlags, fstat, open};
use std::env;
use std::ffi::OsString;
use std::fs::File;
use std::io::Read;

/// What was built, as far as the environment can be read.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) store: StoreDir,
    pub(crate) drv: Option<StorePath>,
    pub(crate) outputs: Vec<StorePath>,
}

impl Told {
    /// From `DRV_PATH`, the derivation's file, and `OUT_PATHS`.
    ///
    /// The store is where the derivation lies. Outputs in other places are left out, and so is every word that is
    /// no store path.
    pub(crate) fn from_env() -> Self {
        let drv = env::var_os("DRV_PATH")
            .and_then(|path| store_and_path(&path))
            .filter(|(_, path)| is_derivation(path));
        let (store, drv) = match drv {
            Some((store, path)) => (store, Some(path)),
            None => (store_of_env(), None),
        };
        let mut outputs = drv.as_ref().map(|drv| outputs_of(&store, drv)).unwrap_or_default();
        let named = env::var_os("OUT_PATHS").unwrap_or_default();
        // A word that is not UTF-8 stands for no path.
        let named = named.to_string_lossy();
        for word in named.split(' ') {
            if outputs.len() >= Record::OUTPUTS_MAX {
                break;
            }
            match StorePath::from_absolute_path(&store, word) {
                Ok(path) if !outputs.contains(&path) => outputs.push(path),
                _ => {}
            }
        }
        Self { store, drv, outputs }
    }
}

/// `DIR/HASH-NAME` taken apart.
fn store_and_path(text: &OsString) -> Option<(StoreDir, StorePath)> {
    let (dir, name) = text.to_str()?.rsplit_once('/')?;
    let dir = StoreDir::new(dir).ok().filter(|dir| dir.as_str().len() <= Record::STORE_MAX)?;
    Some((dir, StorePath::from_base_name(name).ok()?))
}

/// Where Nix is told to keep its store, else `/nix/store`.
fn store_of_env() -> StoreDir {
    let dir = env::var_os("NIX_STORE_DIR").and_then(|dir| StoreDir::new(dir.to_str()?).ok());
    dir.filter(|dir| dir.as_str().len() <= Record::STORE_MAX).unwrap_or_default()
}

/// The outputs that the derivation's file names; none where it cannot be read, as in a store under another root.
fn outputs_of(store: &StoreDir, drv: &StorePath) -> Vec<StorePath> {
    // It may be anything: no link is followed, no pipe waited for.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let Ok(file) = open(drv.to_absolute_path(store), flags, Mode::empty()) else { return Vec::new() };
    let is_file =
        fstat(&file).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile);
    let mut text = Vec::new();
    let cap = u64::try_from(derivation::PREFIX_LEN).unwrap_or_default();
    if !is_file || File::from(file).take(cap).read_to_end(&mut text).is_err() {
        return Vec::new();
    }
    derivation::outputs(&text, store, Record::OUTPUTS_MAX)
}

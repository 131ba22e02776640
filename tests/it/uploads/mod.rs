//! Destinations: directories and servers, good ones and bad ones, and what is published there.

mod directory;
mod full;
mod publishing;
pub(crate) mod real;
mod server;
mod trouble;

use crate::support::dirs::Dir;
use crate::support::party::{Package, Party};
use countersign::aside::Durability;
use countersign::config::{Compression, Destination, Publish, Target};
use countersign::destination::{Names, NarFile, OurClaim, Patience, Place, PlaceError};
use countersign::format::fingerprint::fingerprint;
use countersign::format::{Signature, StoreDir};
use countersign::pack::{Packed, pack_in};
use countersign::trust::SignerSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use url::Url;

/// Times that make a test of silence short.
const HASTE: Patience = Patience {
    connect: Duration::from_secs(2),
    stall: Duration::from_millis(400),
    answer: Duration::from_millis(400),
};

/// Times that a test does not meet.
const LEISURE: Patience = Patience {
    connect: Duration::from_secs(30),
    stall: Duration::from_secs(60),
    answer: Duration::from_secs(60),
};

fn destination(target: Target) -> Destination {
    Destination {
        name: "acme".into(),
        target,
        packages: Vec::new(),
        compression: Compression::Zstd(3),
        publish: Publish::Nars,
        skip_vouched_by: SignerSet::EMPTY,
        credentials_file: None,
    }
}

fn server(url: &str, patience: Patience) -> Place {
    let destination = destination(Target::Http(Url::parse(url).unwrap()));
    Place::open_with(&destination, &StoreDir::default(), &Names::of_system(), patience).unwrap()
}

fn directory(path: &Path) -> Place {
    let destination = destination(Target::Directory(path.to_owned()));
    Place::open(&destination, &StoreDir::default(), &Names::of_system()).unwrap()
}

fn with_credentials(url: &str, file: PathBuf) -> Result<Place, PlaceError> {
    let credentials_file = Some(file);
    let destination = Destination { credentials_file, ..destination(Target::Http(Url::parse(url).unwrap())) };
    Place::open(&destination, &StoreDir::default(), &Names::of_system())
}

/// A package, packed into a directory.
fn packed(dir: &Dir, package: &Package, compression: Compression) -> (Packed, PathBuf) {
    let run = AtomicBool::new(false);
    let dump = |out: &mut dyn Write| out.write_all(&package.nar);
    pack_in(dir.path(), dump, compression, 1, Durability::Unsynced, &run).unwrap()
}

/// What these parties say of a package that they built.
fn claim(package: &Package, nar: NarFile, signers: &[&Party]) -> OurClaim {
    OurClaim {
        core: package.core.clone(),
        nar,
        deriver: None,
        content_address: None,
        signatures: signers.iter().map(|party| signature(package, party)).collect(),
    }
}

fn signature(package: &Package, party: &Party) -> Signature {
    party.0.sign(fingerprint(&StoreDir::default(), &package.core).as_bytes())
}

fn narinfo_name(package: &Package) -> String {
    format!("{}.narinfo", package.hash())
}

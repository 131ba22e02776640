//! `s3://` destinations: what is sent, what each answer means, credentials, large files, and the whole uploader.

mod crashes;
mod credentials;
mod faults;
mod large;
mod moto;
mod real;
mod renewal;
mod storing;
mod storms;
mod sweeping;
mod uploader;

use crate::support::dirs::Dir;
use crate::support::s3_server::{BUCKET, KEY_ID, S3Server, SECRET};
use countersign::config::{Bucket, Compression, Destination, Publish, Target};
use countersign::destination::{Names, Patience, Place, PlaceError};
use countersign::format::StoreDir;
use countersign::trust::SignerSet;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use url::Url;

/// Variables of a test's own environment.
type Variables<'a> = &'a [(&'a str, &'a str)];

/// The keys that the server knows, in the environment.
const KEYS: Variables<'static> = &[("AWS_ACCESS_KEY_ID", KEY_ID), ("AWS_SECRET_ACCESS_KEY", SECRET)];

fn bucket(server: &S3Server) -> Bucket {
    let endpoint = Some(Url::parse(&format!("{}/", server.endpoint())).unwrap());
    Bucket { endpoint, region: Some("us-east-1".into()), ..Bucket::named(BUCKET) }
}

fn open(bucket: Bucket, file: Option<PathBuf>, variables: Variables<'_>) -> Result<Place, PlaceError> {
    open_with(bucket, file, variables, Patience::default())
}

fn open_with(
    bucket: Bucket,
    file: Option<PathBuf>,
    variables: Variables<'_>,
    patience: Patience,
) -> Result<Place, PlaceError> {
    let destination = Destination {
        name: "acme".into(),
        target: Target::S3(Box::new(bucket)),
        packages: Vec::new(),
        compression: Compression::Zstd(3),
        publish: Publish::Nars,
        skip_vouched_by: SignerSet::EMPTY,
        credentials_file: file,
    };
    let variable = |name: &str| variables.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned());
    Place::open_in(&destination, &StoreDir::default(), &Names::of_system(), patience, &variable)
}

/// The bucket, with the right keys.
fn place(server: &S3Server) -> Place {
    open(bucket(server), None, KEYS).unwrap()
}

/// A file of secrets that nobody else can read.
fn secret(dir: &Dir, name: &str, text: &str) -> PathBuf {
    let path = dir.write(name, text);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    path
}

/// A section of a credentials file.
fn section(profile: &str, id: &str, key: &str) -> String {
    format!("[{profile}]\naws_access_key_id = {id}\naws_secret_access_key = {key}\n")
}

use super::*;
use crate::format::{ContentAddress, Core, KeyName, NarHash, References, SigningKey};
use std::collections::HashMap;

#[test]
fn a_build_from_countersigned_inputs_is_endorsed() {
    let mut store = FakeStore::default();
    store.substituted("lib", &[], true);
    store.derivation("app.drv", &[], &["lib"]);
    assert_eq!(store.check("app.drv"), Ok(()));
}

#[test]
fn one_input_without_our_countersignature_is_named() {
    let mut store = FakeStore::default();
    store.substituted("lib", &[], true);
    store.substituted("tool", &[], false);
    store.derivation("app.drv", &[], &["lib", "tool"]);
    assert_eq!(store.check("app.drv"), Err(Unendorsed::Uncountersigned(path("tool"))));
}

#[test]
fn what_an_input_refers_to_is_an_input_too() {
    let mut store = FakeStore::default();
    store.substituted("deep", &[], false);
    store.substituted("lib", &["deep"], true);
    store.derivation("app.drv", &[], &["lib"]);
    assert_eq!(store.check("app.drv"), Err(Unendorsed::Uncountersigned(path("deep"))));
}

#[test]
fn nothing_built_on_an_unendorsed_input_is_endorsed_however_far_down() {
    let mut store = FakeStore::default();
    store.substituted("compiler", &[], false);
    store.derivation("lib.drv", &[], &["compiler"]);
    store.built("lib", &[], Some("lib.drv"));
    store.derivation("app.drv", &[("lib.drv", "lib")], &[]);
    assert_eq!(store.check("app.drv"), Err(Unendorsed::Uncountersigned(path("compiler"))));
    store.substituted("compiler", &[], true);
    assert_eq!(store.check("app.drv"), Ok(()), "its honest twin");
}

#[test]
fn what_was_built_from_is_found_through_a_reference_too() {
    let mut store = FakeStore::default();
    store.substituted("compiler", &[], false);
    store.derivation("lib.drv", &[], &["compiler"]);
    store.built("lib", &[], Some("lib.drv"));
    store.substituted("bundle", &["lib"], true);
    store.derivation("app.drv", &[], &["bundle"]);
    assert_eq!(store.check("app.drv"), Err(Unendorsed::Uncountersigned(path("compiler"))));
}

#[test]
fn sources_are_bound_to_their_own_content() {
    let mut store = FakeStore::default();
    let source = store.source("source.tar");
    store.derivation("app.drv", &[], &[]);
    store.derivations.get_mut(&path("app.drv")).unwrap().input_sources.push(source);
    assert_eq!(store.check("app.drv"), Ok(()));
}

#[test]
fn what_is_no_longer_known_is_not_endorsed() {
    let mut store = FakeStore::default();
    assert_eq!(store.check("gone.drv"), Err(Unendorsed::Unknown(path("gone.drv"))));
    store.derivation("app.drv", &[], &["collected"]);
    assert_eq!(store.check("app.drv"), Err(Unendorsed::Unknown(path("collected"))));
    store.built("lib", &[], None);
    store.derivation("other.drv", &[], &["lib"]);
    assert_eq!(store.check("other.drv"), Err(Unendorsed::Unknown(path("lib"))));
    store.derivation("third.drv", &[("app.drv", "nobody")], &[]);
    assert_eq!(store.check("third.drv"), Err(Unendorsed::Unknown(path("third.drv"))));
}

#[test]
fn a_circle_of_derivers_ends() {
    let mut store = FakeStore::default();
    store.built("lib", &[], Some("app.drv"));
    store.derivation("app.drv", &[], &["lib"]);
    assert_eq!(store.check("app.drv"), Ok(()));
}

#[derive(Default)]
struct FakeStore {
    infos: HashMap<StorePath, PathInfo>,
    derivations: HashMap<StorePath, Derivation>,
    outputs: HashMap<StorePath, Vec<(String, Option<StorePath>)>>,
}

impl FakeStore {
    fn check(&mut self, derivation: &str) -> Result<(), Unendorsed> {
        check(self, &path(derivation), &StoreDir::default(), &machine().verifying_key()).unwrap()
    }

    fn substituted(&mut self, name: &str, references: &[&str], is_countersigned: bool) {
        let mut info = info(name, references);
        if is_countersigned {
            info.signatures.push(machine().sign(fingerprint(&StoreDir::default(), &info.core).as_bytes()));
        }
        self.infos.insert(path(name), info);
    }

    fn built(&mut self, name: &str, references: &[&str], deriver: Option<&str>) {
        let info = PathInfo { ultimate: true, deriver: deriver.map(path), ..info(name, references) };
        self.infos.insert(path(name), info);
    }

    /// A path with a content address that recomputes.
    fn source(&mut self, name: &str) -> StorePath {
        let address = ContentAddress::Text([3; 32]);
        let path = address.store_path(&StoreDir::default(), name, &References::default()).unwrap();
        let mut info = PathInfo { content_address: Some(address), ..info("x", &[]) };
        info.core.store_path = path.clone();
        self.infos.insert(path.clone(), info);
        path
    }

    /// A derivation with outputs of others, each under the name `out`, and paths as sources.
    fn derivation(&mut self, name: &str, outputs_of: &[(&str, &str)], sources: &[&str]) {
        for (derivation, output) in outputs_of.iter().filter(|(_, output)| *output != "nobody") {
            self.outputs.insert(path(derivation), vec![("out".to_owned(), Some(path(output)))]);
        }
        let derivation = Derivation {
            outputs: Vec::new(),
            input_derivations: outputs_of.iter().map(|(d, _)| (path(d), vec!["out".to_owned()])).collect(),
            input_sources: sources.iter().map(|source| path(source)).collect(),
            forgets_references: false,
        };
        self.derivations.insert(path(name), derivation);
    }
}

impl Records for FakeStore {
    fn path_info(&mut self, path: &StorePath) -> Result<Option<PathInfo>, StoreError> {
        Ok(self.infos.get(path).cloned())
    }

    fn derivation(&mut self, path: &StorePath) -> Result<Option<Derivation>, StoreError> {
        Ok(self.derivations.get(path).cloned())
    }

    fn outputs(&mut self, derivation: &StorePath) -> Result<Vec<(String, Option<StorePath>)>, StoreError> {
        Ok(self.outputs.get(derivation).cloned().unwrap_or_default())
    }
}

fn machine() -> SigningKey {
    SigningKey::from_seed(KeyName::parse("machine-1").unwrap(), &[4; 32])
}

fn path(name: &str) -> StorePath {
    StorePath::from_base_name(&format!("00000000000000000000000000000000-{name}")).unwrap()
}

fn info(name: &str, references: &[&str]) -> PathInfo {
    PathInfo {
        core: Core {
            store_path: path(name),
            nar_hash: NarHash::from_digest([1; 32]),
            nar_size: 120,
            references: References::from_unsorted(references.iter().map(|name| path(name)).collect()),
        },
        deriver: None,
        registered: 1,
        ultimate: false,
        signatures: Vec::new(),
        malformed_signatures: 0,
        content_address: None,
        unusable_content_address: false,
    }
}

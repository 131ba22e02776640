//! From store paths to the derivations that build them.
//!
//! A path's derivation is the one that the store has recorded for it, if that is in the store; else any that is there and
//! has the path among its outputs, which is how one is found for a path that is not installed.

use crate::format::StorePath;
use crate::format::derivation::{Derivation, OutputKind};
use crate::spool::record::is_derivation;
use crate::store::{PathInfo, Store, StoreAddress, StoreError, read_derivation};
use std::collections::BTreeMap;

/// What is to be done for some paths.
#[derive(Debug, Default)]
pub struct Plan {
    /// Each derivation once, by its path.
    pub jobs: Vec<Job>,
    /// The paths that cannot be built.
    pub troubles: Vec<Trouble>,
}

/// A derivation that is to be built again.
#[derive(Debug)]
pub struct Job {
    /// It.
    pub derivation: StorePath,
    /// The outputs that are looked at: those that were asked for, and all that are installed, since Nix checks them
    /// together.
    pub outputs: Vec<Output>,
    /// What must be there before it is built: derivations, and which outputs of each.
    pub inputs: Vec<(StorePath, Vec<String>)>,
}

/// One output of a derivation.
#[derive(Debug)]
pub struct Output {
    /// Its name, `out` for the usual one.
    pub name: String,
    /// Where it lies.
    pub path: StorePath,
    /// What the store has recorded of it, if it is installed.
    pub installed: Option<PathInfo>,
    /// Whether its path follows from its contents, so that another build cannot have others under it.
    pub follows_from_content: bool,
}

/// A path that cannot be built, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// What was asked for.
    pub path: StorePath,
    /// What is wrong, and what would do, in one line.
    pub why: String,
}

/// Finds the derivation of each path. One that names a derivation asks for all its outputs.
///
/// # Errors
/// [`StoreError`] if the store cannot be asked.
pub fn plan(store: &mut Store, address: &StoreAddress, asked: &[StorePath]) -> Result<Plan, StoreError> {
    let mut plan = Plan::default();
    // By derivation, what is asked of it; `None` is all.
    let mut wanted: BTreeMap<StorePath, Vec<Option<StorePath>>> = BTreeMap::new();
    for path in asked {
        match derivation_of(store, path)? {
            Ok(derivation) => {
                let one = Some(path.clone()).filter(|path| *path != derivation);
                wanted.entry(derivation).or_default().push(one);
            }
            Err(why) => plan.troubles.push(Trouble { path: path.clone(), why }),
        }
    }
    for (derivation, asked) in wanted {
        let file = address.physical(store.dir(), &derivation);
        match read_derivation(&file, store.dir()) {
            Ok(read) => match job(store, &derivation, read, &asked)? {
                Ok(job) => plan.jobs.push(job),
                Err(why) => plan.troubles.push(Trouble { path: derivation, why }),
            },
            Err(error) => plan.troubles.push(Trouble { path: derivation, why: error.to_string() }),
        }
    }
    Ok(plan)
}

/// The derivation that builds a path, which is in the store.
fn derivation_of(store: &mut Store, path: &StorePath) -> Result<Result<StorePath, String>, StoreError> {
    let recorded = store.path_info(path)?;
    if is_derivation(path) {
        return Ok(match recorded {
            Some(_) => Ok(path.clone()),
            None => Err(
                "this derivation is not in the store; evaluate what it came from (`nix-instantiate`, `nix \
                         path-info --derivation`), or copy it here with `nix copy --derivation`"
                    .to_owned(),
            ),
        });
    }
    let is_installed = recorded.is_some();
    let deriver = recorded.and_then(|info| info.deriver);
    if let Some(deriver) = &deriver
        && store.path_info(deriver)?.is_some()
    {
        return Ok(Ok(deriver.clone()));
    }
    if let Some(derivation) = store.valid_derivers(path)?.into_iter().next() {
        return Ok(Ok(derivation));
    }
    let get = "evaluate what it came from (`nix-instantiate`, `nix path-info --derivation`), or copy the derivation here \
               with `nix copy --derivation`, and try again";
    Ok(Err(match (deriver, is_installed) {
        (Some(deriver), _) => format!("its derivation {deriver} is not in the store: {get}"),
        (None, true) => format!(
            "the store does not say which derivation built it, and holds none that would: {get}; what was added as a \
             file has none"
        ),
        (None, false) => {
            format!("it is not in the store, and neither is a derivation that builds it: {get}")
        }
    }))
}

fn job(
    store: &mut Store,
    derivation: &StorePath,
    read: Derivation,
    asked: &[Option<StorePath>],
) -> Result<Result<Job, String>, StoreError> {
    let mut outputs = Vec::new();
    for output in read.outputs {
        let Some(path) = output.path else {
            return Ok(Err(
                "the paths of its outputs follow from what is built (`__contentAddressed`), so there is nothing to \
                 compare a build with"
                    .to_owned(),
            ));
        };
        let installed = store.path_info(&path)?;
        let is_asked = asked.iter().any(|asked| asked.as_ref().is_none_or(|asked| *asked == path));
        if is_asked || installed.is_some() {
            let by_content = installed.as_ref().is_some_and(|info| info.content_address.is_some());
            let follows_from_content = by_content || !matches!(output.kind, OutputKind::InputAddressed);
            outputs.push(Output { name: output.name, path, installed, follows_from_content });
        }
    }
    // A record of a deriver is a hint: the derivation may have other outputs.
    if let Some(path) = asked.iter().flatten().find(|path| outputs.iter().all(|output| output.path != **path))
    {
        return Ok(Err(format!("{path} is recorded as built from it, and is not among its outputs")));
    }
    Ok(Ok(Job { derivation: derivation.clone(), outputs, inputs: read.input_derivations }))
}

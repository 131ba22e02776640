//! Which file is read, and where state is kept.

use super::{NOW, good};
use crate::config::{Environment, LoadError, Location, Mode, load};
use std::fs;
use std::path::{Path, PathBuf};

/// A directory of this test's own, removed afterwards.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("countersign-config-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self, name: &str, mode: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, format!("mode = \"{mode}\"\n")).unwrap();
        path
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

#[test]
fn named_file_then_variable_then_usual_file_then_none() {
    let directory = Directory::new("order");
    let named = directory.file("named.toml", "observe");
    let variable = directory.file("variable.toml", "observe");
    let usual = directory.file("usual.toml", "enforce");
    let missing = directory.0.join("missing.toml");
    let env = |config: Option<&Path>, usual_file: &Path| Environment {
        config: config.map(Into::into),
        home: Some("/h".into()),
        usual_file: Some(usual_file.to_owned()),
        ..Environment::default()
    };
    let found =
        |location: &Location, env: &Environment| load(location, env, NOW).map(|l| (l.file, l.config.mode));
    let file = Location::File(named.clone());
    assert_eq!(found(&file, &env(Some(&variable), &usual)).unwrap(), (Some(named), Mode::Observe));
    assert_eq!(
        found(&Location::Usual, &env(Some(&variable), &usual)).unwrap(),
        (Some(variable), Mode::Observe)
    );
    assert_eq!(found(&Location::Usual, &env(None, &usual)).unwrap(), (Some(usual.clone()), Mode::Enforce));
    assert_eq!(found(&Location::Usual, &env(Some(Path::new("")), &usual)).unwrap().0, Some(usual.clone()));
    assert_eq!(found(&Location::Usual, &env(None, &missing)).unwrap(), (None, Mode::Enforce));
    // A file that was asked for and is not there is no reason to take another.
    for (location, env) in [
        (Location::File(missing.clone()), env(None, &usual)),
        (Location::Usual, env(Some(&missing), &usual)),
        (Location::Usual, env(None, &directory.0)),
    ] {
        assert!(matches!(found(&location, &env), Err(LoadError::Unreadable { .. })), "{location:?}");
    }
}

#[test]
fn a_file_that_is_far_too_large_is_not_read() {
    let directory = Directory::new("large");
    let path = directory.0.join("large.toml");
    fs::write(&path, "#".repeat((1 << 20) + 1)).unwrap();
    let result = load(&Location::File(path), &Environment::default(), NOW);
    assert!(matches!(result, Err(LoadError::Unreadable { .. })));
}

#[test]
fn faults_in_a_file_are_no_reading_error() {
    let directory = Directory::new("faulty");
    let path = directory.file("faulty.toml", "x");
    let Err(LoadError::Faulty(report)) = load(&Location::File(path.clone()), &Environment::default(), NOW)
    else {
        panic!("loaded");
    };
    assert!(report.render(crate::config::Style::Plain).contains(&format!("{}:1:8", path.display())));
}

#[test]
fn state_is_kept_where_the_environment_says() {
    let state = |systemd: &str, xdg: &str, home: &str| {
        Environment {
            state_directory: Some(systemd.into()),
            xdg_state_home: Some(xdg.into()),
            home: Some(home.into()),
            ..Environment::default()
        }
        .state_home()
    };
    assert_eq!(state("/var/lib/a:/var/lib/b", "/x", "/h"), Some("/var/lib/a".into()));
    assert_eq!(state("", "/x", "/h"), Some("/x/countersign".into()));
    assert_eq!(state("", "x", "/h"), Some("/h/.local/state/countersign".into()));
    assert_eq!(state("", "", ""), None);
    let nowhere = crate::config::parse("x", b"", &Environment::default(), NOW).unwrap_err();
    assert_eq!(&*nowhere.faults()[0].key, "state-directory");
    assert_eq!(good("state-directory = \"/s\"").state_directory, Path::new("/s"));
}

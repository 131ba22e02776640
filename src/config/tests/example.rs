//! The example: valid as it stands, valid with every commented key uncommented, and it has every key.

use super::{environment, read};
use crate::config::read::{Desk, Table};
use crate::config::rules::{read_exceptions, read_rules};
use crate::config::{Loaded, Style, caches, destination, keys, settings, signers};
use crate::format::StoreDir;
use std::collections::BTreeSet;
use toml::de::DeTable;

const EXAMPLE: &str = include_str!("../../../examples/countersign.toml");

/// The example with every line of the form `# key = value` uncommented.
fn uncommented() -> String {
    let lines = EXAMPLE.lines().map(|line| {
        let value = line.strip_prefix("# ").filter(|rest| {
            let key = rest.split_once(" = ").map(|(key, _)| key);
            key.is_some_and(|key| !key.is_empty() && key.bytes().all(|b| b.is_ascii_lowercase() || b == b'-'))
        });
        format!("{}\n", value.unwrap_or(line))
    });
    lines.collect()
}

fn without_warnings(text: &str) -> Loaded {
    let loaded = read(text).unwrap_or_else(|report| panic!("{}", report.render(Style::Plain)));
    assert!(loaded.warnings.is_empty(), "{}", loaded.warnings.render(Style::Plain));
    loaded
}

#[test]
fn it_is_valid_as_it_stands() {
    let config = without_warnings(EXAMPLE).config;
    assert_eq!(config.policy.signers().len(), 4);
    assert_eq!(config.policy.caches().len(), 3);
    assert_eq!(config.policy.rules().len(), 4);
    assert_eq!(config.policy.exceptions().len(), 2);
    assert_eq!(config.destinations.len(), 1);
    let names: Vec<&str> = config.caches.iter().map(|c| &*c.name).collect();
    assert_eq!(names, ["nixos", "rebuilder", "acme"], "in the order of the file");
    let policy_names: Vec<&str> = config.policy.caches().iter().map(|c| &*c.name).collect();
    assert_eq!(names, policy_names);
}

#[test]
fn it_is_valid_with_every_key_uncommented() {
    let text = uncommented();
    assert_ne!(text, EXAMPLE);
    let config = without_warnings(&text).config;
    assert!(config.caches[2].credentials_file.is_some());
    assert!(config.policy.signers()[3].suspended.is_some());
}

/// Every key of a text, in the form of the key table.
fn shapes(text: &str) -> BTreeSet<String> {
    fn walk(value: &toml::Value, shape: &str, found: &mut BTreeSet<String>) {
        match value {
            toml::Value::Table(table) => {
                let any_name = ["signers", "caches", "destinations"].contains(&shape);
                for (key, value) in table {
                    let name = if any_name { "*" } else { key };
                    let shape = if shape.is_empty() { name.to_owned() } else { format!("{shape}.{name}") };
                    found.insert(shape.clone());
                    walk(value, &shape, found);
                }
            }
            toml::Value::Array(array) => {
                array.iter().for_each(|value| walk(value, &format!("{shape}[]"), found))
            }
            _ => {}
        }
    }
    let mut found = BTreeSet::new();
    walk(&toml::Value::Table(text.parse().unwrap()), "", &mut found);
    found
}

#[test]
fn it_has_every_key_and_no_other() {
    let found = shapes(&uncommented());
    for key in keys() {
        assert!(found.contains(key.path), "the example lacks {}", key.path);
    }
}

#[test]
fn the_reader_asks_for_every_key_of_the_table() {
    let text = uncommented();
    let (entries, errors) = DeTable::parse_recoverable(&text);
    assert!(errors.is_empty());
    let desk = Desk::new(true, true);
    let root = Table::root(entries.get_ref(), &desk);
    settings::read_settings(&root, &environment());
    signers::read_signers(&root);
    caches::read_caches(&root);
    read_rules(&root);
    read_exceptions(&root, &StoreDir::default());
    destination::read_destinations(&root);
    let taken = desk.taken();
    for key in keys() {
        assert!(taken.contains(key.path), "nothing reads {}", key.path);
    }
    let known: BTreeSet<&str> = keys().iter().map(|key| key.path).collect();
    for path in &taken {
        let section = keys().iter().any(|key| {
            key.path.starts_with(&format!("{path}.")) || key.path.starts_with(&format!("{path}[]"))
        });
        assert!(known.contains(path.as_str()) || section, "{path} is read and not in the table");
    }
}

//! The direction of dependence, held by reading the `use` lines: an edge that is not in the table fails, and a
//! new one is a reviewed line here.
//!
//! `format`, `trust`, `init` and `doctor` are pure besides, and so are three files of `spool`: they may not name anything that
//! does I/O or reads a clock.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::path::{Path, PathBuf};

/// Each top-level module and what it may use of the others.
const EDGES: &[(&str, &[&str])] = &[
    ("format", &[]),
    ("trust", &["format"]),
    ("config", &["format", "trust"]),
    ("init", &["config", "format", "trust"]),
    ("doctor", &["config", "format", "init"]),
    ("clock", &["trust"]),
    ("telemetry", &["config"]),
    ("queue", &["format", "trust", "wal"]),
    ("evidence", &["clock", "crash", "format", "trust", "wal"]),
    ("spool", &["format"]),
    ("status", &[]),
    ("control", &["explain", "format", "status"]),
    ("state", &["config", "format", "trust"]),
    ("store", &["format"]),
    ("countersigner", &["config", "format", "trust"]),
    ("http_client", &[]),
    ("aside", &[]),
    ("pack", &["aside", "config", "format"]),
    ("destination", &["aside", "clock", "config", "crash", "format", "http_client", "pack"]),
    ("upstream", &["clock", "config", "format", "http_client", "trust"]),
    ("transfer", &["clock", "config", "evidence", "format", "trust", "upstream"]),
    ("question", &["clock", "evidence", "format", "transfer", "trust", "upstream"]),
    ("explain", &["evidence", "format", "question", "trust", "upstream"]),
    (
        "memo",
        &[
            "clock",
            "countersigner",
            "evidence",
            "format",
            "question",
            "status",
            "transfer",
            "trust",
            "upstream",
        ],
    ),
    ("web", &["config", "format", "memo", "transfer", "trust", "upstream"]),
    (
        "run",
        &[
            "clock",
            "config",
            "control",
            "countersigner",
            "evidence",
            "explain",
            "format",
            "memo",
            "state",
            "status",
            "transfer",
            "upstream",
            "web",
        ],
    ),
    ("rebuild", &["format", "pack", "spool", "store"]),
    ("crash", &[]),
    ("supervisor", &[]),
    ("wal", &[]),
    (
        "upload",
        &[
            "clock",
            "config",
            "control",
            "crash",
            "destination",
            "evidence",
            "format",
            "pack",
            "queue",
            "aside",
            "spool",
            "state",
            "store",
            "trust",
        ],
    ),
    (
        "cli",
        &[
            "clock",
            "config",
            "control",
            "doctor",
            "evidence",
            "explain",
            "format",
            "init",
            "question",
            "queue",
            "rebuild",
            "run",
            "spool",
            "state",
            "store",
            "supervisor",
            "upload",
            "telemetry",
            "transfer",
            "trust",
            "upstream",
        ],
    ),
];

/// Files that are pure in a module that is not.
const PURE_FILES: &[&str] = &[
    "evidence/comparison.rs",
    "spool/derivation.rs",
    "spool/layout.rs",
    "spool/record.rs",
    "upstream/health/breaker.rs",
    "upstream/health/latency.rs",
    "upstream/health/line.rs",
];

/// What pure modules may not name.
const IMPURE: &[&str] = &[
    "std::fs",
    "std::net",
    "std::env",
    "std::process",
    "std::thread",
    "std::time::Instant",
    "std::time::SystemTime",
    "SystemTime::now",
    "Instant::now",
    "tokio",
    "hyper",
    "moka",
    "tracing",
    "rustix",
];

/// What the web ring may not name: nothing there may know a claim.
const NOT_IN_WEB: &[&str] = &["format::narinfo", "trust::Claim", "trust::CheckedClaim", "trust::Ballot"];

#[test]
fn every_edge_between_modules_is_in_the_table() {
    let mut faults = Vec::new();
    for (module, file, text) in sources() {
        let allowed = EDGES.iter().find(|(name, _)| *name == module).map(|(_, to)| *to);
        let Some(allowed) = allowed else {
            assert!(matches!(module.as_str(), "lib" | "main"), "{module} is not in the table");
            continue;
        };
        for used in used_modules(&text) {
            if used != module && !allowed.contains(&used.as_str()) {
                faults.push(format!("{}: {module} → {used}", file.display()));
            }
        }
    }
    assert!(faults.is_empty(), "edges that are not in the table:\n{}", faults.join("\n"));
}

#[test]
fn pure_modules_name_nothing_that_does_io() {
    let mut faults = Vec::new();
    let is_pure = |module: &str, file: &Path| {
        matches!(module, "doctor" | "format" | "trust" | "init")
            || PURE_FILES.iter().any(|pure| file == Path::new(pure))
    };
    assert!(PURE_FILES.iter().all(|pure| sources().any(|(_, file, _)| file == Path::new(pure))));
    for (module, file, text) in sources().filter(|(module, file, _)| is_pure(module, file)) {
        let is_test = file.components().any(|c| c.as_os_str() == "tests" || c.as_os_str() == "tests.rs");
        for word in IMPURE.iter().filter(|word| !is_test && code(&text).contains(**word)) {
            faults.push(format!("{}: {module} names {word}", file.display()));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn the_web_ring_knows_no_claim() {
    for (_, file, text) in sources().filter(|(module, ..)| module == "web") {
        for word in NOT_IN_WEB {
            assert!(!code(&text).contains(word), "{} names {word}", file.display());
        }
    }
}

#[test]
fn the_table_is_found_to_be_broken_when_it_is() {
    assert_eq!(used_modules("use crate::web::Route;\nlet x = crate::memo::Held;"), ["web", "memo"]);
    assert_eq!(used_modules("use crate::{format, trust::Policy};"), ["format", "trust"]);
}

/// Every source file with its top-level module.
fn sources() -> impl Iterator<Item = (String, PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    collect(&root, &mut files);
    assert!(files.len() > 20, "the sources are somewhere else");
    files.into_iter().map(move |file| {
        let inside = file.strip_prefix(&root).unwrap().to_owned();
        let first = inside.components().next().unwrap().as_os_str().to_str().unwrap().to_owned();
        let text = fs::read_to_string(&file).unwrap();
        (first.trim_end_matches(".rs").to_owned(), inside, text)
    })
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|e| e == "rs") {
            files.push(path);
        }
    }
}

/// The text without comment lines.
fn code(text: &str) -> String {
    text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// The top-level modules that a file uses, by `crate::…`.
fn used_modules(text: &str) -> Vec<String> {
    let code = code(text);
    let mut used = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        match rest.strip_prefix('{') {
            Some(group) => {
                let group = &group[..group.find('}').unwrap_or(group.len())];
                used.extend(group.split(',').map(|part| word(part.trim())));
            }
            None => used.push(word(rest)),
        }
    }
    used.retain(|name| !name.is_empty());
    used
}

fn word(text: &str) -> String {
    text.chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect()
}

//! One fault per file, each found at its place; and ten in one file, all found at once.

use super::{NOW, environment, read};
use crate::config::{Report, Severity, Style, parse};
use proptest::prelude::*;
use std::fs;
use std::path::PathBuf;

/// What each file of a folder says is to be found in it, and what is.
fn files(folder: &str) -> Vec<(PathBuf, String, String)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/config").join(folder);
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            let text = fs::read_to_string(&path).unwrap();
            let expected =
                text.lines().next().and_then(|line| line.strip_prefix("# expect: ")).unwrap().to_owned();
            (path, expected, text)
        })
        .collect();
    files.sort();
    files
}

/// Every fault of one severity as the files write it: `KEY LINE:COLUMN`, `-` for what there is none of.
fn found(report: &Report, severity: Severity) -> Vec<String> {
    let faults = report.faults().iter().filter(|fault| fault.severity == severity);
    faults
        .map(|fault| {
            let key = if fault.key.is_empty() { "-" } else { &fault.key };
            let place = report.place(fault).map_or_else(|| "-".to_owned(), |place| place.to_string());
            assert!(!fault.found.is_empty() && !fault.would_do.is_empty(), "{key} says too little");
            format!("{key} {place}")
        })
        .collect()
}

#[test]
fn every_bad_file_has_its_error_at_its_place_and_no_other() {
    let files = files("bad");
    assert!(files.len() > 100);
    let mut wrong = String::new();
    for (path, expected, text) in files {
        let report = parse("bad.toml", text.as_bytes(), &environment(), NOW).expect_err(&expected);
        let drawn = report.render(Style::Plain);
        if found(&report, Severity::Error) != [&*expected] {
            wrong.push_str(&format!("{}: expected {expected}\n{drawn}\n", path.display()));
        }
        assert!(!drawn.contains("secret@") && !drawn.contains("rDk23"), "{drawn}");
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn every_doubtful_file_has_its_warning_at_its_place_and_no_other() {
    for (path, expected, text) in files("warn") {
        let loaded = parse("warn.toml", text.as_bytes(), &environment(), NOW)
            .unwrap_or_else(|report| panic!("{}", report.render(Style::Plain)));
        let drawn = loaded.warnings.render(Style::Plain);
        assert_eq!(found(&loaded.warnings, Severity::Warning), [expected], "{}\n{drawn}", path.display());
        assert_eq!(loaded.warnings.errors(), 0);
        assert!(!drawn.contains("secret@"), "{drawn}");
    }
}

#[test]
fn ten_faults_are_told_at_once() {
    let text = r#"
listen = ["localhost:8419"]
mode = "enforced"
decision-timout = "10s"
decision-timeout = 10

[signers.nixos]
keys = ["cache.nixos.org-1:6NCHdD59X431o0gWypbMrAURkbJ16ZPMQFGspcDShjY="]
derives-from = ["nixos"]

[caches.nixos]
url = "https://cache.nixos.org?trusted=1"
accept-signers = ["nixso"]

[[rules]]
name = "boot"
packages = ["linux-*"]
signatures = [{ at-least = 2, of = ["nixos"] }]

[[rules]]
name = "firmware"
packages = ["linux-firmware-*"]
signatures = [{ at-least = 1, of = ["nixos"] }]
operators = 0

[[rules]]
name = "rest"
signatures = [{ at-least = 1, of = ["nixos"] }]

[limits]
memory = "1 MB"

[destinations.acme]
url = "file:///srv/cache"
"#;
    let report = read(text).unwrap_err();
    assert_eq!(
        found(&report, Severity::Error),
        [
            "listen[0] 2:11",
            "mode 3:8",
            "decision-timout 4:1",
            "decision-timeout 5:20",
            "signers.nixos.derives-from[0] 9:17",
            "caches.nixos.url 12:7",
            "caches.nixos.accept-signers[0] 13:19",
            "rules[0].signatures[0].at-least 18:28",
            "rules[1].name 21:8",
            "rules[1].operators 24:13",
            "limits.memory 31:10",
            "destinations.acme 33:1",
        ]
    );
    assert!(report.render(Style::Plain).matches("error: ").count() == 12);
}

#[test]
fn a_syntax_fault_hides_no_other_and_makes_none_up() {
    let text = "mode = \"enforced\"\n[limits]\nmemory = \n[[rules]]\nname = \"x\"\n[signers.a]\nkeyz = 1\n";
    let report = read(text).unwrap_err();
    assert_eq!(found(&report, Severity::Error), ["mode 1:8", "- 3:10", "signers.a.keyz 7:1"]);
}

#[test]
fn a_bracket_that_is_never_closed_is_not_reported_on_every_line() {
    let example = include_str!("../../../examples/countersign.toml");
    let broken = example.replacen("{ prefer = [\"nixos\", \"rebuilder\"] }", "{ prefer = [\"nixos\"]", 1);
    let found = found(&read(&broken).unwrap_err(), Severity::Error);
    assert_eq!(found.len(), 2, "{found:?}");
}

#[test]
fn a_file_that_is_no_text_is_a_fault_with_a_place() {
    let report = parse("x.toml", b"mode = \"enforce\"\n# \xff\n", &environment(), NOW).unwrap_err();
    assert_eq!(found(&report, Severity::Error), ["- 2:3"]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]
    /// Whatever a slip of the hand does to a file, it is read or refused, and the report can be drawn.
    #[test]
    fn a_damaged_file_is_read_or_refused(
        at in 0.0..1.0_f64, length in 0_usize..40, put in "[]\\[{}\"'=,.#a0é\n-]{0,3}"
    ) {
        let text = include_str!("../../../examples/countersign.toml");
        let boundary = |offset: usize| (0..=offset.min(text.len())).rev().find(|&i| text.is_char_boundary(i)).unwrap();
        let start = boundary((at * text.len() as f64) as usize);
        let end = boundary(start + length).max(start);
        let damaged = format!("{}{put}{}", &text[..start], &text[end..]);
        let report = match read(&damaged) {
            Ok(loaded) => loaded.warnings,
            Err(report) => report,
        };
        for fault in report.faults() {
            prop_assert!(fault.span.as_ref().is_none_or(|span| span.start <= span.end && span.end <= damaged.len()));
        }
        report.render(Style::Plain);
        prop_assert!(report.lines().all(|line| !line.contains('\n')));
    }
}

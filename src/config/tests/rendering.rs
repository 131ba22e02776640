//! What a fault looks like, to the letter.

use super::read;
use crate::config::Style;

#[test]
fn a_fault_is_drawn_with_its_line() {
    let report = read("\n[caches.nixos]\nurl = \"https://cache.nixos.org\"\nprioritty = 40\n").unwrap_err();
    let drawn = report.render(Style::Plain);
    let first = "\
error: `caches.nixos.prioritty`: unknown key
 --> test.toml:4:1
  |
4 | prioritty = 40
  | ^^^^^^^^^
  |
  = help: did you mean `priority`?

error: `signers`: there is no signer
--> test.toml
 = help: [signers.NAME] with keys; a file with [signers], [caches] or [[rules]] replaces the built-in ones of all three
";
    assert!(drawn.starts_with(first), "{drawn}");
}

#[test]
fn two_places_are_marked_together() {
    let text = "\
[caches.a]
url = \"https://cache.nixos.org\"
[caches.b]
url = \"https://cache.nixos.org/\"
";
    let drawn = read(text).unwrap_err().render(Style::Plain);
    let expected = "\
error: `caches.b.url`: another cache has the same URL
 --> test.toml:4:7
  |
2 | url = \"https://cache.nixos.org\"
  |       ------------------------- the first is here
3 | [caches.b]
4 | url = \"https://cache.nixos.org/\"
  |       ^^^^^^^^^^^^^^^^^^^^^^^^^^
  |
  = help: one [caches.NAME] for each cache: asked twice, it would still be one voice
";
    assert!(drawn.contains(expected), "{drawn}");
}

#[test]
fn secrets_are_not_drawn() {
    let drawn = read("[evidence]\nurl = \"mysql://me:hunter2@h/d\"\n").unwrap_err().render(Style::Plain);
    assert!(drawn.contains("url = \"mysql://**********@h/d\"") && !drawn.contains("hunter2"), "{drawn}");
}

#[test]
fn a_journal_line_is_one_line() {
    let report = read("mode = \"x\"\nlog-format = \"\"\"\nte\nxt\"\"\"\n").unwrap_err();
    let lines: Vec<String> = report.lines().collect();
    assert_eq!(
        lines[0],
        "test.toml:1:8: error: `mode`: \"x\" is none of the known words; \"enforce\" or \"observe\""
    );
    assert!(lines[1].starts_with("test.toml:2:14: error: `log-format`: \"te\\nxt\" is none"), "{}", lines[1]);
}

#[test]
fn colours_are_only_added() {
    let report = read("mode = \"x\"\n").unwrap_err();
    let coloured = report.render(Style::Coloured);
    assert!(coloured.contains('\u{1b}') && !report.render(Style::Plain).contains('\u{1b}'));
    assert!(coloured.contains("is none of the known words"));
}

#[test]
fn escape_codes_in_a_file_reach_no_terminal() {
    let report = read(
        "mode = \"\\u001b[31mred\"\n\"\\u001b[31mkey\" = 1\n[signers.\"\\u001b[1m\"]\nkeys = [\"\u{9b}\"]\n",
    );
    for text in [report.as_ref().unwrap_err().render(Style::Plain), report.unwrap_err().lines().collect()] {
        assert!(!text.contains('\u{1b}') && !text.contains('\u{9b}'), "{text:?}");
    }
}

#[test]
fn a_file_that_is_nothing_like_toml_is_not_drawn_for_ever() {
    let drawn = read(&"x y z\n".repeat(500)).unwrap_err().render(Style::Plain);
    assert!(drawn.ends_with(" more\n") && drawn.lines().count() < 1000, "{}", drawn.lines().count());
}

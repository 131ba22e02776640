//! The plan as text: TOML for the file, a few lines for the terminal.
//!
//! Everything that comes from outside stands in a quoted string, escaped, or has gone through
//! [`shown`](crate::init::shown), so that no text can end a comment or a string and become a setting.

use crate::init::draft::{Plan, PlannedCache};
use crate::init::keys::PlannedSigner;
use crate::init::names::shown;
use std::collections::BTreeSet;
use std::path::Path;

/// The draft, to be read from `place` later.
pub fn toml(plan: &Plan, place: &Path) -> String {
    let mut out = String::new();
    head(&mut out, plan);
    signers(&mut out, &plan.signers);
    caches(&mut out, plan);
    rules(&mut out, plan);
    section(&mut out, "What is not carried over:", &plan.left_out);
    section(&mut out, "What could not be known, and is for you to decide:", &plan.unknown);
    section(&mut out, "Next:", &next_steps(&command(place)));
    out
}

/// What to say on the terminal; `written` is the file, unless the draft went to stdout.
pub fn summary(plan: &Plan, place: &Path, written: bool) -> String {
    let mut out = format!(
        "drafted {}, {} and one rule from {}, mode = \"observe\"{}\n",
        count(plan.caches.len(), "cache"),
        count(plan.signers.len(), "signer"),
        match plan.files.as_slice() {
            [] => "Nix's defaults".to_owned(),
            [file] => shown(&file.to_string_lossy()),
            [file, more @ ..] => {
                format!("{} and {}", shown(&file.to_string_lossy()), count(more.len(), "further file"))
            }
        },
        if written { format!("; wrote {}", shown(&place.to_string_lossy())) } else { String::new() },
    );
    for (title, lines) in [
        ("not carried over", &plan.left_out),
        ("not known, and for you to decide", &plan.unknown),
        ("next", &next_steps(&command(place))),
    ] {
        if !lines.is_empty() {
            out.push_str(&format!("\n{title}:\n"));
            bounded(lines).iter().for_each(|line| out.push_str(&format!("  - {line}\n")));
        }
    }
    out
}

fn head(out: &mut String, plan: &Plan) {
    comment(out, "", "Drafted by `countersign init` from");
    if plan.files.is_empty() {
        comment(out, "  ", "Nix's defaults (no nix.conf was there)");
    }
    plan.files.iter().for_each(|file| comment(out, "  ", &shown(&file.to_string_lossy())));
    out.push_str("#\n");
    comment(
        out,
        "",
        "It admits what plain Nix admitted: for every package the word of any one signer. That is where a \
         policy begins; what is missing stands at the end.",
    );
    out.push('\n');
    comment(
        out,
        "",
        "Everything is decided and recorded, and served as plain Nix would have it. \"enforce\", once what is \
         refused has been looked at.",
    );
    out.push_str("mode = \"observe\"\n\n\n");
}

fn signers(out: &mut String, signers: &[PlannedSigner]) {
    comment(out, "", "Signers: the parties whose word counts, from trusted-public-keys.");
    for signer in signers {
        out.push('\n');
        if signer.keys.len() > 1 {
            let stem = shown(&signer.stem);
            comment(out, "", &format!("All called {stem}, so taken for one party's: a guess."));
        }
        out.push_str(&format!("[signers.{}]\n", signer.name));
        out.push_str(&format!("keys = {}\n", list(signer.keys.iter().map(ToString::to_string))));
    }
    out.push_str("\n\n");
}

fn caches(out: &mut String, plan: &Plan) {
    comment(out, "", "Caches: who is asked, from substituters. Their operators are guessed from the hosts.");
    for cache in &plan.caches {
        out.push('\n');
        out.push_str(&cache_lines(cache));
    }
    if !plan.on_demand.is_empty() {
        out.push('\n');
        comment(
            out,
            "",
            "From trusted-substituters, which users could ask for: without the marks, everybody asks them.",
        );
        for cache in &plan.on_demand {
            out.push_str("#\n");
            // Comments in comments would stay comments when the marks are taken away.
            cache_lines(cache).lines().for_each(|line| out.push_str(&format!("# {line}\n")));
        }
    }
    out.push_str("\n\n");
}

fn cache_lines(cache: &PlannedCache) -> String {
    let mut out = format!("[caches.{}]\nurl = {}\n", cache.name, string(cache.url.as_str()));
    out.push_str(&format!("operator = {}\n", string(&cache.operator)));
    if let Some(priority) = cache.priority {
        out.push_str(&format!("priority = {priority}\n"));
    }
    if let Some(path) = &cache.credentials {
        out.push_str(&format!("credentials-file = {}\n", string(&path.to_string_lossy())));
    }
    if !cache.own_signers.is_empty() {
        let own: Vec<String> = cache.own_signers.iter().map(|name| string(name)).collect();
        out.push_str(&format!(
            "# accept-signers = [{}]    # only whose name is the cache's; now everybody's word counts here\n",
            own.join(", ")
        ));
    }
    out
}

fn rules(out: &mut String, plan: &Plan) {
    let all = list(plan.signers.iter().map(|signer| signer.name.clone()));
    if plan.signers.len() > 1 {
        comment(out, "", "For what the machine starts with, two of them should agree:");
        out.push_str("#\n");
        // Plain http off this machine does not count, so two such caches are not promised to be enough.
        let counting = plan.caches.iter().filter(|cache| cache.url.scheme() == "https");
        let operators: BTreeSet<&str> = counting.map(|cache| cache.operator.as_str()).collect();
        let operators = match operators.len() {
            0 | 1 => "# operators = 2    # once caches of two operators are listed\n",
            _ => "operators = 2\n",
        };
        let rule = format!(
            "[[rules]]\nname = \"boot chain\"\n\
             packages = [\"linux-*\", \"systemd-*\", \"openssh-*\", \"openssl-*\", \"nix-*\"]\n\
             signatures = [{{ at-least = 2, of = {all} }}]\n{operators}"
        );
        rule.lines().for_each(|line| out.push_str(&format!("# {line}\n")));
        out.push('\n');
    }
    out.push_str("[[rules]]\nname = \"everything else\"\n");
    out.push_str(&format!("signatures = [{{ at-least = 1, of = {all} }}]\n"));
}

fn next_steps(option: &str) -> Vec<String> {
    vec![
        "read it; mode = \"enforce\" is what protects".to_owned(),
        format!("countersign check{option}"),
        format!("countersign serve{option}"),
        format!(
            "countersign key public --nix-conf{option}    (for the end of nix.conf; each mode has its key)"
        ),
        "restart nix-daemon".to_owned(),
    ]
}

/// How a command is told to read the draft.
fn command(place: &Path) -> String {
    let text = place.to_string_lossy();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+".contains(c);
    match text.chars().all(plain) {
        true => format!(" --config {text}"),
        false => " --config FILE".to_owned(),
    }
}

fn section(out: &mut String, title: &str, lines: &[String]) {
    if lines.is_empty() {
        return;
    }
    out.push_str("\n\n");
    comment(out, "", title);
    bounded(lines).iter().for_each(|line| comment(out, "- ", line));
}

/// As many lines as somebody reads.
fn bounded(lines: &[String]) -> Vec<String> {
    let mut kept: Vec<String> = lines.iter().take(MOST_LINES).cloned().collect();
    if let Some(more) = lines.len().checked_sub(MOST_LINES).filter(|&more| more > 0) {
        kept.push(format!("and {more} more"));
    }
    kept
}

/// A comment, broken between words; later lines stand below the first one's text.
fn comment(out: &mut String, mark: &str, text: &str) {
    let mut line = format!("# {mark}");
    let indent = " ".repeat(mark.len());
    let mut is_empty = true;
    // Only a single space ends a line: the steps hold theirs together by several.
    for word in text.split(' ') {
        if !is_empty && line.len().saturating_add(word.len()) >= WIDTH {
            out.push_str(line.trim_end());
            out.push('\n');
            line = format!("# {indent}");
            is_empty = true;
        }
        if !is_empty {
            line.push(' ');
        }
        line.push_str(word);
        is_empty = false;
    }
    out.push_str(line.trim_end());
    out.push('\n');
}

/// A list of strings, on one line if it fits.
fn list(items: impl Iterator<Item = String>) -> String {
    let items: Vec<String> = items.map(|item| string(&item)).collect();
    let joined = items.join(", ");
    match joined.len() <= SHORT_LIST {
        true => format!("[{joined}]"),
        false => format!("[\n{}]", items.iter().map(|item| format!("  {item},\n")).collect::<String>()),
    }
}

/// A basic string of TOML.
fn string(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c == ' ' || c.is_ascii_graphic() => out.push(c),
            c => out.push_str(&format!("\\U{:08X}", u32::from(c))),
        }
    }
    out.push('"');
    out
}

fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// Lines of comments, as in `examples/countersign.toml`.
const WIDTH: usize = 112;
/// What one line of a list may have.
const SHORT_LIST: usize = 90;
/// More are counted: a file with a thousand faults is not read to the end.
const MOST_LINES: usize = 50;

#[cfg(test)]
mod tests;

//! The configuration as a whole: files in, configuration or faults out.

use crate::config::{Config, Environment, Loaded, Report, Severity, Style, parse};
use crate::trust::Timestamp;

mod defaults;
mod example;
mod files;
mod location;
mod policy;
mod rendering;

/// 2026-01-01T00:00:00Z, the time that the files in `tests/data/config` are written for.
const NOW: Timestamp = Timestamp::from_seconds(1_767_225_600);

const KEYS: [&str; 4] = [
    "NlRqcHO8AhUnQ++d9+FBkd2NHEnAS5re2MQaszCPrSo=",
    "B2azbkUqw/uKzv5Q7umqb6GcyNuh2Eu2fjFORDFkeSA=",
    "oOaXP5dVjj06EEIRXpX+SkrD3LuYk56FIo8mt2e3pEs=",
    "97WIfBOqTsBFS6KtSix1k8YIRuB4RscjJnwbap3YqAU=",
];

fn environment() -> Environment {
    Environment { home: Some("/home/me".into()), ..Environment::default() }
}

fn read(text: &str) -> Result<Loaded, Report> {
    parse("test.toml", text.as_bytes(), &environment(), NOW)
}

/// The configuration of a text without faults.
fn good(text: &str) -> Config {
    read(text).unwrap_or_else(|report| panic!("{}\n{text}", report.render(Style::Plain))).config
}

/// The keys of everything that is wrong with a text, in order.
fn errors(text: &str) -> Vec<String> {
    let report = read(text).err().unwrap_or_else(|| panic!("no fault in {text}"));
    report.faults().iter().filter(|f| f.severity == Severity::Error).map(|f| f.key.to_string()).collect()
}

/// Three signers, two caches and a last rule, before which `rules` are put.
fn policy_with(rules: &str) -> String {
    let [a, b, c, _] = KEYS;
    format!(
        "[signers.a]\nkeys = [\"a-1:{a}\"]\n[signers.b]\nkeys = [\"b-1:{b}\"]\n[signers.c]\nkeys = [\"c-1:{c}\"]\n\
         [caches.x]\nurl = \"https://x.example\"\n[caches.y]\nurl = \"https://y.test\"\n{rules}\n\
         [[rules]]\nname = \"rest\"\nsignatures = [{{ at-least = 1, of = [\"a\", \"b\", \"c\"] }}]\n"
    )
}

//! The one way of what is in a row to a terminal.
//!
//! Names, reasons and signatures' key names came from outside. Whatever is not printable ASCII is escaped: control
//! characters, what turns the direction of writing, and letters that look like others. In JSON it is escaped as JSON
//! escapes, so that programs read the same.

use serde::Serialize;
use std::fmt::Write;

/// A text on one line of ASCII.
pub(in crate::cli) fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for c in text.chars() {
        if c == ' ' || c.is_ascii_graphic() { plain.push(c) } else { plain.extend(c.escape_default()) }
    }
    plain
}

/// A value as JSON on one line of ASCII.
pub(super) fn json(value: &impl Serialize) -> serde_json::Result<String> {
    let text = serde_json::to_string(value)?;
    let mut ascii = String::with_capacity(text.len());
    for c in text.chars() {
        if c == ' ' || c.is_ascii_graphic() {
            ascii.push(c);
            continue;
        }
        // Only inside strings: serde leaves these as they are, and has escaped those below 32.
        for unit in c.encode_utf16(&mut [0; 2]) {
            // Writing to a String does not fail.
            write!(ascii, "\\u{unit:04x}").unwrap_or_default();
        }
    }
    Ok(ascii)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn nothing_but_printable_ascii_comes_out() {
        for (text, expected) in [
            ("a b", "a b"),
            ("\u{1b}[2J", "\\u{1b}[2J"),
            ("\u{9b}2J", "\\u{9b}2J"),
            ("a\nb\tc\r", "a\\nb\\tc\\r"),
            ("\u{202e}gpj.exe", "\\u{202e}gpj.exe"),
            ("раypal", "\\u{440}\\u{430}ypal"),
        ] {
            assert_eq!(plain(text), expected);
        }
        assert_eq!(
            json(&"\u{1b}\u{9b}\u{202e}\u{7f}\u{1f600}").unwrap(),
            r#""\u001b\u009b\u202e\u007f\ud83d\ude00""#
        );
    }

    proptest! {
        #[test]
        fn json_reads_back_as_it_was(text in any::<String>()) {
            let printed = json(&text).unwrap();
            prop_assert!(printed.chars().all(|c| c == ' ' || c.is_ascii_graphic()));
            prop_assert_eq!(serde_json::from_str::<String>(&printed).unwrap(), text);
        }

        #[test]
        fn a_line_stays_a_line(text in any::<String>()) {
            prop_assert!(plain(&text).chars().all(|c| c == ' ' || c.is_ascii_graphic()));
        }
    }
}

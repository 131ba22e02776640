//! Errors as one line.

use std::fmt;

/// An error with its causes on one line, each said once.
pub(crate) struct Chain<'a>(pub(crate) &'a (dyn std::error::Error + 'static));

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut said = self.0.to_string();
        let mut source = self.0.source();
        while let Some(cause) = source {
            let cause_said = cause.to_string();
            // Many messages already end with their cause.
            if !said.contains(&cause_said) {
                said.push_str(": ");
                said.push_str(&cause_said);
            }
            source = cause.source();
        }
        f.write_str(&said)
    }
}

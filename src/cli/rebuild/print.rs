//! What came of rebuilding, for people and for programs.

use crate::cli::rebuild::{Rebuilt, Report};
use crate::init::shown;
use std::io::{self, Write};

/// One JSON object.
pub(super) fn json(report: &Report) -> io::Result<()> {
    let text = serde_json::to_string_pretty(report).map_err(io::Error::other)?;
    writeln!(io::stdout().lock(), "{text}")
}

/// A block of lines for each output, and one line at the end.
pub(super) fn text(report: &Report) -> io::Result<()> {
    let mut out = io::stdout().lock();
    for output in &report.outputs {
        block(&mut out, output)?;
    }
    for trouble in &report.troubles {
        writeln!(out, "{}\n  not built   {}", trouble.path, trouble.why)?;
    }
    let with = |outcome: &str| report.outputs.iter().filter(|output| output.outcome == outcome).count();
    writeln!(
        out,
        "{} the same, {} other, {} built from source, {} failed",
        with("equal"),
        with("other") + with("not-compared"),
        with("built"),
        with("failed") + report.troubles.len()
    )
}

fn block(out: &mut impl Write, output: &Rebuilt) -> io::Result<()> {
    let Rebuilt { path, outcome, installed, rebuilt, kept, claims, .. } = output;
    writeln!(out, "{path}")?;
    let said = match *outcome {
        "equal" => "the same as what is installed",
        "other" => "another content than what is installed",
        "built" => "built from source; it was not installed",
        "not-compared" => "not compared: another output of the derivation differs, and Nix stops there",
        _ => "could not be built; what Nix said stands above",
    };
    writeln!(out, "  {outcome:11} {said}")?;
    if let Some(hash) = installed {
        writeln!(out, "  installed   {hash}")?;
    }
    if let Some(hash) = rebuilt {
        writeln!(out, "  rebuilt     {hash}")?;
    }
    if let Some(place) = kept {
        writeln!(out, "  kept        {} (compare: diff -r, or diffoscope)", shown(place))?;
    }
    if output.follows_from_content {
        writeln!(
            out,
            "  note        its path follows from its contents: this says that it can be built, and nothing more"
        )?;
    }
    for claim in claims {
        let word = match claim.agrees {
            Some(true) => "claims the same",
            Some(false) => "claims another",
            None => "claims",
        };
        let (cache, signers) = (shown(&claim.cache), shown(&claim.signers.join(", ")));
        writeln!(out, "  {cache:11} {word}: {}, vouched for by {signers}", claim.nar_hash)?;
    }
    Ok(())
}

//! What a `post-build-hook` is: ours, a script that calls ours, or another program.
//!
//! A script is looked at line by line, by words alone: what it does in the end is not known, and not claimed.

use crate::doctor::{Facts, Finding, Label, Severity, SpoolState};
use crate::init::shown;

/// What a `post-build-hook` is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hook {
    /// None is set.
    Unset,
    /// `countersign-hook` itself.
    Ours,
    /// The program is not there.
    Missing,
    /// Another program.
    Other {
        /// How many of its lines name our hook.
        calls_ours: usize,
        /// A command in it that sends paths elsewhere.
        sends_by: Option<&'static str>,
    },
}

impl Hook {
    /// Of a program that is there, by its file's name, links resolved, and by its contents.
    pub fn of_program(file_name: &str, contents: &[u8]) -> Self {
        if file_name == OURS {
            return Self::Ours;
        }
        let text = match contents.starts_with(b"#!") {
            true => String::from_utf8_lossy(contents),
            false => return Self::Other { calls_ours: 0, sends_by: None },
        };
        let lines: Vec<&str> = text.lines().filter(|line| !line.trim_start().starts_with('#')).collect();
        let calls_ours = lines.iter().filter(|line| line.contains(OURS)).count();
        let says = |command: &&&str| lines.iter().any(|line| line.contains(**command));
        Self::Other { calls_ours, sends_by: SENDERS.iter().find(says).copied() }
    }

    const fn reports_builds(&self) -> bool {
        matches!(self, Self::Ours | Self::Other { calls_ours: 1.., .. })
    }
}

/// What is wrong with the hook, its spool and the uploads.
pub(super) fn examine(facts: &Facts, found: &mut Vec<Finding>) {
    let (Some(nix), Some(hook)) = (&facts.nix, &facts.hook) else { return };
    let program = match nix.post_build_hook.as_str() {
        "" => "nothing".to_owned(),
        program => shown(program),
    };
    let place = nix.place("post-build-hook", None);
    let weakness =
        |label, what: String, why: &str, mend: &str| Finding::new(label, Severity::Weakness, what, why, mend);
    match hook {
        Hook::Unset | Hook::Ours => {}
        Hook::Missing => found.push(weakness(
            Label::HookBroken,
            format!("post-build-hook is {program}{place}, which is not there"),
            "every build then fails after it was done",
            "install the program there, or correct the line in nix.conf",
        )),
        Hook::Other { calls_ours, sends_by } => {
            if let Some(command) = sends_by {
                found.push(weakness(
                    Label::HookElsewhere,
                    format!("post-build-hook {program}{place} names `{command}`"),
                    "what is built here then leaves without `packages` and without any condition of [upload]",
                    "replace that by a [destinations] of ours with `packages`, and let it call countersign-hook alone",
                ));
            } else if *calls_ours == 0 {
                found.push(weakness(
                    Label::HookElsewhere,
                    format!("post-build-hook is {program}{place}, another program"),
                    "as root it is given every build, and what it sends or signs is under no condition of ours",
                    "make sure what it does, or set post-build-hook to countersign-hook",
                ));
            }
            if *calls_ours > 1 {
                found.push(weakness(
                    Label::HookTwice,
                    format!("post-build-hook {program}{place} calls countersign-hook in {calls_ours} places"),
                    "each build is reported as often, and waits for each of them",
                    "let it be called once",
                ));
            }
        }
    }
    for (setting, earlier) in nix.files.iter().flat_map(|files| &files.replaced) {
        if *setting == "post-build-hook" && !earlier.text.is_empty() && earlier.text != nix.post_build_hook {
            found.push(weakness(
                Label::HookTwice,
                format!(
                    "post-build-hook is set twice, to {} ({}) and to {program}{place}",
                    shown(&earlier.text),
                    earlier.place()
                ),
                "Nix runs only the last one",
                "remove one of them, or write a script that calls both and set that",
            ));
        }
    }
    uploads(facts, hook, found);
}

fn uploads(facts: &Facts, hook: &Hook, found: &mut Vec<Finding>) {
    let destinations = &facts.ours.destinations;
    if !destinations.is_empty() && !hook.reports_builds() {
        found.push(Finding::new(
            Label::HookMissing,
            Severity::Weakness,
            format!(
                "nothing reports builds to the uploader, although there are destinations ({})",
                destinations.join(", ")
            ),
            "only what `countersign push` names is sent",
            "set `post-build-hook = /usr/local/bin/countersign-hook` in nix.conf, wherever that program is",
        ));
    }
    if let (true, SpoolState::Unusable(why)) = (hook.reports_builds(), &facts.spool) {
        found.push(Finding::new(
            Label::SpoolUnusable,
            Severity::Weakness,
            format!("the hook's spool cannot be used: {}", shown(why)),
            "builds are done and not reported",
            "have it made by the uploader (`countersign upload`, as its own user), or with its owner's `install -d -m 0755`",
        ));
    }
    for name in &facts.ours.take_everything {
        found.push(Finding::new(
            Label::UploadsEverything,
            Severity::Note,
            format!("[destinations.{name}] takes every package"),
            "whatever is built here leaves this machine",
            "name in `packages` what may leave, if that is not meant",
        ));
    }
}

/// Our program's file name.
const OURS: &str = "countersign-hook";

/// Commands by which hooks send paths, from the manuals of Nix and of the usual caches.
const SENDERS: &[&str] =
    &["nix copy", "nix-copy-closure", "cachix push", "attic push", "niks3 push", "aws s3", "rsync ", "scp "];

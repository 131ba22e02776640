//! One finding: what it is about, why it matters, how to mend it.

use serde::Serialize;

/// One thing that was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Which kind it is, for programs.
    pub label: Label,
    /// How bad it is.
    pub severity: Severity,
    /// What was found, and where.
    pub what: String,
    /// Why it matters.
    pub why: String,
    /// What to do about it.
    pub mend: String,
}

/// How bad a finding is, the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Something can enter the store that the policy never saw.
    WayAround,
    /// What is promised holds less well, or less of it is delivered.
    Weakness,
    /// It could not be found out.
    Unknown,
    /// Good to know; nothing need be done.
    Note,
}

impl Severity {
    /// The word for people.
    pub const fn word(self) -> &'static str {
        match self {
            Self::WayAround => "way around",
            Self::Weakness => "weakness",
            Self::Unknown => "unknown",
            Self::Note => "note",
        }
    }
}

/// Which kind a finding is. The names are stable: programs may rely on them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Label {
    /// Installed paths that nobody here judged.
    CameAnotherWay,
    /// The daemon goes by files that were changed since.
    DaemonOutdated,
    /// `accept-flake-config`.
    FlakeSettings,
    /// The `post-build-hook` is not there.
    HookBroken,
    /// A `post-build-hook` that sends builds elsewhere, or is none of ours.
    HookElsewhere,
    /// Destinations, and no hook that reports builds.
    HookMissing,
    /// Our hook twice, or two settings of which one counts.
    HookTwice,
    /// Nix remembers answers for longer than verdicts hold.
    LongTtl,
    /// Nix does not trust the key that countersigns.
    MachineKeyNotTrusted,
    /// There is no machine key where it should be.
    NoMachineKey,
    /// We are not among the substituters.
    NotAsked,
    /// It could not be found out.
    NotFoundOut,
    /// The observe key is trusted while the policy is enforced.
    ObserveKeyTrusted,
    /// Nothing is enforced.
    Observing,
    /// A key is trusted that is none of ours.
    OtherKey,
    /// The running service is not the one that the configuration describes.
    OtherService,
    /// A substituter beside us.
    OtherSubstituter,
    /// What a user sets for himself.
    OwnSettings,
    /// A proxy stands between Nix and us.
    Proxied,
    /// Machines that build for this one.
    RemoteBuilder,
    /// A key is trusted that was rotated out.
    RetiredKeyTrusted,
    /// Keys that Nix signs with, and therefore trusts.
    SecretKeyFile,
    /// Nobody answers for the service.
    ServiceSilent,
    /// `require-sigs` is off.
    SignaturesOff,
    /// The hook's spool cannot be used.
    SpoolUnusable,
    /// Users who may do what root may.
    TrustedUser,
    /// A substituter that needs no signature.
    UnsignedSubstituter,
    /// A destination that takes everything.
    UploadsEverything,
    /// A substituter that any user may choose.
    UserSubstituter,
}

impl Finding {
    /// A finding of these words.
    pub fn new(
        label: Label,
        severity: Severity,
        what: impl Into<String>,
        why: impl Into<String>,
        mend: impl Into<String>,
    ) -> Self {
        Self { label, severity, what: what.into(), why: why.into(), mend: mend.into() }
    }

    /// What could not be found out.
    pub fn unknown(what: impl Into<String>, why: impl Into<String>, mend: impl Into<String>) -> Self {
        Self::new(Label::NotFoundOut, Severity::Unknown, what, why, mend)
    }
}

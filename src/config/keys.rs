//! Every key that the configuration has: the reader's list of what is known, and the option reference.
//!
//! A key that is not here is unknown to the reader; one that is here and that no code reads fails a test. The
//! tests also read every default below as if it were written in a file and compare the result with what an
//! empty file gives, so the texts here are the defaults.

/// What the option reference says of one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyDoc {
    /// Where it stands: `*` is any name, `[]` any element of a list.
    pub path: &'static str,
    /// What kind of value it takes.
    pub kind: &'static str,
    /// The value it has where nothing is written, as TOML; `None` if that is no one value, see `doc`.
    pub default: Option<&'static str>,
    /// What it does.
    pub doc: &'static str,
}

/// Every key, in the order in which they are explained.
pub fn keys() -> &'static [KeyDoc] {
    KEYS
}

/// The keys that a table of this shape may have; empty for one that takes any name.
pub(super) fn children(shape: &str) -> impl Iterator<Item = &'static str> {
    KEYS.iter().filter_map(move |doc| {
        let below =
            if shape.is_empty() { doc.path } else { doc.path.strip_prefix(shape)?.strip_prefix('.')? };
        below.split(['.', '[']).next().filter(|&name| name != "*")
    })
}

/// Where else a key of this name is known, as the reference writes it.
pub(super) fn homes(name: &str) -> impl Iterator<Item = &'static str> {
    KEYS.iter().map(|doc| doc.path).filter(move |path| path.rsplit('.').next() == Some(name))
}

const fn key(
    path: &'static str,
    kind: &'static str,
    default: Option<&'static str>,
    doc: &'static str,
) -> KeyDoc {
    KeyDoc { path, kind, default, doc }
}

#[rustfmt::skip]
const KEYS: &[KeyDoc] = &[
    key("listen", "list of addresses", Some(r#"["127.0.0.1:8419"]"#),
        "where Nix asks: \"IP:PORT\", \"[IPv6]:PORT\" or \"unix:/PATH\"; sockets handed over by systemd win"),
    key("hosts", "list of host names", Some("[]"),
        "further Host names to answer to, besides localhost and the addresses listened on"),
    key("state-directory", "absolute path", None,
        "keys, evidence, queue; default: $STATE_DIRECTORY, $XDG_STATE_HOME/countersign or ~/.local/state/countersign"),
    key("store-directory", "absolute path", Some(r#""/nix/store""#),
        "the directory that store paths lie in"),
    key("mode", r#""enforce" | "observe""#, Some(r#""enforce""#),
        "whether the policy is enforced, or only decided and recorded"),
    key("when-refused", r#""build" | "fail""#, Some(r#""build""#),
        "what Nix is told of a refused path: 404, so that it builds from source, or 503, so that it stops"),
    key("when-undecided", r#""build" | "fail""#, Some(r#""build""#),
        "the same for a path that could not be decided in time"),
    key("decision-timeout", "duration", Some(r#""10s""#),
        "how long the whole question about one path may take"),
    key("log-format", r#""auto" | "text" | "json" | "journal""#, Some(r#""auto""#),
        "how the log is written; auto is the journal under systemd, else text"),

    key("signers.*.keys", "list of keys", None,
        "the party's public keys, \"NAME:BASE64\" each or a table; all together are one voice"),
    key("signers.*.keys[].key", "public key", None,
        "the key, where its element is a table"),
    key("signers.*.keys[].not-before", "moment", None,
        "first moment at which its signatures count; default: always"),
    key("signers.*.keys[].not-after", "moment", None,
        "last moment at which its signatures count, old ones too; default: no end"),
    key("signers.*.keys[].revoked", "reason", None,
        "why none of its signatures counts, ever"),
    key("signers.*.may-vouch-for", "list of patterns", Some(r#"["*"]"#),
        "the packages that its signatures count for: globs over the name with version and output, without the hash"),
    key("signers.*.derives-from", "list of signers", Some("[]"),
        "the signers whose paths it re-signs: one voice with them"),
    key("signers.*.suspended", "reason", None,
        "why it neither vouches nor vetoes for now"),

    key("caches.*.url", "http(s) URL", None,
        "where the cache is"),
    key("caches.*.operator", "name", None,
        "who runs it: caches of one operator are one voice; default: the cache's own name"),
    key("caches.*.role", r#""source" | "witness""#, Some(r#""source""#),
        "whether bytes come from it, or claims only"),
    key("caches.*.priority", "whole number", Some("50"),
        "lower is preferred for bytes"),
    key("caches.*.claim-timeout", "duration", Some(r#""5s""#),
        "how long it is waited for"),
    key("caches.*.accept-signers", "list of signers", None,
        "whose signatures count when this cache shows them; default: all"),
    key("caches.*.nar-hosts", "list of hosts", Some("[]"),
        "other hosts, HOST or HOST:PORT, that it may send us to for bytes"),
    key("caches.*.credentials-file", "absolute path", None,
        "a netrc file, or one line \"Bearer TOKEN\""),
    key("caches.*.ca-file", "absolute path", None,
        "certificates in PEM form to trust for this cache instead of the system's"),

    key("rules[].name", "name", None,
        "what it is called in answers and exceptions"),
    key("rules[].packages", "list of patterns", None,
        "the packages it is for; the first rule that matches is used; the last rule has none and takes the rest"),
    key("rules[].signatures", "list of tables", None,
        "every one of these must be met"),
    key("rules[].signatures[].at-least", "whole number", None,
        "how many independent voices must vouch"),
    key("rules[].signatures[].of", "list of signers", None,
        "out of which signers"),
    key("rules[].operators", "whole number", Some("1"),
        "how many different operators' credible claims must agree"),
    key("rules[].dissent", r#""refuse" | "outvote" | { prefer = [SIGNERS] }"#, Some(r#""refuse""#),
        "what happens when credible claims differ"),
    key("rules[].dissent.prefer", "list of signers", None,
        "the first of these that vouches for exactly one build decides"),
    key("rules[].must-answer", "list of caches", Some("[]"),
        "nothing is decided without their answers"),
    key("rules[].content-addressed", r#""verify" | "ignore""#, Some(r#""verify""#),
        "whether content-addressed paths may certify themselves"),

    key("exceptions[].packages", "list of patterns", None,
        "the packages it is for; either this or core"),
    key("exceptions[].core", "table", None,
        "the one build it is for"),
    key("exceptions[].core.path", "store path", None,
        "its path"),
    key("exceptions[].core.nar-hash", "hash", None,
        "the SHA-256 of its NAR, as Nix writes it"),
    key("exceptions[].rule", "name of a rule", None,
        "the rule that holds instead"),
    key("exceptions[].until", "day", None,
        "the last day, in UTC, on which it holds"),
    key("exceptions[].why", "reason", None,
        "why there is an exception"),

    key("serving.advertised-priority", "whole number", Some("30"),
        "the priority that Nix is told; lower is asked first"),
    key("serving.buffer", "size", Some(r#""1 MiB""#),
        "NARs up to this size are checked whole before the first byte leaves"),
    key("serving.verify-before-sending", r#""last-bytes" | "whole""#, Some(r#""last-bytes""#),
        "whether larger ones are sent while they are checked and only their end is held back, or spooled whole first"),
    key("serving.prefetch", "true or false", Some("true"),
        "whether the claims for a path's references are fetched ahead"),
    key("serving.minimum-rate", "size per second", Some(r#""16 KiB/s""#),
        "slower transfers from a cache are broken off, and another source goes on"),

    key("limits.narinfo", "size", Some(r#""1 MiB""#),
        "the largest claim that is read"),
    key("limits.signatures", "whole number", Some("64"),
        "how many signatures of one claim are looked at"),
    key("limits.references", "whole number", Some("20000"),
        "how many references a claim may list"),
    key("limits.nar", "size", Some(r#""64 GiB""#),
        "the largest NAR that is fetched"),
    key("limits.connections", "whole number", Some("512"),
        "how many clients are served at a time"),
    key("limits.memory", "size", Some(r#""256 MiB""#),
        "what all decoders together may use; one that asks for more than 128 MiB is refused"),
    key("limits.spool", "size", Some(r#""16 GiB""#),
        "what spooled NARs may use of the disk"),
    key("limits.evidence", "size", Some(r#""16 GiB""#),
        "what evidence may use of the disk; beyond it the oldest goes, although evidence.keep would keep it"),

    key("evidence.keep", "duration", Some(r#""400d""#),
        "how long claims and verdicts are kept; those of installed paths stay"),
    key("evidence.url", "postgres URL", None,
        "where evidence is kept; default: evidence.db in the state directory"),

    key("dashboard.listen", "list of addresses", Some("[]"),
        "loopback addresses for the dashboard, besides its socket in the state directory"),
    key("dashboard.notify", "absolute path", None,
        "a program to run on dissent and refusals"),

    key("upload.signing-key-files", "list of absolute paths", Some("[]"),
        "the keys that sign what was built here"),
    key("upload.spool-directory", "absolute path", Some(r#""/var/spool/countersign""#),
        "where the post-build hook leaves its notes"),
    key("upload.jobs", "whole number", Some("2"),
        "how many paths are packed at a time; half as many more may be on their way to each destination"),
    key("upload.give-up-after", "duration", Some(r#""14d""#),
        "when an upload that keeps failing is laid aside"),
    key("upload.sign-remote-builds", "true or false", Some("false"),
        "whether to sign outputs that a remote builder made for us"),
    key("upload.inputs", r#""any" | "endorsed""#, Some(r#""any""#),
        "whether to sign only what was built from inputs that were built here or carry our countersignature"),

    key("destinations.*.url", "URL", None,
        "where builds go: s3://BUCKET?region=…&endpoint=…, as in `nix copy`; file:///DIR, or http(s)://HOST/PREFIX"),
    key("destinations.*.packages", "list of patterns", None,
        "what may leave this machine; must be written, [\"*\"] for everything"),
    key("destinations.*.compression", r#""zstd" | "xz" | "none""#, Some(r#""zstd""#),
        "how NARs are compressed"),
    key("destinations.*.level", "whole number", None,
        "how hard; default: 3 for zstd (1 to 19), 6 for xz (0 to 9)"),
    key("destinations.*.publish", r#""nars" | "claims""#, Some(r#""nars""#),
        "whether to send NARs, or signed narinfos alone, as a witness does"),
    key("destinations.*.skip-vouched-by", "list of signers", Some("[]"),
        "the bytes of what these vouch for in a source cache are not sent; no meaning for claims"),
    key("destinations.*.credentials-file", "absolute path", None,
        "a netrc file, or one line \"Bearer TOKEN\"; for s3 the format of ~/.aws/credentials"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn no_key_is_listed_twice() {
        let paths: BTreeSet<_> = keys().iter().map(|k| k.path).collect();
        assert_eq!(paths.len(), keys().len());
    }

    #[test]
    fn children_are_found_by_shape() {
        let of = |shape| children(shape).collect::<BTreeSet<_>>();
        assert_eq!(of("exceptions[].core"), BTreeSet::from(["nar-hash", "path"]));
        assert_eq!(of("rules[].signatures[]"), BTreeSet::from(["at-least", "of"]));
        assert_eq!(of("signers"), BTreeSet::new());
        assert!(of("").is_superset(&BTreeSet::from(["listen", "signers", "rules", "limits"])));
        assert_eq!(of("rules[].dissent"), BTreeSet::from(["prefer"]));
        assert_eq!(homes("url").collect::<Vec<_>>(), ["caches.*.url", "evidence.url", "destinations.*.url"]);
    }
}

//! What is run, in words that stand for what differs from machine to machine.

/// One thing that somebody does with a cache.
///
/// Words in capitals are filled in: `CACHE` is its URL, `STORE` the machine's store, `TOP` and `LEAF` store paths of
/// the closure, `LEAFDRV` the derivation of one, `NIX` the file that they are built from, `ARCHIVE` a file cache that
/// has them, `SECRET` a signing key, `NETRC` credentials, `MIRROR` an empty file cache. The other files are in
/// [`FILES`].
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// What the caches have.
    pub stock: Stock,
    /// What is done before, unrecorded; it must succeed.
    pub before: &'static [&'static str],
    /// What is recorded.
    pub command: &'static str,
    /// Whether nix-daemon does it for the command.
    pub through_daemon: bool,
    /// Whether Nix 2.8 has it.
    pub is_in_2_8: bool,
}

/// What the caches have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stock {
    /// The ordinary cache has the whole closure, and Countersign endorses all of it.
    Everything,
    /// The ordinary cache lacks `LEAF`, which Countersign refuses.
    WithoutLeaf,
}

const fn all(command: &'static str) -> Case {
    after(&[], command)
}

const fn after(before: &'static [&'static str], command: &'static str) -> Case {
    Case { stock: Stock::Everything, before, command, through_daemon: false, is_in_2_8: true }
}

const fn without_leaf(command: &'static str) -> Case {
    Case { stock: Stock::WithoutLeaf, ..all(command) }
}

/// Everything that is recorded.
pub const CASES: &[Case] = &[
    // What is installed.
    all("nix copy --from CACHE --to STORE TOP"),
    all("nix-store -r TOP"),
    all("nix-build --no-out-link NEW"),
    Case { through_daemon: true, ..all("nix-store -r LEAF") },
    Case { through_daemon: true, ..all("nix build --no-link -f NEW") },
    Case {
        through_daemon: true,
        ..all("nix copy --from ARCHIVE --no-check-sigs --substitute-on-destination LEAF")
    },
    all("nix build --no-link -f NIX leaf"),
    after(&["nix-store -r LEAF", "nix-store --delete LEAF"], "nix-store -r LEAF"),
    all("nix copy --from CACHE --to MIRROR LEAF"),
    all("nix-build --no-out-link FIXED"),
    all("nix-build --no-out-link FLOATING --option experimental-features ca-derivations"),
    Case {
        is_in_2_8: false,
        ..all("nix-instantiate --eval FETCHED --option experimental-features fetch-closure")
    },
    all("nix-prefetch-url CACHE/nix-cache-info"),
    // What is only asked.
    all("nix-build --dry-run NEW"),
    all("nix-store -r --dry-run TOP"),
    all("nix build --dry-run -f NIX top"),
    all("nix-env -f NIX -qas"),
    all("nix path-info --store CACHE TOP"),
    all("nix path-info --store CACHE LEAF --option netrc-file NETRC"),
    all("nix path-info --store CACHE --json TOP"),
    all("nix path-info --store CACHE -r --sigs TOP"),
    all("nix path-info --store CACHE --closure-size LEAF"),
    all("nix-store --store CACHE -q --requisites TOP"),
    all("nix-store --store CACHE -q --size LEAF"),
    all("nix-store --store CACHE -q --deriver LEAF"),
    all("nix-store --store CACHE --check-validity LEAF"),
    all("nix why-depends --store CACHE TOP LEAF"),
    all("nix store ping --store CACHE"),
    Case { is_in_2_8: false, ..all("nix store info --json --store CACHE") },
    all("nix store verify --store CACHE LEAF"),
    all("nix store verify --store CACHE --no-contents --recursive TOP"),
    after(&["nix copy --from ARCHIVE --to STORE --no-check-sigs LEAF"], "nix store verify -s CACHE LEAF"),
    after(&["nix copy --from ARCHIVE --to STORE --no-check-sigs LEAF"], "nix store copy-sigs -s CACHE LEAF"),
    // What is read.
    all("nix store ls --store CACHE -lR LEAF"),
    all("nix store cat --store CACHE LEAF/bin/tool"),
    all("nix store dump-path --store CACHE LEAF"),
    all("nix-store --store CACHE --export LEAF"),
    all("nix log --store CACHE LEAF"),
    all("nix log LEAF"),
    all("nix log TOP"),
    all("nix store copy-log --from CACHE --to STORE LEAFDRV"),
    // What would write, and is refused.
    all("nix store sign --store CACHE -k SECRET LEAF"),
    after(&["nix-store --add NEW"], "nix copy --to CACHE --all"),
    all("nix-store --store CACHE --add NEW"),
    all("nix store add-path --store CACHE NEW"),
    // What is refused by policy is as if the cache did not have it.
    without_leaf("nix copy --from CACHE --to STORE TOP"),
    without_leaf("nix-store -r TOP"),
    without_leaf("nix-store -r --dry-run TOP"),
    without_leaf("nix-build --no-out-link NIX -A leaf"),
    without_leaf("nix-build --dry-run NIX -A top"),
    without_leaf("nix-env -f NIX -qas"),
    without_leaf("nix path-info --store CACHE --json LEAF"),
    without_leaf("nix path-info --store CACHE -r TOP"),
    without_leaf("nix store verify --store CACHE LEAF"),
    without_leaf("nix store ls --store CACHE LEAF"),
    without_leaf("nix store sign --store CACHE -k SECRET LEAF"),
];

/// Files of the machine, under the words that stand for them: name and text.
pub const FILES: &[(&str, &str, &str)] = &[
    // Something that needs `LEAF` and that no cache has.
    (
        "NEW",
        "new.nix",
        "derivation { name = \"new\"; system = builtins.currentSystem; builder = \"/bin/sh\"; \
         args = [ \"-c\" \"echo ${(import NIX).leaf} > $out; exit 0\" ]; }\n",
    ),
    // Its output is known by its contents before it is made.
    (
        "FIXED",
        "fixed.nix",
        "derivation { name = \"fixed\"; system = builtins.currentSystem; builder = \"/bin/sh\"; \
         args = [ \"-c\" \"echo fixed > $out; exit 0\" ]; outputHashMode = \"flat\"; outputHashAlgo = \"sha256\"; \
         outputHash = builtins.hashString \"sha256\" \"fixed\\n\"; }\n",
    ),
    // Its output is addressed by its contents, once it is made.
    (
        "FLOATING",
        "floating.nix",
        "derivation { name = \"floating\"; system = builtins.currentSystem; builder = \"/bin/sh\"; \
         args = [ \"-c\" \"echo floating > $out; exit 0\" ]; __contentAddressed = true; \
         outputHashMode = \"recursive\"; outputHashAlgo = \"sha256\"; }\n",
    ),
    // What names its cache itself.
    (
        "FETCHED",
        "fetched.nix",
        "builtins.fetchClosure { fromStore = \"CACHE\"; fromPath = LEAF; inputAddressed = true; }\n",
    ),
    ("NETRC", "credentials", "machine 127.0.0.1 login somebody password something\n"),
];

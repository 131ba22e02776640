# The type of `services.countersign.settings`: countersign's own configuration, key for key. What matters most is typed
# here; every other key is let through, and `countersign check` looks at it when the system is built.
{ lib, format }:
let
  inherit (lib) mkOption types;
  optional = type: description: mkOption { type = types.nullOr type; default = null; inherit description; };
  list = type: description: mkOption { type = types.nullOr (types.listOf type); default = null; inherit description; };
  globs = list types.str;
  table = options: types.submodule { freeformType = format.type; inherit options; };
  names = list types.str;
  secret = what: optional types.str ''
    ${what} A path on the running machine, as sops-nix or agenix make it: handed to the service by LoadCredential, and
    never a path of the store, which everybody can read.
  '';

  key = table {
    key = mkOption { type = types.str; description = "The public key, \"NAME:BASE64\"."; };
    not-before = optional types.str "From when its signatures count, as \"2027-06-01T00:00:00Z\".";
    not-after = optional types.str "Until when they count; after that not even the old ones do.";
    revoked = optional types.str "Why they never count.";
  };
  signer = table {
    keys = mkOption {
      type = types.listOf (types.either types.str key);
      description = "The party's public keys: \"NAME:BASE64\", or a set with `key` and the bounds of its validity.";
    };
    may-vouch-for = globs "Globs over the names of packages that it may vouch for. Default: everything.";
    derives-from = names "Signers whose paths it copies and re-signs: one voice with them.";
    suspended = optional types.str "Why it neither vouches nor vetoes for now.";
  };
  cache = table {
    url = mkOption { type = types.str; description = "Where it is: http or https."; };
    operator = optional types.str "Who runs it; caches of one operator are one voice. Default: its own name.";
    role = optional (types.enum [ "source" "witness" ]) "\"source\": claims and bytes. \"witness\": claims only.";
    priority = optional types.ints.unsigned "Lower is preferred for bytes.";
    claim-timeout = optional types.str "How long its answer is waited for.";
    accept-signers = names "Whose signatures count when this cache shows them. Default: everybody's.";
    nar-hosts = list types.str "Other hosts that it may send us to for bytes.";
    credentials-file = secret "A netrc file, or one line \"Bearer TOKEN\".";
    ca-file = optional types.str "Certificates to trust for it instead of the system's.";
  };
  clause = table {
    at-least = mkOption { type = types.ints.positive; description = "How many independent voices."; };
    of = mkOption { type = types.listOf types.str; description = "Out of which signers."; };
  };
  rule = table {
    name = mkOption { type = types.str; description = "What answers, refusals and exceptions call it."; };
    packages = globs "Globs over names with version and output. The last rule has none and takes the rest.";
    signatures = mkOption { type = types.listOf clause; description = "What must be met, all of it."; };
    operators = optional types.ints.positive "How many different operators' claims must agree.";
    dissent = optional
      (types.either (types.enum [ "refuse" "outvote" ]) (table {
        prefer = mkOption { type = types.listOf types.str; description = "The signers to follow, in order."; };
      }))
      "What happens when credible claims differ.";
    must-answer = names "Caches without whose answer nothing is decided.";
    content-addressed = optional (types.enum [ "verify" "ignore" ])
      "Whether content-addressed paths may certify themselves.";
  };
  exception = table {
    packages = globs "Either globs, or `core`.";
    core = optional
      (table {
        path = mkOption { type = types.str; description = "The store path."; };
        nar-hash = mkOption { type = types.str; description = "The hash of its contents, \"sha256:…\"."; };
      })
      "One build.";
    rule = mkOption { type = types.str; description = "The rule that holds instead."; };
    until = mkOption { type = types.str; description = "The last day, in UTC, on which it holds: \"2027-01-31\"."; };
    why = mkOption { type = types.str; description = "Why there is an exception."; };
  };
  destination = table {
    url = mkOption { type = types.str; description = "\"s3://BUCKET?…\", \"file:///DIR\" or \"https://HOST/PREFIX\"."; };
    packages = mkOption { type = types.listOf types.str; description = "What may leave this machine; [ \"*\" ] is everything."; };
    compression = optional (types.enum [ "zstd" "xz" "none" ]) "How NARs are compressed.";
    level = optional types.ints.unsigned "How hard.";
    publish = optional (types.enum [ "nars" "claims" ]) "\"claims\": signed narinfos alone, as a witness.";
    skip-vouched-by = names "Signers whose cores' bytes are not sent.";
    credentials-file = secret "The destination's credentials.";
  };
in
table {
  listen = mkOption {
    type = types.listOf types.str;
    default = [ "127.0.0.1:8419" ];
    description = "Where Nix asks. systemd holds these sockets, also while the service restarts.";
  };
  mode = mkOption {
    type = types.enum [ "enforce" "observe" ];
    default = "enforce";
    description = "Whether the policy is enforced, or only decided and recorded.";
  };
  state-directory = mkOption {
    type = types.enum [ "/var/lib/countersign" ];
    default = "/var/lib/countersign";
    description = "Keys, evidence and queue. The units make it, so it is where it is.";
  };
  when-refused = optional (types.enum [ "build" "fail" ]) "What Nix does with a refused path.";
  when-undecided = optional (types.enum [ "build" "fail" ]) "What Nix does where caches did not answer in time.";
  decision-timeout = optional types.str "How long the whole question about one path may take.";
  signers = mkOption { type = types.attrsOf signer; default = { }; description = "Parties whose word may count."; };
  caches = mkOption { type = types.attrsOf cache; default = { }; description = "The caches that are asked."; };
  rules = mkOption { type = types.listOf rule; default = [ ]; description = "What a package needs; the first match holds."; };
  exceptions = mkOption { type = types.listOf exception; default = [ ]; description = "Departures, each with an end and a reason."; };
  upload = mkOption {
    default = { };
    description = "What happens to what is built here.";
    type = table {
      signing-key-files = mkOption {
        type = types.listOf types.str;
        default = [ ];
        description = ''
          The keys that sign what is built here. Paths on the running machine: handed to the uploader, and to nobody
          else, by LoadCredential; never paths of the store.
        '';
      };
      spool-directory = mkOption {
        type = types.str;
        default = "/var/spool/countersign";
        description = "Where the hook leaves its notes.";
      };
      jobs = optional types.ints.positive "How many paths are packed at a time; half as many more may be on their way to each destination.";
      give-up-after = optional types.str "When an upload that keeps failing is laid aside.";
      sign-remote-builds = optional types.bool "Whether outputs that a remote builder made are signed.";
      inputs = optional (types.enum [ "any" "endorsed" ]) "What must be known of a build's inputs.";
    };
  };
  destinations = mkOption { type = types.attrsOf destination; default = { }; description = "Where it goes."; };
}

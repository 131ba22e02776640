# shellcheck shell=bash disable=SC2154 # what is set elsewhere
# shellcheck source-path=SCRIPTDIR source=bucket.sh
. "$bench/sections/bucket.sh"

bench_claims() {
  local endpoint i from narinfos
  claims_fixture
  uploads=$work/claims
  start_bucket
  start_nix_daemon "$fixture/store" "$uploads/daemon"
  : >"$work/claims-seconds"
  : >"$work/claims-again"
  : >"$work/claims-bytes"
  for ((i = 1; i <= (rounds + 1) / 2; i++)); do
    empty_bucket
    prepare_upload "$uploads/ours"
    claims_to_bucket "$uploads/ours"
    sync
    from=$EPOCHREALTIME
    witness_claims "$uploads/ours"
    since "$from" >>"$work/claims-seconds"
    narinfos=("$uploads/s3/bench"/*.narinfo)
    ((${#narinfos[@]} == 10000)) || die "${#narinfos[@]} claims were published, not 10000"
    find "$uploads/s3/bench" -type f ! -name '.*' -printf '%s\n' | awk '{ n += $1 } END { print n / 1e6 }' >>"$work/claims-bytes"
    from=$EPOCHREALTIME
    witness_claims "$uploads/ours"
    since "$from" >>"$work/claims-again"
    finish_upload "$uploads/ours"
    say "claims, run $i: $(tail -n1 "$work/claims-seconds") s, again $(tail -n1 "$work/claims-again") s"
  done
  single claims-seconds "witness to s3, 10,000 paths built here (s)" "<= 60"
  single claims-again "the same once more, all of it there (s)" "-"
  single claims-bytes "what was published (MB)" "<= 10"
  end_all
  remove "$uploads"
}

witness_claims() { # DIR
  timeout 600 "${nix_env[@]}" "$COUNTERSIGN" --config "$1/config.toml" witness --store-paths "$fixture/paths" >"$1/log" 2>&1 ||
    { tail -n3 "$1/log" >&2; die "the claims were not published"; }
}

# The destination of a configuration becomes a bucket that takes claims.
claims_to_bucket() { # DIR
  sed -i "s|^url = \"file:.*|url = \"s3://bench?region=us-east-1\&endpoint=$endpoint\&unsigned=true\"\npublish = \"claims\"|" "$1/config.toml"
}

# A store with 10,000 small paths that were built in it, by a hundred derivations of a hundred outputs, which takes a
# hundredth of the time; each refers to five others.
claims_fixture() {
  fixture=$repo/target/fixtures/claims
  [[ ! -e $fixture/complete ]] || return 0
  say "building 10,000 paths, once"
  local tmp=$fixture.tmp
  remove "$tmp"
  mkdir -p -- "$tmp"
  cat >"$tmp/claims.nix" <<'NIX'
let
  outputs = builtins.genList (m: "o${toString m}") 100;
  below = n: m: map (b: (builtins.elemAt packages (n / b)).${builtins.elemAt outputs m}) (if n < 12 then [ ] else [ 2 3 5 7 11 ]);
  packages = builtins.genList (n: derivation {
    inherit outputs;
    name = "package-${toString n}-1.0";
    system = builtins.currentSystem;
    builder = "/bin/sh";
    args = [ "-c" ''
      ${builtins.concatStringsSep "\n" (builtins.genList (m: "echo ${toString (n * 100 + m)} ${toString (below n m)} > $o${toString m}") 100)}
      exit 0
    '' ];
  }) 100;
in
builtins.concatMap (package: map (output: package.${output}) outputs) packages
NIX
  run_nix "$version" "$tmp/run" nix-build --no-out-link -j "$(nproc)" --store "$tmp/store" "$tmp/claims.nix" \
    >"$tmp/paths" 2>"$tmp/log" || { tail -n3 "$tmp/log" >&2; die "the paths cannot be built"; }
  (($(sort -u "$tmp/paths" | wc -l) == 10000)) || die "$(wc -l <"$tmp/paths") paths were built, not 10000"
  # What `start_nix_daemon` asks for.
  tail -n1 "$tmp/paths" >"$tmp/chain-top"
  run_nix "$version" "$tmp/run" nix-store --generate-binary-cache-key upload-1 "$tmp/key.sec" "$tmp/key.pub"
  chmod 0600 "$tmp/key.sec"
  remove "$tmp/run"
  touch "$tmp/complete"
  remove "$fixture"
  mv -- "$tmp" "$fixture"
}

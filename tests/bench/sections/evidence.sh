# shellcheck shell=bash disable=SC2154 # what is set elsewhere
# A ledger of many claims: what one takes on the disk, what is known of one path, and how long a refusal waits while
# the ledger is pruned because it is over its limit. Under callgrind `bench-evidence write|miss|serve` tells instructions.

bench_evidence() {
  local claims=${CLAIMS:-1000000} state i said
  state=$repo/target/bench-ledger.$$
  # Also where a step fails.
  trap 'end_all; remove "$work"; remove "$state"' EXIT
  (cd -- "$repo" && cargo build --release --quiet --locked --example bench-evidence) >&2
  local program=${CARGO_TARGET_DIR:-$repo/target}/release/examples/bench-evidence
  say "filling a ledger with $claims claims"
  said=$("$program" generate "$state" "$claims")
  say "$said"
  awk '/bytes for each claim/ { print $1 }' <<<"$said" >"$work/bytes"
  single bytes "bytes of a ledger for each claim" -
  : >"$work/ask"
  : >"$work/longest"
  for ((i = 1; i <= rounds; i++)); do
    said=$("$program" ask "$state" 500)
    echo "${said% *}" >>"$work/ask"
    echo "${said#* }" >>"$work/longest"
  done
  single ask "one path in $claims claims (ms)" "≤ 20"
  single longest "the longest of 500 (ms)" "≤ 20"
  said=$("$program" prune "$state" 20)
  say "$said"
  awk 'NR == 1 { print $1 }' <<<"$said" >"$work/recorded"
  awk 'NR == 1 { print $2 }' <<<"$said" >"$work/held"
  single recorded "a refusal recorded while pruning (ms)" -
  single held "the longest of them (ms)" "≤ 100"
  remove "$state"
  trap 'end_all; remove "$work"' EXIT
}

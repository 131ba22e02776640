# shellcheck shell=bash disable=SC2004,SC2034,SC2154 # what is set elsewhere, or for elsewhere, and keys of `pids`

bench_hook() {
  local hook ours true_ write ratio low high runs=300
  if [[ -z ${HOOK:-} ]]; then
    (cd -- "$repo" && cargo rustc --locked --release --bin countersign-hook -- \
      -C target-feature=+crt-static -C opt-level=s -C strip=symbols) >&2
    HOOK=${CARGO_TARGET_DIR:-$repo/target}/release/countersign-hook
  fi
  rustc --edition 2024 -O -o "$work/hook" "$repo/tests/bench/hook.rs" >&2
  mkdir -m 0755 -- "$work/spool"
  hook=$("$work/hook" "$HOOK" "$work/spool" $runs) || die "the hook failed"
  read -r ours true_ write ratio low high <<<"$hook"
  row "hook, start to exit (ms)" "$ours" "$(calculate %.3f "$true_ + $write")" "$ratio" "<= 2" \
    "$runs runs, $low to $high for nine in ten; /bin/true $true_, durable write $write; $(stat -c %s "$HOOK") bytes"
  remove "$work/spool"
}

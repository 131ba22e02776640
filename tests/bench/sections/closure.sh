# shellcheck shell=bash disable=SC2004,SC2034,SC2154 # what is set elsewhere, or for elsewhere, and keys of `pids`

bench_closure() {
  local closure=$repo/target/fixtures/closure-600
  closure_600 "$closure"
  closure_top=$(<"$closure/top")
  serve_files "$closure/xz"
  closure_xz=$port closure_xz_key=$(<"$closure/one.pub")
  serve_files "$closure/zstd"
  closure_zstd=$port closure_zstd_key=$(<"$closure/two.pub")
  closure_config="
[signers.one]
keys = [\"$closure_xz_key\"]
[signers.two]
keys = [\"$closure_zstd_key\"]
[caches.xz]
url = \"http://127.0.0.1:$closure_xz\"
[caches.zstd]
url = \"http://127.0.0.1:$closure_zstd\"
priority = 10
[[rules]]
name = \"both\"
signatures = [{ at-least = 2, of = [\"one\", \"two\"] }]
operators = 2"
  cat "$closure"/{xz,zstd}/nar/* "$closure"/{xz,zstd}/*.narinfo >/dev/null
  closure_theirs=zstd
  compare measure_closure "nix copy, 600 MB, to zstd directly" "s" "<= 1.15"
  closure_theirs=xz
  compare measure_closure "nix copy, 600 MB, to xz directly" "s" "<= 0.6"
  end_all
}

closure_600() { # DIR
  [[ -e $1/complete ]] || say "making a closure of 100 paths, 600 MB, once; this takes minutes"
  "$repo/tests/nix/closure" "$1" 100 600 >&2
}

# A Countersign that has seen nothing each time.
measure_closure() {
  if [[ $1 = ours ]]; then
    start_ours closure-ours/service <<<"$closure_config"
    copy_closure "http://127.0.0.1:$port" "$key" "$closure_top"
    end "$pid"
    remove "$work/closure-ours"
  else
    local from=closure_$closure_theirs trusted=closure_${closure_theirs}_key
    copy_closure "http://127.0.0.1:${!from}" "${!trusted}" "$closure_top"
  fi
}

# Copies a closure into a new store, with a new home, and prints how long that took: five minutes at most.
copy_closure() { # URL TRUSTED-KEY TOP
  local dir=$work/copy from
  write_conf "$dir"
  sync
  from=$EPOCHREALTIME
  timeout 300 env -i PATH="$PATH" HOME="$dir/home" XDG_CACHE_HOME="$dir/cache" NIX_CONF_DIR="$dir" NIX_REMOTE="$dir/store" \
    TMPDIR="${TMPDIR:-/tmp}" "$repo/target/nix/$version/bin/nix" copy --from "$1" --to "$dir/store" \
    --option trusted-public-keys "$2" "$3" 2>"$dir/log" || { cat "$dir/log" >&2; die "the copy from $1 failed"; }
  since "$from"
  remove "$dir"
}

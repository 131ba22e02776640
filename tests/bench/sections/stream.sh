# shellcheck shell=bash disable=SC2004,SC2034,SC2154 # what is set elsewhere, or for elsewhere, and keys of `pids`
nar_mib=1024

bench_stream() {
  stream_origin
  start_ours stream <<TOML
[signers.one]
keys = ["$(<"$fixture/key.pub")"]
[caches.none]
url = "http://127.0.0.1:$origin"
[[rules]]
name = "all"
signatures = [{ at-least = 1, of = ["one"] }]
TOML
  stream_ours="http://127.0.0.1:$port/$(curl -sf --max-time 15 "http://127.0.0.1:$port/$hash.narinfo" | sed -n 's/^URL: //p')"
  stream_ours_pid=$pid
  compare_streams "NARs"
}

stream_origin() {
  fixture stream-$nar_mib "a NAR of $nar_mib MiB" make_stream
  hash=$(hash_parts "$fixture/path")
  serve_files "$fixture/none"
  origin=$port
  stream_size=$(sed -n 's/^NarSize: //p' "$fixture/none/$hash.narinfo")
  stream_url=$(sed -n 's/^URL: //p' "$fixture/none/$hash.narinfo")
}

compare_streams() { # WHAT
  serve_proxy "$origin"
  stream_theirs="http://127.0.0.1:$port/$stream_url"
  stream_theirs_pid=$pid
  # Into the page cache.
  cat "$fixture"/none/nar/* >/dev/null
  for streams in 1 4 16; do
    compare measure_stream "$1 of $nar_mib MiB, $streams at once" "MB/s" ">= 0.85"
    second "the same, processor time (s/GiB)" -
  done
  end_all
}

# All of them together, from the start to the end of the last; then the server's processor time for each GiB.
measure_stream() {
  local url=stream_$1 server=stream_$1_pid i from took cpu curls=() curl
  cpu=$(cpu_of "${!server}")
  from=$EPOCHREALTIME
  for ((i = 0; i < streams; i++)); do
    curl -sf --max-time 300 -o /dev/null -w '%{http_code} %{size_download}\n' "${!url}" >"$work/got-$i" &
    curls+=($!)
    pids[$!]=1
  done
  for curl in "${curls[@]}"; do
    wait "$curl" || die "the NAR broke off ($1)"
    unset "pids[$curl]"
  done
  took=$(since "$from")
  cpu=$(calculate %.3f "$(cpu_of "${!server}") - $cpu")
  for ((i = 0; i < streams; i++)); do
    [[ $(<"$work/got-$i") = "200 $stream_size" ]] || die "not the NAR ($1): $(<"$work/got-$i")"
  done
  awk -v bytes="$stream_size" -v streams="$streams" -v took="$took" -v cpu="$cpu" \
    'BEGIN { all = bytes * streams; printf "%.0f %.3f\n", all / took / 1e6, cpu / all * 2 ^ 30 }'
}

# Random bytes in a thousand files, so that the parser has something to do and no cache could have compressed it.
make_stream() { # DIR
  cat >"$1/stream.nix" <<NIX
derivation {
  name = "stream";
  system = builtins.currentSystem;
  builder = "/bin/sh";
  args = [ "-c" "mkdir \$out; i=1000; while [ \$i -lt 2000 ]; do head -c $((nar_mib * 1048576 / 1000)) /dev/urandom > \$out/\$i; i=\$((i + 1)); done; exit 0" ];
}
NIX
  run_nix "$version" "$1/run" nix-store --generate-binary-cache-key stream-1 "$1/key.sec" "$1/key.pub" &&
    run_nix "$version" "$1/run" nix-build --no-out-link --store "$1/store" "$1/stream.nix" >"$1/path" &&
    run_nix "$version" "$1/run" nix copy --from "$1/store" --to "file://$1/none?secret-key=$1/key.sec&compression=none" "$(<"$1/path")" || return
  remove "$1/store"
  remove "$1/run"
}

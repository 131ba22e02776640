# shellcheck shell=bash disable=SC2004,SC2034,SC2154 # what is set elsewhere, or for elsewhere, and keys of `pids`
# shellcheck source-path=SCRIPTDIR source=stream.sh
. "$bench/sections/stream.sh"

# What `stream` measures, for a proxy that does nothing but hash.
bench_floor() {
  (cd -- "$repo" && cargo build --release --locked --example bench-floor) >&2
  stream_origin
  free_port
  "${CARGO_TARGET_DIR:-$repo/target}/release/examples/bench-floor" "$port" "$origin" &
  pid=$!
  pids[$pid]=1
  wait_open "$port"
  stream_ours="http://127.0.0.1:$port/$stream_url"
  stream_ours_pid=$pid
  compare_streams "hashed alone: NARs"
}

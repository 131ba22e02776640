# shellcheck shell=bash disable=SC2004,SC2034,SC2154 # what is set elsewhere, or for elsewhere, and keys of `pids`
large_count=16
large_mib=954 # 1.0 GB

bench_parallel() {
  fixture large-$large_mib "a NAR of $large_mib MiB, as zstd and as xz" make_large
  local kind
  for kind in zstd xz; do
    : >"$work/parallel"
    for ((i = 1; i <= (rounds + 2) / 3; i++)); do measure_parallel $kind; done
    case $kind in
      zstd) single parallel "$large_count NARs of 1 GB at once, from zstd (MiB)" "<= 160" ;;
      # limits.memory as it is by default, 256 MiB, and 64 more.
      xz) single parallel "$large_count NARs of 1 GB at once, from xz (MiB)" "<= 320" ;;
    esac
  done
}

# The most memory that a new process had when all have got their NAR.
measure_parallel() { # KIND
  local hash i from curl curls=() urls=()
  serve_files "$fixture/$1"
  start_ours large <<TOML
[signers.one]
keys = ["$(<"$fixture/key.pub")"]
[caches.one]
url = "http://127.0.0.1:$port"
[[rules]]
name = "all"
signatures = [{ at-least = 1, of = ["one"] }]
TOML
  for hash in $(<"$fixture/paths"); do
    urls+=("$(curl -sf --max-time 15 "http://127.0.0.1:$port/$hash.narinfo" | sed -n 's/^URL: //p')")
  done
  from=$EPOCHREALTIME
  for ((i = 0; i < large_count; i++)); do
    curl -sf --max-time 900 -o /dev/null -w '%{http_code} %{size_download}\n' "http://127.0.0.1:$port/${urls[i]}" >"$work/got-$i" &
    curls+=($!)
    pids[$!]=1
  done
  for curl in "${curls[@]}"; do
    wait "$curl" || die "a NAR broke off ($1)"
    unset "pids[$curl]"
  done
  for ((i = 0; i < large_count; i++)); do
    [[ $(<"$work/got-$i") = "200 $(<"$fixture/size")" ]] || die "not the NAR ($1): $(<"$work/got-$i")"
  done
  memory_of "$pid" VmHWM >>"$work/parallel"
  say "$large_count NARs from $1: $(tail -n1 "$work/parallel") MiB at most, $(since "$from") s"
  end_all
  remove "$work/large"
}

make_large() { tool bench-large "$1" $large_mib $large_count; } # DIR

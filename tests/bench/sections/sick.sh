# shellcheck shell=bash disable=SC2004,SC2034,SC2154 # what is set elsewhere, or for elsewhere, and keys of `pids`
# shellcheck source-path=SCRIPTDIR source=closure.sh
. "$bench/sections/closure.sh"

# So many bytes a second for each connection to the good cache: alone it takes some 15 s, so that there is something
# left to measure after the first five.
sick_rate=2m

# The good cache's NARs are the same as the sick ones', compressed alike: what differs is how they come.
bench_sick() {
  local closure=$repo/target/fixtures/closure-600 good slow hole
  closure_600 "$closure"
  sick_top=$(<"$closure/top")
  cat "$closure"/zstd/nar/* >/dev/null
  free_port
  good=$port
  start_nginx "$good" "root \"$closure/zstd\"; limit_rate $sick_rate;"
  free_port
  slow=$port
  start_nginx "$slow" "root \"$closure/zstd\"; limit_rate 10k;"
  free_port
  hole=$port
  start_nginx "$hole" "root \"$closure/zstd\";"
  # The kernel takes connections for a stopped process, and nobody answers.
  kill -STOP "$pid"
  sick_theirs="
[signers.two]
keys = [\"$(<"$closure/two.pub")\"]
[caches.good]
url = \"http://127.0.0.1:$good\"
[[rules]]
name = \"one\"
signatures = [{ at-least = 1, of = [\"two\"] }]"
  # The sick ones are preferred by what the configuration says.
  sick_ours="$sick_theirs
[caches.hole]
url = \"http://127.0.0.1:$hole\"
priority = 10
[caches.slow]
url = \"http://127.0.0.1:$slow\"
priority = 20"
  compare measure_sick "nix copy, 600 MB, two of three caches sick" "s" -
  second "the same without the first 5 s (s)" "<= 1.5"
  end_all
}

# A Countersign that has seen nothing each time, with all three caches or with the good one alone.
measure_sick() {
  local config=sick_$1 took
  start_ours sick/service <<<"${!config}"
  took=$(copy_closure "http://127.0.0.1:$port" "$key" "$sick_top")
  end "$pid"
  remove "$work/sick"
  awk -v took="$took" 'BEGIN { print took, took - 5 }'
}

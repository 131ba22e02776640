# shellcheck shell=bash disable=SC2004,SC2034,SC2154 # what is set elsewhere, or for elsewhere, and keys of `pids`
# What keeping evidence costs a request, in instructions as callgrind counts them: the same whatever else the machine does.
counted=10000

bench_instructions() {
  command -v valgrind >/dev/null || { [[ $(id -u) = 0 ]] && apt-get install -q -y --no-install-recommends valgrind >&2; } ||
    die "needs valgrind; install it and try again"
  fixture narinfos-$counted "$counted narinfos" make_counted
  local i program=$COUNTERSIGN
  counted_config="
[signers.one]
keys = [\"$(<"$fixture/key.pub")\"]
[[rules]]
name = \"all\"
signatures = [{ at-least = 1, of = [\"one\"] }]
operators = 2
[serving]
prefetch = false"
  for i in 1 2; do
    serve_files "$fixture"
    counted_config+="
[caches.cache-$i]
url = \"http://127.0.0.1:$port\"
claim-timeout = \"60s\""
  done
  counted_config="decision-timeout = \"120s\"
$counted_config"
  cat >"$work/counting" <<SCRIPT
#!/bin/sh
case "\$*" in
*serve*) exec valgrind --tool=callgrind --callgrind-out-file="\$HOME/callgrind.out" "$program" "\$@" ;;
*) exec "$program" "\$@" ;;
esac
SCRIPT
  chmod +x "$work/counting"
  COUNTERSIGN=$work/counting
  rm -f -- "$work"/{ours,theirs}
  local with without
  with=$(count_requests warm on) without=$(count_requests warm off)
  echo "$with" >"$work/ours" && echo "$without" >"$work/theirs"
  compared 1 "instructions of $counted warm requests, with evidence to without" "<= 1.05"
  with=$(count_requests cold on) without=$(count_requests cold off)
  echo "$with" >"$work/ours" && echo "$without" >"$work/theirs"
  compared 1 "instructions of $counted cold requests, with evidence to without" "<= 1.15"
  COUNTERSIGN=$program
  end_all
}

# The instructions of so many requests alone: those of a run with them, less those of one without.
count_requests() { # warm|cold on|off
  local all none
  all=$(run_counted "$1" "$2" $counted) none=$(run_counted "$1" "$2" 0)
  calculate '%.0f' "$all - $none"
}

run_counted() { # warm|cold on|off REQUESTS
  local dir=$work/counted-$1-$2-$3 hash
  mkdir -p -- "$dir/state"
  # A folder in its place: evidence cannot be kept, and everything is served all the same.
  [[ $2 = on ]] || mkdir -p -- "$dir/state/evidence.db"
  start_ours "counted-$1-$2-$3" <<<"$counted_config" >&2
  local ours=$pid
  {
    # What is warm was asked for before.
    [[ $1 = cold ]] || head -n 20 "$fixture/paths"
    if [[ $1 = cold ]]; then head -n "$3" "$fixture/paths"; else yes "$(head -n 20 "$fixture/paths")" | head -n "$3"; fi
  } | while read -r hash; do
    printf 'url = "http://127.0.0.1:%s/%s.narinfo"\noutput = "/dev/null"\n' "$port" "${hash:0:32}"
  done >"$dir/urls"
  [[ ! -s $dir/urls ]] || curl -sf -K "$dir/urls" >&2 || die "not every narinfo came ($1, $2)"
  end "$ours"
  awk '/^summary:|^totals:/ { n = $2 } END { print n }' "$dir/callgrind.out"
}

make_counted() { tool narinfos "$1" $counted; } # DIR

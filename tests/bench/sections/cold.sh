# shellcheck shell=bash disable=SC2004,SC2034,SC2154 # what is set elsewhere, or for elsewhere, and keys of `pids`
cold_paths=4000

bench_cold() {
  fixture narinfos-$cold_paths "$cold_paths narinfos" make_cold
  local i caches=()
  cold_config="
[signers.one]
keys = [\"$(<"$fixture/key.pub")\"]
[[rules]]
name = \"all\"
signatures = [{ at-least = 1, of = [\"one\"] }]
operators = 3
[serving]
prefetch = false"
  for i in 1 2 3; do
    serve_files "$fixture"
    caches+=("127.0.0.1:$port")
    cold_config+="
[caches.cache-$i]
url = \"http://127.0.0.1:$port\""
  done
  tool bench-cold >/dev/null 2>&1 || (($? == 2)) || die "the client of cold narinfos cannot be built"
  rm -f -- "$work"/{ours,theirs,more}
  for ((i = 1; i <= rounds; i++)); do
    start_ours cold <<<"$cold_config"
    tool bench-cold "$fixture/paths" "127.0.0.1:$port" "${caches[@]}" >"$work/cold-one" || die "not every narinfo came"
    read -r ours theirs <"$work/cold-one"
    end "$pid"
    remove "$work/cold"
    echo "$ours" >>"$work/ours"
    echo "$theirs" >>"$work/theirs"
    calculate "%.3f\\n" "$ours - $theirs" >>"$work/more"
    say "cold, run $i of $rounds: $ours to $theirs ms"
  done
  compared 1 "cold narinfo, three caches (ms)" -
  single more "the same, beyond the slowest cache's (ms)" "<= 0.5"
  end_all
}

make_cold() { tool narinfos "$1" $cold_paths; } # DIR

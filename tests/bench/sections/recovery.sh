# shellcheck shell=bash disable=SC2004,SC2034,SC2154 # what is set elsewhere, or for elsewhere, and keys of `pids`

bench_recovery() {
  local closure=$repo/target/fixtures/closure-100
  "$repo/tests/nix/closure" "$closure" 100 20 >&2
  recovery_hash=$(hash_parts "$closure/top")
  recovery_root=$closure/zstd
  recovery_keys=("$(<"$closure/one.pub")" "$(<"$closure/two.pub")")
  rm -f -- "$work"/{start,fresh,refused,silent}
  local i
  for ((i = 1; i <= rounds; i++)); do
    recover fresh 0
    say "recovery, run $i of $rounds: serving after $(tail -n1 "$work/start") s, endorsed $(tail -n1 "$work/fresh") s after the return"
  done
  # Longer outages: connections refused, and connections taken but never answered.
  for ((i = 1; i <= (rounds + 1) / 2; i++)); do
    recover refused 12
    recover silent 12
    say "recovery after 12 s: refused $(tail -n1 "$work/refused") s, silent $(tail -n1 "$work/silent") s"
  done
  single start "start to first answer, all caches down (s)" "<= 1"
  single fresh "cache's return to endorsement, new start (s)" "<= 2"
  single refused "the same after 12 s of refusals (s)" "<= 2"
  single silent "the same after 12 s of silence (s)" "<= 2"
}

# Starts with two caches down, asks every 50 ms throughout, brings one back, waits for the endorsement.
recover() { # KIND SECONDS-OF-OUTAGE
  local one two from until ours cache=
  free_port
  one=$port
  free_port
  two=$port
  if [[ $1 = silent ]]; then
    # The kernel takes connections for a stopped process, and nobody answers.
    start_nginx "$one" "root \"$recovery_root\";"
    cache=$pid
    kill -STOP "$cache"
  fi
  start_ours "recover" <<TOML
[signers.one]
keys = ["${recovery_keys[0]}"]
[signers.two]
keys = ["${recovery_keys[1]}"]
[caches.one]
url = "http://127.0.0.1:$one"
[caches.two]
url = "http://127.0.0.1:$two"
[[rules]]
name = "all"
signatures = [{ at-least = 1, of = ["one", "two"] }]
TOML
  ours=$port
  [[ $1 = silent ]] || echo "$took" >>"$work/start"
  ask_until "$ours" "$(calculate %.3f "$EPOCHREALTIME + 0.3 + $2")" && die "endorsed with every cache down"
  if [[ $1 = silent ]]; then
    kill -CONT "$cache"
  else
    start_nginx "$one" "root \"$recovery_root\";"
  fi
  from=$EPOCHREALTIME
  until=$(calculate %.3f "$from + 30")
  ask_until "$ours" "$until" || die "not endorsed 30 s after a cache's return ($1)"
  since "$from" >>"$work/$1"
  end_all
  remove "$work/recover"
}

# Asks every 50 ms; true as soon as the path is endorsed, false when the time is over.
ask_until() { # PORT TIME
  while awk "BEGIN { exit !($EPOCHREALTIME < $2) }"; do
    [[ $(status "$1" "$recovery_hash.narinfo") != 200 ]] || return 0
    sleep 0.05
  done
  return 1
}

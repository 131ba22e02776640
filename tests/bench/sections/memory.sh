# shellcheck shell=bash disable=SC2004,SC2034,SC2154 # what is set elsewhere, or for elsewhere, and keys of `pids`

paths=100000

bench_memory() {
  fixture narinfos-$paths "$paths narinfos" make_narinfos
  local remembered start
  serve_files "$fixture"
  start_ours memory <<TOML
[signers.one]
keys = ["$(<"$fixture/key.pub")"]
[caches.one]
url = "http://127.0.0.1:$port"
[[rules]]
name = "all"
signatures = [{ at-least = 1, of = ["one"] }]
TOML
  start=$(memory_of "$pid" VmRSS)
  ask_each "$fixture/paths"
  remembered=$(env -i PATH="$PATH" HOME="$work" "$COUNTERSIGN" --config "$work/memory/config.toml" status --json |
    sed -n 's/.*"remembered": \([0-9]*\).*/\1/p')
  ((remembered >= paths)) || die "only $remembered of $paths paths are remembered"
  # Threads that have nothing to do end after ten seconds.
  sleep 15
  row "idle, $remembered paths remembered (MiB)" "$(memory_of "$pid" VmRSS)" - - "<= 40" \
    "$start at the start, $(memory_of "$pid" VmHWM) at most"
  end_all
}

# Asks for every narinfo once and wants each endorsed.
ask_each() { # FILE-OF-HASHES
  cat >"$work/memory.lua" <<'LUA'
local paths, asked, answered, faults, enough = {}, 0, 0, 0, 0
function init(args)
  for line in io.lines(args[1]) do paths[#paths + 1] = line end
  -- A round of repeats, so that what is still out at the end has been answered before.
  enough = #paths + args[2]
end
function request()
  asked = asked % #paths + 1
  return wrk.format("GET", "/" .. paths[asked] .. ".narinfo")
end
function response(status)
  answered = answered + 1
  if status ~= 200 then faults = faults + 1 end
  if answered == enough then
    io.write("faults ", faults, "\n")
    io.flush()
    wrk.thread:stop()
  end
end
LUA
  : >"$work/asked"
  # It would wait for the end of its time even when it has nothing left to do.
  wrk -t1 -c"$connections" -d1800s -s "$work/memory.lua" "http://127.0.0.1:$port" -- "$1" "$connections" >"$work/asked" &
  local wrk=$!
  pids[$wrk]=1
  while kill -0 $wrk 2>/dev/null && ! grep -q '^faults' "$work/asked"; do sleep 0.2; done
  grep -qx "faults 0" "$work/asked" || die "not every narinfo came: $(<"$work/asked")"
  end $wrk
}

make_narinfos() { tool narinfos "$1" $paths; } # DIR

# shellcheck shell=bash disable=SC2004,SC2034,SC2154 # what is set elsewhere, or for elsewhere, and keys of `pids`

bench_narinfo() {
  local closure=$repo/target/fixtures/closure-100 files=$work/narinfos hash
  "$repo/tests/nix/closure" "$closure" 100 20 >&2
  serve_files "$closure/zstd"
  start_ours narinfo <<TOML
[signers.two]
keys = ["$(<"$closure/two.pub")"]
[caches.zstd]
url = "http://127.0.0.1:$port"
[[rules]]
name = "all"
signatures = [{ at-least = 1, of = ["two"] }]
TOML
  narinfo_ours=$port
  mkdir -- "$files"
  {
    echo 'local paths = {'
    for hash in $(hash_parts "$closure/paths"); do
      curl -sf --max-time 15 -o "$files/$hash.narinfo" "http://127.0.0.1:$port/$hash.narinfo" || die "no narinfo of $hash"
      echo "  \"/$hash.narinfo\","
    done
    echo '}'
    cat <<'LUA'
local requests, i = {}, 0
function init(args)
  for n, path in ipairs(paths) do requests[n] = wrk.format("GET", path) end
end
function request()
  i = i % #requests + 1
  return requests[i]
end
LUA
  } >"$work/narinfo.lua"
  serve_files "$files"
  narinfo_theirs=$port
  measure_narinfo ours >/dev/null
  compare measure_narinfo "warm narinfos, $connections connections" "requests/s" ">= 1.4"
  second "the same, slowest of a hundred (ms)" "<= 1.5 ms"
  end_all
}

measure_narinfo() {
  local target=narinfo_$1 out
  out=$(wrk --latency -t1 -c"$connections" -d"$seconds"s -s "$work/narinfo.lua" "http://127.0.0.1:${!target}")
  ! grep -E 'Non-2xx|Socket errors' <<<"$out" >&2 || die "wrk met errors ($1)"
  # wrk writes 950.00us, 1.23ms or 1.02s.
  awk '$1 == "99%" { p99 = $2 * ($2 ~ /us$/ ? 1e-3 : $2 ~ /ms$/ ? 1 : 1e3) } $1 == "Requests/sec:" { rate = $2 }
    END { printf "%s %.3f\n", rate, p99 }' <<<"$out"
}

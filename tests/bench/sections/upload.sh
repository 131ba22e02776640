# shellcheck shell=bash disable=SC2004,SC2034,SC2154 # what is set elsewhere, or for elsewhere, and keys of `pids`

bench_upload() {
  upload_fixture
  uploads=$work/upload
  mkdir -p -- "$uploads"
  start_nix_daemon "$fixture/store" "$uploads/daemon"
  # Into the page cache.
  find "$fixture/store/nix/store" -type f -exec cat {} + >/dev/null
  upload_paths=("$(<"$fixture/chain-top")")
  compare measure_upload "push, a chain of 120 paths, 600 MB" "s" "<= 0.7"
  upload_memory
  mapfile -t upload_paths <"$fixture/flat"
  compare measure_upload "push, 120 unrelated paths, 600 MB" "s" "<= 1.0"
  end_all
  upload_queue
  remove "$uploads"
}

# A store with 240 paths of 5 MB that were built in it: a chain, each path referring to the one before, and as many
# that refer to nothing. Three quarters are text and one quarter does not compress.
upload_fixture() {
  fixture=$repo/target/fixtures/upload
  [[ ! -e $fixture/complete ]] || return 0
  say "building 240 paths, 1.2 GB, once; this takes minutes"
  local tmp=$fixture.tmp
  remove "$tmp"
  mkdir -p -- "$tmp"
  cat >"$tmp/upload.nix" <<'NIX'
let
  path = name: seed: references: derivation {
    inherit name references;
    system = builtins.currentSystem;
    builder = "/bin/sh";
    args = [ "-c" ''
      mkdir $out
      echo $references > $out/references
      awk 'BEGIN { for (x = ${toString seed};;) { x = x * 16807 % 2147483647; printf "the field %08x = %d;\n", x, x % 999983 } }' |
        head -c 3750000 > $out/text
      gzip -1 < $out/text | head -c 1250000 > $out/data
      exit 0
    '' ];
  };
  numbers = builtins.genList (i: i) 120;
  chain = map (i: path "chain-${toString i}" (i + 1) (if i == 0 then [ ] else [ (builtins.elemAt chain (i - 1)) ])) numbers;
in
{
  inherit chain;
  flat = map (i: path "flat-${toString i}" (i + 1001) [ ]) numbers;
}
NIX
  local one
  for one in chain flat; do
    run_nix "$version" "$tmp/run" nix-build --no-out-link -j "$(nproc)" --store "$tmp/store" -A "$one" "$tmp/upload.nix" \
      >"$tmp/$one" 2>"$tmp/log" || { cat "$tmp/log" >&2; die "the paths cannot be built"; }
    (($(wc -l <"$tmp/$one") == 120)) || die "$(wc -l <"$tmp/$one") paths were built, not 120"
  done
  tail -n1 "$tmp/chain" >"$tmp/chain-top"
  run_nix "$version" "$tmp/run" nix-store --generate-binary-cache-key upload-1 "$tmp/key.sec" "$tmp/key.pub"
  chmod 0600 "$tmp/key.sec"
  remove "$tmp/run"
  touch "$tmp/complete"
  remove "$fixture"
  mv -- "$tmp" "$fixture"
}

# Starts a daemon that serves a diverted store, and waits for it; sets `pid`, and `nix_env`, with which Nix and
# Countersign talk to it.
start_nix_daemon() { # STORE DIR
  write_conf "$2"
  nix_env=(env -i PATH="$PATH" HOME="$2/home" XDG_CACHE_HOME="$2/cache" NIX_CONF_DIR="$2" TMPDIR="${TMPDIR:-/tmp}")
  "${nix_env[@]}" NIX_REMOTE="$1" NIX_DAEMON_SOCKET_PATH="$2/socket" "$repo/target/nix/$version/bin/nix-daemon" 2>"$2/log" &
  pid=$!
  pids[$pid]=1
  nix_env+=(NIX_REMOTE="unix://$2/socket?root=$1")
  local _
  for _ in {1..100}; do
    ! "${nix_env[@]}" "$repo/target/nix/$version/bin/nix-store" --query --hash "$(<"$fixture/chain-top")" >/dev/null 2>&1 || return 0
    sleep 0.05
  done
  cat "$2/log" >&2
  die "the Nix daemon does not answer"
}

# To a directory that is not there yet; ours with a state directory that is new as well.
measure_upload() {
  local dir=$uploads/$1 from
  prepare_upload "$dir"
  sync
  from=$EPOCHREALTIME
  case $1 in
    ours) push_upload "$dir" ;;
    theirs)
      timeout 300 "${nix_env[@]}" "$repo/target/nix/$version/bin/nix" copy \
        --to "file://$dir/cache?compression=zstd&compression-level=3&secret-key=$fixture/key.sec" "${upload_paths[@]}" 2>"$dir/log"
      ;;
  esac || { cat "$dir/log" >&2; die "the upload failed ($1)"; }
  since "$from"
  local narinfos=("$dir"/cache/*.narinfo)
  ((${#narinfos[@]} == 120)) || die "${#narinfos[@]} paths were uploaded, not 120 ($1)"
  finish_upload "$dir"
}

prepare_upload() { # DIR
  mkdir -p -- "$1"
  cat >"$1/config.toml" <<TOML
listen = ["127.0.0.1:0"]
state-directory = "$1/state"
[signers.upload]
keys = ["$(<"$fixture/key.pub")"]
[caches.none]
url = "http://127.0.0.1:1"
[[rules]]
name = "all"
signatures = [{ at-least = 1, of = ["upload"] }]
[upload]
signing-key-files = ["$fixture/key.sec"]
spool-directory = "$1/spool"
jobs = 2
[destinations.cache]
url = "file://$1/cache"
packages = ["*"]
compression = "zstd"
level = 3
TOML
}

# The links that kept what was going are gone with the directory; what the store knows of them goes too.
finish_upload() { # DIR
  remove "$1"
  find "$fixture/store/nix/var/nix/gcroots/auto" -type l -delete
}

push_upload() { timeout 300 "${nix_env[@]}" "$COUNTERSIGN" --config "$1/config.toml" push "${upload_paths[@]}" >"$1/log" 2>&1; } # DIR

# The most memory that the uploader had while it pushed the chain.
upload_memory() {
  local i dir=$uploads/ours
  : >"$work/memory"
  for ((i = 1; i <= (rounds + 1) / 2; i++)); do
    prepare_upload "$dir"
    push_peak "$dir" >>"$work/memory"
    finish_upload "$dir"
  done
  single memory "push, the same chain, peak memory (MiB)" "<= 200"
}

# Pushes, and prints the most memory that it took, in MiB.
push_peak() { # DIR
  local name value most=0 pusher
  "${nix_env[@]}" "$COUNTERSIGN" --config "$1/config.toml" push "${upload_paths[@]}" >"$1/log" 2>&1 &
  pusher=$!
  pids[$pusher]=1
  # The kernel keeps the peak; what it said last counts.
  while [[ -e /proc/$pusher/status ]]; do
    while read -r name value _; do [[ $name != VmHWM: ]] || most=$value; done </proc/$pusher/status
    sleep 0.01
  done 2>/dev/null
  wait $pusher || { cat "$1/log" >&2; die "the upload failed"; }
  unset "pids[$pusher]"
  calculate "%.0f\n" "$most / 1024"
}

# A queue of 10,000 entries, listed by a new process each time.
upload_queue() {
  local dir=$uploads/queue i from lines
  prepare_upload "$dir"
  (cd -- "$repo" && cargo run --locked --example bench-queue -- "$dir/state" 10000) >&2
  : >"$work/listed"
  for ((i = 0; i < rounds * 4; i++)); do
    from=$EPOCHREALTIME
    "${nix_env[@]}" "$COUNTERSIGN" --config "$dir/config.toml" queue list >"$dir/list"
    since "$from" | awk '{ print $1 * 1000 }' >>"$work/listed"
    lines=$(grep -c '^queued' "$dir/list")
    ((lines == 10000)) || die "$lines entries were listed, not 10000"
  done
  single listed "queue list, 10,000 entries (ms)" "<= 100"
}

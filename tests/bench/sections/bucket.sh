# shellcheck shell=bash disable=SC2034,SC2154 # what is set elsewhere, or for elsewhere
# shellcheck source-path=SCRIPTDIR source=upload.sh
. "$bench/sections/upload.sh"

bench_bucket() {
  local endpoint
  upload_fixture
  uploads=$work/bucket
  start_bucket
  start_nix_daemon "$fixture/store" "$uploads/daemon"
  # Into the page cache.
  find "$fixture/store/nix/store" -type f -exec cat {} + >/dev/null
  upload_paths=("$(<"$fixture/chain-top")")
  compare measure_bucket "push to s3, a chain of 120 paths, 600 MB" "s" "<= 1.0"
  mapfile -t upload_paths <"$fixture/flat"
  compare measure_bucket "push to s3, 120 unrelated paths, 600 MB" "s" "<= 1.0"
  bucket_memory
  end_all
  remove "$uploads"
}

# The most memory of the uploader while it pushes a path of 5 GiB that does not compress.
bucket_memory() {
  local fixture=$uploads/large
  mkdir -- "$fixture"
  cp -- "$repo/target/fixtures/upload/key."{sec,pub} "$fixture"
  cat >"$fixture/large.nix" <<'NIX'
derivation {
  name = "large";
  system = builtins.currentSystem;
  builder = "/bin/sh";
  args = [ "-c" "head -c 5368709120 /dev/urandom > $out; exit 0" ];
}
NIX
  run_nix "$version" "$fixture/run" nix-build --no-out-link --store "$fixture/store" "$fixture/large.nix" >"$fixture/chain-top" 2>"$fixture/log" ||
    { cat "$fixture/log" >&2; die "the large path cannot be built"; }
  upload_paths=("$(<"$fixture/chain-top")")
  start_nix_daemon "$fixture/store" "$uploads/large-daemon"
  empty_bucket
  prepare_bucket "$uploads/ours"
  push_peak "$uploads/ours" >"$work/bucket-memory"
  [[ $(du -sk -- "$uploads/s3/bench/nar" | cut -f1) -ge 5242880 ]] || die "the large path is not there"
  finish_upload "$uploads/ours"
  empty_bucket
  single bucket-memory "push to s3, one path of 5 GiB, peak memory (MiB)" "<= 120"
}

# An S3 server with an empty bucket; sets `endpoint`.
start_bucket() {
  local tool=${CARGO_TARGET_DIR:-$repo/target}/release/examples/bench-bucket
  mkdir -p -- "$uploads/s3"
  (cd -- "$repo" && cargo build --quiet --release --locked --example bench-bucket) >&2
  "$tool" "$uploads/s3" >"$uploads/endpoint" &
  pids[$!]=1
  while [[ ! -s $uploads/endpoint ]]; do sleep 0.05; done
  endpoint=$(<"$uploads/endpoint")
}

empty_bucket() {
  remove "$uploads/s3/bench"
  find "$uploads/s3" -maxdepth 1 -type f -delete
  mkdir -- "$uploads/s3/bench"
}

prepare_bucket() { # DIR
  prepare_upload "$1"
  sed -i "s|^url = \"file:.*|url = \"s3://bench?region=us-east-1\&endpoint=$endpoint\&unsigned=true\"|" "$1/config.toml"
}

# To a bucket that is empty; ours with a state directory that is new as well, and theirs with a new memory of what is there.
measure_bucket() {
  local dir=$uploads/$1 from
  empty_bucket
  prepare_bucket "$dir"
  sync
  from=$EPOCHREALTIME
  case $1 in
    ours) push_upload "$dir" ;;
    theirs)
      timeout 300 "${nix_env[@]}" XDG_CACHE_HOME="$dir/nix-cache" "$repo/target/nix/$version/bin/nix" copy --to \
        "s3://bench?region=us-east-1&endpoint=$endpoint&compression=zstd&compression-level=3&secret-key=$fixture/key.sec" \
        "${upload_paths[@]}" 2>"$dir/log"
      ;;
  esac || { cat "$dir/log" >&2; die "the upload failed ($1)"; }
  since "$from"
  local narinfos=("$uploads/s3/bench"/*.narinfo)
  ((${#narinfos[@]} == 120)) || die "${#narinfos[@]} paths were uploaded, not 120 ($1)"
  finish_upload "$dir"
}

# shellcheck shell=bash disable=SC2034,SC2154 # what is set elsewhere, or for elsewhere
# shellcheck source-path=SCRIPTDIR source=upload.sh
. "$bench/sections/upload.sh"

bench_bucket() {
  local tool endpoint file
  upload_fixture
  uploads=$work/bucket
  mkdir -p -- "$uploads/s3"
  (cd -- "$repo" && cargo build --quiet --locked --example bench-bucket) >&2
  tool=${CARGO_TARGET_DIR:-$repo/target}/debug/examples/bench-bucket
  "$tool" serve "$uploads/s3" >"$uploads/endpoint" &
  pids[$!]=1
  while [[ ! -s $uploads/endpoint ]]; do sleep 0.05; done
  endpoint=$(<"$uploads/endpoint")
  bucket_memory
  start_nix_daemon "$fixture/store" "$uploads/daemon"
  # Into the page cache.
  find "$fixture/store/nix/store" -type f -exec cat {} + >/dev/null
  upload_paths=("$(<"$fixture/chain-top")")
  compare measure_bucket "push to s3, a chain of 120 paths, 600 MB" "s" "<= 1.0"
  mapfile -t upload_paths <"$fixture/flat"
  compare measure_bucket "push to s3, 120 unrelated paths, 600 MB" "s" "<= 1.0"
  end_all
  remove "$uploads"
}

# The most memory of a process that puts a file of 5 GiB.
bucket_memory() {
  file=$uploads/large
  truncate -s 5G "$file"
  "$tool" put "$endpoint" "$file" | awk '{ print $1 / 1024 }' >"$work/bucket-memory"
  rm -- "$file"
  empty_bucket
  single bucket-memory "a NAR of 5 GiB to s3, peak memory (MiB)" "<= 120"
}

empty_bucket() {
  remove "$uploads/s3/bench"
  find "$uploads/s3" -maxdepth 1 -type f -delete
  mkdir -- "$uploads/s3/bench"
}

# To a bucket that is empty; ours with a state directory that is new as well.
measure_bucket() {
  local dir=$uploads/$1 from
  empty_bucket
  prepare_upload "$dir"
  sed -i "s|^url = \"file:.*|url = \"s3://bench?region=us-east-1\&endpoint=$endpoint\&unsigned=true\"|" "$dir/config.toml"
  sync
  from=$EPOCHREALTIME
  case $1 in
    ours) push_upload "$dir" ;;
    theirs)
      timeout 300 "${nix_env[@]}" "$repo/target/nix/$version/bin/nix" copy --to \
        "s3://bench?region=us-east-1&endpoint=$endpoint&compression=zstd&compression-level=3&secret-key=$fixture/key.sec" \
        "${upload_paths[@]}" 2>"$dir/log"
      ;;
  esac || { cat "$dir/log" >&2; die "the upload failed ($1)"; }
  since "$from"
  local narinfos=("$uploads/s3/bench"/*.narinfo)
  ((${#narinfos[@]} == 120)) || die "${#narinfos[@]} paths were uploaded, not 120 ($1)"
  finish_upload "$dir"
}

# shellcheck shell=bash disable=SC2004,SC2034,SC2154 # what is set elsewhere, or for elsewhere, and keys of `pids`
# What the sections of `run` have in common: ends and beginnings of processes, servers, and figures.

connections=25
seconds=4
die() { echo "bench: $*" >&2; exit 1; }
say() { echo "bench: $*" >&2; }

declare -A pids=()
remove() { [[ ! -e $1 ]] || { chmod -R u+w -- "$1" && rm -rf -- "$1"; }; }
end() { # PID...
  local pid
  for pid in "$@"; do
    # A stopped process does not hear the end.
    kill -TERM "$pid" 2>/dev/null || true
    kill -CONT "$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true
    unset "pids[$pid]"
  done
}
end_all() { end "${!pids[@]}"; }

# --- what is needed --------------------------------------------------------------------------------------------------

needs() {
  if ! command -v wrk >/dev/null; then
    { [[ $(id -u) = 0 ]] && command -v apt-get >/dev/null; } || die "needs wrk (Debian's name); install it and try again"
    { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends wrk; } >&2
  fi
  "$repo/tests/install" >&2
  if [[ -z ${COUNTERSIGN:-} ]]; then
    (cd -- "$repo" && cargo build --release --locked --bin countersign) >&2
    COUNTERSIGN=${CARGO_TARGET_DIR:-$repo/target}/release/countersign
  fi
  [[ -x $COUNTERSIGN ]] || die "$COUNTERSIGN is no program"
  nginx=$repo/target/nix/$version/bin/nginx
}

# Makes a folder of fixtures once, by a function that fills the folder it is given; sets `fixture`.
fixture() { # NAME WHAT FUNCTION
  fixture=$repo/target/fixtures/$1
  [[ ! -e $fixture/complete ]] || return 0
  say "making $2, once"
  local tmp=$fixture.tmp
  remove "$tmp"
  mkdir -p -- "$tmp"
  "$3" "$tmp" >&2 || die "cannot make $2"
  touch "$tmp/complete"
  remove "$fixture"
  mv -- "$tmp" "$fixture"
}

# Runs one of the tools beside this script.
tool() { (cd -- "$repo" && cargo run --quiet --locked --example "$@"); } # EXAMPLE ARGUMENT...

# --- servers ---------------------------------------------------------------------------------------------------------

is_open() { (: <>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

free_port() {
  local _
  for _ in {1..200}; do
    port=$((20000 + RANDOM % 10000))
    is_open $port || return 0
  done
  die "no free port"
}

wait_open() { # PORT
  local _
  for _ in {1..1000}; do
    ! is_open "$1" || return 0
    sleep 0.005
  done
  die "nothing listens on port $1"
}

# Starts an nginx of one worker that serves one place, and waits for it; sets `pid`.
start_nginx() { # PORT LOCATION [UPSTREAM]
  local dir=$work/nginx-$1
  mkdir -p -- "$dir"
  cat >"$dir/nginx.conf" <<CONF
daemon off;
master_process off;
worker_processes 1;
pid $dir/pid;
error_log $dir/error.log;
events { worker_connections 512; }
http {
  access_log off;
  sendfile on;
  open_file_cache max=10000 inactive=10m;
  open_file_cache_valid 10m;
  keepalive_requests 100000000;
  types { text/x-nix-narinfo narinfo; application/x-nix-nar nar; }
  client_body_temp_path $dir/body; proxy_temp_path $dir/proxy; fastcgi_temp_path $dir/fastcgi;
  uwsgi_temp_path $dir/uwsgi; scgi_temp_path $dir/scgi;
  ${3:+upstream origin { server $3; keepalive 16; \}}
  server { listen 127.0.0.1:$1; location / { $2 } }
}
CONF
  "$nginx" -p "$dir" -c "$dir/nginx.conf" 2>>"$dir/error.log" &
  pid=$!
  pids[$pid]=1
  wait_open "$1"
}

serve_files() { free_port; start_nginx $port "root \"$1\";"; } # DIR; sets `port`, `pid`

# A reverse proxy that verifies nothing.
serve_proxy() { # ORIGIN-PORT; sets `port`, `pid`
  free_port
  start_nginx $port "proxy_pass http://origin; proxy_http_version 1.1; proxy_set_header Connection \"\";
    proxy_buffer_size 64k; proxy_buffers 16 64k; proxy_busy_buffers_size 128k; proxy_max_temp_file_size 0;" "127.0.0.1:$1"
}

# Starts Countersign with a configuration from stdin and a new state, and waits for it; sets `port`, `pid`, `key`, `took`.
start_ours() { # NAME
  local dir=$work/$1 from
  mkdir -p -- "$dir"
  free_port
  { printf '%s\n' "listen = [\"127.0.0.1:$port\"]" "state-directory = \"$dir/state\"" 'log-format = "text"'; cat; } >"$dir/config.toml"
  from=$EPOCHREALTIME
  env -i PATH="$PATH" HOME="$dir" TMPDIR="${TMPDIR:-/tmp}" "$COUNTERSIGN" --config "$dir/config.toml" serve 2>"$dir/log" &
  pid=$!
  pids[$pid]=1
  local _
  for _ in {1..1000}; do
    if [[ $(status $port nix-cache-info) = 200 ]]; then
      took=$(since "$from")
      key=$(env -i PATH="$PATH" HOME="$dir" "$COUNTERSIGN" --config "$dir/config.toml" key public)
      return
    fi
    kill -0 $pid 2>/dev/null || break
    sleep 0.005
  done
  cat "$dir/log" >&2
  die "Countersign does not answer"
}

status() { curl -s -o /dev/null --max-time 15 -w '%{http_code}' "http://127.0.0.1:$1/$2" || true; } # PORT PATH

# --- figures ---------------------------------------------------------------------------------------------------------

calculate() { awk "BEGIN { printf \"$1\", $2 }"; } # FORMAT EXPRESSION
since() { calculate "%.3f\\n" "$EPOCHREALTIME - $1"; }
median() { sort -g | awk '{ a[NR] = $1 } END { if (NR) print NR % 2 ? a[(NR + 1) / 2] : (a[NR / 2] + a[NR / 2 + 1]) / 2 }'; }
spread() { sort -g | awk 'NR == 1 { low = $1 } { high = $1 } END { printf "%.6g to %.6g", low, high }'; }

# Runs `$1 ours` and `$1 theirs` in turn, the first of each pair changing; each prints a number, and may print a second
# one behind it, of which `second` makes another row. Adds a row.
compare() { # MEASURE FIGURE UNIT BAR
  local i one
  : >"$work/ours"
  : >"$work/theirs"
  for ((i = 1; i <= rounds; i++)); do
    for one in $( ((i % 2)) && echo ours theirs || echo theirs ours); do "$1" "$one" >>"$work/$one"; done
    say "$2, run $i of $rounds: $(tail -n1 "$work/ours") to $(tail -n1 "$work/theirs") $3"
  done
  compared 1 "$2 ($3)" "$4"
}

second() { compared 2 "$@"; } # FIGURE BAR

compared() { # COLUMN FIGURE BAR
  local ratio
  cut -d' ' -f"$1" "$work/ours" >"$work/of-ours"
  cut -d' ' -f"$1" "$work/theirs" >"$work/of-theirs"
  ratio=$(paste "$work/of-ours" "$work/of-theirs" | awk '{ print $1 / ($2 ? $2 : 1) }' | median)
  row "$2" "$(median <"$work/of-ours")" "$(median <"$work/of-theirs")" "$(printf %.2f "$ratio")" "$3" \
    "ours $(spread <"$work/of-ours"), theirs $(spread <"$work/of-theirs")"
}

# A row of ours alone, from a file of numbers.
single() { row "$2" "$(median <"$work/$1")" - - "$3" "$(wc -l <"$work/$1") runs, $(spread <"$work/$1")"; } # FILE FIGURE BAR

memory_of() { awk -v name="$2:" '$1 == name { printf "%.1f\n", $2 / 1024 }' "/proc/$1/status"; } # PID FIELD

# Seconds of processor time that a process has taken, user and system. Its name has no space.
cpu_of() { awk -v tick="$(getconf CLK_TCK)" '{ print ($14 + $15) / tick }' "/proc/$1/stat"; } # PID

hash_parts() { sed 's|.*/\(.\{32\}\)-.*|\1|' "$1"; } # FILE-OF-PATHS

rows=()
row() { rows+=("$(printf '%-44s %10s %10s %7s  %-10s %s' "$@")"); } # FIGURE OURS THEIRS RATIO BAR NOTE

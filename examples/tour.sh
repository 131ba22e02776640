#!/usr/bin/env bash
# A tour with real Nix: two honest caches and a lying one, a good install, a refusal, its explanation, and the
# build from source that follows. Everything happens below a temporary folder and on loopback, and is gone at
# the end. Needs what tests/install installs, and openssl.
#
#   examples/tour.sh              builds Countersign first
#   COUNTERSIGN=… examples/tour.sh   takes this program
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."
# shellcheck source=tests/nix/lib.sh
. tests/nix/lib.sh

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
generation=2.34
tests/install >/dev/null
command -v openssl >/dev/null || { echo "the tour needs openssl (Debian: apt install openssl)" >&2; exit 1; }
if [[ -z ${COUNTERSIGN:-} ]]; then
  cargo build --release --locked
  COUNTERSIGN=$PWD/target/release/countersign
fi

dir=$(mktemp -d)
started=()
finish() {
  for pid in "${started[@]}"; do kill "$pid" 2>/dev/null || true; done
  wait 2>/dev/null || true
  chmod -R u+w "$dir" && rm -rf "$dir"
}
trap finish EXIT

say "1. Two parties build the same six packages, sign them, and publish them."
tests/nix/closure "$dir/made" 6 3 >/dev/null
leaf=$(<"$dir/made/leaf") top=$(<"$dir/made/top")
echo "alice: $(<"$dir/made/one.pub")"
echo "bob:   $(<"$dir/made/two.pub")"

say "2. Bob's key is stolen. The thief's cache claims other contents for ${leaf#/nix/store/}, validly signed."
cp -r "$dir/made/zstd" "$dir/stolen"
hash=${leaf#/nix/store/} hash=${hash%%-*}
tests/nix/forge "$dir/stolen" "$leaf" "$(head -n 1 "$dir/made/paths")" "$dir/made/two.sec"
grep -E '^(NarHash|Sig)' "$dir/stolen/$hash.narinfo"

# nginx as three caches, on ports that are free now.
ports=()
while ((${#ports[@]} < 3)); do
  port=$((20000 + RANDOM % 12000))
  (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || ports+=("$port")
done
{
  echo "daemon off; master_process off; pid $dir/nginx.pid; error_log $dir/nginx.log;"
  echo "events {} http { access_log off;"
  for kind in client_body proxy fastcgi uwsgi scgi; do echo "${kind}_temp_path $dir/t;"; done
  roots=("$dir/made/xz" "$dir/made/zstd" "$dir/stolen")
  for i in 0 1 2; do echo "server { listen 127.0.0.1:${ports[i]}; root ${roots[i]}; }"; done
  echo "}"
} >"$dir/nginx.conf"
target/nix/$generation/bin/nginx -p "$dir" -c "$dir/nginx.conf" 2>/dev/null &
started+=($!)
until curl -so /dev/null "http://127.0.0.1:${ports[2]}/"; do
  kill -0 "${started[0]}" 2>/dev/null || { cat "$dir/nginx.log" >&2; exit 1; }
  sleep 0.05
done

config() { # URL of the second cache
  cat <<CONF
listen = ["127.0.0.1:0"]
state-directory = "$dir/state"
[signers.alice]
keys = ["$(<"$dir/made/one.pub")"]
[signers.bob]
keys = ["$(<"$dir/made/two.pub")"]
[caches.alice]
url = "http://127.0.0.1:${ports[0]}"
[caches.bob]
url = "$1"
[[rules]]
name = "two parties"
signatures = [{ at-least = 2, of = ["alice", "bob"] }]
operators = 2
CONF
}
config "http://127.0.0.1:${ports[1]}" >"$dir/honest.toml"
config "http://127.0.0.1:${ports[2]}" >"$dir/stolen.toml"

serve() { # CONFIG: sets url, key and server
  local log=${1%.toml}.log
  "$COUNTERSIGN" serve --config "$1" 2>"$log" &
  server=$!
  started+=("$server")
  until url=$(grep -m 1 -o 'http://127[0-9.:]*' "$log" 2>/dev/null); do
    kill -0 "$server" 2>/dev/null || { cat "$log" >&2; exit 1; }
    sleep 0.05
  done
  key=$("$COUNTERSIGN" key public --config "$1")
}
trusting() { printf '%s\n' --option substituters "$url" --option trusted-public-keys "$key"; }

say "3. Alice and Bob agree: Nix, which trusts only our countersignature, installs everything."
serve "$dir/honest.toml"
mapfile -t options < <(trusting)
run_nix $generation "$dir/good" nix-store --store "$dir/good/store" -r "$top" "${options[@]}"
run_nix $generation "$dir/good" nix path-info --store "$dir/good/store" --sigs "$top"
kill "$server" && wait "$server" || true

say "4. The same with the thief's cache in Bob's place: the forged path is refused."
serve "$dir/stolen.toml"
mapfile -t options < <(trusting)
curl -sD - -o /dev/null "$url/$hash.narinfo" | grep -iE '^(HTTP|countersign)'

say "5. Why?"
"$COUNTERSIGN" explain "$leaf" --config "$dir/stolen.toml" || true

say "6. A refused path is a plain 'not found' to Nix, which builds it from source."
derivation=$(run_nix $generation "$dir/source" nix-instantiate --store "$dir/source/store" -A leaf "$dir/made/closure.nix")
run_nix $generation "$dir/source" nix-store --store "$dir/source/store" -r "$derivation" "${options[@]}" 2>&1 | grep -E 'building|/nix/store/.*leaf'

say "7. How the service is:"
"$COUNTERSIGN" status --config "$dir/stolen.toml"
say "That was the tour; nothing of it is left."

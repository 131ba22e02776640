# shellcheck shell=bash
# Shared by `closure` and `check`: where the Nix versions are and how to start them in a clean environment.
repo=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." && pwd)
# shellcheck disable=SC2034 # used by check
generations=(2.8 2.26 2.34)

# Configuration of every client. Builds in a diverted store are always sandboxed, so the builder's shell is given.
write_conf() { # DIR
  mkdir -p "$1"
  cat >"$1/nix.conf" <<CONF
build-users-group =
sandbox = false
sandbox-paths = /bin/sh=$repo/target/nix/busybox
substituters =
experimental-features = nix-command
narinfo-cache-negative-ttl = 0
CONF
}

# Runs a command of one version with nothing of the caller's environment (NIX_*, http_proxy, ...): HOME and the
# narinfo cache are DIR's, the configuration is DIR's if it has one. NIX_REMOTE is the store where --store is not
# given: even `nix-store --version` opens a store, and the default would be made as /nix on this machine.
run_nix() { # GENERATION DIR COMMAND ARGUMENT...
  local bin=$repo/target/nix/$1/bin dir=$2 command=$3
  shift 3
  [[ -e $dir/nix.conf ]] || write_conf "$dir"
  env -i PATH="$PATH" HOME="$dir/home" XDG_CACHE_HOME="$dir/cache" NIX_CONF_DIR="$dir" NIX_REMOTE="$dir/store" TMPDIR="${TMPDIR:-/tmp}" \
    NIX_IN_ROOT_STORE="${NIX_IN_ROOT_STORE:-}" "$bin/$command" "$@"
}

"""What stands on the machine before countersign comes: Nix with its daemon, two caches, keys, users.

The caches are fakes of two parties: `one` and `two` publish the same closure, each under its own key; `two` never
built `leaf`. Both listen on the machine's own loopback.
"""

import pathlib
import shutil
import subprocess

from machine import REPOSITORY, wait_for

FIXTURE = REPOSITORY / "target/fixtures/closure-100"
PATHS = (FIXTURE / "paths").read_text().split()
LEAF = (FIXTURE / "leaf").read_text().strip()
KEYS = {name: (FIXTURE / f"{name}.pub").read_text().strip() for name in ("one", "two")}

NIX_CONF = f"""# What comes with the machine.
experimental-features = nix-command
build-users-group = nixbld
sandbox = false
substituters = http://127.0.0.1:8001 http://127.0.0.1:8002
trusted-public-keys = {KEYS['one']} {KEYS['two']}
narinfo-cache-negative-ttl = 0
narinfo-cache-positive-ttl = 0
connect-timeout = 5
post-build-hook = /usr/bin/countersign-hook
"""

CONFIG = f"""mode = "enforce"
state-directory = "/var/lib/countersign"
[signers.one]
keys = ["{KEYS['one']}"]
[signers.two]
keys = ["{KEYS['two']}"]
[caches.one]
url = "http://127.0.0.1:8001"
[caches.two]
url = "http://127.0.0.1:8002"
credentials-file = "/etc/countersign/cache-two"
[[rules]]
name = "two parties"
signatures = [{{ at-least = 2, of = ["one", "two"] }}]
operators = 2
[upload]
signing-key-files = ["/run/credentials/countersign-upload.service/acme-1"]
[destinations.here]
url = "file:///srv/destination"
packages = ["*"]
"""

# What plain Nix asks and trusts while the glass is broken.
BROKEN = f"substituters = http://127.0.0.1:8001\ntrusted-public-keys = {KEYS['one']}\n"

DROP_INS = {
    "countersign-upload.service":
        "[Service]\nLoadCredential=acme-1:/root/acme-1.sec\nReadWritePaths=/srv/destination\nNoExecPaths=/srv/destination\n",
}

UNITS = {
    "nix-daemon.socket": """[Unit]
Description=Nix, where it is asked
[Socket]
ListenStream=/nix/var/nix/daemon-socket/socket
[Install]
WantedBy=sockets.target
""",
    "nix-daemon.service": """[Unit]
Description=Nix
Requires=nix-daemon.socket
After=nix-daemon.socket
[Service]
ExecStart=/opt/nix/bin/nix-daemon --daemon
KillMode=process
[Install]
Also=nix-daemon.socket
""",
} | {f"cache-{name}.service": f"""[Unit]
Description=the cache {name}
[Service]
ExecStart=/usr/bin/python3 -m http.server --bind 127.0.0.1 --directory /srv/caches/{name} {port}
[Install]
WantedBy=multi-user.target
""" for name, port in (("one", 8001), ("two", 8002))}


def release(programs, work):
    """A folder like a release archive: programs without their debugging symbols, units, the script."""
    folder = work / "release"
    shutil.copytree(REPOSITORY / "examples/systemd", folder)
    for name in ("countersign", "countersign-hook"):
        subprocess.run(["strip", "-o", folder / name, programs / name], check=True)
    return folder


def prepare(machine, folder):
    """Before the first boot."""
    machine.show(REPOSITORY / "target/nix/2.34", "/opt/nix")
    machine.show(folder, "/opt/release")
    machine.show(pathlib.Path(__file__).parent, "/opt/booted")
    for name, kind in (("one", "xz"), ("two", "zstd")):
        cache = machine.root / "srv/caches" / name
        cache.mkdir(parents=True)
        for info in (FIXTURE / kind).glob("*.narinfo"):
            shutil.copy(info, cache)
        (cache / "nix-cache-info").write_text("StoreDir: /nix/store\nPriority: 40\n")
        machine.show(FIXTURE / kind / "nar", f"/srv/caches/{name}/nar")
    (machine.root / "srv/caches/two" / f"{hash_part(LEAF)}.narinfo").unlink()
    machine.place("/etc/nix/nix.conf", NIX_CONF)
    for name, text in UNITS.items():
        machine.place(f"/etc/systemd/system/{name}", text)
    for folder, unit in (("sockets", "nix-daemon.socket"), ("multi-user", "cache-one.service"), ("multi-user", "cache-two.service")):
        wants = machine.root / f"etc/systemd/system/{folder}.target.wants"
        wants.mkdir(parents=True, exist_ok=True)
        (wants / unit).symlink_to(f"../{unit}")


def furnish(machine):
    """After the first boot: users, the signing key."""
    machine.run("""
        groupadd nixbld
        for n in 1 2 3 4; do useradd --system --gid nixbld --groups nixbld --no-create-home nixbld$n; done
        useradd --create-home alice
        useradd --create-home mallory
        nix-store --generate-binary-cache-key acme-1 /root/acme-1.sec /root/acme-1.pub
        echo 'of alice alone' >/home/alice/letter; chmod 600 /home/alice/letter; chown alice: /home/alice/letter
    """)


def hash_part(path):
    return path.removeprefix("/nix/store/").split("-")[0]


def realise(machine, path, user="alice", **more):
    return machine.run(f"nix-store --realise {path}", check=False, user=user, NIX_REMOTE="daemon", **more)


def is_there(machine, path):
    return machine.run(f"nix-store --check-validity {path}", check=False).returncode == 0


def setting(machine, name, user="alice"):
    """What Nix makes of its configuration."""
    return machine.said(f"nix config show {name}", user=user, NIX_REMOTE="daemon")


def build(machine, name, user="alice", script="echo $name >$out"):
    """A build on this machine, through the daemon; its output path."""
    expression = (
        f'derivation {{ name = "{name}"; system = builtins.currentSystem; builder = "/bin/sh"; '
        f'args = [ "-c" "{script}; exit 0" ]; }}'
    )
    return machine.said(f"nix-build --no-out-link -E '{expression}'", user=user, NIX_REMOTE="daemon")


def machine_key(machine):
    return machine.said("cat /var/lib/countersign/machine.pub").split()[-1]


def is_told(machine, key=None):
    """Waits until Nix trusts the machine key, which is not `key`, and nothing else; returns it."""
    def told():
        now = machine.run("cat /var/lib/countersign/machine.pub", check=False).stdout.strip()
        return now and now != key and setting(machine, "trusted-public-keys") == now and now
    key = wait_for("Nix trusting the machine key alone", told)
    # systemd waits for the next change only once the unit that told Nix has ended.
    wait_for("the end of countersign-trust.service",
             lambda: machine.property("countersign-trust.service", "ActiveState") == "inactive")
    return key

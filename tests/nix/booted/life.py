"""A machine's life with countersign, in order: installed, served, built, reloaded, restarted, rebooted, and rid of it.

Each step goes on where the one before has ended.
"""

import json

from expect import equal, expect, step
from machine import wait_for
from scene import (BROKEN, CONFIG, DROP_INS, LEAF, PATHS, build, hash_part, is_there, is_told, machine_key, realise,
                   setting)

SERVICES = ("countersign.service", "countersign-upload.service")
EXCLUSIVE = "http://127.0.0.1:8419"


def put_into_force(machine):
    """As a person would who has installed it: a configuration, secrets, the uploader."""
    machine.run("""
        install -d -o countersign -g countersign /srv/destination
        install -m 600 -o countersign -g countersign /dev/null /etc/countersign/cache-two
        echo 'Bearer the-secret-of-cache-two' >/etc/countersign/cache-two
    """)
    for unit, text in DROP_INS.items():
        machine.place(f"/etc/systemd/system/{unit}.d/local.conf", text)
    machine.place("/etc/countersign/config.toml", CONFIG)
    machine.place("/etc/countersign/break-glass.conf", BROKEN)
    machine.run("""
        countersign check
        systemctl daemon-reload
        systemctl restart countersign.service
        systemctl start countersign-trust.service
        systemctl enable --now countersign-upload.service
    """)


def runs(machine):
    for unit in (*SERVICES, "countersign.socket", "countersign-machine-key.path"):
        state = machine.property(unit, "ActiveState")
        expect(state == "active", f"{unit} to be active, it is {state}", machine.journal(f"-u {unit}"))


def substitute(machine):
    with step("a path that both parties signed is served and countersigned"):
        done = realise(machine, PATHS[0])
        expect(is_there(machine, PATHS[0]), "the path to be installed", done.stderr + machine.journal())
        signatures = machine.said(f"nix path-info --sigs {PATHS[0]}")
        expect(machine_key(machine).split(":")[0] in signatures, "the countersignature", signatures)
    with step("a path that one party signed alone is refused"):
        done = realise(machine, LEAF)
        expect(not is_there(machine, LEAF), "the path not to be installed", done.stderr)
        said = machine.run(f"countersign explain {LEAF}", check=False)
        equal(said.returncode, 1, "explain to say that it is refused")
        expect("two parties" in said.stdout, "explain to name the rule", said.stdout)


def published(machine, path, signer="acme-1"):
    """Whether the destination has it under our signature."""
    file = f"/srv/destination/{hash_part(path)}.narinfo"
    return f"Sig: {signer}:" in machine.run(f"cat {file}", check=False).stdout


def build_and_upload(machine, name):
    path = build(machine, name)
    machine.run("countersign queue wait --timeout 50s")
    expect(published(machine, path), f"{path} to be at the destination, signed", machine.journal())
    return path


def upload(machine):
    with step("what is built here is reported by the hook, signed and published"):
        path = build_and_upload(machine, "first")
        signatures = machine.said(f"nix path-info --sigs {path}")
        expect("ultimate" in signatures, "the store to call it built here", signatures)


def reload(machine):
    with step("a reload takes up the configuration, and a faulty one is said and left"):
        before = machine.property("countersign.service", "MainPID")
        lone = CONFIG.replace("at-least = 2", "at-least = 1").replace("operators = 2", "operators = 1")
        machine.place("/etc/countersign/config.toml", lone)
        machine.run("systemctl reload countersign.service")
        def verdict():
            return machine.said(f"python3 /opt/booted/ask.py {EXCLUSIVE}/{hash_part(LEAF)}.narinfo")

        wait_for("the lone signature to do under the new rule", lambda: verdict() == "200 endorse")
        machine.place("/etc/countersign/config.toml", "mode = \"sleep\"\n")
        machine.run("systemctl reload countersign.service")
        wait_for("systemctl status to say that the file is not in force",
                 lambda: "not in force" in machine.property("countersign.service", "StatusText"))
        equal(verdict(), "200 endorse", "the rule of before a faulty configuration to stay in force")
        machine.place("/etc/countersign/config.toml", CONFIG)
        machine.run("systemctl reload countersign.service")
        wait_for("a refusal under the old rule", lambda: verdict() == "404 refuse")
        equal(machine.property("countersign.service", "MainPID"), before, "the same process after three reloads")


def restart_under_load(machine):
    with step("a restart under load drops no connection"):
        machine.run("systemd-run --unit=load --quiet python3 /opt/booted/load.py /run/load.json "
                    + " ".join(hash_part(path) for path in PATHS[:20]))
        wait_for("load", lambda: machine.run("test -e /run/load.json.begun", check=False).returncode == 0)
        for _ in range(8):
            before = machine.property("countersign.service", "MainPID")
            # More often than five times in ten seconds systemd itself says no.
            machine.run("systemctl reset-failed countersign.service; systemctl restart countersign.service")
            expect(machine.property("countersign.service", "MainPID") != before, "another process")
        machine.run("systemctl kill --signal=TERM load.service")
        wait_for("the load's end", lambda: machine.run("test -e /run/load.json", check=False).returncode == 0)
        result = json.loads(machine.said("cat /run/load.json"))
        expect(result["answered"] > 100, "more than 100 requests answered meanwhile", result)
        equal(result["failed"], [], "every request to be answered, also while the service restarts")


def reboot(machine):
    with step("after a reboot all is there: key, evidence, what waits to be uploaded"):
        key, before = machine_key(machine), verdicts(machine)
        machine.run("systemctl stop countersign-upload.service")
        waiting = build(machine, "across-a-boot")
        machine.reboot()
        runs(machine)
        equal(machine_key(machine), key, "the machine key of before")
        equal(is_told(machine), key, "Nix to trust the machine key")
        expect(before and before <= verdicts(machine), "the verdicts of before", before)
        machine.run("countersign evidence verify")
        machine.run("countersign queue wait --timeout 50s")
        expect(published(machine, waiting), "the build of before the boot to be published", machine.journal())
        done = realise(machine, PATHS[1])
        expect(is_there(machine, PATHS[1]), "a path to be installed after the boot", done.stderr)


def verdicts(machine):
    return {line for line in machine.said("countersign evidence list --json").splitlines() if "verdict" in line}


def watchdog(machine):
    for unit in SERVICES:
        with step(f"{unit}, stopped dead, is started again by the watchdog"):
            machine.run(
                f"mkdir -p /run/systemd/system/{unit}.d; "
                f"printf '[Service]\\nWatchdogSec=3\\nRestartSec=0\\n' >/run/systemd/system/{unit}.d/soon.conf; "
                f"systemctl daemon-reload; systemctl restart {unit}")
            before = machine.property(unit, "MainPID")
            machine.run(f"kill -STOP {before}")
            wait_for("another process", lambda: machine.property(unit, "MainPID") not in (before, "0")
                     and machine.property(unit, "ActiveState") == "active")
            equal(machine.property(unit, "NRestarts"), "1", "one restart")
            expect("Watchdog timeout" in machine.journal(f"-u {unit}"), "the journal to say why")
            machine.run(f"rm -r /run/systemd/system/{unit}.d; systemctl daemon-reload; systemctl restart {unit}")


def failed_start(machine):
    with step("after starts that failed while Nix asked, a mended configuration and one restart are enough"):
        machine.place("/etc/countersign/config.toml", "mode = \"sleep\"\n")
        machine.run("systemctl restart countersign.service", check=False)
        machine.run(f"timeout 5 python3 /opt/booted/ask.py {EXCLUSIVE}/nix-cache-info", check=False)
        expect(machine.property("countersign.service", "ActiveState") != "active", "the service not to be started")
        machine.place("/etc/countersign/config.toml", CONFIG)
        machine.run("systemctl reset-failed countersign.service; systemctl restart countersign.service")
        runs(machine)
        equal(machine.said(f"python3 /opt/booted/ask.py {EXCLUSIVE}/{hash_part(PATHS[0])}.narinfo"), "200 endorse",
              "the service to answer")


def lost_state(machine):
    with step("a lost state directory is a new machine key, of which Nix is told"):
        key = machine_key(machine)
        machine.run(f"systemctl stop countersign.socket {' '.join(SERVICES)}; rm -rf /var/lib/countersign")
        machine.run(f"systemctl start countersign.socket {' '.join(SERVICES)}")
        is_told(machine, key)
        expect(is_there(machine, PATHS[0]), "what is installed to stay")
        realise(machine, PATHS[2])
        expect(is_there(machine, PATHS[2]), "a path to be installed under the new key", machine.journal())


def lost_secret(machine):
    with step("a lost secret half is not quietly replaced, and key rotate mends it"):
        machine.run("rm /var/lib/countersign/machine.sec")
        machine.run("systemctl restart countersign.service", check=False)
        wait_for("the service to say what to do",
                 lambda: "countersign key rotate" in machine.journal("-u countersign.service -n 20"))
        key = machine_key(machine)
        machine.run("systemctl stop countersign.service; countersign key rotate; systemctl start countersign.service")
        is_told(machine, key)


def rotation(machine):
    with step("a rotated key reaches nix.conf and the running service by itself"):
        key = machine_key(machine)
        machine.run("countersign key rotate")
        now = is_told(machine, key)
        def served():
            realise(machine, PATHS[3])
            return is_there(machine, PATHS[3])
        wait_for("a path installed under the new key", served)
        signatures = machine.said(f"nix path-info --sigs {PATHS[3]}")
        expect(now.split(":")[0] in signatures and key.split(":")[0] not in signatures, "the new key's signature alone",
               signatures)


def break_glass(machine):
    with step("the glass can be broken, and is whole again when it is mended or the machine starts again"):
        machine.run("systemctl start countersign-break-glass.service")
        wait_for("Nix asking plainly", lambda: setting(machine, "substituters") == "http://127.0.0.1:8001")
        machine.run("systemctl stop countersign.socket countersign.service")
        done = realise(machine, LEAF)
        expect(is_there(machine, LEAF), "a path without countersign", done.stderr)
        machine.run("systemctl start countersign.socket countersign.service")
        machine.run(f"systemctl stop countersign-break-glass.service; nix-store --delete {LEAF}")
        is_told(machine)
        realise(machine, LEAF)
        expect(not is_there(machine, LEAF), "the policy to be in force again")
        machine.run("systemctl start countersign-break-glass.service")
        machine.reboot()
        is_told(machine)
        equal(setting(machine, "substituters"), EXCLUSIVE, "the boot to have mended the glass")
        runs(machine)


# Everything on the machine but what is made anew at each boot, what its own services write, and Nix's store.
LISTING = """find / -xdev \\( -path /proc -o -path /sys -o -path /dev -o -path /run -o -path /tmp -o -path /nix -o -path /root \
    -o -path /opt -o -path /home -o -path /srv -o -path /var/log -o -path /var/cache -o -path /var/tmp -o -path /var/lib/systemd \
    -o -path /usr/lib/python3 -o -path /usr/lib/python3.\\* \\) -prune -o -print | sort"""


def listing(machine):
    return set(machine.said(LISTING).splitlines())


# What is left on purpose: the state, the configuration that was changed, and what belongs to its user.
STATE = ("/var/lib/countersign", "/var/spool/countersign", "/etc/countersign")
# What the administrator put there, here `put_into_force`; and the files of users and groups that are copied at a change.
OTHERS = ("/etc/systemd/system/countersign.service.d", "/etc/systemd/system/countersign-upload.service.d",
          "/etc/passwd-", "/etc/group-", "/etc/shadow-", "/etc/gshadow-", "/etc/subuid-", "/etc/subgid-", "/etc/.pwd.lock")


def gone(machine, before, state):
    """After an uninstallation: units, programs and links are gone, Nix is as it was, and only `state` is left."""
    left = sorted(path for path in listing(machine) - before if not path.startswith(state + OTHERS))
    equal(left, [], "nothing to be left but the state")
    equal(sorted(before - listing(machine) - set(OTHERS)), [], "nothing of others to be gone")
    units = machine.said("systemctl list-units --all --no-legend --plain 'countersign*' | grep -v not-found || true")
    equal(units, "", "no unit to be loaded")
    processes = machine.said("grep -lz '^/usr/bin/countersign' /proc/[0-9]*/cmdline || true")
    equal(processes, "", "no process to be left")
    expect(machine.run("test -e /run/countersign-trust", check=False).returncode != 0, "/run/countersign-trust to be gone")


def uninstall(machine, before, nix_conf):
    with step("uninstalling leaves the state and nothing else, and Nix is as it was"):
        machine.run("/usr/lib/countersign/install uninstall")
        gone(machine, before, STATE)
        equal(machine.said("cat /etc/nix/nix.conf").strip(), nix_conf.strip(), "nix.conf to be as it was")
        for place in STATE:
            expect(machine.run(f"test -e {place}", check=False).returncode == 0, f"{place} to be left")
        wait_for("plain Nix", lambda: setting(machine, "substituters").startswith("http://127.0.0.1:8001"))
        done = realise(machine, LEAF)
        expect(is_there(machine, LEAF), "Nix to install again what one party signed", done.stderr)

"""The other two ways onto a machine: the units as the NixOS module renders them, and the Debian package."""

import os
import re
import subprocess

import life
import scene
from expect import equal, expect, step
from machine import REPOSITORY, wait_for

STORE = r"/nix/store/0{32}-"
# What the module's files are called, and where what they name is on this machine.
PLACES = (
    (STORE + r"countersign-[0-9.]+/bin", "/usr/bin"),
    (STORE + r"coreutils/bin/kill -HUP", "/bin/bash -c 'kill -HUP \"$0\"'"),
    (STORE + r"(systemd|coreutils)/bin", "/usr/bin"),
    (STORE + r"countersign-(trust|break-glass)(?=[\s\"])", r"/usr/lib/countersign/countersign-\1"),
    (STORE + r"countersign-break-glass\.conf", "/etc/countersign/break-glass.conf"),
    (STORE + r"countersign\.toml", "/etc/countersign/upload.toml"),
)


def rendered():
    """The files of the case `company`, as tests/nix/module holds them to what the module gives."""
    text = (REPOSITORY / "tests/nix/golden/company.txt").read_text()
    parts = re.split(r"(?m)^==> (.*) <==\n", text)[1:]
    files = dict(zip(parts[::2], parts[1::2]))
    for pattern, place in PLACES:
        files = {name: re.sub(pattern, place, text) for name, text in files.items()}
    return files


def config_of(unit):
    """The scene's configuration with secrets where the module has them for this unit."""
    text = scene.CONFIG.replace("/etc/countersign/cache-two", f"/run/credentials/{unit}.service/cache-acme")
    return text.replace("countersign-upload.service/acme-1", "countersign-upload.service/signing-key-0")


def rendered_units(machine, release):
    with step("a machine with the units that the NixOS module renders"):
        scene.prepare(machine, release)
        machine.boot()
        scene.furnish(machine)
        files = rendered()
        for name, text in files.items():
            if name.startswith("nix-daemon."):
                machine.place(f"/etc/systemd/system/{name}.d/countersign.conf", text)
            elif name.endswith((".service", ".socket", ".path")):
                expect("/nix/store" not in text, f"every place of {name} to be known here", text)
                machine.place(f"/etc/systemd/system/{name}", text)
        machine.place("/etc/tmpfiles.d/countersign.conf", files["tmpfiles.conf"])
        # What NixOS has in /etc and makes at its activation.
        ours = "".join(line + "\n" for line in files["nix.conf"].splitlines() if line.strip())
        machine.place("/etc/nix/nix.conf",
                      "build-users-group = nixbld\nsandbox = false\nexperimental-features = nix-command\n" + ours)
        machine.place("/etc/countersign/config.toml", config_of("countersign"))
        machine.place("/etc/countersign/upload.toml", config_of("countersign-upload"))
        machine.place("/etc/countersign/break-glass.conf", scene.BROKEN)
        # A destination that is a directory, as units.nix adds it for a file:// URL.
        machine.place("/etc/systemd/system/countersign-upload.service.d/local.conf",
                      "[Service]\nReadWritePaths=/srv/destination\nNoExecPaths=/srv/destination\n")
        machine.run("""
            install -D -t /usr/bin /opt/release/countersign /opt/release/countersign-hook
            install -D -t /usr/lib/countersign /opt/release/countersign-trust /opt/release/countersign-break-glass
            systemd-sysusers /opt/release/countersign.sysusers
            systemd-tmpfiles --create /etc/tmpfiles.d/countersign.conf
            install -d -o countersign -g countersign /srv/destination
            mkdir -p -m 700 /etc/secrets
            echo 'Bearer the-secret-of-cache-two' >/etc/secrets/acme-netrc
            echo none >/etc/secrets/acme-s3
            cp /root/acme-1.sec /etc/secrets/acme-2.sec
            sed -i 's#/run/secrets/#/etc/secrets/#' /etc/systemd/system/countersign*.service
            systemctl daemon-reload
            systemctl enable countersign.socket countersign.service countersign-upload.service countersign-trust.service \\
              countersign-machine-key.path countersign-observe-key.path
        """)
    with step("its first boot: the key is made, and Nix trusts it alone"):
        machine.reboot()
        scene.is_told(machine)
        life.runs(machine)
    life.substitute(machine)
    life.upload(machine)
    with step("secrets are handed to the service that needs them, and to no other"):
        expect("LoadCredential=signing-key" not in machine.said("systemctl cat countersign.service"), "no key for the proxy")
        names = machine.said("ls /run/credentials/countersign.service")
        equal(names, "cache-acme", "the proxy to have the caches' secrets alone")
    life.rotation(machine)
    life.break_glass(machine)
    machine.end()


def package(work, release):
    """The Debian package as `pack` makes it, but for the compression, which takes half a minute."""
    stubs = work / "stubs"
    stubs.mkdir()
    for name in ("countersign", "countersign-hook"):
        (stubs / name).write_text("#!/bin/sh\n# GLIBC_2.34\n[ \"$1\" != --version ] || echo countersign 0.1.0\n"
                                  "[ \"$1\" != man ] || echo .TH >\"$2/countersign.1\"\n")
        (stubs / name).chmod(0o755)
    quiet = {"stdout": subprocess.DEVNULL, "check": True}
    environment = dict(os.environ, SOURCE_DATE_EPOCH="1700000000")
    subprocess.run([REPOSITORY / "examples/systemd/pack", work / "packed", stubs], env=environment, **quiet)
    subprocess.run(["dpkg-deb", "-R", next((work / "packed").glob("*.deb")), work / "tree"], **quiet)
    for name in ("countersign", "countersign-hook"):
        (work / "tree/usr/bin" / name).write_bytes((release / name).read_bytes())
    subprocess.run(["dpkg-deb", "-Znone", "--root-owner-group", "--build", work / "tree", release / "countersign.deb"], **quiet)


def debian_package(machine, release, work):
    with step("a machine with the Debian package"):
        package(work, release)
        scene.prepare(machine, release)
        machine.boot()
        scene.furnish(machine)
        before = life.listing(machine)
        machine.run("dpkg -i /opt/release/countersign.deb")
        life.put_into_force(machine)
        scene.is_told(machine)
        life.runs(machine)
    life.substitute(machine)
    life.upload(machine)
    with step("an upgrade restarts both services and changes neither key nor configuration"):
        key = life.machine_key(machine)
        pids = [machine.property(unit, "MainPID") for unit in life.SERVICES]
        machine.run("dpkg -i /opt/release/countersign.deb")
        life.runs(machine)
        expect(all(old != machine.property(unit, "MainPID") for old, unit in zip(pids, life.SERVICES)), "new processes")
        equal(life.machine_key(machine), key, "the same machine key")
        equal(machine.said("cat /etc/countersign/config.toml"), scene.CONFIG.strip(), "the same configuration")
    with step("removing it leaves the state, and purging it only what others put there"):
        machine.run("dpkg -r countersign")
        wait_for("plain Nix", lambda: scene.setting(machine, "substituters").startswith("http://127.0.0.1:8001"))
        life.gone(machine, before, (*life.STATE, "/var/lib/dpkg"))
        machine.run("test -e /var/lib/countersign/machine.pub && test -e /etc/countersign/config.toml")
        machine.run("dpkg -P countersign")
        life.gone(machine, before, ("/etc/countersign", "/var/lib/dpkg"))
        left = machine.said("ls /etc/countersign")
        equal(left, "cache-two", "only the secret of a cache to be left, which is not the package's")
    machine.end()

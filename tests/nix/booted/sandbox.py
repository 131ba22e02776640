"""What each service may do, tried from inside: a copy of its unit, drop-ins included, in which a probe is started
instead of the program.

A control without any sandbox, as root, is let do everything: what is denied is denied by the unit.
"""

import json
import re

from expect import equal, expect, step

# What a service needs, and is let do; everything else that probe.py tries is denied.
# Two write for Nix, which reads as root: they are root, without its capabilities. What root's own files say, who runs,
# and the daemon's socket are open to them; they parse one public key and have no network.
FOR_NIX = {
    "write what nix.conf includes", "AF_UNIX", "read /etc/shadow", "see other processes", "speak to the Nix daemon",
}
NEEDED = {
    "countersign.service": {
        "read the state", "write the state", "AF_UNIX", "AF_INET", "AF_INET6", "reach the network",
        "speak to the Nix daemon",
    },
    "countersign-upload.service": {
        "read the state", "write the state", "read the uploader's key", "write the spool", "write the destination",
        "AF_UNIX", "AF_INET", "AF_INET6", "reach the network", "speak to the Nix daemon",
    },
    "countersign-trust.service": FOR_NIX,
    "countersign-break-glass.service": FOR_NIX,
}
# Without a sandbox.
PLAIN = "[Service]\nLoadCredential=acme-1:/root/acme-1.sec\n"


def probe_unit(text):
    """A unit that is otherwise as this one; comments and everything that starts or tells something are gone."""
    drop = r"(ExecStart|ExecStop|ExecReload|Type|Restart|RestartSec|WatchdogSec|RemainAfterExit|TimeoutStartSec)="
    lines = [line for line in text.splitlines() if not re.match(drop + "|#", line)]
    kept = "\n".join(lines).split("[Install]")
    # Drop-ins follow behind the file, so that [Install] is in the middle.
    kept = [kept[0]] + [part[part.index("[Service]"):] for part in kept[1:] if "[Service]" in part]
    return "\n".join(kept)


def let_do(machine, name, text):
    """What the probe was let do under this unit, and what it was told of the rest."""
    file = f"/run/{name}.json"
    extra = f"[Service]\nType=oneshot\nExecStart=/usr/bin/python3 -I /opt/booted/probe.py\nStandardOutput=truncate:{file}\n"
    machine.run(f"cat >/run/systemd/system/{name}.service <<'UNIT'\n{text}\n{extra}UNIT\nsystemctl daemon-reload")
    machine.run(f"systemctl start {name}.service || {{ journalctl --no-pager -u {name}.service; exit 1; }}")
    result = json.loads(machine.said(f"cat {file}"))
    machine.run(f"rm /run/systemd/system/{name}.service {file}; systemctl daemon-reload")
    return result


def sandboxes(machine):
    with step("without a sandbox everything that is tried can be done"):
        result = let_do(machine, "probe-control", PLAIN)
        denied = {what: why for what, why in result.items() if why is not None}
        equal(denied, {}, "the control to be let do all of it")
    for unit, needed in NEEDED.items():
        with step(f"{unit}: its sandbox lets it do {len(needed)} things and denies {len(result) - len(needed)}"):
            text = machine.said(f"systemctl cat {unit}")
            found = let_do(machine, f"probe-{unit.removesuffix('.service')}", probe_unit(text))
            done = {what for what, why in found.items() if why is None}
            equal(sorted(done - needed), [], "nothing more than is needed to be let be done")
            equal({what: found[what] for what in needed - done}, {}, "what is needed to be let be done")
    # The copies had the runtime directories of those whose copies they were.
    machine.run("systemctl restart countersign.service countersign-upload.service")

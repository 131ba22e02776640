"""Usage: main.py PROGRAMS WORK GROUP, by ../systemd. Boots a machine and takes it through everything."""

import pathlib
import sys

import kinds
import life
import sandbox
import scene
import strangers
from expect import equal, expect, step
from machine import Expected, Machine


def installed_by_script(machine, release):
    with step("a machine with Nix boots"):
        scene.prepare(machine, release)
        machine.boot()
        scene.furnish(machine)
    before = life.listing(machine)
    with step("it is installed by the script, and observes"):
        machine.run("/opt/release/install install")
        expect("countersign-observe-" in scene.setting(machine, "trusted-public-keys"), "Nix to trust the key of observing")
    with step("a policy is put into force, and Nix trusts the machine key alone"):
        life.put_into_force(machine)
        scene.is_told(machine)
        equal(scene.setting(machine, "substituters"), life.EXCLUSIVE, "Nix to ask nobody else")
        life.runs(machine)
    life.substitute(machine)
    life.upload(machine)
    sandbox.sandboxes(machine)
    strangers.strangers(machine)
    life.reload(machine)
    life.restart_under_load(machine)
    life.reboot(machine)
    life.watchdog(machine)
    life.failed_start(machine)
    life.lost_state(machine)
    life.lost_secret(machine)
    life.rotation(machine)
    life.break_glass(machine)
    life.uninstall(machine, before, scene.NIX_CONF)
    machine.end()


def main():
    programs, work, group = map(pathlib.Path, sys.argv[1:])
    (group / "driver/cgroup.procs").write_text("0")
    release = scene.release(programs, work)
    try:
        for name, lives in (
            ("script", installed_by_script),
            ("rendered", kinds.rendered_units),
            ("package", lambda machine, release: kinds.debian_package(machine, release, work)),
        ):
            machine = Machine(work / name, group)
            lives(machine, release)
    except Expected as error:
        if machine.init:
            print(machine.journal(), file=sys.stderr)
        print(f"systemd: {error}", file=sys.stderr)
        sys.exit(1)


main()

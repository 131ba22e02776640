"""Usage: main.py PROGRAMS WORK GROUP, by ../systemd. Boots a machine and takes it through everything."""

import pathlib
import sys
import time

from machine import Expected, Machine

programs, work, group = map(pathlib.Path, sys.argv[1:])
(group / "driver/cgroup.procs").write_text("0")
start = time.monotonic()
machine = Machine(work, group)
machine.boot()
print(f"booted in {time.monotonic()-start:.1f}")
print("systemd: " + machine.said("systemctl is-system-running"))
machine.reboot()
print(f"rebooted in {time.monotonic()-start:.1f}")
machine.end()
print(f"ended in {time.monotonic()-start:.1f}")

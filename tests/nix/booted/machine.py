"""A machine of its own: Debian's systemd as process 1 of namespaces, on a layer above target/systemd/tree.

`Machine.boot` starts it and waits until it runs; `run` runs a command inside; `reboot` ends that process 1 and boots
the same files again. Every wait has an end. Nothing here knows what is tested.
"""

import os
import pathlib
import shlex
import subprocess
import time

HERE = pathlib.Path(__file__).resolve().parent
REPOSITORY = HERE.parent.parent.parent


class Expected(Exception):
    """Something was expected that did not happen."""


def wait_for(what, condition, seconds=30.0):
    """The first true thing that `condition` returns."""
    end = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > end:
            raise Expected(f"{what}: not within {seconds:g} s")
        time.sleep(0.05)


def call(*command):
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)


class Machine:
    """`work` is an empty directory of a file system of our own, `group` a control group of our own."""

    def __init__(self, work, group):
        self.work, self.group, self.init, self.boots = work, group, None, 0
        self.root = work / "root"
        for name in ("root", "above", "overlay"):
            (work / name).mkdir(parents=True)
        options = f"lowerdir={REPOSITORY}/target/systemd/tree,upperdir={work}/above,workdir={work}/overlay"
        call("mount", "-t", "overlay", "-o", options, "overlay", str(self.root))

    def place(self, path, text, mode=0o644):
        """A file of the machine, before or while it runs."""
        file = self.root / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(mode)

    def show(self, source, path):
        """Something of this machine, seen there read-only."""
        (self.root / path.lstrip("/")).mkdir(parents=True, exist_ok=True)
        call("mount", "--bind", str(source), str(self.root / path.lstrip("/")))
        call("mount", "-o", "remount,bind,ro", str(self.root / path.lstrip("/")))

    def boot(self):
        """Starts process 1 and waits until every job is done."""
        self.boots += 1
        group = self.group / f"{self.work.name}-{self.boots}"
        group.mkdir()
        self.console = self.work / f"console-{self.boots}"
        command = ["unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child", "--net"]
        command += ["--uts", "--ipc", str(HERE / "init"), str(self.root), str(group)]
        with open(self.console, "wb") as console:
            self.outer = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=console, stderr=console)
        children = pathlib.Path(f"/proc/{self.outer.pid}/task/{self.outer.pid}/children")

        def first():
            if self.outer.poll() is not None:
                raise Expected(f"process 1 ended at once: {self.console.read_text()}")
            return children.read_text().split()

        self.init = wait_for("process 1", first)[0]
        def listens():
            if self.outer.poll() is not None:
                raise Expected(f"process 1 goes on: {self.console.read_text()[-3000:]}")
            return self.run("test -S /run/systemd/private", check=False).returncode == 0

        wait_for("systemd as process 1", listens)
        done = self.run("timeout 60 systemctl is-system-running --wait", check=False)
        if done.stdout.strip() != "running":
            failed = self.run("systemctl list-units --failed --no-pager; systemctl list-jobs", check=False).stdout
            raise Expected(f"a running system, it is {done.stdout.strip()}{done.stderr}\n{failed}\n{self.journal()}")

    def run(self, script, check=True, user=None, seconds=60, **environment):
        """A shell script inside, as root or `user`; its output as text."""
        inside = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin:/opt/nix/bin", "HOME": f"/home/{user}" if user else "/root"}
        command = ["nsenter", "--target", self.init, "--mount", "--pid", "--net", "--uts", "--ipc", "--cgroup"]
        command += ["--root", "--wd", "timeout", "--kill-after=1", str(seconds)]
        if user:
            command += ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups", "--bounding-set=-all"]
            command += ["--inh-caps=-all"]
        done = subprocess.run(
            command + ["/bin/sh", "-euc", script], stdin=subprocess.DEVNULL, capture_output=True, text=True,
            env=inside | environment,
        )
        if check and done.returncode != 0:
            raise Expected(f"success of {script.strip()!r} ({done.returncode})\n{done.stdout}{done.stderr}")
        return done

    def said(self, script, **more):
        return self.run(script, **more).stdout.strip()

    def property(self, unit, name):
        return self.said(f"systemctl show --value --property={shlex.quote(name)} {shlex.quote(unit)}")

    def journal(self, arguments="-n 40 -u 'countersign*'"):
        return self.run(f"journalctl --no-pager --quiet {arguments}", check=False).stdout

    def end(self):
        """An orderly shutdown; after 30 s a hard one."""
        if self.init is None:
            return
        self.run("systemctl --no-block poweroff", check=False)
        try:
            self.outer.wait(30)
        except subprocess.TimeoutExpired:
            self.outer.kill()
            self.outer.wait()
            raise Expected(f"an end within 30 s of being told to\n{self.console.read_text()[-3000:]}") from None
        finally:
            self.init = None

    def reboot(self):
        self.end()
        self.boot()

"""The second user of the machine, mallory: not in the group countersign, not trusted by the Nix daemon.

What mallory tries each time is what alice, root or the service can do; so that a refusal is one, it is tried by them too
where that is cheap.
"""

from expect import equal, expect, step
from scene import KEYS, LEAF, PATHS, build, hash_part, is_there, realise

SECRETS = ("/root/acme-1.sec", "/run/credentials/countersign-upload.service/acme-1", "/etc/countersign/cache-two",
           "/var/lib/countersign/machine.sec")
STATE = ("/var/lib/countersign/evidence.db", "/var/lib/countersign/queue.db", "/var/spool/countersign/roots")


def cannot_read(machine):
    with step("mallory reads no secret and no evidence"):
        for path in SECRETS + STATE:
            # The uploader's credentials are seen by itself alone, or by root.
            expect(machine.run(f"test -e {path}", check=False).returncode == 0, f"{path} to be there")
            done = machine.run(f"if test -d {path}; then ls {path}; else cat {path}; fi", user="mallory", check=False)
            expect(done.returncode != 0 and "ermission denied" in done.stderr, f"{path} not to be readable", done)
        for pid in ("countersign.service", "countersign-upload.service"):
            pid = machine.property(pid, "MainPID")
            for file in ("environ", "mem", "maps", "fd"):
                done = machine.run(f"cd /proc/{pid} && if test -d {file}; then ls {file}; else cat {file}; fi", user="mallory", check=False)
                expect(done.returncode != 0, f"/proc/{pid}/{file} not to be readable", done.stdout)
        for command in ("evidence list", f"evidence show {PATHS[0]}", "evidence export", "queue list", "audit"):
            done = machine.run(f"countersign {command}", user="mallory", check=False)
            expect(done.returncode != 0 and hash_part(PATHS[0]) not in done.stdout, f"countersign {command} to fail", done)


def cannot_command(machine):
    with step("the control socket answers root and the group, and nobody else"):
        machine.run("countersign status --json")
        script = """python3 -c 'import socket; socket.socket(socket.AF_UNIX).connect("/run/countersign/control.sock")'"""
        done = machine.run(script, user="mallory", check=False)
        expect("PermissionError" in done.stderr, "mallory's connection to be refused", done)
        machine.run("usermod --append --groups countersign alice")
        machine.run(script, user="alice")
        machine.run("countersign status --json", user="alice")
        for path in SECRETS:
            expect(machine.run(f"cat {path}", user="alice", check=False).returncode != 0, f"{path} to be closed to the group")
        machine.run("gpasswd --delete alice countersign")
    with step("what changes something is closed to mallory"):
        for command in ("key rotate", f"push {PATHS[0]}", f"queue drop {PATHS[0]}", f"queue retry {PATHS[0]}",
                        "evidence clock --reset"):
            before = machine.said("cat /var/lib/countersign/machine.pub")
            done = machine.run(f"countersign {command}", user="mallory", check=False)
            expect(done.returncode != 0, f"countersign {command} to fail", done)
            equal(machine.said("cat /var/lib/countersign/machine.pub"), before, "the machine key not to be changed")
        for command in ("reload countersign.service", "start countersign-break-glass.service", "stop countersign.socket",
                        "kill countersign.service"):
            done = machine.run(f"systemctl --no-ask-password {command}", user="mallory", check=False)
            expect(done.returncode != 0, f"systemctl {command} to fail", done)
        for place in ("/run/countersign-trust/nix.conf", "/etc/nix/nix.conf", "/etc/countersign/config.toml",
                      "/var/lib/countersign/machine.pub", "/srv/destination/nix-cache-info"):
            done = machine.run(f"echo >>{place}", user="mallory", check=False)
            expect(done.returncode != 0, f"{place} not to be writable", done)


def unsigned(machine, path):
    """Whether the destination has nothing under our signature about this path."""
    return "Sig: acme-1:" not in machine.run(f"cat /srv/destination/{hash_part(path)}.narinfo", check=False).stdout


def settled(machine):
    """After everything that the uploader was told of, it has looked: one more build is through."""
    settled.count += 1
    build(machine, f"settled-{settled.count}")
    machine.run("countersign queue wait --timeout 50s")


settled.count = 0


def cannot_get_signed(machine):
    with step("the spool takes nothing from mallory"):
        for script in ("echo x >/var/spool/countersign/x", "ln -s /etc /var/spool/countersign/x",
                       "rm -rf /var/spool/countersign/roots"):
            done = machine.run(script, user="mallory", check=False)
            expect(done.returncode != 0, f"{script!r} to fail", done)
        before = machine.said("ls -A /var/spool/countersign")
        machine.run(f"OUT_PATHS={PATHS[0]} DRV_PATH=/nix/store/x.drv countersign-hook", user="mallory")
        equal(machine.said("ls -A /var/spool/countersign"), before, "the hook, run by mallory, to have written nothing")
    with step("a note about a path that was substituted gets it no signature, not even from root"):
        expect(is_there(machine, PATHS[0]), "the substituted path to be there")
        drv = machine.said(f"nix-store --query --deriver {PATHS[0]}")
        machine.run(f"OUT_PATHS={PATHS[0]} DRV_PATH={drv} countersign-hook")
        settled(machine)
        expect(unsigned(machine, PATHS[0]), "no signature of ours on a substituted path")
    with step("a note that belongs to somebody else is refused, although it is well made and lies in the spool"):
        machine.run("systemctl stop countersign-upload.service")
        path = build(machine, "forged")
        note = machine.said("cd /var/spool/countersign; find . -maxdepth 1 -type f -printf '%f\\n'")
        expect(note and "\n" not in note, "one note in the spool", note)
        machine.run(f"chown alice /var/spool/countersign/{note}; systemctl start countersign-upload.service")
        settled(machine)
        refused = machine.said("ls /var/spool/countersign/refused")
        expect(note in refused, f"{note} to be laid aside as refused", refused)
    with step("what mallory imports or adds is not signed as built here"):
        path = machine.said("mkdir -p ~/x; echo imported >~/x/file; nix-store --add ~/x", user="mallory", NIX_REMOTE="daemon")
        machine.run(f"OUT_PATHS={path} countersign-hook")
        settled(machine)
        expect(unsigned(machine, path), "no signature of ours on what was added")
        machine.run(f"nix-store --export {PATHS[0]} >/tmp/nar; chmod 644 /tmp/nar")
        machine.run(f"nix-store --delete {PATHS[0]}")
        done = machine.run("nix-store --import </tmp/nar", user="mallory", check=False, NIX_REMOTE="daemon")
        expect(done.returncode != 0 and not is_there(machine, PATHS[0]), "an unsigned import to be refused", done)
        realise(machine, PATHS[0])
        expect(is_there(machine, PATHS[0]), "the path to come back endorsed")


def cannot_pass(machine):
    with step("mallory's options do not lead around the policy"):
        plain = f"--option substituters http://127.0.0.1:8001 --option trusted-public-keys '{KEYS['one']}'"
        for options in (plain, f"{plain} --option require-sigs false", "--option require-sigs false",
                        plain.replace("--option ", "--option extra-", 1), "--option substituters 'http://127.0.0.1:8001?trusted=1'",
                        f"--option extra-trusted-public-keys '{KEYS['one']}' --option extra-substituters http://127.0.0.1:8001",
                        "--option trusted-users mallory"):
            done = machine.run(f"nix-store --realise {LEAF} {options}", user="mallory", check=False, NIX_REMOTE="daemon")
            expect(not is_there(machine, LEAF), f"{options} to bring nothing in", done.stderr)
        machine.run(f"mkdir -p ~/.config/nix; echo \"substituters = http://127.0.0.1:8001\ntrusted-public-keys = {KEYS['one']}\n"
                    "require-sigs = false\" >~/.config/nix/nix.conf", user="mallory")
        done = realise(machine, LEAF, user="mallory")
        expect(not is_there(machine, LEAF), "a nix.conf of mallory's own to bring nothing in", done.stderr)
        done = machine.run(f"nix copy --no-check-sigs --from http://127.0.0.1:8001 {LEAF}", user="mallory", check=False,
                           NIX_REMOTE="daemon")
        expect(not is_there(machine, LEAF), "nix copy without checks to bring nothing in", done.stderr)
        done = machine.run(f"nix store sign -k ~/none {LEAF}; nix-store --realise {LEAF}", user="mallory", check=False,
                           NIX_REMOTE="")
        expect(not is_there(machine, LEAF), "the store not to be opened without the daemon", done.stderr)
    with step("the way around is there for who is trusted, so that the refusals were refusals"):
        machine.run(f"nix-store --realise {LEAF} {plain}", NIX_REMOTE="daemon")
        expect(is_there(machine, LEAF), "root, whom the daemon trusts, to get it")
        machine.run(f"nix-store --delete {LEAF}")


def strangers(machine):
    cannot_read(machine)
    cannot_command(machine)
    cannot_get_signed(machine)
    cannot_pass(machine)

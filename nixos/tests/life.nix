# First boot, restarts, rotation, a lost state directory, and the break-glass way there and back.
{ module, keys }:
{
  name = "countersign-life";

  nodes.machine = { ... }: {
    imports = [ module ];
    services.countersign.enable = true;
  };

  testScript = ''
    def trusted():
        shown = machine.succeed("nix --extra-experimental-features nix-command config show trusted-public-keys")
        return shown.split()

    def key():
        return machine.succeed("countersign key public").strip()

    machine.wait_for_unit("countersign.service")
    machine.wait_for_unit("countersign-trust.service")

    with subtest("after the first boot the machine key is trusted, and nothing else"):
        assert trusted() == [key()], trusted()
        machine.succeed("countersign status")

    with subtest("the port is held while the service restarts"):
        machine.succeed("systemctl stop countersign.service")
        # The connection waits in the socket, and starts the service.
        machine.succeed("curl -sf http://127.0.0.1:8419/nix-cache-info")

    with subtest("the watchdog starts a service that hangs"):
        machine.succeed("systemctl kill -s STOP countersign.service")
        machine.wait_until_succeeds("systemctl show -P Result countersign.service | grep -q . && "
                                    "curl -sf --max-time 2 http://127.0.0.1:8419/nix-cache-info", timeout=180)

    with subtest("a rotated key reaches nix.conf by itself"):
        before = key()
        machine.succeed("countersign key rotate")
        machine.wait_until_succeeds(f"! grep -qF '{before}' /run/countersign-trust/nix.conf", timeout=60)
        assert trusted() == [key()], trusted()

    with subtest("a lost state directory is a new machine key"):
        before = key()
        machine.succeed("systemctl stop countersign.socket countersign.service; rm -rf /var/lib/countersign")
        machine.succeed("systemctl start countersign.socket countersign.service")
        machine.wait_until_succeeds(f"! grep -qF '{before}' /run/countersign-trust/nix.conf", timeout=60)
        assert trusted() == [key()], trusted()

    with subtest("the glass can be broken, and mended"):
        machine.succeed("systemctl start countersign-break-glass")
        assert trusted() == ["cache.nixos.org-1:6NCHdD59X431o0gWypbMrAURkbJ16ZPMQFGspcDShjY="], trusted()
        machine.succeed("systemctl stop countersign-break-glass")
        assert trusted() == [key()], trusted()

    with subtest("and is whole after the next boot"):
        machine.succeed("systemctl start countersign-break-glass")
        machine.shutdown()
        machine.wait_for_unit("countersign-trust.service")
        assert trusted() == [key()], trusted()
        # State and key have outlived it.
        machine.succeed("countersign evidence verify")
  '';
}

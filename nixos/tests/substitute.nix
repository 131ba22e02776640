# Two caches and a rule that wants both: what both say is installed, what they say differently is not, and a cache that
# is gone is missed by name.
{ module, keys }:
{
  name = "countersign-substitute";

  nodes.caches = { pkgs, ... }: {
    networking.firewall.allowedTCPPorts = [ 8001 8002 ];
    virtualisation.writableStore = true;
    systemd.services = builtins.mapAttrs
      (party: port: {
        wantedBy = [ "multi-user.target" ];
        serviceConfig.ExecStart = "${pkgs.python3}/bin/python3 -m http.server --directory /srv/${party} ${port}";
        serviceConfig.ExecStartPre = "${pkgs.coreutils}/bin/mkdir -p /srv/${party}";
      })
      { one = "8001"; two = "8002"; };
  };

  nodes.machine = { ... }: {
    imports = [ module ];
    virtualisation.writableStore = true;
    services.countersign = {
      enable = true;
      settings = {
        signers.one.keys = [ keys.one.public ];
        signers.two.keys = [ keys.two.public ];
        caches.one.url = "http://caches:8001";
        caches.two = { url = "http://caches:8002"; role = "witness"; };
        rules = [{ name = "both"; signatures = [{ at-least = 2; of = [ "one" "two" ]; }]; }];
      };
    };
  };

  testScript = ''
    import json

    parties = {"one": "${keys.one.secret}", "two": "${keys.two.secret}"}

    def publish(party, path):
        caches.succeed(f"printf %s '{parties[party]}' > /root/{party}.sec")
        caches.succeed(
            f"nix --extra-experimental-features nix-command copy --no-check-sigs "
            f"--to 'file:///srv/{party}?secret-key=/root/{party}.sec' {path}"
        )

    def build(name, salt):
        """A path whose name says nothing of what the builder finds: a build that cannot be reproduced."""
        caches.succeed(f"echo '{salt}' > /root/salt")
        drv = (
            "derivation { name = \"" + name + "\"; system = builtins.currentSystem; builder = \"/bin/sh\"; "
            "args = [ \"-c\" \"read salt < /root/salt; echo $salt > $out\" ]; }"
        )
        return caches.succeed(f"nix-build --option sandbox false --no-out-link -E '{drv}'").strip()

    start_all()
    machine.wait_for_unit("countersign.service")
    machine.wait_for_unit("countersign-trust.service")
    caches.wait_for_unit("one.service")
    caches.wait_for_unit("two.service")

    with subtest("what both built is installed"):
        agreed = build("agreed", "the same")
        publish("one", agreed)
        publish("two", agreed)
        machine.succeed(f"nix-store -r {agreed}")
        machine.succeed(f"countersign explain {agreed}")

    with subtest("one party alone is not enough"):
        alone = build("alone", "one only")
        publish("one", alone)
        machine.fail(f"nix-store -r {alone} --option fallback false")
        assert "two" in machine.fail(f"countersign explain {alone}")

    with subtest("what they say differently is refused"):
        disputed = build("disputed", "what one of them built")
        publish("one", disputed)
        caches.succeed(f"nix-store --delete {disputed}")
        assert disputed == build("disputed", "what the other one built")
        publish("two", disputed)
        machine.fail(f"nix-store -r {disputed} --option fallback false")
        assert "differ" in machine.execute(f"countersign explain {disputed}")[1]

    with subtest("no user gets round it"):
        machine.fail(f"nix-store -r {alone} --option fallback false --option substituters http://caches:8001")

    with subtest("doctor finds nothing of ours to mend"):
        # Root is trusted by default, and doctor says so; of keys and substituters there is nothing to say.
        found = json.dumps(json.loads(machine.execute("countersign doctor --json")[1])["findings"])
        assert "trusted-public-keys" not in found and "substituters" not in found, found
  '';
}

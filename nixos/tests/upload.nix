# What is built here is reported, signed and published, also when the uploader is killed and the machine starts again.
{ module, keys }:
{
  name = "countersign-upload";

  nodes.machine = { pkgs, ... }: {
    imports = [ module ];
    virtualisation.writableStore = true;
    systemd.tmpfiles.rules = [
      "d /srv/cache 0755 countersign countersign -"
      "f /run/one.sec 0600 root root - ${keys.one.secret}"
    ];
    services.countersign = {
      enable = true;
      settings = {
        signers.one.keys = [ keys.one.public ];
        caches.one.url = "http://127.0.0.1:1";
        rules = [{ name = "all"; signatures = [{ at-least = 1; of = [ "one" ]; }]; }];
        upload.signing-key-files = [ "/run/one.sec" ];
        destinations.here = { url = "file:///srv/cache"; packages = [ "*" ]; };
      };
    };
  };

  testScript = ''
    def build(name):
        drv = (
            "derivation { name = \"" + name + "\"; system = builtins.currentSystem; builder = \"/bin/sh\"; "
            "args = [ \"-c\" \"echo " + name + " > $out\" ]; }"
        )
        return machine.succeed(f"nix-build --option sandbox false --no-out-link -E '{drv}'").strip()

    def published(path):
        hash = path.removeprefix("/nix/store/").split("-")[0]
        return machine.succeed(f"cat /srv/cache/{hash}.narinfo")

    machine.wait_for_unit("countersign-upload.service")

    with subtest("a build is published under our signature"):
        first = build("first")
        machine.succeed("countersign queue wait --timeout 60s")
        assert "Sig: test-one:" in published(first)

    with subtest("the secret is the uploader's alone"):
        machine.succeed("systemctl show -P LoadCredential countersign-upload | grep signing-key-0")
        machine.fail("systemctl show -P LoadCredential countersign | grep signing-key-0")

    with subtest("a killed uploader loses nothing"):
        machine.succeed("systemctl kill -s KILL countersign-upload")
        second = build("second")
        machine.wait_for_unit("countersign-upload.service")
        machine.succeed("countersign queue wait --timeout 60s")
        published(second)

    with subtest("nor does the power"):
        machine.succeed("systemctl stop countersign-upload")
        third = build("third")
        machine.crash()
        machine.wait_for_unit("countersign-upload.service")
        machine.succeed("countersign queue wait --timeout 60s")
        published(third)
  '';
}

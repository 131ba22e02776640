# A small company with a cache beside the public one: its key is good for its own packages and for no others, and what
# this machine builds of them is signed and uploaded. The files under /run/secrets are made by sops-nix or agenix.
{
  imports = [ ../../nixos/module.nix ];

  services.countersign = {
    enable = true;
    settings = {
      signers.nixos.keys = [ "cache.nixos.org-1:6NCHdD59X431o0gWypbMrAURkbJ16ZPMQFGspcDShjY=" ];
      signers.acme = {
        keys = [
          "acme-2:EvFjVFj37c1qwXlvs11852ihyqDe7GTujaCLOEuLhfc="
          { key = "acme-1:QXTK5pd1HvHEpcUaWqh8ALrsCCURTZ7y8b1+y8kFstc="; not-after = "2037-06-01T00:00:00Z"; }
        ];
        may-vouch-for = [ "acme-*" ];
      };

      caches.nixos = { url = "https://cache.nixos.org"; operator = "nixos-foundation"; };
      caches.acme = {
        url = "https://cache.acme.example";
        credentials-file = "/run/secrets/acme-netrc";
      };

      rules = [
        { name = "ours"; packages = [ "acme-*" ]; signatures = [{ at-least = 1; of = [ "acme" ]; }]; }
        { name = "everything else"; signatures = [{ at-least = 1; of = [ "nixos" ]; }]; }
      ];

      upload.signing-key-files = [ "/run/secrets/acme-2.sec" ];
      destinations.acme = {
        url = "s3://acme-cache?region=eu-central-1&endpoint=https://s3.acme.example";
        packages = [ "acme-*" ];
        skip-vouched-by = [ "nixos" ];
        credentials-file = "/run/secrets/acme-s3";
      };
    };
  };

  # Without it, when countersign is bypassed, the company's own packages could not be had.
  services.countersign.breakGlass = {
    substituters = [ "https://cache.nixos.org" "https://cache.acme.example" ];
    trustedPublicKeys = [
      "cache.nixos.org-1:6NCHdD59X431o0gWypbMrAURkbJ16ZPMQFGspcDShjY="
      "acme-2:EvFjVFj37c1qwXlvs11852ihyqDe7GTujaCLOEuLhfc="
    ];
  };
}

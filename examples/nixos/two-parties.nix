# What a machine boots and logs in with needs the word of two parties who built it apart from each other; everything
# else needs one. Put your own second party in the place of "rebuilder".
{
  imports = [ ../../nixos/module.nix ];

  services.countersign = {
    enable = true;
    settings = {
      signers.nixos.keys = [ "cache.nixos.org-1:6NCHdD59X431o0gWypbMrAURkbJ16ZPMQFGspcDShjY=" ];
      # This one's secret half is not kept anywhere.
      signers.rebuilder.keys = [ "rebuilder-1:ess5ckeFMMbx1T5C9ia4ofjvMJEqPljjTVkPUL89sUc=" ];

      caches.nixos = {
        url = "https://cache.nixos.org";
        operator = "nixos-foundation";
        accept-signers = [ "nixos" ];
      };
      caches.rebuilder = {
        url = "https://rebuilder.example.org";
        role = "witness"; # its word counts, its bytes are never fetched
        accept-signers = [ "rebuilder" ];
      };

      rules = [
        {
          name = "boot chain";
          packages = [ "linux-*" "systemd-*" "openssh-*" "openssl-*" "nix-*" "countersign-*" ];
          signatures = [{ at-least = 2; of = [ "nixos" "rebuilder" ]; }];
          operators = 2;
        }
        {
          name = "everything else";
          signatures = [{ at-least = 1; of = [ "nixos" ]; }];
        }
      ];

      exceptions = [{
        packages = [ "linux-firmware-*" ];
        rule = "everything else";
        until = "2037-01-31";
        why = "not reproducible yet";
      }];
    };
  };
}

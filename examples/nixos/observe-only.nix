# A first look: everything is decided and logged as it would be enforced, and nothing is refused. Nix asks countersign
# first and goes on trusting whom it trusts. `countersign evidence list --outcome refuse` then tells what would have been
# refused, and why.
{
  imports = [ ../../nixos/module.nix ];

  services.countersign = {
    enable = true;
    settings = {
      mode = "observe";

      signers.nixos.keys = [ "cache.nixos.org-1:6NCHdD59X431o0gWypbMrAURkbJ16ZPMQFGspcDShjY=" ];
      signers.nix-community.keys = [ "nix-community.cachix.org-1:mB9FSh9qf2dCimDSUo8Zy7bkq5CX+/rkCWyvRCYg3Fs=" ];

      caches.nixos.url = "https://cache.nixos.org";
      caches.nix-community.url = "https://nix-community.cachix.org";

      rules = [{
        name = "everything";
        signatures = [{ at-least = 1; of = [ "nixos" "nix-community" ]; }];
      }];
    };
  };
}

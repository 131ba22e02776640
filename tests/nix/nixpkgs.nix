# The examples with the real nixpkgs: the assertions that fail, by example. `NIXPKGS=/path tests/nix/module` asks for it.
{ nixpkgs }:
builtins.mapAttrs
  (_: example:
    let
      system = import (nixpkgs + "/nixos/lib/eval-config.nix") {
        system = "x86_64-linux";
        modules = [
          example
          { fileSystems."/".device = "none"; boot.loader.grub.device = "nodev"; system.stateVersion = "26.05"; }
        ];
      };
      failed = builtins.filter (a: !a.assertion) system.config.assertions;
    in
    # Down to the text of every unit, without building.
    builtins.seq system.config.system.build.toplevel.drvPath (map (a: a.message) failed))
  (import ./cases.nix).examples

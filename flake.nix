{
  description = "Nothing enters your Nix store on one party's word";

  # Without a flake.lock this follows the branch. `nix flake lock`, with a network, pins it; commit what it writes.
  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-unstable";

  outputs = { self, nixpkgs }:
    let
      inherit (nixpkgs) lib;
      forEach = of: lib.genAttrs [ "x86_64-linux" "aarch64-linux" ] (system: of nixpkgs.legacyPackages.${system});
      package = pkgs: pkgs.callPackage ./nixos/package.nix { };
    in
    {
      packages = forEach (pkgs: rec { countersign = package pkgs; default = countersign; });

      overlays.default = final: _: { countersign = package final; };

      nixosModules = rec { countersign = ./nixos/module.nix; default = countersign; };

      # The package, and NixOS machines that run it. `.ci/run` runs the tests of the program itself.
      checks = forEach (pkgs: { package = package pkgs; } // import ./nixos/tests {
        inherit pkgs;
        module = self.nixosModules.default;
      });

      devShells = forEach (pkgs: {
        default = pkgs.mkShell { packages = [ pkgs.cargo pkgs.rustc pkgs.clippy pkgs.rustfmt pkgs.cmake ]; };
      });
    };
}

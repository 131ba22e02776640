# Everything that tests/nix/module looks at, as one value for `nix-instantiate --eval --json`.
let
  root = ../..;
  lib = import ./lib;
  pkgs = import ./lib/pkgs.nix { inherit lib; };
  withPackage = { services.countersign.package = pkgs.callPackage (root + "/nixos/package.nix") { }; };
  system = pkgs: modules: (lib.evalModules {
    modules = [ ./lib/nixos.nix (root + "/nixos/module.nix") ] ++ modules;
    specialArgs = { inherit pkgs; modulesPath = throw "no modulesPath in the stand-in"; };
  }).config;
  render = import ./lib/render.nix lib;
  cases = import ./cases.nix;

  # Options of the module as the schema writes keys: `*` for any name, `[]` for list elements.
  typed = import ./typed.nix { inherit lib; settings = import (root + "/nixos/settings.nix"); };

  flake = (import (root + "/flake.nix")).outputs {
    self = flake // { outPath = toString root; };
    nixpkgs = { inherit lib; legacyPackages = lib.genAttrs [ "x86_64-linux" "aarch64-linux" ] (_: pkgs); };
  };
in
{
  rendered = builtins.mapAttrs (_: module: render (system pkgs [ module withPackage ])) (cases.good // cases.examples);
  # Each says in which assertion it must end.
  refused = builtins.mapAttrs (_: case: { inherit (case) says; inherit (render (system pkgs [ case.module withPackage ])) failed; }) cases.bad;
  warned = builtins.mapAttrs (_: case: { inherit (case) says; inherit (render (system pkgs [ case.module withPackage ])) warnings; }) cases.warned;
  typos = builtins.mapAttrs (_: case: { inherit (case) says; inherit (render (system pkgs [ case.module withPackage ])) files; }) cases.typos;
  cross =
    let config = system (import ./lib/pkgs.nix { inherit lib; isCross = true; }) [ cases.good.enforce withPackage ];
    in config.services.countersign.generated.serve ? script;
  native = (system pkgs [ cases.good.enforce withPackage ]).services.countersign.generated.serve.script;
  inherit typed;
  outputs = {
    modules = builtins.attrNames flake.nixosModules;
    packages = builtins.mapAttrs (_: set: builtins.mapAttrs (_: p: p.name) set) flake.packages;
    overlay = (pkgs.extend flake.overlays.default).countersign.name;
    checks = builtins.mapAttrs (_: set: builtins.attrNames set) flake.checks;
    shells = builtins.mapAttrs (_: set: builtins.mapAttrs (_: s: s.name) set) flake.devShells;
    # The machines of the VM tests are systems as well.
    nodes = builtins.mapAttrs
      (_: check: builtins.mapAttrs (_: node: (render (system pkgs [ node ])).failed) check.test.nodes)
      (lib.filterAttrs (_: check: check ? test) flake.checks.x86_64-linux);
  };
}

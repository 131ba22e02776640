# The VM tests, by name: real NixOS, real systemd, real Nix. They need nixpkgs and KVM; `nix flake check` runs them.
{ pkgs, module }:
builtins.mapAttrs (_: test: pkgs.testers.runNixOSTest (import test { inherit module; keys = import ./keys.nix; })) {
  substitute = ./substitute.nix;
  upload = ./upload.nix;
  life = ./life.nix;
}

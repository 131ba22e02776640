# A stand-in for the part of the package set that nixos/ uses. Nothing is built: a derivation is its name, and the text
# that would be in it.
{ lib, isCross ? false }:
let
  derivation = name: more: { type = "derivation"; inherit name; outPath = "/nix/store/${fake}-${name}"; } // more;
  # A hash part that no path has, and the same for all: the texts that are compared shall not change with everything.
  fake = "00000000000000000000000000000000";
  toml = import ./toml.nix lib;
  self = {
    inherit lib;
    callPackage = file: overrides:
      let function = import file; in function (builtins.intersectAttrs (builtins.functionArgs function) self // overrides);
    stdenv = {
      hostPlatform = { system = "x86_64-linux"; };
      buildPlatform = { system = if isCross then "aarch64-linux" else "x86_64-linux"; canExecute = _: !isCross; };
    };
    formats.toml = { }: {
      type = import ./toml-type.nix lib;
      generate = name: value: derivation name { text = toml value; };
    };
    writeText = name: text: derivation name { inherit text; };
    writeShellScript = name: text: derivation name { inherit text; };
    writeShellScriptBin = name: text: derivation name { inherit text; meta.mainProgram = name; };
    runCommand = name: environment: script: derivation name { inherit environment script; };
    coreutils = derivation "coreutils" { };
    systemd = derivation "systemd" { };
    python3 = derivation "python3" { meta.mainProgram = "python3"; };
    nix = derivation "nix" { };
    cmake = derivation "cmake" { };
    cargo = derivation "cargo" { };
    rustc = derivation "rustc" { };
    clippy = derivation "clippy" { };
    rustfmt = derivation "rustfmt" { };
    nixpkgs-fmt = derivation "nixpkgs-fmt" { };
    installShellFiles = derivation "install-shell-files" { };
    mkShell = attributes: derivation "shell" attributes;
    rustPlatform.buildRustPackage = attributes:
      derivation "${attributes.pname}-${attributes.version}" { inherit attributes; inherit (attributes) meta version; };
    testers.runNixOSTest = test: derivation "vm-test-${test.name}" { inherit test; };
    extend = overlay: self // overlay self self;
  };
in
self

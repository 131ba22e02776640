# Both programs, with man pages and completions. Needs a rustc of at least `rust-version` in Cargo.toml.
{ lib, rustPlatform, installShellFiles, stdenv, cmake }:
let
  manifest = builtins.fromTOML (builtins.readFile ../Cargo.toml);
in
rustPlatform.buildRustPackage {
  pname = manifest.package.name;
  inherit (manifest.package) version;

  # What is built, and nothing else: a changed test or document rebuilds nothing.
  src = lib.fileset.toSource {
    root = ../.;
    fileset = lib.fileset.unions [ ../Cargo.toml ../Cargo.lock ../src ../hook ../tests/bench ];
  };
  cargoLock.lockFile = ../Cargo.lock;
  cargoBuildFlags = [ "--bins" ];

  # aws-lc, where it has no prepared sources for the platform.
  nativeBuildInputs = [ cmake installShellFiles ];
  dontUseCmakeConfigure = true;

  # They want three versions of Nix and two S3 servers, which tests/install gets: see .ci/run.
  doCheck = false;

  postInstall = lib.optionalString (stdenv.buildPlatform.canExecute stdenv.hostPlatform) ''
    for shell in bash fish zsh; do
      $out/bin/countersign completions "$shell" > "countersign.$shell"
      installShellCompletion --"$shell" "countersign.$shell"
    done
    mkdir man
    $out/bin/countersign man man
    installManPage man/*
  '';

  meta = {
    inherit (manifest.package) description;
    license = [ lib.licenses.mit lib.licenses.asl20 ];
    mainProgram = "countersign";
    platforms = lib.platforms.linux;
  };
}

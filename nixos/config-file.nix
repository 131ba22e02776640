# From `services.countersign.settings` to the files that the program reads, and to the secrets that systemd hands over.
#
# Each unit has a file of its own: they differ in where the secrets of caches are, since a unit sees its own alone.
{ lib, pkgs, format, cfg }:
let
  inherit (lib) filterAttrs imap0 mapAttrs mapAttrsToList;

  # What is not set is not written, so that countersign's own defaults hold. An empty policy is none.
  written = value:
    if builtins.isList value then map written value
    else if builtins.isAttrs value then mapAttrs (_: written) (filterAttrs (_: entry: entry != null) value)
    else value;
  settings = filterAttrs (_: value: value != { } && value != [ ]) (written cfg.settings);

  secretOf = sections: filterAttrs (_: entry: (entry.credentials-file or null) != null) sections;
  cacheSecrets = secretOf cfg.settings.caches;
  destinationSecrets = secretOf cfg.settings.destinations;
  keyFiles = cfg.settings.upload.signing-key-files;

  # Where systemd puts them for a unit (systemd.exec(5), CREDENTIALS_DIRECTORY).
  handedTo = unit: name: "/run/credentials/${unit}.service/${name}";
  uploader = handedTo "countersign-upload";

  fileFor = unit: format.generate "countersign-${unit}.toml" (settings // lib.optionalAttrs (settings ? caches) {
    caches = mapAttrs
      (name: cache: cache // lib.optionalAttrs (cacheSecrets ? ${name}) { credentials-file = handedTo unit "cache-${name}"; })
      settings.caches;
  } // lib.optionalAttrs (settings ? destinations) {
    destinations = mapAttrs
      (name: destination:
        destination // lib.optionalAttrs (destinationSecrets ? ${name}) { credentials-file = uploader "destination-${name}"; })
      settings.destinations;
  } // {
    upload = settings.upload // { signing-key-files = imap0 (at: _: uploader "signing-key-${toString at}") keyFiles; };
  });

  # A faulty configuration fails the build. It cannot be run where the program is for another machine.
  checked = file:
    if cfg.checkConfig && pkgs.stdenv.buildPlatform.canExecute pkgs.stdenv.hostPlatform then
      pkgs.runCommand "countersign.toml" { raw = file; } ''
        ${lib.getExe cfg.package} --config "$raw" check
        cp "$raw" "$out"
      ''
    else file;
in
{
  serve = checked (fileFor "countersign");
  upload = checked (fileFor "countersign-upload");

  # LoadCredential= of each unit.
  serveSecrets = mapAttrsToList (name: cache: "cache-${name}:${cache.credentials-file}") cacheSecrets;
  uploadSecrets =
    mapAttrsToList (name: cache: "cache-${name}:${cache.credentials-file}") cacheSecrets
    ++ mapAttrsToList (name: to: "destination-${name}:${to.credentials-file}") destinationSecrets
    ++ imap0 (at: file: "signing-key-${toString at}:${file}") keyFiles;

  # Every path of a secret, and what names it.
  secrets =
    mapAttrsToList (name: cache: { name = "caches.${name}.credentials-file"; path = cache.credentials-file; }) cacheSecrets
    ++ mapAttrsToList (name: to: { name = "destinations.${name}.credentials-file"; path = to.credentials-file; })
      destinationSecrets
    ++ map (path: { name = "upload.signing-key-files"; inherit path; }) keyFiles;
}

# An evaluated configuration as the files that NixOS would make of it: nix.conf, units, the configuration's TOML.
lib:
let
  inherit (builtins) attrNames concatStringsSep filter isBool isList isString mapAttrs;
  inherit (lib) concatMapStringsSep filterAttrs mapAttrs' mapAttrsToList nameValuePair optionalAttrs optionalString;
  word = value: if isBool value then (if value then "true" else "false") else toString value;

  nixConf = nix:
    let
      line = name: value: "${name} = ${if isList value then concatMapStringsSep " " word value else word value}\n";
      lines = keep: concatStringsSep "" (mapAttrsToList line (filterAttrs keep nix.settings));
      isExtra = name: value: lib.hasPrefix "extra-" name && value != [ ];
    in
    lines (name: _: !lib.hasPrefix "extra-" name) + lines isExtra + nix.extraOptions;

  section = name: set:
    let
      lines = key: value: if isList value then map (v: "${key}=${word v}") value else [ "${key}=${word value}" ];
      all = lib.concatLists (mapAttrsToList lines set);
    in optionalString (all != [ ]) "[${name}]\n${concatStringsSep "\n" all}\n\n";

  joined = name: list: optionalAttrs (list != [ ]) { ${name} = concatStringsSep " " list; };
  common = unit:
    optionalAttrs (unit.description != "") { Description = unit.description; }
    // joined "Documentation" unit.documentation // joined "After" unit.after // joined "Before" unit.before
    // joined "Wants" unit.wants // joined "Requires" unit.requires // joined "BindsTo" unit.bindsTo
    // joined "PartOf" unit.partOf // joined "Conflicts" unit.conflicts // unit.unitConfig;
  install = unit: section "Install" (joined "WantedBy" unit.wantedBy // joined "RequiredBy" unit.requiredBy);

  service = unit:
    section "Unit" (common unit
      // joined "X-Reload-Triggers" (map toString unit.reloadTriggers)
      // joined "X-Restart-Triggers" (map toString unit.restartTriggers))
    + section "Service" (
      {
        Environment =
          lib.optional (unit.path != [ ]) "\"PATH=${concatMapStringsSep ":" (p: "${p}/bin") unit.path}\""
          ++ mapAttrsToList (name: value: "\"${name}=${value}\"") (filterAttrs (_: value: value != null) unit.environment);
      } // unit.serviceConfig)
    + install unit;
  socket = unit: section "Unit" (common unit)
    + section "Socket" ({ ListenStream = unit.listenStreams; } // unit.socketConfig) + install unit;
  path = unit: section "Unit" (common unit) + section "Path" unit.pathConfig + install unit;

  named = suffix: render: units: mapAttrs' (name: unit: nameValuePair "${name}.${suffix}" (render unit)) units;
  text = file: file.text or file.environment.raw.text;
in
config:
let failed = filter (a: !a.assertion) config.assertions;
in {
  failed = map (a: a.message) failed;
  inherit (config) warnings;
  files = {
    "nix.conf" = nixConf config.nix;
    "tmpfiles.conf" = concatMapStringsSep "" (rule: rule + "\n") config.systemd.tmpfiles.rules;
  } // named "service" service config.systemd.services
  // named "socket" socket config.systemd.sockets
  // named "path" path config.systemd.paths
  // mapAttrs' (name: etc: nameValuePair (baseNameOf name) (text etc.source)) config.environment.etc
  // optionalAttrs (config.systemd.services ? countersign-upload) {
    "upload.toml" = text config.services.countersign.generated.upload;
  };
}

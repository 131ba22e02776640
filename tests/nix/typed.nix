# The typed options of the settings, as paths in the form of countersign's own list of keys.
{ lib, settings }:
let
  type = settings { inherit lib; format = { type = lib.types.attrsOf lib.types.raw; }; };
  inherit (builtins) concatLists head;
  options = type: builtins.foldl' (all: module: all // (module.options or { })) { } type.modules;
  # Sees through null, either and lists to what has options.
  inside = prefix: type:
    if type ? modules then below prefix type
    else if type ? inner then concatLists (map (inside (prefix + (type.suffix or ""))) type.inner)
    else [ ];
  below = prefix: type: concatLists (lib.mapAttrsToList
    (name: option:
      let path = if prefix == "" then name else "${prefix}.${name}";
      in [ path ] ++ inside path option.type)
    (options type));
in
below "" type

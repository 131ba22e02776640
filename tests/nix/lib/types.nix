# Option types, as far as nixos/ uses them. `check` looks at one definition, `merge` makes one value of all that hold;
# `element` is the type of an entry, for those that can be a freeform type.
lib:
let
  inherit (builtins) all attrNames concatLists concatMap concatStringsSep elem filter foldl' head isAttrs isBool isFloat
    isFunction isInt isList isPath isString length listToAttrs map match tail toJSON;
  show = concatStringsSep ".";
  inherit (lib.modules) mergeDefinitions evalModules;

  same = loc: definitions:
    if all (d: d.value == (head definitions).value) (tail definitions) then (head definitions).value
    else throw "The option `${show loc}' has conflicting definition values: ${
      concatStringsSep " and " (map (d: "${toJSON d.value} (in ${d.file})") definitions)}.";
  scalar = name: check: { inherit name check; merge = same; };
  within = name: low: high: scalar name (value: isInt value && value >= low && (high == null || value <= high));
in
rec {
  bool = scalar "boolean" isBool;
  int = scalar "signed integer" isInt;
  ints = {
    positive = within "positive integer" 1 null;
    unsigned = within "unsigned integer" 0 null;
    between = low: high: within "integer between ${toString low} and ${toString high}" low high;
  };
  float = scalar "floating point number" isFloat;
  str = scalar "string" isString;
  nonEmptyStr = scalar "non-empty string" (value: isString value && value != "");
  strMatching = pattern: scalar "string matching ${pattern}" (value: isString value && match pattern value != null);
  path = scalar "absolute path" (value:
    isPath value || (isString value && lib.hasPrefix "/" value) || (isAttrs value && value ? outPath));
  package = scalar "package" (value: isAttrs value && value ? outPath) // { merge = _: definitions: (head definitions).value; };
  raw = { name = "raw value"; check = _: true; merge = same; };
  lines = {
    name = "strings concatenated with newlines";
    check = isString;
    merge = _: definitions: concatStringsSep "\n" (map (d: d.value) definitions);
  };
  enum = values: scalar "one of ${toJSON values}" (value: elem value values);

  # `inner` and `suffix` are for typed.nix, which lists the options below a type.
  nullOr = type: {
    inner = [ type ];
    name = "null or ${type.name}";
    check = value: value == null || type.check value;
    merge = loc: definitions:
      if all (d: d.value == null) definitions then null
      else if all (d: d.value != null) definitions then type.merge loc definitions
      else throw "The option `${show loc}' is both null and not null.";
  };
  either = left: right: {
    inner = [ left right ];
    name = "${left.name} or ${right.name}";
    check = value: left.check value || right.check value;
    merge = loc: definitions:
      if all (d: left.check d.value) definitions then left.merge loc definitions
      else if all (d: right.check d.value) definitions then right.merge loc definitions
      else same loc definitions;
  };
  oneOf = types: foldl' either (head types) (tail types);

  listOf = type: {
    inner = [ type ];
    suffix = "[]";
    name = "list of ${type.name}";
    check = isList;
    merge = loc: definitions:
      let
        entries = concatLists (map (d: map (value: { inherit value; inherit (d) file; }) d.value) definitions);
        merged = lib.imap0 (at: entry: mergeDefinitions (loc ++ [ "[definition ${toString (at + 1)}]" ]) type [ entry ]) entries;
      in map (m: m.value) (filter (m: m.isDefined) merged);
  };
  attrsOf = type: {
    inner = [ type ];
    suffix = ".*";
    name = "attribute set of ${type.name}";
    check = isAttrs;
    element = type;
    merge = loc: definitions:
      let names = lib.unique (concatMap (d: attrNames d.value) definitions);
      in listToAttrs (concatMap
        (name:
          let
            own = concatMap (d: if d.value ? ${name} then [{ value = d.value.${name}; inherit (d) file; }] else [ ]) definitions;
            merged = mergeDefinitions (loc ++ [ name ]) type own;
          in if merged.isDefined then [{ inherit name; inherit (merged) value; }] else [ ])
        names);
  };
  submodule = modules: {
    name = "submodule";
    check = value: isAttrs value || isFunction value || isPath value;
    modules = if isList modules then modules else [ modules ];
    merge = loc: definitions:
      (evalModules {
        modules = (if isList modules then modules else [ modules ])
          ++ map (d: if isAttrs d.value then { _file = d.file; config = d.value; } else d.value) definitions;
        specialArgs = { name = if loc == [ ] then "" else lib.elemAt loc (length loc - 1); };
        prefix = loc;
      }).config;
  };
}

# A value as TOML: tables by their headers, lists of tables as [[…]] at the top, all that is deeper inline.
lib:
let
  inherit (builtins) all attrNames concatStringsSep filter head isAttrs isBool isFloat isInt isList isString match toJSON;
  name = text: if match "[A-Za-z0-9_-]+" text != null then text else toJSON text;
  inline = value:
    if isBool value then lib.optionalString value "true" + lib.optionalString (!value) "false"
    else if isInt value || isFloat value then toString value
    else if isString value then toJSON value
    else if isList value then "[${concatStringsSep ", " (map inline value)}]"
    else if isAttrs value then
      "{ ${concatStringsSep ", " (lib.mapAttrsToList (key: entry: "${name key} = ${inline entry}") value)} }"
    else throw "TOML has no ${builtins.typeOf value}";
  isTables = value: isList value && value != [ ] && all isAttrs value;
  lines = set: map (key: "${name key} = ${inline set.${key}}") (attrNames set);
  plain = lib.filterAttrs (_: value: !isAttrs value && !isTables value);
  table = path: set:
    let
      own = lines (lib.filterAttrs (_: value: !isAttrs value) set);
      below = lib.filterAttrs (_: isAttrs) set;
    in
    lib.optionals (own != [ ] || below == { }) ([ "" "[${path}]" ] ++ own)
    ++ lib.concatLists (lib.mapAttrsToList (key: table "${path}.${name key}") below);
in
root:
concatStringsSep "\n" (
  lines (plain root)
  ++ lib.concatLists (lib.mapAttrsToList (key: table (name key)) (lib.filterAttrs (_: isAttrs) root))
  ++ lib.concatLists (lib.mapAttrsToList
    (key: tables: lib.concatLists (map (set: [ "" "[[${name key}]]" ] ++ lines set) tables))
    (lib.filterAttrs (_: isTables) root))
) + "\n"

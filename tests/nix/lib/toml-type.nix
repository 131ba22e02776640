# What TOML can say, as pkgs.formats.toml has it: no null anywhere.
lib:
let
  inherit (lib) types;
  value = types.oneOf [ types.bool types.int types.float types.str types.path (types.attrsOf value) (types.listOf value) ]
    // { name = "TOML value"; };
in
types.attrsOf value

# A stand-in for the part of nixpkgs' library that nixos/ uses, so that the module can be evaluated where nixpkgs is not
# to be had. Written from the documented behaviour (nixpkgs manual, "Functions reference"; NixOS manual, "Option types").
# What is not here does not exist, and evaluation says so.
let
  inherit (builtins) attrNames elem filter foldl' hasAttr head isAttrs isList isPath isString length listToAttrs
    stringLength substring tail toJSON;
in
rec {
  inherit (builtins) all any attrNames listToAttrs attrValues concatLists concatMap concatStringsSep elem elemAt filter foldl'
    genList getAttr hasAttr head isAttrs isBool isFunction isInt isList isString length mapAttrs removeAttrs
    stringLength tail toJSON;

  types = import ./types.nix lib;
  modules = import ./modules.nix lib;
  inherit (modules) evalModules mkAfter mkBefore mkDefault mkForce mkIf mkMerge mkOption mkOrder mkOverride;

  mkEnableOption = name: mkOption {
    type = types.bool;
    default = false;
    example = true;
    description = "Whether to enable ${name}.";
  };
  literalExpression = text: { _type = "literalExpression"; inherit text; };

  optional = condition: value: if condition then [ value ] else [ ];
  optionals = condition: list: if condition then list else [ ];
  optionalAttrs = condition: set: if condition then set else { };
  optionalString = condition: text: if condition then text else "";

  id = value: value;
  hasPrefix = prefix: text: substring 0 (stringLength prefix) text == prefix;
  hasSuffix = suffix: text:
    let from = stringLength text - stringLength suffix;
    in from >= 0 && substring from (-1) text == suffix;
  hasInfix = infix: text: any' (at: substring at (stringLength infix) text == infix) (stringLength text);
  any' = test: count: builtins.any test (builtins.genList id (count + 1));
  removePrefix = prefix: text:
    if hasPrefix prefix text then substring (stringLength prefix) (-1) text else text;
  concatMapStringsSep = separator: f: list: builtins.concatStringsSep separator (map f list);
  concatStrings = builtins.concatStringsSep "";
  escapeShellArg = text:
    if builtins.match "[a-zA-Z0-9,._+:@%/-]+" text != null then text
    else "'" + builtins.replaceStrings [ "'" ] [ "'\\''" ] text + "'";

  filterAttrs = keep: set:
    listToAttrs (map (name: nameValuePair name set.${name}) (filter (name: keep name set.${name}) (attrNames set)));
  mapAttrs' = f: set: listToAttrs (map (name: f name set.${name}) (attrNames set));
  mapAttrsToList = f: set: map (name: f name set.${name}) (attrNames set);
  nameValuePair = name: value: { inherit name value; };
  genAttrs = names: f: listToAttrs (map (name: nameValuePair name (f name)) names);
  imap0 = f: list: builtins.genList (at: f at (builtins.elemAt list at)) (length list);
  unique = foldl' (seen: value: if elem value seen then seen else seen ++ [ value ]) [ ];
  recursiveUpdate = left: right:
    left // builtins.mapAttrs
      (name: value:
        if isAttrs value && isAttrs (left.${name} or null) then recursiveUpdate left.${name} value else value)
      right;
  isDerivation = value: isAttrs value && (value.type or null) == "derivation";
  getExe = package: "${package}/bin/${package.meta.mainProgram}";

  licenses = { mit = { spdxId = "MIT"; }; asl20 = { spdxId = "Apache-2.0"; }; };
  platforms = { linux = [ "x86_64-linux" "aarch64-linux" ]; };
  fileset = {
    unions = list: { _type = "fileset"; inherit list; };
    toSource = { root, fileset }: assert fileset._type == "fileset"; root;
  };

  # The library itself, for those who take it as `lib`.
  lib = import ./default.nix;
}

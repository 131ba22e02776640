# The module system, as far as nixos/ uses it: options with types, properties (mkIf, mkMerge, mkOverride, mkOrder),
# imports, submodules with a freeform type. An option that nobody declared is an error, as in NixOS.
lib:
let
  inherit (builtins) attrNames concatLists concatMap concatStringsSep elem filter foldl' head isAttrs isFunction isList
    isPath isString length listToAttrs map removeAttrs seq sort toString;
  show = loc: concatStringsSep "." loc;
  isProperty = value: isAttrs value && elem (value._type or "") [ "if" "merge" "override" "order" ];

  # Properties around a set of definitions are moved onto its entries, without asking what an `if` depends on: which
  # names are defined must not hang on the values.
  pushDown = value:
    if !isProperty value then [ value ]
    else if value._type == "merge" then concatMap pushDown value.contents
    else map
      (inner:
        if isAttrs inner then builtins.mapAttrs (_: entry: value // { content = entry; }) inner
        else throw "a property around something that is no set")
      (pushDown value.content);

  # Every definition that holds, with its priority and its order.
  discharge = { value, file, priority ? 100, order ? 1000 }@definition:
    if !isProperty value then [{ inherit value file priority order; }]
    else if value._type == "merge" then concatMap (inner: discharge (definition // { value = inner; })) value.contents
    else if value._type == "if" then
      (if value.condition then discharge (definition // { value = value.content; }) else [ ])
    else if value._type == "override" then
      discharge (definition // { value = value.content; inherit (value) priority; })
    else discharge (definition // { value = value.content; order = value.priority; });

  # Merges what modules say of one place by its type.
  mergeDefinitions = loc: type: definitions:
    let
      held = concatMap discharge definitions;
      strongest = foldl' (least: d: if d.priority < least then d.priority else least) 9999 held;
      kept = sort (a: b: a.order < b.order) (filter (d: d.priority == strongest) held);
      wrong = filter (d: !type.check d.value) kept;
    in
    if kept == [ ] then { isDefined = false; }
    else {
      isDefined = true;
      value =
        if wrong != [ ] then
          throw "A definition for option `${show loc}' is not of type `${type.name}' (in ${(head wrong).file})."
        else type.merge loc (map (d: { inherit (d) value file; }) kept);
    };

  fileOf = module: if isPath module || isString module then toString module else "an unnamed module";

  # A module in whatever form, and all that it imports.
  collect = args: fallback: module:
    let
      isFile = isPath module || isString module;
      file = if isFile then fileOf module else module._file or fallback;
      loaded = if isFile then import module else module;
      called = if isFunction loaded then loaded args else loaded;
      hasParts = called ? config || called ? options;
      parts =
        if hasParts then removeAttrs called [ "imports" "config" "options" "_file" "_class" "freeformType" "meta" ] else { };
    in
    if parts != { } then throw "module ${file} has both `config' or `options' and ${show (attrNames parts)}"
    else
      concatMap (collect args file) (called.imports or [ ]) ++ [{
        inherit file;
        # A file that several modules import counts once.
        key = if isFile then toString module else null;
        options = called.options or { };
        config =
          if hasParts then called.config or { } else removeAttrs called [ "imports" "_file" "_class" "freeformType" ];
        freeform = called.freeformType or null;
      }];

  mergeDeclarations = loc: left: right:
    left // builtins.mapAttrs
      (name: value:
        if !(left ? ${name}) then value
        else if isOption value || isOption left.${name} then
          throw "The option `${show (loc ++ [ name ])}' is declared twice."
        else mergeDeclarations (loc ++ [ name ]) left.${name} value)
      right;
  isOption = value: isAttrs value && (value._type or "") == "option";

  # The values of all options below a place.
  evaluate = loc: declared: definitions: freeform:
    let
      sets = concatMap
        (definition: map (value: { inherit value; inherit (definition) file; }) (pushDown definition.value))
        definitions;
      names = lib.unique (concatLists (map (set: attrNames set.value) sets));
      of = name:
        concatMap (set: if set.value ? ${name} then [{ value = set.value.${name}; inherit (set) file; }] else [ ]) sets;
      option = name: declaration:
        let
          own = of name ++ (
            if declaration ? default then
              [{ value = { _type = "override"; priority = 1500; content = declaration.default; }; file = "its default"; }]
            else [ ]);
          merged = mergeDefinitions (loc ++ [ name ]) declaration.type own;
          value = if merged.isDefined then merged.value
            else throw "The option `${show (loc ++ [ name ])}' was accessed but has no value defined.";
        in
        if (declaration.readOnly or false) && concatMap discharge (of name) != [ ] then
          throw "The option `${show (loc ++ [ name ])}' is read-only, but it is set."
        else (declaration.apply or lib.id) value;
      known = builtins.mapAttrs
        (name: declaration:
          if isOption declaration then option name declaration
          else evaluate (loc ++ [ name ]) declaration (of name) null)
        declared;
      others = filter (name: !(declared ? ${name})) names;
      free = listToAttrs (concatMap
        (name:
          let merged = mergeDefinitions (loc ++ [ name ]) freeform.element (of name);
          in if merged.isDefined then [{ inherit name; inherit (merged) value; }] else [ ])
        others);
      undeclared = filter (name: concatMap discharge (of name) != [ ]) others;
    in
    if freeform != null then free // known
    else if undeclared != [ ] then
      throw "The option `${show (loc ++ [ (head undeclared) ])}' does not exist. Defined in ${(head (of (head undeclared))).file}."
    else known;

  evalModules = { modules, specialArgs ? { }, prefix ? [ ] }:
    let
      args = specialArgs // { inherit lib config options; };
      collected = foldl' (seen: m: if m.key != null && builtins.any (s: s.key == m.key) seen then seen else seen ++ [ m ])
        [ ] (concatMap (collect args "an unnamed module") modules);
      options = foldl' (mergeDeclarations prefix) { } (map (m: m.options) collected);
      freeforms = filter (f: f != null) (map (m: m.freeform) collected);
      definitions = map (m: { value = m.config; inherit (m) file; }) collected;
      config = evaluate prefix options definitions (if freeforms == [ ] then null else head freeforms);
    in
    { inherit options; config = assert isDeclared options config; config; };

  # Has every set of options looked through for such as nobody declared, asked for or not.
  isDeclared = declared: values: builtins.all
    (name: isOption declared.${name} || seq values.${name} (isDeclared declared.${name} values.${name}))
    (attrNames declared);
in
{
  inherit evalModules mergeDefinitions isOption;
  mkOption = attributes:
    let known = [ "type" "default" "defaultText" "example" "description" "internal" "visible" "readOnly" "apply" ];
      strange = filter (name: !(elem name known)) (attrNames attributes);
    in if strange != [ ] then throw "mkOption knows no ${show strange}" else attributes // { _type = "option"; };
  mkIf = condition: content: { _type = "if"; inherit condition content; };
  mkMerge = contents: { _type = "merge"; inherit contents; };
  mkOverride = priority: content: { _type = "override"; inherit priority content; };
  mkDefault = content: { _type = "override"; priority = 1000; inherit content; };
  mkForce = content: { _type = "override"; priority = 50; inherit content; };
  mkOrder = priority: content: { _type = "order"; inherit priority content; };
  mkBefore = content: { _type = "order"; priority = 500; inherit content; };
  mkAfter = content: { _type = "order"; priority = 1500; inherit content; };
}

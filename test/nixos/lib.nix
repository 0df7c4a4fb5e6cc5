# A replacement for the part of nixpkgs' documented `lib` that nix/*.nix use, because these tests run without nixpkgs. It is
# small and strict: anything unknown is an error. The functions behave as in the nixpkgs and NixOS manuals; the checks of the
# flake evaluate nix/module.nix with the real `lib`.
let
  inherit (builtins)
    all
    any
    attrNames
    attrValues
    concatLists
    concatMap
    concatStringsSep
    elem
    filter
    foldl'
    genList
    hasAttr
    head
    isAttrs
    isBool
    isFloat
    isFunction
    isInt
    isList
    isPath
    isString
    length
    listToAttrs
    map
    mapAttrs
    replaceStrings
    stringLength
    substring
    tail
    toJSON
    ;

  # lists, attribute sets, strings
  optional = condition: value: if condition then [ value ] else [ ];
  optionals = condition: values: if condition then values else [ ];
  optionalAttrs = condition: set: if condition then set else { };
  unique = foldl' (seen: value: if elem value seen then seen else seen ++ [ value ]) [ ];
  filterAttrs =
    keep: set:
    listToAttrs (
      concatMap (name: optional (keep name set.${name}) { inherit name; value = set.${name}; }) (attrNames set)
    );
  mapAttrsToList = f: set: map (name: f name set.${name}) (attrNames set);
  hasPrefix = prefix: text: substring 0 (stringLength prefix) text == prefix;
  hasSuffix =
    suffix: text:
    let
      start = stringLength text - stringLength suffix;
    in
    start >= 0 && substring start (stringLength suffix) text == suffix;
  removePrefix =
    prefix: text: if hasPrefix prefix text then substring (stringLength prefix) (-1) text else text;
  hasInfix = infix: text: replaceStrings [ infix ] [ "" ] text != text;
  escapeShellArg =
    value:
    let
      text = toString value;
    in
    if builtins.match "[[:alnum:],._+:@%/-]+" text != null then
      text
    else
      "'${replaceStrings [ "'" ] [ "'\\''" ] text}'";
  isDerivation = value: value.type or null == "derivation";
  isStringLike = value: isString value || isPath value || (isAttrs value && (isDerivation value || value ? outPath));

  # module properties
  mkIf = condition: content: { _type = "if"; inherit condition content; };
  mkMerge = contents: { _type = "merge"; inherit contents; };
  mkOverride = priority: content: { _type = "override"; inherit priority content; };
  mkDefault = mkOverride 1000;
  mkBefore = content: { _type = "order"; inherit content; };
  mkForce = mkOverride 50;
  ordinary = 100;
  ofDefault = 1500;
  mkOption = attrs: attrs // { _type = "option"; };
  mkEnableOption =
    what:
    mkOption {
      type = types.bool;
      default = false;
      example = true;
      description = "Whether to enable ${what}.";
    };
  literalExpression = text: { _type = "literalExpression"; inherit text; };
  isOption = value: value._type or null == "option";

  # Moves properties of a set to its attributes, so that names are known before conditions are evaluated.
  pushDown =
    value:
    let
      type = value._type or null;
    in
    if type == "merge" then
      concatMap pushDown value.contents
    else if type == "if" then
      map (mapAttrs (_: mkIf value.condition)) (pushDown value.content)
    else if type == "override" then
      map (mapAttrs (_: mkOverride value.priority)) (pushDown value.content)
    else if type == "order" then
      map (mapAttrs (_: mkBefore)) (pushDown value.content)
    else
      [ value ];

  # Definitions as values with a priority, without those whose condition is false.
  discharge =
    priority: value:
    let
      type = value._type or null;
    in
    if type == "merge" then
      concatMap (discharge priority) value.contents
    else if type == "if" then
      optionals value.condition (discharge priority value.content)
    else if type == "override" then
      discharge value.priority value.content
    else if type == "order" then
      map (d: d // { isFirst = true; }) (discharge priority value.content)
    else
      [ { inherit priority value; isFirst = false; } ];

  strongest =
    definitions:
    let
      least = foldl' (low: d: if d.priority < low then d.priority else low) 9999 definitions;
    in
    let
      used = filter (d: d.priority == least) definitions;
    in
    map (d: d.value) (filter (d: d.isFirst) used ++ filter (d: !d.isFirst) used);

  mergeAs =
    loc: type: raw:
    let
      values = strongest (concatMap (discharge ordinary) raw);
      bad = filter (value: !type.check value) values;
    in
    if values == [ ] then
      throw "The option `${showLoc loc}' was accessed but has no value defined."
    else if bad != [ ] then
      throw "A definition for option `${showLoc loc}' is not of type `${type.description}'."
    else
      type.merge loc values;
  showLoc = concatStringsSep ".";

  one =
    loc: values:
    if all (value: value == head values) (tail values) then
      head values
    else
      throw "The option `${showLoc loc}' has conflicting definition values.";
  mkType = description: check: { inherit description check; merge = one; sub = _: { }; };

  types = rec {
    bool = mkType "boolean" isBool;
    str = mkType "string" isString;
    lines = str // {
      description = "strings concatenated with \"\\n\"";
      merge = _: concatStringsSep "\n";
    };
    int = mkType "signed integer" isInt;
    float = mkType "floating point number" isFloat;
    number = mkType "signed integer or floating point number" (v: isInt v || isFloat v);
    path = mkType "absolute path" (v: isStringLike v && substring 0 1 (toString v) == "/");
    package = mkType "package" isDerivation;
    ints.between =
      low: high:
      mkType "integer between ${toString low} and ${toString high} (both inclusive)" (
        v: isInt v && low <= v && v <= high
      );
    port = ints.between 0 65535 // {
      description = "16 bit unsigned integer; between 0 and 65535 (both inclusive)";
    };
    enum = values: mkType "one of ${concatStringsSep ", " (map toJSON values)}" (v: elem v values);
    nullOr =
      type:
      type
      // {
        description = "null or ${type.description}";
        check = v: v == null || type.check v;
        merge =
          loc: values:
          if all (v: v == null) values then
            null
          else if any (v: v == null) values then
            throw "The option `${showLoc loc}' is defined both null and not null."
          else
            type.merge loc values;
      };
    oneOf =
      alternatives:
      mkType (concatStringsSep " or " (map (t: t.description) alternatives)) (
        v: any (t: t.check v) alternatives
      )
      // {
        merge =
          loc: values:
          let
            fitting = filter (t: all t.check values) alternatives;
          in
          if fitting == [ ] then one loc values else (head fitting).merge loc values;
      };
    listOf =
      type:
      mkType "list of ${type.description}" isList
      // {
        merge =
          loc: values:
          let
            items = concatLists values;
          in
          genList (i: mergeAs (loc ++ [ (toString i) ]) type [ (builtins.elemAt items i) ]) (length items);
        sub = loc: type.sub (loc ++ [ "*" ]);
      };
    attrsOf =
      type:
      mkType "attribute set of ${type.description}" isAttrs
      // {
        merge = loc: values: mergeNamed loc (_: type) (concatMap pushDown values);
        sub = loc: type.sub (loc ++ [ "<name>" ]);
      };
    anything = mkType "anything" (_: true) // {
      merge =
        loc: values:
        if all (v: isAttrs v && !isDerivation v) values then
          (attrsOf anything).merge loc values
        else if all isList values && length values > 1 then
          throw "The option `${showLoc loc}' has conflicting definition values."
        else
          one loc values;
    };
    submodule =
      module:
      mkType "submodule" (v: isAttrs v || isFunction v)
      // {
        merge = loc: values: (evalAt loc ([ module ] ++ map (config: { inherit config; }) values) { }).config;
        sub = loc: (evalAt loc [ module ] { }).options;
      };
  };

  # { NAME = merged; } of all names that these sets define, without names whose conditions are all false.
  mergeNamed =
    loc: typeOf: sets:
    let
      names = unique (concatMap attrNames sets);
      rawOf = name: concatMap (set: optional (hasAttr name set) set.${name}) sets;
      isDefined = name: concatMap (discharge ordinary) (rawOf name) != [ ];
    in
    listToAttrs (
      map (name: { inherit name; value = mergeAs (loc ++ [ name ]) (typeOf name) (rawOf name); }) (
        filter isDefined names
      )
    );

  # Every module as { options, config, freeformType }, imports followed.
  normalise =
    args: module:
    let
      loaded = if isPath module || isString module then import module else module;
      body = if isFunction loaded then loaded args else loaded;
      isLong = body ? options || body ? config || body ? imports || body ? freeformType;
    in
    concatMap (normalise args) (body.imports or [ ])
    ++ [
      {
        options = body.options or { };
        config = if isLong then body.config or { } else body;
        freeformType = body.freeformType or null;
      }
    ];

  mergeOptions =
    loc: a: b:
    a
    // mapAttrs (
      name: value:
      if !hasAttr name a then
        value
      else if isOption value || isOption a.${name} then
        throw "The option `${showLoc (loc ++ [ name ])}' is declared twice."
      else
        mergeOptions (loc ++ [ name ]) a.${name} value
    ) b;

  evalAt =
    prefix: modules: args:
    let
      all' = concatMap (normalise (args // { inherit config; inherit options; })) modules;
      options = foldl' (mergeOptions prefix) { } (map (m: m.options) all');
      freeform = foldl' (found: m: if m.freeformType == null then found else m.freeformType) null all';
      sets = concatMap pushDown (map (m: m.config) all');
      config = evalOptions prefix options freeform sets;
    in
    {
      inherit config options;
    };

  evalOptions =
    loc: options: freeform: sets:
    let
      rawOf = name: concatMap (set: optional (hasAttr name set) set.${name}) sets;
      declared = mapAttrs (
        name: option:
        let
          here = loc ++ [ name ];
          raw = rawOf name;
        in
        if !isOption option then
          evalOptions here option null (concatMap pushDown raw)
        else
          let
            defined = concatMap (discharge ordinary) raw;
            byDefault = optional (option ? default) (mkOverride ofDefault option.default);
          in
          if (option.readOnly or false) && defined != [ ] then
            throw "The option `${showLoc here}' is read-only, but it's set."
          else
            mergeAs here option.type (raw ++ byDefault)
      ) options;
      unknown = filter (name: !hasAttr name options) (unique (concatMap attrNames sets));
      others = map (filterAttrs (name: _: elem name unknown)) sets;
    in
    if freeform != null then
      (if unknown == [ ] then { } else freeform.merge loc others) // declared
    else
      # throws only when evaluated, because the conditions of a definition can depend on other options
      declared
      // listToAttrs (
        map (name: {
          inherit name;
          value =
            if concatMap (discharge ordinary) (rawOf name) == [ ] then
              null
            else
              throw "The option `${showLoc (loc ++ [ name ])}' does not exist.";
        }) unknown
      );
in
{
  inherit
    all
    any
    attrNames
    attrValues
    concatMap
    concatStringsSep
    elem
    escapeShellArg
    filter
    filterAttrs
    hasInfix
    hasPrefix
    hasSuffix
    isDerivation
    isOption
    length
    listToAttrs
    literalExpression
    mapAttrs
    mapAttrsToList
    mkBefore
    mkDefault
    mkEnableOption
    mkForce
    mkIf
    mkMerge
    mkOption
    optional
    optionalAttrs
    optionals
    removePrefix
    replaceStrings
    types
    unique
    ;
  escapeShellArgs = values: concatStringsSep " " (map escapeShellArg values);
  getExe = package: "${package}/bin/${package.meta.mainProgram}";
  importJSON = file: builtins.fromJSON (builtins.readFile file);
  genAttrs = names: f: listToAttrs (map (name: { inherit name; value = f name; }) names);
  fetchers.proxyImpureEnvVars = [ "http_proxy" "https_proxy" "no_proxy" ];
  licenses.mit = { };
  fileset = {
    unions = concatMap (one: if isList one then one else [ one ]);
    maybeMissing = file: optional (builtins.pathExists file) file;
    toSource =
      { root, fileset }:
      builtins.path {
        name = "source";
        path = root;
        filter =
          path: _:
          any (
            file: path == toString file || hasPrefix "${toString file}/" path || hasPrefix "${path}/" (toString file)
          ) fileset;
      };
  };
  evalModules =
    {
      modules,
      specialArgs ? { },
    }:
    evalAt [ ] modules specialArgs;
}

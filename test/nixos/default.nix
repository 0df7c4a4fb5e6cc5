# Evaluates nix/*.nix for test/lab/nixos.test.ts. `lib` can be that of nixpkgs.
{
  lib ? import ./lib.nix,
  tools ? [ ],
  # Configurations as JSON: { NAME = { nixos or darwin: { ... } }; }
  cases ? "{}",
}:
let
  pkgs = import ./pkgs.nix { inherit lib tools; };

  evaluate =
    module: configuration:
    lib.evalModules {
      modules = [
        ./surroundings.nix
        module
        { config = configuration; }
      ];
      specialArgs = { inherit pkgs lib; };
    };

  shown =
    { config, ... }:
    let
      cfg = config.services.builderMonitor;
    in
    {
      failed = map (a: a.message) (lib.filter (a: !a.assertion) config.assertions);
      inherit (config) warnings;
      inherit (cfg) settings;
      inherit (cfg.prometheus or { scrapeConfig = null; }) scrapeConfig;
      service = config.systemd.services.builder-monitor or null;
      holderSocket = config.systemd.sockets.builder-monitor-slots or null;
      holder = config.systemd.services.builder-monitor-slots or null;
      launchd = config.launchd.daemons.builder-monitor or null;
      launchdHolder = config.launchd.daemons.builder-monitor-slots or null;
      users = config.users.users;
      groups = config.users.groups;
      ports = config.networking.firewall.allowedTCPPorts;
      trusted = config.nix.settings.trusted-users;
      etc = config.environment.etc;
      sshConfig = config.programs.ssh.extraConfig;
      packages = config.environment.systemPackages;
      scraped = config.services.prometheus.scrapeConfigs;
      rules = map toString config.services.prometheus.ruleFiles;
    };

  caseOf =
    case:
    if case ? darwin then
      evaluate ../../nix/darwin.nix case.darwin
    else
      evaluate ../../nix/module.nix case.nixos;

  # A unit file of its attributes, as NixOS writes it.
  unitText =
    service:
    let
      word = value: if value == true then "true" else if value == false then "false" else toString value;
      lines =
        set:
        lib.concatMap (
          name:
          let
            value = set.${name};
          in
          map (one: "${name}=${word one}") (if builtins.isList value then value else [ value ])
        ) (lib.attrNames set);
      joined = name: values: lib.optional (values != [ ]) "${name}=${lib.concatStringsSep " " values}";
    in
    lib.concatStringsSep "\n" (
      [
        "[Unit]"
        "Description=${service.description}"
      ]
      ++ joined "Documentation" service.documentation
      ++ joined "After" service.after
      ++ joined "Wants" service.wants
      ++ lines service.unitConfig
      ++ [
        ""
        "[Service]"
      ]
      ++ lines service.serviceConfig
      ++ [
        ""
        "[Install]"
      ]
      ++ joined "WantedBy" service.wantedBy
      ++ [ "" ]
    );

  # Options for documentation, flat: { name, type, default, example, description, readOnly }.
  optionsOf =
    loc: options:
    lib.concatMap (
      name:
      let
        option = options.${name};
        here = loc ++ [ name ];
        text = value: if value ? _type && value ? text then value.text else asNix value;
      in
      if name == "_module" || name == "_freeformOptions" then
        [ ]
      else if !lib.isOption option then
        optionsOf here option
      else
        [
          {
            name = lib.concatStringsSep "." here;
            type = option.type.description;
            inherit (option) description;
            default =
              if option ? defaultText then
                text option.defaultText
              else if option ? default then
                text option.default
              else
                null;
            example = if option ? example then text option.example else null;
            readOnly = option.readOnly or false;
          }
        ]
        ++ optionsOf here (option.type.sub here)
    ) (lib.attrNames options);

  # A value as a Nix expression, on one line.
  asNix =
    value:
    if builtins.isAttrs value then
      if value == { } then
        "{ }"
      else
        "{ ${lib.concatStringsSep " " (lib.mapAttrsToList (n: v: "${n} = ${asNix v};") value)} }"
    else if builtins.isList value then
      if value == [ ] then "[ ]" else "[ ${lib.concatStringsSep " " (map asNix value)} ]"
    else
      builtins.toJSON value;

  outputs = (import ../../flake.nix).outputs {
    self = { };
    nixpkgs = {
      inherit lib;
      legacyPackages = lib.genAttrs [
        "aarch64-darwin"
        "aarch64-linux"
        "x86_64-darwin"
        "x86_64-linux"
      ] (_: pkgs);
    };
  };
  vmTest = import ../../nix/tests/vm.nix { inherit pkgs lib; };
in
rec {
  evaluated = lib.mapAttrs (_: case: shown (caseOf case)) (builtins.fromJSON cases);
  # Evaluates everything, so that every error in an option is found
  all = lib.mapAttrs (_: case: [
    (shown (caseOf case))
    (builtins.toJSON (caseOf case).config.services.builderMonitor)
  ]) (builtins.fromJSON cases);
  units = lib.mapAttrs (_: case: unitText case.service) evaluated;

  package = pkgs.callPackage ../../nix/package.nix { };
  # The configuration files of the cases; the build checks them
  configFiles = lib.mapAttrs (
    _: case: (caseOf case).config.services.builderMonitor.configFile
  ) (builtins.fromJSON cases);

  options =
    let
      of = module: optionsOf [ ] { services.builderMonitor = (evaluate module { }).options.services.builderMonitor; };
    in
    {
      nixos = of ../../nix/module.nix;
      darwin = of ../../nix/darwin.nix;
    };

  # As lines, for a comparison with the unit for other systems
  service = import ../../nix/service.nix;
  holder = import ../../nix/holder.nix;
  # The outputs of the flake, evaluated as far as possible without nixpkgs
  flake = {
    packages = lib.mapAttrs (_: set: lib.mapAttrs (_: one: one.drvPath) set) outputs.packages;
    overlay = (outputs.overlays.default pkgs { }).builder-monitor.drvPath;
    nixos = (shown (evaluate outputs.nixosModules.default { services.builderMonitor.enable = true; })).failed;
    darwin = (shown (evaluate outputs.darwinModules.default { services.builderMonitor.enable = true; })).failed;
    checks = lib.mapAttrs (_: lib.attrNames) outputs.checks;
    shells = lib.mapAttrs (_: set: map toString set.default.packages) outputs.devShells;
    package = package.drvPath;
  };

  vm = {
    inherit (vmTest) name testScript;
    nodes = lib.attrNames vmTest.nodes;
    monitor = shown (evaluate ../../nix/module.nix (builtins.removeAttrs (vmTest.nodes.monitor { inherit pkgs; }) [ "imports" ]));
  };
}

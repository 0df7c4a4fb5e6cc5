# services.builderMonitor of NixOS. `enable = true` is the whole first run: builders and their keys are taken from
# nix.buildMachines.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib)
    literalExpression
    mkIf
    mkOption
    types
    ;
  cfg = config.services.builderMonitor;
  name = "builder-monitor";
  service = import ./service.nix;
  credentials = import ./credentials.nix { inherit lib; };
  common = import ./common.nix { inherit lib cfg; };

  machines = config.nix.buildMachines;
  machineKeys = lib.unique (lib.filter (key: key != null) (map (machine: machine.sshKey) machines));
  # a machine without a key of its own: nix-daemon's ssh then offers root's default keys
  rootKeys = lib.optionals (lib.any (machine: machine.sshKey == null) machines) [
    "/root/.ssh/id_ecdsa"
    "/root/.ssh/id_ed25519"
    "/root/.ssh/id_rsa"
  ];
  keys = lib.unique (machineKeys ++ rootKeys ++ cfg.keyFiles);
  lent = lib.filter (key: credentials.isUsable key && !credentials.isInStore key) keys;
  idsOf = map credentials.idOf;

  isTrusted =
    cfg.canary.trusted || cfg.user == "root" || lib.elem cfg.user (config.nix.settings.trusted-users or [ ]);

  ruleDirectory = ../prometheus;
  rules = lib.optionals (builtins.pathExists ruleDirectory) (
    map (file: ruleDirectory + "/${file}") (
      lib.filter (lib.hasSuffix ".yml") (lib.attrNames (builtins.readDir ruleDirectory))
    )
  );
in
{
  options.services.builderMonitor =
    import ./options.nix {
      inherit lib pkgs cfg;
      defaultUser = name;
      userText = ''
        The user to run as. `${name}` is made by this module; another one must exist. It needs no rights of its own.
      '';
    }
    // {
      group = mkOption {
        type = types.str;
        default = name;
        description = "The group to run as. `${name}` is made by this module; another one must exist.";
      };

      openFirewall = mkOption {
        type = types.bool;
        default = false;
        description = "Open the port in the firewall.";
      };

      keyFiles = mkOption {
        type = types.listOf types.str;
        default = [ ];
        example = [ "/etc/nix/builder_ed25519" ];
        description = ''
          Private keys of builders besides those that `nix.buildMachines` names (the `sshKey` of each is found without
          this; where one names none, root's default keys are meant), as paths on the running machine. systemd reads them as root and lends the daemon copies
          (`LoadCredential=`) when it starts: nothing enters the Nix store, and after a key was changed the service
          wants a restart. Certificates (`KEY-cert.pub`) that only root can read belong here too.
        '';
      };

      prometheus = {
        enable = mkOption {
          type = types.bool;
          default = false;
          description = "Let this machine's Prometheus (`services.prometheus`) scrape the daemon, with its alert rules.";
        };
        scrapeConfig = mkOption {
          type = types.attrsOf types.anything;
          readOnly = true;
          default = {
            job_name = name;
            static_configs = [ { targets = [ common.localTarget ]; } ];
          };
          defaultText = literalExpression ''{ job_name = "builder-monitor"; static_configs = [ { targets = [ "127.0.0.1:10922" ]; } ]; }'';
          description = "An entry for `services.prometheus.scrapeConfigs`.";
        };
        ruleFiles = mkOption {
          type = types.listOf types.path;
          readOnly = true;
          default = rules;
          defaultText = literalExpression "the files *.yml of the directory prometheus";
          description = "Entries for `services.prometheus.ruleFiles`: recording rules and alerts.";
        };
      };
    };

  config = mkIf cfg.enable {
    services.builderMonitor.settings = common.settings;

    environment.systemPackages = [ cfg.package ];
    environment.etc."builder-monitor/config.json".source = cfg.configFile;

    systemd.services.${name} = {
      inherit (service)
        description
        documentation
        after
        wants
        wantedBy
        unitConfig
        ;
      # nix-build and ssh as nix-daemon has them
      path = [
        config.nix.package
        config.programs.ssh.package
      ];
      # a changed configuration is a reload: no connection to a builder is dropped for it
      reloadTriggers = [ cfg.configFile ];
      serviceConfig =
        service.serviceConfig
        // service.backOff
        // credentials.serviceConfig (credentials.ofKeys lent // credentials.sshFiles)
        // {
          ExecStart = lib.escapeShellArgs (common.commandWith "/etc/builder-monitor/config.json");
          ExecReload = lib.escapeShellArgs [
            (lib.getExe cfg.package)
            "reload"
          ];
          User = cfg.user;
          Group = cfg.group;
        };
    };

    users.users = mkIf (cfg.user == name) {
      ${name} = {
        isSystemUser = true;
        inherit (cfg) group;
        description = "builder-monitor";
        # ssh takes its home from here
        home = "/var/lib/${name}";
      };
    };
    users.groups = mkIf (cfg.group == name) { ${name} = { }; };

    nix.settings.trusted-users = mkIf cfg.canary.trusted [ cfg.user ];

    networking.firewall.allowedTCPPorts = mkIf cfg.openFirewall [ cfg.port ];

    services.prometheus = mkIf cfg.prometheus.enable {
      scrapeConfigs = [ cfg.prometheus.scrapeConfig ];
      inherit (cfg.prometheus) ruleFiles;
    };

    warnings =
      lib.optional (machines != [ ] && !config.nix.distributedBuilds) ''
        services.builderMonitor: nix.buildMachines names builders, but nix.distributedBuilds is off, so Nix uses none
        of them and there is nothing to watch. Set nix.distributedBuilds = true.
      ''
      ++ lib.optional (lib.any credentials.isInStore keys) ''
        services.builderMonitor: a private key of a builder is in the Nix store (${lib.concatStringsSep ", " (lib.filter credentials.isInStore keys)}),
        where every user of this machine can read it. Keep it in a file that only root can read, and give its path as
        a string.
      '';

    assertions = common.assertions ++ [
      {
        assertion = config.nix.enable;
        message = ''
          services.builderMonitor is enabled, but nix.enable is off: there is no Nix on this machine whose builders could
          be watched. Enable Nix, or run builder-monitor on the machine that sends the builds.
        '';
      }
      {
        assertion = cfg.openFirewall -> !common.isLoopback cfg.listenAddress;
        message = ''
          services.builderMonitor.openFirewall opens port ${toString cfg.port}, but the daemon listens on
          ${cfg.listenAddress}, which other machines cannot reach. Set services.builderMonitor.listenAddress to an
          address of this machine (or "0.0.0.0"), or leave the firewall closed.
        '';
      }
      {
        assertion = cfg.canary.mode == "daemon" -> isTrusted;
        message = ''
          services.builderMonitor.canary.mode is "daemon", but nix-daemon does not trust the user ${cfg.user}, so
          canaries could not be aimed at one builder. Set services.builderMonitor.canary.trusted = true (read its
          description: it makes that user root-equivalent), or leave the mode at "private".
        '';
      }
      {
        assertion = lib.all credentials.isUsable keys;
        message = ''
          services.builderMonitor: ${lib.concatStringsSep ", " (lib.filter (key: !credentials.isUsable key) keys)} in
          nix.buildMachines or services.builderMonitor.keyFiles cannot be lent as a credential. Write an absolute path
          of letters, digits and . _ + @ = , - only.
        '';
      }
      {
        assertion = lib.length (lib.unique (idsOf lent)) == lib.length lent;
        message = ''
          services.builderMonitor: two key files would become the same credential (${lib.concatStringsSep ", " lent}): the
          id of a credential is the path with every slash made a dash. Rename one of them.
        '';
      }
    ];
  };
}

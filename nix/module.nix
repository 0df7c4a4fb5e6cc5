# services.builderMonitor for NixOS. `enable = true` is all that a first run needs: builders and their keys are those of
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
  holder = import ./holder.nix;
  credentials = import ./credentials.nix { inherit lib; };
  common = import ./common.nix { inherit lib cfg; };

  machines = config.nix.buildMachines;
  machineKeys = lib.unique (lib.filter (key: key != null) (map (machine: machine.sshKey) machines));
  # Newer NixOS has nix.daemonUser; its ssh files are those of that user
  daemonUser = config.nix.daemonUser or "root";
  daemonHome = if daemonUser == "root" then "/root" else config.users.users.${daemonUser}.home;
  stateDirectory = config.systemd.services.nix-daemon.environment.NIX_STATE_DIR or "/nix/var/nix";
  makeLockDirectory = "${pkgs.coreutils}/bin/mkdir -p /nix/var/nix/current-load";
  # For machines without a key: nix-daemon's ssh then offers the default keys of its user
  daemonKeys =
    if lib.any (machine: machine.sshKey == null) machines then
      credentials.defaultKeysOf daemonHome
    else
      { };
  keys = lib.unique (machineKeys ++ cfg.keyFiles);
  passedKeys = lib.filter (key: credentials.isUsable key && !credentials.isInStore key) keys;
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
        description = "The group to run as. `${name}` is created by this module; another one must exist.";
      };

      sshTimeouts = mkOption {
        type = types.bool;
        default = false;
        description = ''
          Write `ConnectTimeout`, `ServerAliveInterval` and `ServerAliveCountMax` for the hosts of `nix.buildMachines` into
          /etc/ssh/ssh_config. Without them a build waits minutes for a builder that does not answer, and hours on a broken
          connection. They apply to every ssh to these hosts; docs/ssh.md explains the numbers.
        '';
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
          More private keys of builders, as paths on the running machine. The `sshKey` of each entry of
          `nix.buildMachines` is included already (for entries without one, the default keys of root or `nix.daemonUser`). systemd reads them as
          root and passes the daemon copies (`LoadCredential=`) at start: nothing enters the Nix store, and a changed key
          requires a restart of the service. Add certificates (`KEY-cert.pub`) that only root can read, too.
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

    # At the beginning, because ssh uses the first value of an option
    programs.ssh.extraConfig = mkIf (cfg.sshTimeouts && machines != [ ]) (
      lib.mkBefore ''
        Host ${lib.concatStringsSep " " (lib.unique (map (machine: machine.hostName) machines))}
          ConnectTimeout 10
          ServerAliveInterval 5
          ServerAliveCountMax 2
        Host *
      ''
    );

    systemd.services.${name} = {
      inherit (service)
        description
        documentation
        after
        wants
        wantedBy
        unitConfig
        ;
      # The nix-build and ssh of nix-daemon; ss
      path = [
        config.nix.package
        config.programs.ssh.package
        pkgs.iproute2
      ];
      # A changed configuration causes a reload, which drops no connection to a builder
      reloadTriggers = [ cfg.configFile ];
      serviceConfig =
        service.serviceConfig
        // service.backOff
        // credentials.serviceConfig (
          credentials.ofKeys passedKeys // daemonKeys // credentials.sshFilesOf daemonHome
        )
        // {
          ExecStart = lib.escapeShellArgs (common.commandWith "/etc/builder-monitor/config.json");
          ExecReload = lib.escapeShellArgs [
            (lib.getExe cfg.package)
            "reload"
          ];
          # After a crash, too, the machines file of quarantine.machinesFile lists all builders, if there is one
          ExecStopPost = lib.escapeShellArgs [
            pkgs.runtimeShell
            "-c"
            "test \"$$SERVICE_RESULT\" = success || exec ${lib.getExe cfg.package} write-machines --config /etc/builder-monitor/config.json"
          ];
          User = cfg.user;
          Group = cfg.group;
        };
    };

    # Always: drains need them, too. The service runs only while the monitor has slots to hold
    systemd.sockets."${name}-slots" = {
      inherit (holder.socket) description documentation wantedBy;
      socketConfig = holder.socket.socketConfig // {
        SocketGroup = cfg.group;
        ListenStream = cfg.settings.quarantine.socket;
      };
    };
    systemd.services."${name}-slots" = {
      inherit (holder.service)
        description
        documentation
        requires
        after
        unitConfig
        ;
      # flock
      path = [ pkgs.util-linux ];
      serviceConfig =
        holder.service.serviceConfig
        // {
          ExecStart = "${lib.getExe cfg.package} hold-slots";
          # As the owner of the locks: what root creates in a directory of another user can be redirected by a symbolic link
          ExecStartPre =
            if daemonUser == "root" then
              "-+${makeLockDirectory}"
            else
              "-+${pkgs.util-linux}/bin/setpriv --reuid=${daemonUser} --clear-groups ${makeLockDirectory}";
          User = daemonUser;
        }
        // lib.optionalAttrs cfg.quarantine.abortHungConnects holder.abortHungConnects;
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
          be monitored. Enable Nix, or run builder-monitor on the machine that sends the builds.
        '';
      }
      {
        assertion = cfg.quarantine.enable -> stateDirectory == "/nix/var/nix";
        message = ''
          services.builderMonitor.quarantine needs the locks of the build slots in /nix/var/nix, but NIX_STATE_DIR of
          nix-daemon is ${stateDirectory}. Remove it, or turn quarantine.enable off.
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
          canaries cannot be aimed at one builder. Set services.builderMonitor.canary.trusted = true (read its
          description: it makes that user root-equivalent), or leave the mode at "private".
        '';
      }
      {
        assertion = lib.all credentials.isUsable keys;
        message = ''
          services.builderMonitor: ${lib.concatStringsSep ", " (lib.filter (key: !credentials.isUsable key) keys)} in
          nix.buildMachines or services.builderMonitor.keyFiles cannot be passed as a credential. Write an absolute path
          of letters, digits and . _ + @ = , - only.
        '';
      }
      {
        assertion = lib.length (lib.unique (idsOf passedKeys)) == lib.length passedKeys;
        message = ''
          services.builderMonitor: two key files would be the same credential (${lib.concatStringsSep ", " passedKeys}): the
          ID of a credential is the path with dashes for slashes. Rename one of them.
        '';
      }
    ];
  };
}

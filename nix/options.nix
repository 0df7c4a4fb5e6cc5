# The options that NixOS and nix-darwin share.
{
  lib,
  pkgs,
  cfg,
  defaultUser,
  userText,
}:
let
  inherit (lib) literalExpression mkOption types;
  format = pkgs.formats.json { };
  schema = lib.importJSON ../config.schema.json;
  inherit (import ./schema.nix { inherit lib format; }) recordType;
in
{
  enable = lib.mkEnableOption "builder-monitor, a monitor of this machine's Nix remote builders";

  package = mkOption {
    type = types.package;
    default = pkgs.builder-monitor or (pkgs.callPackage ./package.nix { });
    defaultText = literalExpression "pkgs.builder-monitor or (pkgs.callPackage ./package.nix { })";
    description = "The builder-monitor package.";
  };

  settings = mkOption {
    type = recordType schema;
    default = { };
    example = literalExpression ''
      {
        schedule.canary = "*/20 * * * *";
        builders.laptop.expect = "asleep";
        builders.old-mac.drained = true;
      }
    '';
    description = ''
      The configuration of builder-monitor, with the options of its JSON schema `config.schema.json`. The builders are not
      configured here: they are those of Nix (`nix.buildMachines`, or `builders` in nix.conf). The file is
      world-readable in the Nix store: do not put secrets here.
    '';
  };

  enableConfigCheck = mkOption {
    type = types.bool;
    default = pkgs.stdenv.buildPlatform.canExecute pkgs.stdenv.hostPlatform;
    defaultText = literalExpression "pkgs.stdenv.buildPlatform.canExecute pkgs.stdenv.hostPlatform";
    description = ''
      Validate the configuration when the system is built, with `builder-monitor config check`: an error then fails
      the rebuild instead of the running service.
    '';
  };

  configFile = mkOption {
    type = types.path;
    readOnly = true;
    default =
      let
        file = format.generate "builder-monitor.json" cfg.settings;
      in
      if cfg.enableConfigCheck then
        pkgs.runCommand "builder-monitor-checked.json" { } ''
          ${lib.getExe cfg.package} config check ${file}
          cp ${file} $out
        ''
      else
        file;
    defaultText = literalExpression "the checked settings, as a file in the Nix store";
    description = "The configuration file that is made of the settings.";
  };

  listenAddress = mkOption {
    type = types.str;
    default = "127.0.0.1";
    example = "0.0.0.0";
    description = ''
      The address to serve the status page and `/metrics` on. For several addresses set `settings.listen`.
    '';
  };

  port = mkOption {
    type = types.port;
    default = 10922;
    description = "The TCP port to serve on.";
  };

  user = mkOption {
    type = types.str;
    default = defaultUser;
    description = userText;
  };

  webConfigFile = mkOption {
    type = types.nullOr types.str;
    default = null;
    example = "/etc/builder-monitor/web.yml";
    description = ''
      A web configuration file of Prometheus' exporters (TLS, client certificates, basic authentication). It is passed by
      path, so that paths in it stay relative to it: the daemon's user must be able to read it and the files that it
      names.
    '';
  };

  canary = {
    enable = mkOption {
      type = types.bool;
      default = true;
      description = "Verify the builders with tiny real builds.";
    };
    features = mkOption {
      type = types.bool;
      default = false;
      description = "Verify each advertised feature with its own build; for `kvm` it opens `/dev/kvm`.";
    };
    mode = mkOption {
      type = types.enum [
        "private"
        "daemon"
      ];
      default = "private";
      description = ''
        `private`: canaries are built through their own store, which any user may do. `daemon`: through the local
        nix-daemon, which verifies the identity and the settings of real builds, and needs `canary.trusted`.
      '';
    };
    trusted = mkOption {
      type = types.bool;
      default = false;
      description = ''
        Add the daemon's user to `nix.settings.trusted-users`, so that a canary through the local nix-daemon can be
        aimed at one builder.

        Trade-off: a trusted user is root-equivalent. It can make nix-daemon run anything as root on this machine. Without it
        the service can do only what the keys of the builders allow, which is much: they are as good as root on every
        builder that trusts the account that they log in to.
      '';
    };
  };

  quarantine = {
    enable = mkOption {
      type = types.bool;
      default = false;
      description = ''
        Keep builds away from builders that fail, by holding their slot locks, until they are verified again. See
        docs/quarantine.md.
      '';
    };
    dryRun = mkOption {
      type = types.bool;
      default = false;
      description = "With `quarantine.enable`: only report which builders would be quarantined.";
    };
    abortHungConnects = mkOption {
      type = types.bool;
      default = false;
      description = ''
        With `quarantine.enable`: end an ssh of a build that has waited for 5 s to connect to a quarantined builder, so that
        Nix takes the next builder. The slot holder then gets the capabilities `CAP_KILL` and `CAP_SYS_PTRACE`.
      '';
    };
  };

  alertmanager = {
    enable = mkOption {
      type = types.bool;
      default = false;
      description = ''
        Send alerts without a Prometheus, to Alertmanagers or webhooks. Sets `settings.alerting`.
      '';
    };
    urls = mkOption {
      type = types.listOf types.str;
      default = [ ];
      example = [ "http://alerts.example.org:9093" ];
      description = "Alertmanagers to send to.";
    };
    webhooks = mkOption {
      type = types.attrsOf types.str;
      default = { };
      example = {
        chat = "https://chat.example.org/hooks/builders";
      };
      description = ''
        Webhooks to send to, by name. The addresses are world-readable in the Nix store: none that holds a secret,
        for which there is `urlFile` in `settings.alerting.webhooks`.
      '';
    };
  };

  extraFlags = mkOption {
    type = types.listOf types.str;
    default = [ ];
    example = [ "--log-level=debug" ];
    description = "More arguments of `builder-monitor run`.";
  };
}

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
  enable = lib.mkEnableOption "builder-monitor, which watches the Nix remote builders of this machine";

  package = mkOption {
    type = types.package;
    default = pkgs.builder-monitor or (pkgs.callPackage ./package.nix { });
    defaultText = literalExpression "pkgs.builder-monitor or (pkgs.callPackage ./package.nix { })";
    description = "The builder-monitor to run.";
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
      The configuration of builder-monitor, as its JSON schema `config.schema.json` has it. The builders themselves are
      not configured here: they are those of Nix (`nix.buildMachines`, or `builders` in nix.conf). The file
      is world-readable in the Nix store: no secrets here.
    '';
  };

  enableConfigCheck = mkOption {
    type = types.bool;
    default = pkgs.stdenv.buildPlatform.canExecute pkgs.stdenv.hostPlatform;
    defaultText = literalExpression "pkgs.stdenv.buildPlatform.canExecute pkgs.stdenv.hostPlatform";
    description = ''
      Check the configuration while the system is built, with `builder-monitor config check`: a mistake then fails
      the rebuild and not the running service.
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
      A web configuration file as Prometheus' exporters take it (TLS, client certificates, basic authentication). It is
      handed on by its path, so that the paths in it stay relative to it: the daemon's user must be able to read it
      and what it names.
    '';
  };

  canary = {
    enable = mkOption {
      type = types.bool;
      default = true;
      description = "Prove the builders by tiny real builds.";
    };
    features = mkOption {
      type = types.bool;
      default = false;
      description = "Prove each advertised feature by a build of its own; for `kvm` it opens `/dev/kvm`.";
    };
    mode = mkOption {
      type = types.enum [
        "private"
        "daemon"
      ];
      default = "private";
      description = ''
        `private`: canaries are built through a store of their own, which any user may do. `daemon`: through
        the local nix-daemon, which proves the identity and the settings of real builds, and needs `canary.trusted`.
      '';
    };
    trusted = mkOption {
      type = types.bool;
      default = false;
      description = ''
        Add the daemon's user to `nix.settings.trusted-users`, so that a canary through the local nix-daemon can be
        aimed at one builder.

        The trade: a trusted user is root-equivalent. It can make the nix-daemon run what it likes as root on this
        machine. Without it the service can do no more than the keys of the builders allow, which is much: they are as
        good as root on every builder that trusts the account they log in to.
      '';
    };
  };

  alertmanager = {
    enable = mkOption {
      type = types.bool;
      default = false;
      description = ''
        Send alerts without a Prometheus: to Alertmanagers, or to webhooks. What is given here becomes
        `settings.alerting`.
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

# The options of NixOS and nix-darwin that the modules read and set, without their implementation.
{ lib, pkgs, ... }:
let
  inherit (lib) mkOption types;
  ofType = type: default: mkOption { inherit type default; };
  anything = ofType (types.attrsOf types.anything) { };
  list = ofType (types.listOf types.anything) [ ];
in
{
  options = {
    assertions = list;
    warnings = ofType (types.listOf types.str) [ ];
    environment.systemPackages = ofType (types.listOf types.package) [ ];
    environment.etc = anything;
    systemd.services = mkOption {
      default = { };
      type = types.attrsOf (
        types.submodule {
          options = {
            description = ofType types.str "";
            documentation = ofType (types.listOf types.str) [ ];
            after = ofType (types.listOf types.str) [ ];
            wants = ofType (types.listOf types.str) [ ];
            requires = ofType (types.listOf types.str) [ ];
            wantedBy = ofType (types.listOf types.str) [ ];
            environment = anything;
            path = list;
            reloadTriggers = list;
            unitConfig = anything;
            serviceConfig = anything;
          };
        }
      );
    };
    systemd.sockets = mkOption {
      default = { };
      type = types.attrsOf (
        types.submodule {
          options = {
            description = ofType types.str "";
            documentation = ofType (types.listOf types.str) [ ];
            wantedBy = ofType (types.listOf types.str) [ ];
            socketConfig = anything;
          };
        }
      );
    };
    launchd.daemons = mkOption {
      default = { };
      type = types.attrsOf (
        types.submodule {
          options = {
            command = ofType types.str "";
            path = list;
            serviceConfig = anything;
          };
        }
      );
    };
    virtualisation = anything;
    users.users = anything;
    users.groups = anything;
    networking.firewall.allowedTCPPorts = ofType (types.listOf types.port) [ ];
    programs.ssh.package = ofType types.package pkgs.openssh;
    programs.ssh.extraConfig = ofType types.lines "";
    services.prometheus.enable = ofType types.bool false;
    services.prometheus.scrapeConfigs = list;
    services.prometheus.ruleFiles = ofType (types.listOf types.path) [ ];
    nix.enable = ofType types.bool true;
    nix.package = ofType types.package pkgs.nix;
    nix.daemonUser = ofType types.str "root";
    nix.distributedBuilds = ofType types.bool false;
    nix.settings.trusted-users = ofType (types.listOf types.str) [ "root" ];
    nix.buildMachines = mkOption {
      default = [ ];
      type = types.listOf (
        types.submodule {
          options.hostName = mkOption { type = types.str; };
          options.protocol = ofType types.str "ssh";
          options.sshKey = ofType (types.nullOr types.str) null;
          options.sshUser = ofType (types.nullOr types.str) null;
          options.system = ofType (types.nullOr types.str) null;
        }
      );
    };
  };
}

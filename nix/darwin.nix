# services.builderMonitor of nix-darwin: the same options, a launchd daemon.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  cfg = config.services.builderMonitor;
  common = import ./common.nix { inherit lib cfg; };
in
{
  options.services.builderMonitor = import ./options.nix {
    inherit lib pkgs cfg;
    defaultUser = "root";
    userText = ''
      The user to run as. launchd cannot pass copies of keys as systemd does, so the daemon runs as root by default. Another
      account must exist and be able to read the keys of the builders.
    '';
  };

  config = lib.mkIf cfg.enable {
    services.builderMonitor.settings = lib.mkMerge [
      common.settings
      # Here /run does not exist
      { quarantine.socket = lib.mkDefault "/var/run/builder-monitor-slots.sock"; }
    ];

    environment.systemPackages = [ cfg.package ];
    environment.etc."builder-monitor/config.json".source = cfg.configFile;

    launchd.daemons.builder-monitor = {
      # Apple's ssh, as for nix-daemon
      path = [
        config.nix.package
        "/usr/bin"
        "/bin"
        "/usr/sbin"
        "/sbin"
      ];
      # A command, so that launchd waits for the volume of /nix. The configuration is named by its store path, so that a
      # change restarts the daemon.
      command = lib.escapeShellArgs (common.commandWith "${cfg.configFile}");
      serviceConfig = {
        UserName = cfg.user;
        RunAtLoad = true;
        # 0 is a requested stop; launchd waits ten seconds between starts
        KeepAlive.SuccessfulExit = false;
        ProcessType = "Background";
        StandardOutPath = "/var/log/builder-monitor.log";
        StandardErrorPath = "/var/log/builder-monitor.log";
      };
    };

    # Started with the system: launchd passes sockets in its own way
    launchd.daemons.builder-monitor-slots = {
      # Perl locks the slots: macOS has no flock
      path = [
        "/usr/bin"
        "/bin"
      ];
      command = lib.escapeShellArgs [
        (lib.getExe cfg.package)
        "hold-slots"
        "--socket"
        cfg.settings.quarantine.socket
      ];
      serviceConfig = {
        # The owner of the locks
        UserName = "root";
        RunAtLoad = true;
        KeepAlive = true;
        ProcessType = "Background";
        StandardOutPath = "/var/log/builder-monitor-slots.log";
        StandardErrorPath = "/var/log/builder-monitor-slots.log";
      };
    };

    nix.settings.trusted-users = lib.mkIf cfg.canary.trusted [ cfg.user ];

    assertions = common.assertions ++ [
      {
        assertion = cfg.quarantine.enable -> cfg.user == "root";
        message = ''
          services.builderMonitor.quarantine.enable needs services.builderMonitor.user = "root" on macOS: the slot holder
          accepts no other user there.
        '';
      }
      {
        assertion = !cfg.quarantine.abortHungConnects;
        message = ''
          services.builderMonitor.quarantine.abortHungConnects needs /proc, which macOS does not have. Turn it off.
        '';
      }
      {
        assertion =
          cfg.canary.mode == "daemon"
          -> cfg.canary.trusted || cfg.user == "root" || lib.elem cfg.user (config.nix.settings.trusted-users or [ ]);
        message = ''
          services.builderMonitor.canary.mode is "daemon", but nix-daemon does not trust the user ${cfg.user}. Set
          services.builderMonitor.canary.trusted = true (it makes that user root-equivalent), or leave the mode at
          "private".
        '';
      }
    ];
  };
}

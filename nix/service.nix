# The systemd service as pure data, independent of NixOS, so that a test can compare it with
# systemd/builder-monitor.service, which must have the same settings. The module adds ExecStart, ExecReload, ExecStopPost, User, Group,
# LoadCredential and SetCredential.
#
# Credentials. Keys of builders belong to root; the daemon runs as another user. PID 1 reads them and passes copies:
#
#   LoadCredential=etc-nix-builder_ed25519:/etc/nix/builder_ed25519
#
# The ID of a file is its path without the leading slash, with dashes for the other slashes. Two files of root's ssh, which
# decide how nix-daemon's ssh connects, have their own IDs: ssh-known_hosts and ssh-config. When the daemon cannot read a
# file itself, it reads $CREDENTIALS_DIRECTORY/ID. Root's default keys, passed when a machine has no key, are
# root-.ssh-id_ed25519 and similar. systemd does not start a unit whose LoadCredential= names a missing file, unless a
# SetCredential= with the same ID has a default, so each has one: a newline. A credential of white space means that the file
# was missing when the service started. Credentials are read once: restart after a change of a key.
{
  description = "Nix remote builder monitor";
  documentation = [ "https://nix.dev/manual/nix/latest/advanced-topics/distributed-builds" ];
  after = [
    "network-online.target"
    "nix-daemon.socket"
    "builder-monitor-slots.socket"
  ];
  # The socket of the slot holder: a stopped or broken one must not stop the monitor
  wants = [
    "network-online.target"
    "builder-monitor-slots.socket"
  ];
  wantedBy = [ "multi-user.target" ];

  # Restarts without limit: a monitor must not give up during an outage
  unitConfig.StartLimitIntervalSec = 0;

  serviceConfig = import ./hardening.nix // {
    Type = "notify";
    # Node has no unix datagram sockets, so the child process systemd-notify sends the messages
    NotifyAccess = "all";
    # Pinged while probes run, not merely while the process lives
    WatchdogSec = "120s";
    TimeoutStartSec = "60s";
    TimeoutStopSec = "15s";
    Restart = "on-failure";
    RestartSec = "5s";
    # 78: invalid configuration, which a restart does not fix
    RestartPreventExitStatus = 78;

    StateDirectory = "builder-monitor";
    StateDirectoryMode = "0750";
    RuntimeDirectory = "builder-monitor";
    RuntimeDirectoryMode = "0755";
    # The machines file is used while the service is stopped
    RuntimeDirectoryPreserve = "yes";
    WorkingDirectory = "%S/builder-monitor";
    # nix and ssh need a home directory
    Environment = [ "HOME=%S/builder-monitor" ];
    UMask = "0077";

    # Node's threads, and two ssh and one nix-build for each canary
    TasksMax = 512;
    # Includes nix-build and ssh of canaries. A monitor that needs more has a leak or is attacked: it is restarted
    MemoryMax = "2G";
    LimitNOFILE = 65536;

    # The slots probe reads /proc/locks, and the processes that hold the locks belong to root
    ProcSubset = "all";
    ProtectProc = "default";
    # unix: nix-daemon, the control socket, the slot holder, NOTIFY_SOCKET; netlink: the resolver asks it for this machine's
    # addresses, and ss for its connections
    RestrictAddressFamilies = [
      "AF_UNIX"
      "AF_INET"
      "AF_INET6"
      "AF_NETLINK"
    ];
    SystemCallFilter = [
      "@system-service"
      "~@privileged @resources"
      # nix-build sets the owner of the files in the canary's store
      "@chown"
    ];
  };

  # systemd 254 and newer; older ones warn about them and restart every RestartSec
  backOff = {
    RestartSteps = 6;
    RestartMaxDelaySec = "5min";
  };
}

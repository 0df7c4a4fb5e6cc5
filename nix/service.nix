# The systemd service of builder-monitor as pure data: nothing of it depends on NixOS, so that it can be compared with
# systemd/builder-monitor.service, which must say the same. The module adds what only it knows: ExecStart, ExecReload,
# User, Group, LoadCredential and SetCredential.
#
# Credentials. Keys of builders belong to root; the daemon is another user. PID 1 reads them and lends copies:
#
#   LoadCredential=etc-nix-builder_ed25519:/etc/nix/builder_ed25519
#
# The id of a file is its path without the leading slash, every other slash a dash. Two files of root's ssh, which decide
# how nix-daemon's ssh connects, have ids of their own: ssh-known_hosts and ssh-config. Where the daemon cannot read a
# file itself, it reads $CREDENTIALS_DIRECTORY/ID. Root's default keys, lent where a machine names none, are
# root-.ssh-id_ed25519 and its like. systemd refuses to start a unit whose LoadCredential= names a missing
# file, unless a SetCredential= with the same id offers a value in its place, so each has one: a newline. A credential of
# white space only means "was not there when the service was started". Credentials are read once: after a change of a
# key, restart.
{
  description = "Watches the Nix remote builders of this machine";
  documentation = [ "https://nix.dev/manual/nix/latest/advanced-topics/distributed-builds" ];
  after = [
    "network-online.target"
    "nix-daemon.socket"
  ];
  wants = [ "network-online.target" ];
  wantedBy = [ "multi-user.target" ];

  # It tries again for ever: a monitor that gave up during the outage would be worth nothing
  unitConfig.StartLimitIntervalSec = 0;

  serviceConfig = {
    Type = "notify";
    # Node cannot send datagrams to a unix socket, so systemd-notify does it: the message comes from a child
    NotifyAccess = "all";
    # Fed as long as probes are made, not as long as the process breathes
    WatchdogSec = "120s";
    TimeoutStartSec = "60s";
    TimeoutStopSec = "15s";
    Restart = "on-failure";
    RestartSec = "5s";
    # 78: the configuration is bad, and is as bad at the next start
    RestartPreventExitStatus = 78;

    StateDirectory = "builder-monitor";
    StateDirectoryMode = "0750";
    RuntimeDirectory = "builder-monitor";
    RuntimeDirectoryMode = "0755";
    WorkingDirectory = "%S/builder-monitor";
    # nix and ssh want a home
    Environment = [ "HOME=%S/builder-monitor" ];
    UMask = "0077";

    # Node's threads, and two ssh and one nix-build for each canary
    TasksMax = 512;
    LimitNOFILE = 65536;

    CapabilityBoundingSet = "";
    AmbientCapabilities = "";
    NoNewPrivileges = true;
    LockPersonality = true;
    # Missing: MemoryDenyWriteExecute. V8 compiles JavaScript into pages that it writes and then executes
    DevicePolicy = "closed";
    PrivateDevices = true;
    PrivateMounts = true;
    # The workshop of private canaries is in /tmp
    PrivateTmp = true;
    PrivateUsers = true;
    ProtectClock = true;
    ProtectControlGroups = true;
    ProtectHome = true;
    ProtectHostname = true;
    ProtectKernelLogs = true;
    ProtectKernelModules = true;
    ProtectKernelTunables = true;
    ProtectSystem = "strict";
    # The slots probe reads /proc/locks, and the processes that hold them are root's
    ProcSubset = "all";
    ProtectProc = "default";
    RemoveIPC = true;
    # unix: nix-daemon, the control socket, NOTIFY_SOCKET; netlink: the resolver asks it for this machine's addresses
    RestrictAddressFamilies = [
      "AF_UNIX"
      "AF_INET"
      "AF_INET6"
      "AF_NETLINK"
    ];
    RestrictNamespaces = true;
    RestrictRealtime = true;
    RestrictSUIDSGID = true;
    SystemCallArchitectures = "native";
    SystemCallErrorNumber = "EPERM";
    SystemCallFilter = [
      "@system-service"
      "~@privileged @resources"
      # nix-build settles the owner of what it puts into the canary's own store
      "@chown"
    ];
  };

  # systemd 254 and newer; older ones complain about them and restart every RestartSec
  backOff = {
    RestartSteps = 6;
    RestartMaxDelaySec = "5min";
  };
}

# The slot holder's units as pure data, as service.nix is for the monitor: a test compares them with
# systemd/builder-monitor-slots.{socket,service} and with the drop-in systemd/20-abort-hung-connects.conf. The module adds
# ExecStart, ExecStartPre, User and SocketGroup.
{
  socket = {
    description = "Socket of the slot holder of builder-monitor";
    documentation = [ "https://nix.dev/manual/nix/latest/advanced-topics/distributed-builds" ];
    wantedBy = [ "sockets.target" ];
    socketConfig = {
      ListenStream = "/run/builder-monitor-slots/hold.sock";
      DirectoryMode = "0755";
      SocketUser = "root";
      SocketMode = "0660";
      # A file of a socket that is gone would be reported as a permission error
      RemoveOnStop = true;
    };
  };

  service = {
    description = "Slot holder of builder-monitor";
    documentation = [ "https://nix.dev/manual/nix/latest/advanced-topics/distributed-builds" ];
    # Started by the first connection of the monitor. Ends by itself a minute after the monitor has nothing to hold
    requires = [ "builder-monitor-slots.socket" ];
    after = [ "builder-monitor-slots.socket" ];
    # Starts without limit: a limit would stop the socket, too, and the monitor connects at most every two seconds
    unitConfig.StartLimitIntervalSec = 0;
    serviceConfig = import ./hardening.nix // {
      Type = "notify";
      # Node has no unix datagram sockets, so the child process systemd-notify sends the messages
      NotifyAccess = "all";
      # A holder that hangs is killed, and the kernel frees its locks. It has nothing to save
      WatchdogSec = "15s";
      WatchdogSignal = "SIGKILL";
      TimeoutStartSec = "60s";
      TimeoutStopSec = "5s";
      # Not restarted: the next connection of the monitor starts it
      Restart = "no";

      WorkingDirectory = "/";
      UMask = "0077";

      # A process for each slot that a build still uses
      TasksMax = 4096;
      MemoryMax = "512M";
      LimitNOFILE = 65536;

      IPAddressDeny = "any";
      KeyringMode = "private";
      PrivateIPC = true;
      PrivateNetwork = true;
      ProcSubset = "pid";
      ProtectProc = "invisible";
      ReadWritePaths = "-/nix/var/nix/current-load";
      RestrictAddressFamilies = "AF_UNIX";
      SystemCallFilter = [
        "@system-service"
        "~@privileged @resources"
      ];
    };
  };

  # For quarantine.abortHungConnects. SYS_PTRACE: the kernel lets a process read /proc/PID/fd only of processes with no more
  # capabilities than its own, and the ssh of a build hook has all those of root. Which TCP connection that ssh waits for is
  # read there. KILL: SIGTERM to the ssh of another user.
  abortHungConnects = {
    CapabilityBoundingSet = "CAP_KILL CAP_SYS_PTRACE";
    AmbientCapabilities = "CAP_KILL CAP_SYS_PTRACE";
    # A capability in a user namespace has no effect on processes outside of it
    PrivateUsers = false;
    # All processes, and /proc/uptime
    ProtectProc = "default";
    ProcSubset = "all";
  };
}

# Two builders and the machine that sends builds to them. sshd of one is stopped and started again, and the metric must
# follow. Wants kvm: nix build .#checks.x86_64-linux.vm, or nix-build nix/tests/vm.nix with nixpkgs in NIX_PATH.
{
  pkgs ? import <nixpkgs> { },
  lib ? pkgs.lib,
}:
let
  # of the NixOS tests; not secret
  inherit (import (pkgs.path + "/nixos/tests/ssh-keys.nix") pkgs) snakeOilPrivateKey snakeOilPublicKey;
  key = "/root/.ssh/builder";

  builder = {
    services.openssh.enable = true;
    users.users.remotebuild = {
      isNormalUser = true;
      openssh.authorizedKeys.keys = [ snakeOilPublicKey ];
    };
    nix.settings.trusted-users = [ "remotebuild" ];
    nix.settings.sandbox = false;
    virtualisation.writableStore = true;
  };
in
pkgs.testers.runNixOSTest {
  name = "builder-monitor";

  nodes = {
    alpha = builder;
    beta = builder;
    monitor =
      { pkgs, ... }:
      {
        imports = [ ../module.nix ];
        services.builderMonitor = {
          enable = true;
          prometheus.enable = true;
          settings.schedule.login = "*/5 * * * * *";
        };
        services.prometheus.enable = true;
        nix.distributedBuilds = true;
        nix.buildMachines = map (hostName: {
          inherit hostName;
          protocol = "ssh-ng";
          sshUser = "remotebuild";
          sshKey = key;
          system = pkgs.stdenv.hostPlatform.system;
        }) [
          "alpha"
          "beta"
        ];
        virtualisation.writableStore = true;
      };
  };

  testScript = ''
    def up(builder, value):
        return f"curl -sf http://127.0.0.1:10922/metrics | grep -E '^nix_builder_up\\{{[^}}]*builder=\"{builder}\"[^}}]*\\}} {value}$'"

    start_all()
    for machine in [alpha, beta]:
        machine.wait_for_unit("sshd.service")
        machine.wait_for_open_port(22)

    # The service starts before there are keys and known hosts, and says so
    monitor.wait_for_unit("builder-monitor.service")
    monitor.wait_until_succeeds(up("alpha", 0), timeout=120)

    monitor.succeed("install -D -m 600 ${snakeOilPrivateKey} ${key}")
    monitor.succeed("ssh-keyscan alpha beta > /root/.ssh/known_hosts")
    # Credentials are read when it starts
    monitor.systemctl("restart builder-monitor.service")
    monitor.wait_until_succeeds(up("alpha", 1), timeout=120)
    monitor.wait_until_succeeds(up("beta", 1), timeout=120)

    with subtest("a builder that cannot be reached is down, and the other one is not"):
        alpha.systemctl("stop sshd.service sshd.socket")
        monitor.wait_until_succeeds(up("alpha", 0), timeout=300)
        monitor.succeed(up("beta", 1))
        monitor.succeed("builder-monitor status --json | grep -F tcp_refused")

    with subtest("and comes back"):
        alpha.systemctl("start sshd.service")
        monitor.wait_until_succeeds(up("alpha", 1), timeout=300)

    with subtest("Prometheus has it"):
        monitor.wait_for_unit("prometheus.service")
        monitor.wait_until_succeeds(
            "curl -sfG http://127.0.0.1:9090/api/v1/query --data-urlencode 'query=nix_builder_up' | grep -F beta",
            timeout=120,
        )

    with subtest("a drain holds the slots"):
        monitor.succeed("builder-monitor drain --wait beta")
        monitor.succeed("systemctl is-active builder-monitor-slots.service")
        monitor.fail("flock -n /nix/var/nix/current-load/ssh-ng:__remotebuild@beta-0 true")
        monitor.succeed("builder-monitor undrain beta")
        monitor.wait_until_succeeds("flock -n /nix/var/nix/current-load/ssh-ng:__remotebuild@beta-0 true", timeout=10)

    with subtest("it reloads, and stops without a rest"):
        monitor.succeed("systemctl reload builder-monitor.service")
        monitor.systemctl("stop builder-monitor.service")
        monitor.fail("pgrep -u builder-monitor")
  '';
}

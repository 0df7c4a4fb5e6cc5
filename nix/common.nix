# Shared by NixOS and nix-darwin: settings and assertions that follow from the options.
{ lib, cfg }:
let
  # IPv6 addresses need brackets
  hostPort =
    host:
    "${if lib.hasInfix ":" host && !lib.hasPrefix "[" host then "[${host}]" else host}:${toString cfg.port}";
  isLoopback =
    host:
    host == "localhost" || host == "::1" || host == "[::1]" || lib.hasPrefix "127." host;
  isEverywhere = host: lib.elem host [ "0.0.0.0" "::" "[::]" ];
in
{
  inherit isLoopback;

  # Address of the daemon for this machine itself.
  localTarget = hostPort (if isEverywhere cfg.listenAddress then "127.0.0.1" else cfg.listenAddress);

  settings = {
    listen = lib.mkDefault [ (hostPort cfg.listenAddress) ];
    canary = {
      enabled = lib.mkDefault cfg.canary.enable;
      features = lib.mkDefault cfg.canary.features;
      mode = lib.mkDefault cfg.canary.mode;
    };
    quarantine = {
      enable = lib.mkDefault cfg.quarantine.enable;
      dryRun = lib.mkDefault cfg.quarantine.dryRun;
      abortHungConnects = lib.mkDefault cfg.quarantine.abortHungConnects;
    };
    # Receivers with a password or a secret URL go into settings.alerting directly
    alerting = lib.mkIf cfg.alertmanager.enable {
      enable = true;
      alertmanagers = map (url: { inherit url; }) cfg.alertmanager.urls;
      webhooks = lib.mapAttrsToList (name: url: { inherit name url; }) cfg.alertmanager.webhooks;
    };
  };

  commandWith =
    configFile:
    [
      (lib.getExe cfg.package)
      "run"
      "--config"
      configFile
    ]
    ++ lib.optionals (cfg.webConfigFile != null) [
      "--web.config.file"
      cfg.webConfigFile
    ]
    ++ cfg.extraFlags;

  assertions = [
    {
      assertion = cfg.quarantine.dryRun || cfg.quarantine.abortHungConnects -> cfg.quarantine.enable;
      message = ''
        services.builderMonitor.quarantine.dryRun and quarantine.abortHungConnects have no effect without
        quarantine.enable. Set services.builderMonitor.quarantine.enable = true.
      '';
    }
    {
      assertion = cfg.alertmanager.enable -> cfg.alertmanager.urls != [ ] || cfg.alertmanager.webhooks != { };
      message = ''
        services.builderMonitor.alertmanager.enable is set, but there is no receiver. Add an
        Alertmanager to services.builderMonitor.alertmanager.urls, or a webhook to
        services.builderMonitor.alertmanager.webhooks.
      '';
    }
    {
      assertion = cfg.webConfigFile != null -> lib.hasPrefix "/" cfg.webConfigFile;
      message = ''
        services.builderMonitor.webConfigFile is "${toString cfg.webConfigFile}", which is not an absolute path. Write
        the whole path: the daemon runs in its own directory.
      '';
    }
  ];
}

# What NixOS and nix-darwin have in common: settings and checks that follow from the options.
{ lib, cfg }:
let
  # IPv6 addresses stand in brackets
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

  # Where this machine itself reaches the daemon.
  localTarget = hostPort (if isEverywhere cfg.listenAddress then "127.0.0.1" else cfg.listenAddress);

  settings = {
    listen = lib.mkDefault [ (hostPort cfg.listenAddress) ];
    canary = {
      enabled = lib.mkDefault cfg.canary.enable;
      features = lib.mkDefault cfg.canary.features;
      mode = lib.mkDefault cfg.canary.mode;
    };
    # receivers that need a password or a secret address are given in settings.alerting itself
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
      assertion = cfg.alertmanager.enable -> cfg.alertmanager.urls != [ ] || cfg.alertmanager.webhooks != { };
      message = ''
        services.builderMonitor.alertmanager.enable is set, but there is nobody to send alerts to. Name an
        Alertmanager in services.builderMonitor.alertmanager.urls, or a webhook in
        services.builderMonitor.alertmanager.webhooks.
      '';
    }
    {
      assertion = cfg.webConfigFile != null -> lib.hasPrefix "/" cfg.webConfigFile;
      message = ''
        services.builderMonitor.webConfigFile is "${toString cfg.webConfigFile}", which is not an absolute path. Write
        the whole path: the daemon runs in a directory of its own.
      '';
    }
  ];
}

# How files become systemd credentials; service.nix describes the convention.
{ lib }:
rec {
  # "/etc/nix/builder_ed25519" -> "etc-nix-builder_ed25519"
  idOf = path: lib.replaceStrings [ "/" ] [ "-" ] (lib.removePrefix "/" path);

  # Whether a path can be used in LoadCredential=: absolute, without characters that are special in the ID or in
  # systemd's syntax.
  isUsable = path: builtins.match "/[A-Za-z0-9._+@=,/-]+" path != null;

  # The Nix store is world-readable: such a key needs no credential, and is no secret.
  isInStore = path: lib.hasPrefix "${builtins.storeDir}/" path;

  # The own ssh files of nix-daemon's user, by ID.
  sshFilesOf = home: {
    ssh-known_hosts = "${home}/.ssh/known_hosts";
    ssh-config = "${home}/.ssh/config";
  };

  # The default keys of nix-daemon's user. The IDs are those of root's, by which builder-monitor knows them.
  defaultKeysOf =
    home:
    lib.listToAttrs (
      map (type: {
        name = "root-.ssh-id_${type}";
        value = "${home}/.ssh/id_${type}";
      }) [
        "ecdsa"
        "ed25519"
        "rsa"
      ]
    );

  # The credentials of these key files, by ID.
  ofKeys =
    paths:
    lib.listToAttrs (
      map (path: {
        name = idOf path;
        value = path;
      }) paths
    );

  # The unit's settings for credentials by ID. The monitor must start when a file is missing, to report it.
  serviceConfig = files: {
    LoadCredential = lib.mapAttrsToList (id: path: "${id}:${path}") files;
    SetCredential = map (id: "${id}:\\n") (lib.attrNames files);
  };
}

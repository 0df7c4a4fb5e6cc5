# How files become systemd credentials: the convention is told in service.nix.
{ lib }:
rec {
  # "/etc/nix/builder_ed25519" -> "etc-nix-builder_ed25519"
  idOf = path: lib.replaceStrings [ "/" ] [ "-" ] (lib.removePrefix "/" path);

  # Whether a path can be written into LoadCredential=: absolute, and of characters that neither the id nor systemd's
  # own syntax gives a meaning.
  isUsable = path: builtins.match "/[A-Za-z0-9._+@=,/-]+" path != null;

  # Everybody can read the Nix store: such a key needs no lending, and is no secret.
  isInStore = path: lib.hasPrefix "${builtins.storeDir}/" path;

  # Root's own ssh files, by id.
  sshFiles = {
    ssh-known_hosts = "/root/.ssh/known_hosts";
    ssh-config = "/root/.ssh/config";
  };

  # The credentials of these key files, by id.
  ofKeys =
    paths:
    lib.listToAttrs (
      map (path: {
        name = idOf path;
        value = path;
      }) paths
    );

  # The unit's settings for credentials by id. A missing file must not keep the monitor from starting: to say that it
  # is missing is its work.
  serviceConfig = files: {
    LoadCredential = lib.mapAttrsToList (id: path: "${id}:${path}") files;
    SetCredential = map (id: "${id}:\\n") (lib.attrNames files);
  };
}

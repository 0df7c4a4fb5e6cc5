# A replacement for the part of nixpkgs that nix/*.nix use: derivations that build on a machine with bash, coreutils, node and
# npm. `tools` are the directories of these programs; only builds use them.
{
  lib,
  tools ? [ ],
}:
let
  path = lib.concatStringsSep ":" (tools ++ [ "/usr/local/bin" "/usr/bin" "/bin" ]);
  system = builtins.currentSystem;

  # A package with a program of this machine.
  fromMachine =
    name: attrs:
    pkgs.runCommand name { } ''
      mkdir -p $out/bin
      PATH=${path} type -P ${attrs.program} >/dev/null && ln -s "$(PATH=${path} type -P ${attrs.program})" $out/bin/${attrs.program}
    ''
    // {
      meta = {
        mainProgram = attrs.program;
        platforms = [ system ];
      };
    };

  # The phases of stdenv that nix/package.nix has, one after the other.
  mkDerivation =
    attrs:
    let
      inputs = attrs.nativeBuildInputs or [ ];
      phases = [
        "buildPhase"
        "installPhase"
      ]
      ++ lib.optional (attrs.doInstallCheck or false) "installCheckPhase";
      drv = derivation (
        removeAttrs attrs [
          "meta"
          "passthru"
          "pname"
          "version"
          "nativeBuildInputs"
        ]
        // {
          name = "${attrs.pname}-${attrs.version}";
          inherit system;
          builder = "/bin/bash";
          args = [
            "-c"
            ''
              set -eu -o pipefail
              export PATH=${lib.concatStringsSep ":" (map (input: "${input}/bin") inputs)}:${path}
              runHook() { :; }
              makeWrapper() { # PROGRAM FILE --add-flags FLAGS
                mkdir -p "''${2%/*}"
                printf '#!/bin/bash\nexec %s %s "$@"\n' "$1" "$4" >"$2"
                chmod +x "$2"
              }
              cp -r "$src" source; chmod -R u+w source; cd source
              for phase in ${lib.concatStringsSep " " phases}; do eval "''${!phase}"; done
            ''
          ];
        }
      );
    in
    drv // attrs.passthru or { } // { meta = attrs.meta or { }; };

  pkgs = {
    inherit lib;
    stdenv.buildPlatform.canExecute = _: true;
    stdenv.hostPlatform = { inherit system; };
    stdenvNoCC = { inherit mkDerivation; };
    nodejs_24 = fromMachine "node" { program = "node"; };
    typescript = fromMachine "tsc" { program = "tsc"; };
    openssh = fromMachine "openssh" { program = "ssh"; };
    nix = fromMachine "nix" { program = "nix"; };
    coreutils = fromMachine "coreutils" { program = "mkdir"; };
    iproute2 = fromMachine "iproute2" { program = "ss"; };
    runtimeShell = "${fromMachine "bash" { program = "bash"; }}/bin/bash";
    util-linux = fromMachine "util-linux" { program = "flock"; };
    makeWrapper = pkgs.runCommand "make-wrapper" { } "mkdir -p $out/bin";
    cacert = pkgs.runCommand "cacert" { } ''
      mkdir -p $out/etc/ssl/certs
      cp -L /etc/ssl/certs/ca-certificates.crt $out/etc/ssl/certs/ca-bundle.crt || : >$out/etc/ssl/certs/ca-bundle.crt
    '';
    callPackage =
      file: overrides:
      let
        f = import file;
      in
      f (builtins.intersectAttrs (builtins.functionArgs f) pkgs // overrides);
    runCommand =
      name: env: script:
      derivation (
        env
        // {
          inherit name system;
          builder = "/bin/bash";
          args = [
            "-c"
            # Keeps bash running until the last command ends: Nix kills a builder that closes its output
            "set -eu; export PATH=${path}\n${script}\nexit 0"
          ];
        }
      );
    formats.json = _: {
      type =
        let
          value =
            lib.types.nullOr (
              lib.types.oneOf [
                lib.types.bool
                lib.types.int
                lib.types.float
                lib.types.str
                lib.types.path
                (lib.types.attrsOf value)
                (lib.types.listOf value)
              ]
            )
            // {
              description = "JSON value";
            };
        in
        value;
      generate = name: value: builtins.toFile name (builtins.toJSON value);
    };
    mkShell = attrs: attrs;
    path = ./nixpkgs;
    testers.runNixOSTest = test: test;
  };
in
pkgs

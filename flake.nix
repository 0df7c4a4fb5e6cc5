{
  description = "Watches Nix remote builders from the side that matters: the client that sends the builds";

  # There is no flake.lock yet: the first `nix flake lock` on a machine with a network writes it.
  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-unstable";

  outputs =
    { self, nixpkgs }:
    let
      inherit (nixpkgs) lib;
      # as far as this nixpkgs still has them
      systems = lib.filter (system: nixpkgs.legacyPackages ? ${system}) [
        "aarch64-darwin"
        "aarch64-linux"
        "x86_64-darwin"
        "x86_64-linux"
      ];
      forEach = of: lib.genAttrs systems (system: of nixpkgs.legacyPackages.${system});
      forEachLinux =
        of: lib.genAttrs (lib.filter (lib.hasSuffix "-linux") systems) (system: of nixpkgs.legacyPackages.${system});
      package = pkgs: pkgs.callPackage ./nix/package.nix { };
    in
    {
      packages = forEach (pkgs: rec {
        builder-monitor = package pkgs;
        default = builder-monitor;
      });

      overlays.default = final: _: { builder-monitor = package final; };

      nixosModules = rec {
        builder-monitor = ./nix/module.nix;
        default = builder-monitor;
      };

      darwinModules = rec {
        builder-monitor = ./nix/darwin.nix;
        default = builder-monitor;
      };

      # The VM test wants a builder with kvm
      checks = forEachLinux (pkgs: {
        package = package pkgs;
        vm = import ./nix/tests/vm.nix { inherit pkgs lib; };
      });

      devShells = forEach (pkgs: {
        default = pkgs.mkShell {
          packages = [
            pkgs.nodejs_24
            pkgs.openssh
          ];
        };
      });
    };
}

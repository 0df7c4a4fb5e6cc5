# The package, in the manner of callPackage.
#
# The lockfile carries no registry addresses, so nixpkgs' npm fetchers have nothing to fetch from. The production
# dependencies are one fixed-output derivation of npm's own clean install instead: pure JavaScript (optional native parts
# and install scripts are left out), so that its hash is the same on every platform. npm-deps.nix holds the hash;
# scripts/npm-deps-hash.sh computes it.
#
# TypeScript comes from nixpkgs and only strips types here (noCheck): that needs no development dependencies, hence no
# second fixed output ten times the size, and every version since 5.8 writes the same JavaScript. Types are checked where
# the code is tested.
{
  lib,
  stdenvNoCC,
  cacert,
  makeWrapper,
  nodejs_24,
  typescript,
}:
let
  inherit (lib) fileset;
  inherit (lib.importJSON ../package.json) version;

  nodeModules = stdenvNoCC.mkDerivation {
    pname = "builder-monitor-node-modules";
    inherit version;
    src = fileset.toSource {
      root = ../.;
      fileset = fileset.unions [
        ../.npmrc
        ../package.json
        ../package-lock.json
      ];
    };
    nativeBuildInputs = [ nodejs_24 ];
    NODE_EXTRA_CA_CERTS = "${cacert}/etc/ssl/certs/ca-bundle.crt";
    impureEnvVars = lib.fetchers.proxyImpureEnvVars ++ [ "npm_config_registry" ];
    dontConfigure = true;
    buildPhase = ''
      runHook preBuild
      export HOME=$TMPDIR
      npm ci --omit=dev --omit=optional --ignore-scripts --no-audit --no-fund --loglevel=error
      # what differs between versions of npm: its own notes, and the directories of scopes from which nothing was installed
      rm -f node_modules/.package-lock.json
      find node_modules -type d -empty -delete
      runHook postBuild
    '';
    installPhase = ''
      runHook preInstall
      # a directory of this name, for modules look for each other there
      mkdir $out
      mv node_modules $out/
      runHook postInstall
    '';
    # a fixed output may not name other store paths
    dontFixup = true;
    outputHashMode = "recursive";
    outputHashAlgo = "sha256";
    outputHash = import ./npm-deps.nix;
  };
in
stdenvNoCC.mkDerivation {
  pname = "builder-monitor";
  inherit version;

  src = fileset.toSource {
    root = ../.;
    fileset = fileset.unions [
      ../LICENSE
      ../config.schema.json
      ../docs
      ../package.json
      ../src
      ../tsconfig.build.json
      ../tsconfig.json
      (fileset.maybeMissing ../grafana)
      (fileset.maybeMissing ../prometheus)
    ];
  };

  nativeBuildInputs = [
    makeWrapper
    typescript
  ];

  dontConfigure = true;

  buildPhase = ''
    runHook preBuild
    ln -s ${nodeModules}/node_modules .
    echo '{"extends":"./tsconfig.build.json","compilerOptions":{"noCheck":true,"types":[]}}' >tsconfig.nix.json
    tsc -p tsconfig.nix.json
    runHook postBuild
  '';

  installPhase = ''
    runHook preInstall
    home=$out/lib/builder-monitor
    mkdir -p $home $out/share/builder-monitor
    cp -r dist package.json config.schema.json LICENSE $home/
    cp -r docs $out/share/builder-monitor/
    for extra in grafana prometheus; do
      if [ -e $extra ]; then cp -r $extra $out/share/builder-monitor/; fi
    done
    ln -s ${nodeModules}/node_modules $home/
    makeWrapper ${lib.getExe nodejs_24} $out/bin/builder-monitor --add-flags $home/dist/main.js
    runHook postInstall
  '';

  doInstallCheck = true;
  installCheckPhase = ''
    runHook preInstallCheck
    $out/bin/builder-monitor --version | grep -F ${version}
    runHook postInstallCheck
  '';

  passthru = {
    inherit nodeModules;
  };

  meta = {
    description = "Watches Nix remote builders from the side that matters: the client that sends the builds";
    license = lib.licenses.mit;
    mainProgram = "builder-monitor";
    inherit (nodejs_24.meta) platforms;
  };
}

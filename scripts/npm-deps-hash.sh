#!/usr/bin/env bash
# Prints the hash of the production dependencies as nix/package.nix installs them. --write writes it to nix/npm-deps.nix (run
# it after every change of package-lock.json); --check fails when that file has another hash. Needs npm 9 or newer (NPM sets
# another executable) and Nix 2.4 or newer.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."
held=nix/npm-deps.nix
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
cp .npmrc package.json package-lock.json "$work"
(cd "$work" && HOME=$work ${NPM:-npm} ci --omit=dev --omit=optional --ignore-scripts --no-audit --no-fund --loglevel=error >&2)
rm -f "$work/node_modules/.package-lock.json"
find "$work/node_modules" -type d -empty -delete
mkdir "$work/out"
mv "$work/node_modules" "$work/out/"
hash=$(nix --extra-experimental-features nix-command hash path "$work/out")
[[ $hash == sha256-* ]] || { echo "npm-deps-hash: nix hash path said '$hash', which is no sha256" >&2; exit 1; }
case ${1:-} in
  '') printf '%s\n' "$hash" ;;
  --write) printf '# Of the production dependencies. Written by scripts/npm-deps-hash.sh --write\n"%s"\n' "$hash" >"$held" ;;
  --check)
    grep -qF "\"$hash\"" "$held" || {
      echo "$held holds another hash than $hash: package-lock.json has changed. Run scripts/npm-deps-hash.sh --write" >&2
      exit 1
    } ;;
  *) echo "npm-deps-hash: unknown option $1: --write, --check, or none" >&2; exit 2 ;;
esac

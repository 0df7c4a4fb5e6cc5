#!/usr/bin/env bash
# `npm run test:lab`: starts the real fleet and runs the tests that need it (or only the test files that are named).
# Debian, as root. Installs by apt what is missing, none of which is a service; what is one (prometheus) is unpacked
# into $LAB_DIR, not installed. LAB_KEEP=1 leaves the fleet up; a fleet that was up before stays up.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/../.."
lab=test/lab/lab.sh
export LAB_DIR=${LAB_DIR:-${TMPDIR:-/tmp}/builder-lab} LAB=1
[[ $(id -u) == 0 ]] || { echo "the lab needs root: sudo npm run test:lab" >&2; exit 1; }
command -v apt-get >/dev/null || { echo "the lab needs Debian" >&2; exit 1; }

packages=()
need() { command -v "$1" >/dev/null || packages+=("$2"); }
need ip iproute2; need ssh openssh-client; need ssh-keygen openssh-client; need nix-build nix-bin
need nsenter util-linux; need xz xz-utils; need perl perl
if ((${#packages[@]})); then
  export DEBIAN_FRONTEND=noninteractive
  install() { apt-get install -q -y --no-install-recommends "${packages[@]}" </dev/null; }
  install >/dev/null 2>&1 || { apt-get update -q </dev/null; install; }
fi
[[ -n $(apt-get indextargets --format '$(FILENAME)' 'Created-By: Packages' | xargs -r ls 2>/dev/null) ]] || apt-get update -q </dev/null

was_up=
kill -0 "$(cat "$LAB_DIR/nodes/b1/pid" 2>/dev/null || echo x)" 2>/dev/null && was_up=1
finish() { [[ $was_up || ${LAB_KEEP:-} ]] || bash $lab down; }
trap finish EXIT
start=$SECONDS
bash $lab tools prometheus
bash $lab up
bash $lab status
echo "the fleet is up after $((SECONDS - start)) s"

files=("$@"); ((${#files[@]})) || files=(test/lab/*.test.ts)
# one file after the other: they break the same builders
PATH=$PATH:$LAB_DIR/tools/usr/bin node node_modules/tap/dist/esm/run.mjs run --disable-coverage --jobs=1 --timeout=900 \
  --reporter="${LAB_REPORTER:-terse}" "${files[@]}" </dev/null

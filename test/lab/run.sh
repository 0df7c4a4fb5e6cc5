#!/usr/bin/env bash
# `npm run test:lab`: starts the real fleet and runs the tests that need it (or only the test files that are named).
# Needs Debian and root. Installs missing packages with apt, none of them a service; services (prometheus, alertmanager) are
# only unpacked into $LAB_DIR. LAB_KEEP=1 leaves the fleet up; a fleet that was up before stays up.
#
#   --oracle     only the comparison with real builds, with every version of Nix and every client: --score --all
#   --score      only the table of set-ups, reported causes and real builds (every run prints it)
#   --all        every set-up with all versions of Nix and all clients; by default a fifth of them, each with one pair, others
#                each day (LAB_TURN=0 ... 29)
#   --rows WORDS only the rows whose name matches
#   --calm 10m   also watch the healthy fleet under load for this time: no builder may change its state
set -euo pipefail
files=()
while (($#)); do
  case $1 in
    --oracle) files+=(test/lab/oracle.test.ts); export LAB_ALL=1 LAB_REPORT=1 ;;
    --score) files+=(test/lab/oracle.test.ts); export LAB_SCORE=1 ;;
    --all) export LAB_ALL=1 ;;
    --rows) export LAB_ROWS=$2; shift ;;
    --calm) export LAB_CALM=$2; shift ;;
    --*) echo "unknown option $1: --oracle, --score, --all, --rows WORDS, --calm 10m" >&2; exit 1 ;;
    *) files+=("$1") ;;
  esac
  shift
done
cd "$(dirname "$(readlink -f "$0")")/../.."
lab=test/lab/lab.sh
export LAB_DIR=${LAB_DIR:-${TMPDIR:-/tmp}/builder-lab} LAB=1
[[ $(id -u) == 0 ]] || { echo "the lab needs root: sudo npm run test:lab" >&2; exit 1; }
command -v apt-get >/dev/null || { echo "the lab needs Debian" >&2; exit 1; }

packages=()
need() { command -v "$1" >/dev/null || packages+=("$2"); }
need chromium chromium; need ip iproute2; need ssh openssh-client; need ssh-keygen openssh-client; need nix-build nix-bin
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
bash $lab tools prometheus prometheus-alertmanager
bash $lab up
bash $lab status
echo "the fleet is up after $((SECONDS - start)) s"

((${#files[@]})) || { [[ ${LAB_CALM:-} && ${LAB_SCORE:-} ]] || files=(test/lab/*.test.ts); }
[[ ${LAB_CALM:-} ]] && files+=(test/lab/calm.ts)
rm -f "$LAB_DIR"/{score,calm,slots}.txt
rc=0
# one file after the other, because they use the same builders
PATH=$PATH:$LAB_DIR/tools/usr/bin node scripts/test.mjs --jobs 1 --limit 3000 "${files[@]}" </dev/null || rc=$?
for report in score calm slots; do
  [[ ! -e $LAB_DIR/$report.txt ]] || { echo; cat "$LAB_DIR/$report.txt"; }
done
exit $rc

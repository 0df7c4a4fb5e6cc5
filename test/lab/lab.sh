#!/usr/bin/env bash
# lab.sh - a fleet of real Nix remote builders on ONE Linux machine.
#
# Every node has its own network (veth on a bridge), mount, PID, UTS, IPC and cgroup namespace, its own root file
# system (overlay over a shared Debian root), a small /nix of its own, sshd with its own host key, nix-daemon, users.
#
#   lab.sh up [NODE...]         build missing roots, start nodes (idempotent); without NODE: $LAB_UP
#   lab.sh down [NODE...]       stop nodes, remove everything but the cached roots and keys
#   lab.sh status               one line per node
#   lab.sh roots                only build the cached roots
#   lab.sh exec NODE CMD...     run CMD as root inside NODE
#   lab.sh net NODE CMD...      run this machine's CMD in the network of NODE
#   lab.sh client WHERE CMD...  run CMD on a client: WHERE is a client node, or `host`: this machine's programs and
#                               network with a private /nix, /etc, /root, /run, /tmp. Every client has /lab/keys,
#                               /lab/share (writable, shared by all), /lab/project (this checkout, read-only) and this
#                               machine's node in PATH. NIX_* variables are passed on.
#   lab.sh fault NODE FAULT     break a node (see `lab.sh faults`)
#   lab.sh heal NODE            undo every fault of a node
#   lab.sh faults               list of faults
#   lab.sh tools                unpack tools (mmdebstrap, prometheus) into $LAB_DIR/tools
#   lab.sh purge                stop nodes, delete cached roots, keys and tools
#
# Users of a node: root and remotebuild (trusted), plain (not trusted), outsider (not in the group that can use the
# daemon), forced (only `nix-daemon --stdio`), forcedserve (only `nix-store --serve --write`), noshell (nologin).
#
# Needs: root, Debian, util-linux, iproute2, openssh-client, nix-bin (for `client host`); test/lab/run.sh installs them.
# Starts no service and writes only to $LAB_DIR. While it is up there are a bridge, veths and cgroups.
set -euo pipefail

LAB_DIR=${LAB_DIR:-${TMPDIR:-/tmp}/builder-lab}
LAB_NET=${LAB_NET:-10.88.0}         # /24, local to this machine
LAB_BRIDGE=${LAB_BRIDGE:-labbr0}    # a second lab needs its own LAB_DIR, LAB_NET and LAB_BRIDGE
LAB_ROOTS=${LAB_ROOTS:-$LAB_DIR/roots}
LAB_STORE_MB=${LAB_STORE_MB:-256}   # size of each node's /nix
LAB_SANDBOX=${LAB_SANDBOX:-false}   # false | true | relaxed
# name:suite:host-part. suite "host" = this machine's own root (no download); suite "trixie+systemd" = the real systemd
# is PID 1, with Debian's own ssh.service and nix-daemon.service.
LAB_NODES=${LAB_NODES:-b1:bookworm:1 b2:trixie:2 b3:forky:3 c1:bookworm:101 c2:trixie:102 c3:forky:103 s1:bookworm+systemd:11 s2:trixie+systemd:12 s3:forky+systemd:13}
LAB_UP=${LAB_UP:-b1 b2 b3 c1 c2 c3}
# more names for each node (NAME.NODE), so that one machines file can name one builder many times
LAB_ALIASES=${LAB_ALIASES:-v1 v2 v3 v4 v5 v6 v7 v8 v9 v10 v11 v12 v13 v14 v15 v16 v17 v18 v19 v20 v21 v22 v23 v24 v25 v26 v27 v28 v29 v30 v31 v32 v33 v34 v35 v36 v37 v38 v39 v40 v41 v42 v43 v44 v45 v46 v47 v48 v49 v50 v51 v52 v53 v54 v55 v56 v57 v58 v59 v60}

NODES=$LAB_DIR/nodes KEYS=$LAB_DIR/keys SHARE=$LAB_DIR/share TOOLS=$LAB_DIR/tools
SELF=$(readlink -f "${BASH_SOURCE[0]}")
LIB=${SELF%/*}/lib
PROJECT=${SELF%/test/lab/lab.sh}
USERS="remotebuild plain outsider forced forcedserve noshell"
ROOT_VERSION=3                       # increase when prepare_root changes, to rebuild cached roots
# packages of a root; nix-setup-systemd brings nixbld users, units, systemd
PACKAGES=nix-bin,nix-setup-systemd,openssh-server,openssh-client,procps,iproute2,nftables,mount,login,zsh,tcsh,fish
# nodes started by other code or from another checkout are restarted
STAMP="$PROJECT $(cat "$SELF" "$LIB"/*.sh | cksum)"
CLEAN_PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
OUTER_PATH=$PATH
unset NODE_OPTIONS                   # set by test runners; it names files that the nodes do not have
export PATH=$TOOLS/usr/bin:$CLEAN_PATH

say() { printf '%s\n' "$*" >&2; }
die() { say "lab: $*"; exit 1; }
wait_for() { # SECONDS CMD... : until CMD succeeds
  local n=$(($1 * 50)) i; shift
  for ((i = 0; i < n; i++)); do "$@" && return 0; sleep 0.02; done
  return 1
}
# shellcheck source=lib/roots.sh
source "$LIB/roots.sh"
# shellcheck source=lib/nodes.sh
source "$LIB/nodes.sh"
# shellcheck source=lib/clients.sh
source "$LIB/clients.sh"
# shellcheck source=lib/faults.sh
source "$LIB/faults.sh"

cmd_up() {
  [[ $(id -u) == 0 ]] || die "must be root"
  local -a want; if (($#)); then want=("$@"); else read -ra want <<<"$LAB_UP"; fi
  mkdir -p "$LAB_DIR" "$SHARE"; chmod 1777 "$SHARE"
  build_roots "${want[@]}"; make_keys; net_up
  local n rc=0 pids=() p
  for n in "${want[@]}"; do start_node "$n" & pids+=($!); done
  for p in "${pids[@]}"; do wait "$p" || rc=1; done
  return $rc
}
cmd_down() {
  local -a want; local n all=0
  if (($#)); then want=("$@"); else all=1; mapfile -t want < <(ls "$NODES" 2>/dev/null); fi
  for n in "${want[@]}"; do stop_node "$n" & done; wait
  for n in "${want[@]}"; do rm -rf "${NODES:?}/$n"; done
  if ((all)); then
    ip link del "$LAB_BRIDGE" 2>/dev/null || true
    rm -rf "$SHARE" "$LAB_DIR/tmp" "$LAB_DIR"/*.lock
  fi
  return 0
}
cmd_status() {
  local n p l a b c v
  printf '%-5s %-9s %-12s %-8s %-6s %-7s %-10s %s\n' NODE SUITE ADDRESS PID SSHD DAEMON NIX-USED NIX
  for n in $(all_nodes); do
    spec "$n"
    if p=$(pid_of "$n"); then
      a=down b=down; svc_alive "$n" ssh && a=up; svc_alive "$n" nix-daemon && b=up
      l=$(in_node "$n" sh -c 'df -m --output=used,size /nix | tail -1 | awk "{printf \"%s/%sM \", \$1, \$2}"; nix --version 2>/dev/null | cut -d" " -f3')
      read -r c v <<<"$l"
      printf '%-5s %-9s %-12s %-8s %-6s %-7s %-10s %s\n' "$n" "$suite" "$ip" "$p" "$a" "$b" "$c" "$v"
    else printf '%-5s %-9s %-12s %-8s\n' "$n" "$suite" "$ip" down; fi
  done
}

main() {
  local cmd=${1:-help}; shift || true
  case $cmd in
    up) cmd_up "$@" ;;
    down) cmd_down "$@" ;;
    status) cmd_status ;;
    roots) mapfile -t want < <(all_nodes); build_roots "${want[@]}" ;;
    tools) get_tools "$@" ;;
    exec) in_node "$@" ;;
    net) in_net "$@" ;;
    client) client "$@" ;;
    host) client host "$@" ;;
    fault) fault "$@" ;;
    heal) heal "$@" ;;
    faults) fault_list ;;
    purge) cmd_down; rm -rf "$LAB_ROOTS" "$KEYS" "$TOOLS" "$LAB_DIR/dl" ;;
    _boot) boot ;;
    _host) host_boot ;;
    *) sed -n '2,/^set -euo/p' "$SELF" | sed '$d; s/^# \{0,1\}//' ;;
  esac
}
main "$@"; exit

# Clients: client nodes, and this machine with private mounts.

node_bin() { # the executable of this machine's `node`
  [[ ${LAB_NODE_BIN:-} ]] || LAB_NODE_BIN=$(PATH=$OUTER_PATH node -p process.execPath 2>/dev/null || true)
  printf '%s' "${LAB_NODE_BIN:-}"
}

show_lab() { # ROOT : mounts /lab/{keys,share,project,bin/node}; runs in the mount namespace of the client
  local m=$1 node
  mkdir -p "$m"/lab/{keys,share,project,bin}
  mount --bind "$KEYS" "$m/lab/keys"
  mount --bind "$SHARE" "$m/lab/share"
  mount --bind "$PROJECT" "$m/lab/project"; mount -o remount,ro,bind "$m/lab/project"
  node=$(node_bin)
  [[ -x $node ]] || return 0
  : >"$m/lab/bin/node"; mount --bind "$node" "$m/lab/bin/node"; mount -o remount,ro,bind "$m/lab/bin/node"
  # copies the shared libraries of node that the root does not have
  [[ ! ${LAB_NODE_BUNDLE:-} ]] && chroot "$m" /lab/bin/node -e 0 >/dev/null 2>&1 && return 0
  umount "$m/lab/bin/node"; mkdir -p "$m/lab/bin/lib"
  cp "$node" "$m/lab/bin/lib/node"
  ldd "$node" | grep -o '/[^ ]*' | while read -r node; do cp -L "$node" "$m/lab/bin/lib/"; done
  printf '#!/bin/sh\nexec /lab/bin/lib/ld-linux-* --library-path /lab/bin/lib /lab/bin/lib/node "$@"\n' >"$m/lab/bin/node"
  chmod 755 "$m/lab/bin/node"
}

client() { # host|NODE CMD...
  local where=$1; shift
  if [[ $where == host ]]; then host_up
  else build_roots "$where"; (start_node "$where")
  fi
  local p; p=$(pid_of "$where") || die "$where is not running"
  local -a nix own=(-u -i -n -p -C); mapfile -d '' -t nix < <(env -0 | grep -z '^NIX_' || true)
  [[ $where == host ]] && own=()
  exec nsenter -t "$p" -m "${own[@]}" -- /usr/bin/env -i HOME=/root USER=root LOGNAME=root LANG=C.UTF-8 \
    PATH=/lab/bin:$CLEAN_PATH "${nix[@]}" "$@"
}

# `host` is a process with its own mount namespace; it writes only to memory and $LAB_DIR/nodes/host
host_up() {
  local d=$NODES/host
  mkdir -p "$d" "$SHARE"
  exec 9>"$LAB_DIR/host.lock"; flock 9
  if pid_of host >/dev/null && [[ $(cat "$d/stamp" 2>/dev/null) == "$STAMP" ]]; then exec 9>&-; return; fi
  stop_node host
  rm -rf "$d"; mkdir -p "$d"/{rw,merged,log}
  make_keys_once
  LAB_NODE=host LAB_NODE_BIN=$(node_bin) setsid unshare --mount --propagation private bash "$SELF" _host >"$d/log/boot.log" 2>&1 </dev/null 9>&- &
  wait_for 10 test -s "$d/pid" || { cat "$d/log/boot.log" >&2; die "the view of this machine did not start"; }
  printf '%s\n' "$STAMP" >"$d/stamp"
  exec 9>&-
}
make_keys_once() { [[ -e $KEYS/known_hosts ]] || (make_keys); }
host_boot() {
  local d=$NODES/host m=$NODES/host/merged x
  mount --make-rprivate /
  mount -t tmpfs -o mode=755,size=512m rw "$d/rw"; mkdir "$d"/rw/{upper,work,root,tmp,nix}
  chmod 700 "$d/rw/root"; chmod 1777 "$d/rw/tmp"
  mount -t tmpfs -o mode=755,size=256m root "$m"
  for x in /*; do
    case $x in
      /nix | /root | /tmp | /run | /lab | /lost+found) ;;
      *) if [[ -L $x ]]; then cp -P "$x" "$m/"; elif [[ -d $x ]]; then mkdir "$m$x"; mount --rbind "$x" "$m$x"; fi ;;
    esac
  done
  mkdir "$m"/{nix,root,tmp,run}
  if [[ -d /run/systemd/resolve ]]; then mkdir -p "$m/run/systemd/resolve"; mount --bind /run/systemd/resolve "$m/run/systemd/resolve"; fi
  mount --bind "$d/rw/nix" "$m/nix"; mount --bind "$d/rw/root" "$m/root"; mount --bind "$d/rw/tmp" "$m/tmp"
  mount -t overlay overlay -o "lowerdir=/etc,upperdir=$d/rw/upper,workdir=$d/rw/work" "$m/etc"
  rm -rf "$m/etc/nix"; mkdir -p "$m/etc/nix" "$m/etc/ssh"; rm -rf "$m/root/.config"
  cat >"$m/etc/nix/nix.conf" <<EOC
build-users-group =
substituters =
experimental-features = nix-command
sandbox = false
EOC
  hosts_file "$LAB_NET.253" >"$m/etc/hosts"
  cp "$KEYS/known_hosts" "$m/etc/ssh/ssh_known_hosts"
  show_lab "$m"
  cd "$m"; mkdir .oldroot; pivot_root . .oldroot
  exec env -i LAB_NODE=host PATH=$CLEAN_PATH bash -c 'echo $$ >/.oldroot'"$d"'/pid; umount -l /.oldroot; rmdir /.oldroot; cd /; exec sleep infinity'
}

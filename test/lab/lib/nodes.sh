# Nodes: configuration, start and stop.

spec() { # NODE -> sets suite ip init
  local s; init=plain
  for s in $LAB_NODES; do
    if [[ ${s%%:*} == "$1" ]]; then
      suite=${s#*:}; suite=${suite%%:*}; ip=$LAB_NET.${s##*:}
      [[ $suite == *+systemd ]] && { init=systemd; suite=${suite%+systemd}; }
      return 0
    fi
  done
  die "no such node: $1"
}
all_nodes() { local s; for s in $LAB_NODES; do printf '%s\n' "${s%%:*}"; done; }
# Names of a node with special entries. known_hosts has no key of unknown.NODE (nor of pinned.NODE and mispinned.NODE,
# whose machine lines have it), a different key of changed.NODE, a revoked key of revoked.NODE, only an authority for
# cert.NODE, a key of each type for rsa.NODE, only an RSA key for rsaonly.NODE. twice.NODE has two addresses, the first
# is unused.
names_of() { # NODE : the names with a known host key
  local a
  printf '%s twice.%s' "$1" "$1"
  for a in $LAB_ALIASES; do printf ' %s.%s' "$a" "$1"; done
}
hosts_file() ( # DEAD : an unused address
  echo "127.0.0.1 localhost"
  for s in $(all_nodes); do
    spec "$s"
    printf '%s %s' "$ip" "$s"; for a in $LAB_ALIASES unknown pinned mispinned changed revoked cert rsa rsaonly; do printf ' %s.%s' "$a" "$s"; done; echo
    printf '%s twice.%s\n%s twice.%s\n' "$1" "$s" "$ip" "$s"
  done
  echo "$LAB_NET.254 coordinator"
)
known_hosts() (
  for n in $(all_nodes); do
    spec "$n"
    printf '%s %s\n' "$(names_of "$n" | tr ' ' ,),$ip" "$(cut -d' ' -f1,2 "$KEYS/host_$n.pub")"
    printf 'changed.%s %s\n' "$n" "$(cut -d' ' -f1,2 "$KEYS/newhost_$n.pub")"
    printf '@revoked revoked.%s %s\n' "$n" "$(cut -d' ' -f1,2 "$KEYS/host_$n.pub")"
    printf '@cert-authority cert.%s %s\n' "$n" "$(cut -d' ' -f1,2 "$KEYS/ca.pub")"
    printf 'rsa.%s %s\n' "$n" "$(cut -d' ' -f1,2 "$KEYS/host_$n.pub")"
    printf 'rsa.%s,rsaonly.%s %s\n' "$n" "$n" "$(cut -d' ' -f1,2 "$KEYS/rsa_host.pub")"
  done
)
veth() { printf '%s-%s' "$LAB_BRIDGE" "$1"; }

CG2=$(findmnt -rn -t cgroup2 -o TARGET 2>/dev/null | head -n 1) || true
cgroup_of() { printf '%s/lab-%s-%s' "$CG2" "$LAB_BRIDGE" "$1"; }
cgroup_enter() { # NODE : move the caller into the node's own cgroup v2 subtree
  [[ $CG2 ]] && mkdir -p "$(cgroup_of "$1")" && echo 0 >"$(cgroup_of "$1")/cgroup.procs"
}
cgroup_empty() { find "$1" -depth -type d -exec rmdir {} + 2>/dev/null; }
cgroup_drop() {
  [[ $CG2 && -d $(cgroup_of "$1") ]] || return 0
  wait_for 1 cgroup_empty "$(cgroup_of "$1")"
}

pid_of() { # NODE : pid of its PID 1, if it is running and ours
  local p
  p=$(cat "$NODES/$1/pid" 2>/dev/null) || return 1
  [[ $p && -r /proc/$p/environ ]] || return 1
  tr '\0' '\n' <"/proc/$p/environ" 2>/dev/null | grep -qx "LAB_NODE=$1" || return 1
  printf '%s' "$p"
}
in_node() { # NODE CMD... : all namespaces of the node
  local p; p=$(pid_of "$1") || die "$1 is not running"; shift
  local -a nix; mapfile -d '' -t nix < <(env -0 | grep -z '^NIX_' || true)
  nsenter -t "$p" -m -u -i -n -p -C -- /usr/bin/env -i HOME=/root USER=root LOGNAME=root LANG=C.UTF-8 \
    PATH=$CLEAN_PATH "${nix[@]}" "$@"
}
in_net() { # NODE CMD... : only the network namespace (this machine's files)
  local p; p=$(pid_of "$1") || die "$1 is not running"; shift
  nsenter -t "$p" -n -- "$@"
}

net_up() {
  exec 9>"$LAB_DIR/net.lock"; flock 9
  ip link show "$LAB_BRIDGE" >/dev/null 2>&1 || ip link add "$LAB_BRIDGE" type bridge
  ip addr replace "$LAB_NET.254/24" dev "$LAB_BRIDGE"
  ip link set "$LAB_BRIDGE" up
  exec 9>&-
}
plug() { # NODE PID IP
  ip link del "$(veth "$1")" 2>/dev/null || true
  ip link add "$(veth "$1")" type veth peer name eth0 netns "$2"
  ip link set "$(veth "$1")" master "$LAB_BRIDGE" up
  nsenter -t "$2" -n -- sh -c "ip link set lo up; ip link set eth0 address $(printf '02:1a:b0:00:00:%02x' "${3##*.}"); ip addr add $3/24 dev eth0; ip link set eth0 up"
}

SSHD_USUAL='MaxStartups 100:30:200'
write_config() { # NODE SUITE : writes what differs from the shared root
  local n=$1 d=$NODES/$1/etc u
  mkdir -p "$d/ssh/keys" "$d/nix"
  printf '%s\n' "$n" >"$d/hostname"
  hosts_file "$LAB_NET.100" >"$d/hosts"
  cp "$KEYS/host_$n" "$d/ssh/ssh_host_ed25519_key"; cp "$KEYS/host_$n.pub" "$d/ssh/ssh_host_ed25519_key.pub"
  chmod 600 "$d/ssh/ssh_host_ed25519_key"
  cp "$KEYS/known_hosts" "$d/ssh/ssh_known_hosts"
  for u in root remotebuild plain outsider noshell; do cp "$KEYS/id.pub" "$d/ssh/keys/$u"; done
  printf 'restrict,command="nix-daemon --stdio" %s\n' "$(cat "$KEYS/id.pub")" >"$d/ssh/keys/forced"
  printf 'restrict,command="nix-store --serve --write" %s\n' "$(cat "$KEYS/id.pub")" >"$d/ssh/keys/forcedserve"
  # faults write lab.conf; sshd uses the first value of a setting, nix the last
  printf '%s\n' "$SSHD_USUAL" >"$d/ssh/lab.conf"; : >"$d/nix/lab.conf"
  cat >"$d/ssh/sshd_config" <<EOC
Include /etc/ssh/lab.conf
Port 22
HostKey /etc/ssh/ssh_host_ed25519_key
AuthorizedKeysFile /etc/ssh/keys/%u
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
UseDNS no
PrintMotd no
LogLevel VERBOSE
EOC
  {
    cat <<EOC
build-users-group = nixbld
trusted-users = root remotebuild forced forcedserve noshell
allowed-users = *
max-jobs = 2
cores = 1
sandbox = $LAB_SANDBOX
min-free = $((LAB_STORE_MB * 1048576 / 8))
max-free = $((LAB_STORE_MB * 1048576 / 4))
system-features = benchmark big-parallel lab-$n
experimental-features = nix-command
substituters =
connect-timeout = 5
EOC
    # Debian's 2.8 has no /bin/sh for its sandbox
    [[ $LAB_SANDBOX == false || $2 == trixie || $2 == forky ]] ||
      echo "extra-sandbox-paths = /bin/sh=/bin/dash /lib /lib64 /usr/lib"
    echo "!include /etc/nix/lab.conf"
  } >"$d/nix/nix.conf"
}

node_ready() { # PID IP
  nsenter -t "$1" -m -- test -S /nix/var/nix/daemon-socket/socket 2>/dev/null && answers_ssh "$2"
}
answers_ssh() { [[ $(timeout 1 bash -c "exec 3<>/dev/tcp/$1/22 && head -c 4 <&3" 2>/dev/null) == "SSH-" ]]; }

start_node() { # NODE
  local n=$1 d=$NODES/$1 p up
  exec 8>"$LAB_DIR/$n.lock"; flock 8        # until the caller ends
  if p=$(pid_of "$n"); then
    [[ $(cat "$d/stamp" 2>/dev/null) == "$STAMP" ]] && return 0
    say "lab: $n was started by another lab.sh or checkout: restarting it"; stop_node "$n"
  fi
  spec "$n"
  rm -rf "$d"; mkdir -p "$d"/{merged,log,etc,rw}
  write_config "$n" "$suite"
  printf '%s\n' "$STAMP" >"$d/stamp"
  LAB_NODE=$n LAB_SUITE=$suite LAB_INIT=$init LAB_STORE_MB=$LAB_STORE_MB LAB_DIR=$LAB_DIR LAB_ROOTS=$LAB_ROOTS \
    LAB_BRIDGE=$LAB_BRIDGE LAB_NODE_BIN=$(node_bin) \
    setsid unshare --mount --uts --ipc --net --pid --fork --kill-child --propagation private \
    bash "$SELF" _boot >"$d/log/boot.log" 2>&1 </dev/null 8>&- &
  up=$!
  wait_for 10 test -s "$d/pid" || { cat "$d/log/boot.log" >&2; die "$n did not boot"; }
  p=$(cat "$d/pid"); echo "$up" >"$d/pid.unshare"
  plug "$n" "$p" "$ip"
  wait_for 20 node_ready "$p" "$ip" && return 0
  tail -n 20 "$d"/log/*.log >&2; die "$n is not ready"
}
gone() { [[ ! -e /proc/$1 ]] || grep -q "^State:.Z" "/proc/$1/status" 2>/dev/null; }
stop_node() { # NODE
  local n=$1 d=$NODES/$1 p
  if p=$(pid_of "$n"); then
    kill -KILL "$p" 2>/dev/null || true     # PID 1 of the PID namespace: the kernel ends all of it
    wait_for 5 gone "$p" || true
  fi
  aux_stop "$n"
  ip link del "$(veth "$n")" 2>/dev/null || true
  memory_free "$n"
  cgroup_drop "$n" || true
  rm -f "$d/pid" "$d/pid.unshare"
}
# helpers of faults that run outside the node's PID namespace
aux_stop() { # NODE
  local f=$NODES/$1/aux.pid p
  [[ -s $f ]] || return 0
  for p in $(cat "$f"); do
    [[ -e /proc/$p ]] && tr '\0' '\n' <"/proc/$p/environ" 2>/dev/null | grep -qx "LAB_AUX=$1" && { kill "$p" 2>/dev/null || true; wait_for 2 gone "$p" || kill -KILL "$p" 2>/dev/null || true; }
  done
  rm -f "$f"
}

boot() { # inside, as PID 1
  local n=$LAB_NODE d=$NODES/$LAB_NODE m=$NODES/$LAB_NODE/merged self x tmp=64m
  read -r self _ </proc/self/stat         # /proc is still that of the host: our pid there
  # Only PID 1 enters the cgroup (not its parent `unshare`): cgroup v2 allows no processes next to
  # enabled controllers. It is then the root of the cgroup namespace.
  if [[ -z ${LAB_CGNS:-} ]]; then
    cgroup_enter "$n" || say "lab: no cgroup v2 for $n"
    LAB_CGNS=1 exec unshare --cgroup bash "$SELF" _boot
  fi
  mount --make-rprivate /
  # the node writes to memory, in its own mount namespace, which ends with it
  mount -t tmpfs -o mode=755,size=256m rw "$d/rw"; mkdir "$d/rw/upper" "$d/rw/work"
  if [[ $LAB_SUITE == host ]]; then compose_root "$m" "$d/rw"
  else
    mount -t overlay overlay -o "lowerdir=$LAB_ROOTS/$LAB_SUITE,upperdir=$d/rw/upper,workdir=$d/rw/work" "$m"
  fi
  cp -r "$d/etc/." "$m/etc/"
  mkdir -p "$m/nix"
  mount -t tmpfs -o "size=${LAB_STORE_MB}m,nr_inodes=50k,mode=755" nix "$m/nix"
  install -d "$m/nix/store" "$m/nix/var/nix/gcroots/per-user" "$m/nix/var/nix/profiles/per-user" "$m/nix/var/nix/daemon-socket"
  chmod 1775 "$m/nix/store"; chmod 1777 "$m"/nix/var/nix/{gcroots,profiles}/per-user
  chroot "$m" sh -c 'chgrp nixbld /nix/store; chgrp nix-users /nix/var/nix/daemon-socket; chmod 770 /nix/var/nix/daemon-socket'
  # the log directory stays visible from outside
  mkdir -p "$m/var/log/lab"; mount --bind "$d/log" "$m/var/log/lab"
  show_lab "$m"
  [[ $n == c* ]] && tmp=512m
  mount -t tmpfs -o mode=755,size=64m run "$m/run"; mkdir -p "$m/run/sshd" "$m/run/lab"
  mount -t tmpfs -o "mode=1777,size=$tmp" tmp "$m/tmp"
  mount -t tmpfs -o mode=755,size=1m dev "$m/dev"
  for x in null:3 zero:5 full:7 random:8 urandom:9; do mknod -m 666 "$m/dev/${x%:*}" c 1 "${x#*:}"; done
  mknod -m 666 "$m/dev/tty" c 5 0
  mkdir "$m"/dev/{pts,shm}; mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts "$m/dev/pts"; ln -s pts/ptmx "$m/dev/ptmx"
  mount -t tmpfs -o mode=1777,size=16m shm "$m/dev/shm"
  ln -s /proc/self/fd "$m/dev/fd"; ln -s fd/0 "$m/dev/stdin"; ln -s fd/1 "$m/dev/stdout"; ln -s fd/2 "$m/dev/stderr"
  mount -t proc -o nosuid,nodev,noexec proc "$m/proc"
  mount -t sysfs -o ro,nosuid,nodev,noexec sysfs "$m/sys" 2>/dev/null || true
  [[ -d $m/sys/fs/cgroup && $CG2 ]] && { mount -t cgroup2 -o nosuid,nodev,noexec cgroup2 "$m/sys/fs/cgroup" || true; }
  hostname "$n"
  # pivot_root, not chroot: nix's sandbox and user namespaces need it
  cd "$m"; mkdir -p .oldroot; pivot_root . .oldroot
  exec env -i LAB_NODE="$n" LAB_INIT="$LAB_INIT" LAB_HOSTPID="$self" HOME=/root LANG=C.UTF-8 PATH=$CLEAN_PATH \
    /bin/bash -c '
      echo "$LAB_HOSTPID" >/.oldroot'"$d"'/pid
      umount -l /.oldroot && rmdir /.oldroot
      # OpenSSH >= 9.8 drops a source for some seconds after failed logins; off by default here
      if sshd -t -o PerSourcePenalties=no 2>/dev/null; then echo "PerSourcePenalties no" >>/etc/ssh/sshd_config; fi
      if [ "$LAB_INIT" = systemd ]; then
        rm -rf /etc/machine-id /run/sshd; cat /proc/sys/kernel/random/uuid | tr -d - >/etc/machine-id
        for u in systemd-journald-audit.socket console-getty.service systemd-modules-load.service systemd-logind.service getty@tty1.service systemd-pstore.service; do ln -sf /dev/null /etc/systemd/system/$u; done
        mount --make-rshared /          # needed by LoadCredential=
        touch /dev/console
        exec env container=lab /usr/lib/systemd/systemd --show-status=no >>/var/log/lab/console.log 2>&1
      fi
      /usr/sbin/sshd -E /var/log/lab/sshd.log -o PidFile=/run/lab/sshd.pid
      # same cgroup path as under systemd
      cg=/sys/fs/cgroup/system.slice/nix-daemon.service; mkdir -p $cg 2>/dev/null
      (echo 0 >$cg/cgroup.procs; exec nix-daemon) >>/var/log/lab/nix-daemon.log 2>&1 </dev/null & echo $! >/run/lab/nix-daemon.pid
      while :; do sleep 3600 & wait -n; done'
}
compose_root() { # ROOT RW : binds the directories of this machine's root read-only
  local m=$1 rw=$2 x
  mount -t tmpfs -o mode=755,size=64m root "$m"
  for x in /*; do
    if [[ -L $x ]]; then cp -P "$x" "$m/"
    elif [[ $x == /usr || $x == /opt || $x == /lib* || $x == /bin || $x == /sbin ]]; then
      mkdir "$m$x"; mount --bind "$x" "$m$x"; mount -o remount,ro,bind "$m$x"
    fi
  done
  mkdir -p "$m"/{etc,var/log,var/lib,var/empty,home,root,run,tmp,dev,proc,sys,mnt,nix}
  mount -t overlay overlay -o "lowerdir=/etc,upperdir=$rw/upper,workdir=$rw/work" "$m/etc"
  rm -rf "$m/etc/nix" "$m/etc/ssh/sshd_config.d"; mkdir -p "$m/etc/nix"
  chroot "$m" sh -c 'getent group nixbld >/dev/null || groupadd -r nixbld; getent group nix-users >/dev/null || groupadd -r nix-users
    for i in 1 2 3 4; do id nixbld$i >/dev/null 2>&1 || useradd -r -g nixbld -G nixbld -d /var/empty -s /usr/sbin/nologin -M nixbld$i; done'
  prepare_root "$m"
}

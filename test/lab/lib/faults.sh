# Faults. Each can be set repeatedly; `heal` undoes all of them.

fault_list() { cat <<'EOT'
sshd-stop       nothing listens on port 22: connection refused
sshd-listener   sshd's listener is killed, sessions continue (start one with the fault `session`)
sshd-freeze     SIGSTOP sshd's listener: the kernel accepts, no banner comes
sshd-throttle   MaxStartups 1 and one login that never ends: sshd rejects other logins
sshd-crowd      many short connections, sshd drops some logins at random
session         an open session of remotebuild
link-down       eth0 of the node is down: "No route to host" after ARP fails
blackhole       node answers no packet at all: connect times out, sessions stall
reject          node's firewall rejects port 22 (ICMP admin-prohibited)
tarpit          a server on port 22 accepts and never sends a byte
garbage         a server on port 22 sends HTTP and keeps the connection
garbage-close   a server on port 22 sends HTTP and closes the connection
binary          a server on port 22 sends endless random bytes
hostkey         sshd restarts with another host key
kex             sshd offers only an obsolete key exchange
kex-pq          sshd offers only the post-quantum key exchange sntrup761x25519
hostcert        sshd has a host certificate
hostcert-late   sshd has an expired host certificate
hostcert-soon   sshd has a host certificate that ends tomorrow
user-ca         sshd accepts user certificates of the authority
rsa-host        sshd has only an RSA host key
penalties       OpenSSH >= 9.8: PerSourcePenalties on (the default there)
security-key    remotebuild has the public key of a security key that no machine has
no-auth         remotebuild's authorized keys are empty
nologin         remotebuild's shell is nologin
strict-modes    remotebuild's authorized keys are writable by others, so sshd ignores them
expired         remotebuild's account has expired
locked          remotebuild's account is locked
no-home         remotebuild's home directory is gone
max-startups    sshd accepts one unauthenticated connection at a time
max-sessions    sshd allows no session (MaxSessions 0)
banner          sshd sends a login banner that begins with "# "
force-command   sshd has a ForceCommand for every login
mtu             packets of more than 600 bytes from the node are dropped silently
nix-conf        nix.conf has an invalid line
tmp-full        /tmp has no free block
noisy-shell     remotebuild's .bashrc prints to stdout (breaks the protocol)
shell:SHELL     remotebuild's login shell is zsh, tcsh, fish or dash
startup:FILE:COMMANDS  a start-up file in remotebuild's home begins with these commands
missing-shell   remotebuild's login shell does not exist
nologin-file    /etc/nologin exists
no-processes    remotebuild may not start a process
slow-auth       sshd needs 15 s to look up a key
max-sessions    sshd allows no session (MaxSessions 0)
sshd:LINES      sshd_config has these lines
do:COMMANDS     a shell runs these commands as root
undo:COMMANDS   `heal` runs these commands
key-options:OPTIONS  options of remotebuild's authorized key
no-nix          no nix in the remote user's PATH (command not found)
nix-noexec      nix is not executable
daemon-stop     nix-daemon is stopped, its socket stays (ECONNREFUSED)
daemon-nosocket nix-daemon is stopped, its socket is removed
daemon-freeze   SIGSTOP nix-daemon (accepts by backlog, never answers)
daemon-crash    nix-daemon and nix-store exit during the handshake
not-allowed     allowed-users and trusted-users of nix.conf do not name remotebuild
no-sh           sandbox = true without a /bin/sh in it
users-busy      every build user is in use
no-jobs         max-jobs = 0 in nix.conf
no-emulator     extra-platforms of nix.conf has a system that the machine cannot execute
build-timeout   builds are slow, and nix.conf has a timeout of 3 s
build-oom       a build exceeds a memory limit, and the kernel kills it
build-fills     a build fills the disk while it runs
setting:LINE    nix.conf of the builder has this line
build-slow      every build takes 40 s
store-lock      the lock of the whole store is held
db-lock         the lock of the store's database is held
gc-run          nix-collect-garbage runs continuously
gc-lock         the garbage collector's lock is held
disk-full       /nix has no free block
inodes-full     /nix has no free inode
low-space       half of min-free is free in /nix
store-ro        /nix is mounted read-only
slow[:RATE]     eth0 limited to RATE (default 64kbit) by tc tbf
mem-max[:SIZE]  systemd node: MemoryMax= of nix-daemon.service (default 64M);
                needs the memory controller in cgroup v2 (not on a hybrid host)
power-off       the node is stopped (heal or up starts it again)
EOT
}

# services of a node: plain nodes have pid files, systemd nodes have units
is_sd() { [[ $(tr '\0' '\n' <"/proc/$(pid_of "$1")/environ" | sed -n 's/^LAB_INIT=//p') == systemd ]]; }
svc_pid() { # NODE ssh|nix-daemon
  if is_sd "$1"; then in_node "$1" systemctl show -p MainPID --value "$2"
  elif [[ $2 == ssh ]]; then in_node "$1" cat /run/lab/sshd.pid 2>/dev/null
  else in_node "$1" cat "/run/lab/$2.pid" 2>/dev/null; fi
}
svc_alive() { local p; p=$(svc_pid "$1" "$2") && [[ $p && $p != 0 ]] && in_node "$1" kill -0 "$p" 2>/dev/null; }
svc_kill() { local p; p=$(svc_pid "$1" "$2") && [[ $p && $p != 0 ]] && in_node "$1" kill "-$3" "$p" 2>/dev/null; }
svc_dead() { ! svc_alive "$@"; }
listens() { in_net "$1" ss -Hltn 'sport = :22' | grep -q .; }
listens_not() { ! listens "$1"; }
sshd_stop() { # the listener only: sessions continue
  if is_sd "$1"; then in_node "$1" systemctl stop ssh; else
    svc_kill "$1" ssh CONT || true; svc_kill "$1" ssh TERM || true
    wait_for 5 svc_dead "$1" ssh || die "$1: sshd does not end"
    in_node "$1" rm -f /run/lab/sshd.pid
  fi
  aux_stop "$1"
  wait_for 5 listens_not "$1" || die "$1: something still listens on port 22"
}
sshd_start() {
  if is_sd "$1"; then in_node "$1" sh -c 'systemctl reset-failed ssh 2>/dev/null; systemctl start ssh'  # start limit
  else in_node "$1" /usr/sbin/sshd -E /var/log/lab/sshd.log -o PidFile=/run/lab/sshd.pid; fi
  spec "$1"; wait_for 5 answers_ssh "$ip" || die "$1: sshd does not answer"
}
sshd_with() { # NODE CONFIG, which contains MaxStartups
  sshd_stop "$1"; in_node "$1" sh -c 'printf "%s\n" "$1" >/etc/ssh/lab.conf' - "$2"; sshd_start "$1"
}
daemon_stop() {
  if is_sd "$1"; then in_node "$1" systemctl stop nix-daemon.socket nix-daemon.service
  else
    svc_kill "$1" nix-daemon CONT || true; svc_kill "$1" nix-daemon TERM || true
    wait_for 5 svc_dead "$1" nix-daemon || die "$1: nix-daemon does not end"
    in_node "$1" pkill -KILL -x nix-daemon || true         # children that serve clients
  fi
}
daemon_start() {
  svc_alive "$1" nix-daemon && in_node "$1" test -S /nix/var/nix/daemon-socket/socket && return 0
  if is_sd "$1"; then
    in_node "$1" sh -c 'systemctl reset-failed nix-daemon.socket nix-daemon.service 2>/dev/null; systemctl is-active -q nix-daemon || systemctl stop nix-daemon.socket; systemctl start nix-daemon.socket nix-daemon.service'; return
  fi
  daemon_stop "$1"
  in_node "$1" bash -c 'rm -f /nix/var/nix/daemon-socket/socket
    (echo 0 >/sys/fs/cgroup/system.slice/nix-daemon.service/cgroup.procs; exec setsid nix-daemon) >>/var/log/lab/nix-daemon.log 2>&1 </dev/null & echo $! >/run/lab/nix-daemon.pid'
  wait_for 5 in_node "$1" test -S /nix/var/nix/daemon-socket/socket || die "$1: nix-daemon does not start"
}
daemon_with() { # NODE CONFIG
  daemon_stop "$1"; in_node "$1" sh -c 'printf "%s\n" "$1" >/etc/nix/lab.conf' - "$2"; daemon_start "$1"
}
aux() { # NODE CMD... : starts a helper outside the node's PID namespace; `heal` ends it
  local n=$1; shift
  LAB_AUX=$n setsid "$@" >>"$NODES/$n/log/aux.log" 2>&1 </dev/null 3<&- 9<&- &
  echo $! >>"$NODES/$n/aux.pid"
}
fake_listener() { # NODE MODE
  sshd_stop "$1"
  aux "$1" nsenter -t "$(pid_of "$1")" -n -- "$(node_bin)" "$LIB/listener.mjs" "$2"
  wait_for 5 listens "$1" || { cat "$NODES/$1/log/aux.log" >&2; die "$1: the fake server does not listen"; }
}
logged_in() { in_node "$1" pgrep -u remotebuild -f lab-session >/dev/null; }
sessions() { in_net "$1" ss -Htn state established 'sport = :22' | wc -l; }

fault() { # NODE FAULT
  local n=$1 f=$2
  spec "$n"
  case $f in
    sshd-stop | sshd-listener) sshd_stop "$n" ;;
    sshd-freeze) svc_alive "$n" ssh || sshd_start "$n"; svc_kill "$n" ssh STOP ;;
    sshd-throttle)
      sshd_with "$n" $'MaxStartups 1:100:1\nLoginGraceTime 0'
      # retries until the login of `answers_ssh` has ended, because only one is allowed
      aux "$n" bash -c "while exec 3<>/dev/tcp/$ip/22; do read -r -u 3 line; [[ \$line == SSH-* ]] && exec sleep infinity; sleep 0.1; done"
      wait_for 5 rejects_logins "$ip" || die "$n: sshd rejects no login" ;;
    sshd-crowd)
      sshd_with "$n" $'MaxStartups 2:30:8'
      aux "$n" bash -c "one() { exec 3<>/dev/tcp/$ip/22; sleep 1.\$((RANDOM % 10)); }; while :; do (one) 2>/dev/null & (one) 2>/dev/null & wait; sleep 0.\$((RANDOM % 10)); done" ;;
    session)
      aux "$n" ssh -o BatchMode=yes -o "UserKnownHostsFile=$KEYS/known_hosts" -i "$KEYS/id" "remotebuild@$ip" 'sleep infinity; : lab-session'
      wait_for 5 logged_in "$n" || { cat "$NODES/$n/log/aux.log" >&2; die "$n: the login of the session failed"; } ;;
    link-down) in_net "$n" ip link set eth0 down; forget_neighbour "$ip" ;;
    blackhole) in_net "$n" sh -c "ip route replace blackhole $LAB_NET.0/25; ip route replace blackhole $LAB_NET.128/25" ;;
    reject) in_node "$n" nft -f - <<'NFT' ;;
add table inet lab
delete table inet lab
table inet lab {
  chain in {
    type filter hook input priority 0;
    tcp dport 22 reject with icmpx admin-prohibited
  }
}
NFT
    tarpit | garbage | garbage-close | binary) fake_listener "$n" "$f" ;;
    hostkey) sshd_stop "$n"; in_node "$n" sh -c "cp /lab/keys/newhost_$n /etc/ssh/ssh_host_ed25519_key; chmod 600 /etc/ssh/ssh_host_ed25519_key"; sshd_start "$n" ;;
    max-startups) sshd_with "$n" "${SSHD_USUAL/MaxStartups*/MaxStartups 1}"; in_node "$n" sh -c ': >/var/log/lab/sshd.log' ;;
    max-sessions) sshd_with "$n" "$SSHD_USUAL"$'\n''MaxSessions 0' ;;
    banner) in_node "$n" sh -c 'echo "# Authorized use only #" >/etc/ssh/lab-banner'
      sshd_with "$n" "$SSHD_USUAL"$'\n''Banner /etc/ssh/lab-banner' ;;
    kex) sshd_with "$n" "$SSHD_USUAL"$'\n''KexAlgorithms diffie-hellman-group1-sha1' ;;
    kex-pq) sshd_with "$n" "$SSHD_USUAL"$'\n''KexAlgorithms sntrup761x25519-sha512@openssh.com' ;;
    hostcert) sshd_with "$n" "$SSHD_USUAL"$'\n'"HostCertificate /lab/keys/host_$n-cert.pub" ;;
    hostcert-late) sshd_with "$n" "$SSHD_USUAL"$'\n'"HostCertificate /lab/keys/host_$n-late-cert.pub" ;;
    hostcert-soon) sshd_with "$n" "$SSHD_USUAL"$'\n'"HostCertificate /lab/keys/host_$n-soon-cert.pub" ;;
    user-ca) sshd_with "$n" "$SSHD_USUAL"$'\n''TrustedUserCAKeys /lab/keys/ca.pub' ;;
    rsa-host) sshd_with "$n" "$SSHD_USUAL"$'\n''HostKey /lab/keys/rsa_host'$'\n''HostKeyAlgorithms rsa-sha2-512,rsa-sha2-256' ;;
    penalties)
      in_node "$n" sshd -t -o PerSourcePenalties=no 2>/dev/null || die "$n: its sshd knows no PerSourcePenalties"
      sshd_with "$n" "$SSHD_USUAL"$'\n''PerSourcePenalties yes' ;;
    security-key) in_node "$n" sh -c 'echo sk-ssh-ed25519@openssh.com AAAAGnNrLXNzaC1lZDI1NTE5QG9wZW5zc2guY29tAAAAIAcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHAAAABHNzaDo= >>/etc/ssh/keys/remotebuild' ;;
    no-auth) in_node "$n" sh -c ': >/etc/ssh/keys/remotebuild' ;;
    nologin) in_node "$n" usermod -s /usr/sbin/nologin remotebuild ;;
    strict-modes) in_node "$n" chmod 666 /etc/ssh/keys/remotebuild ;;
    expired) in_node "$n" usermod -e 2001-01-01 remotebuild ;;
    locked) in_node "$n" usermod -p '!*' remotebuild ;;
    no-home) in_node "$n" sh -c '[ ! -d ~remotebuild ] || mv ~remotebuild /home/.lab-home' ;;
    force-command) sshd_with "$n" "$SSHD_USUAL"$'\n''ForceCommand /bin/echo Closed for maintenance' ;;
    mtu) in_node "$n" nft -f - <<'NFT' ;;
add table inet lab
delete table inet lab
table inet lab {
  chain out {
    type filter hook output priority 0;
    oifname "eth0" meta length > 600 drop
  }
}
NFT
    nix-conf) in_node "$n" sh -c 'echo "this is no setting" >/etc/nix/lab.conf' ;;
    tmp-full) in_node "$n" sh -c 'dd if=/dev/zero of=/tmp/.fill bs=64k 2>/dev/null; dd if=/dev/zero of=/tmp/.fill2 bs=4k 2>/dev/null; test "$(df --output=avail /tmp | tail -1)" -eq 0' ;;
    noisy-shell) in_node "$n" sh -c 'grep -q "^echo Welcome to the builder" ~remotebuild/.bashrc || sed -i "1i echo Welcome to the builder" ~remotebuild/.bashrc' ;;
    shell:*) in_node "$n" usermod -s "$(in_node "$n" sh -c 'command -v "$1"' - "${f#*:}")" remotebuild ;;
    startup:*) local file=${f#*:}; in_node "$n" sh -c 'cd ~remotebuild; mkdir -p "$(dirname "$1")"; touch "$1"
        [ -e "$1.lab-home" ] || cp "$1" "$1.lab-home"; { printf "%s\n" "$2"; cat "$1.lab-home"; } >"$1"; chmod 644 "$1"' - "${file%%:*}" "${file#*:}" ;;
    missing-shell) in_node "$n" sed -i 's,^\(remotebuild:.*:\)[^:]*$,\1/no/such/shell,' /etc/passwd ;;
    nologin-file) in_node "$n" sh -c 'echo "Maintenance until noon" >/etc/nologin' ;;
    no-processes) in_node "$n" sh -c 'prlimit --pid "$1" --nproc=1:1; touch /run/lab/limited' - "$(svc_pid "$n" ssh)" ;;
    slow-auth) in_node "$n" sh -c 'printf "#!/bin/sh\nsleep 15\ncat /etc/ssh/keys/\$1\n" >/etc/ssh/slow-keys; chmod 755 /etc/ssh/slow-keys'
      sshd_with "$n" "$SSHD_USUAL"$'\n''AuthorizedKeysFile none'$'\n''AuthorizedKeysCommand /etc/ssh/slow-keys %u'$'\n''AuthorizedKeysCommandUser root'$'\n''LoginGraceTime 120' ;;
    max-sessions) sshd_with "$n" "$SSHD_USUAL"$'\n''MaxSessions 0' ;;
    sshd:*) sshd_with "$n" "$SSHD_USUAL"$'\n'"${f#*:}" ;;
    do:*) in_node "$n" bash -c "${f#*:}" ;;
    undo:*) in_node "$n" sh -c 'printf "%s\n" "$1" >>/run/lab/undo' - "${f#*:}" ;;
    key-options:*) in_node "$n" sh -c 'printf "%s %s\n" "$1" "$(cat /lab/keys/id.pub)" >/etc/ssh/keys/remotebuild' - "${f#*:}" ;;
    no-nix) in_node "$n" bash -c 'cd /usr/bin; for f in nix nix-daemon nix-store; do [ ! -e $f ] || mv $f $f.lab-off; done' ;;
    nix-noexec) in_node "$n" bash -c 'cd /usr/bin; chmod 700 $(readlink -f nix nix-daemon nix-store | sort -u)' ;;
    daemon-stop) daemon_stop "$n"; in_node "$n" test -S /nix/var/nix/daemon-socket/socket || die "$n has no socket file any more" ;;
    daemon-nosocket) daemon_stop "$n"; in_node "$n" rm -f /nix/var/nix/daemon-socket/socket ;;
    daemon-freeze) daemon_start "$n"; svc_kill "$n" nix-daemon STOP ;;
    daemon-crash) in_node "$n" bash -c 'cd /usr/bin; for f in nix-daemon nix-store; do
        [ -e $f.lab-off ] || mv $f $f.lab-off
        printf "#!/bin/sh\nhead -c 4 >/dev/null\nexit 1\n" >$f; chmod 755 $f; done' ;;
    not-allowed) daemon_with "$n" $'allowed-users = root\ntrusted-users = root' ;;
    no-sh) daemon_with "$n" $'sandbox = true\nsandbox-paths =\nextra-sandbox-paths =' ;;
    no-jobs) daemon_with "$n" 'max-jobs = 0' ;;
    no-emulator) daemon_with "$n" 'extra-platforms = aarch64-linux' ;;
    build-timeout) builds_do "$n" '/bin/sleep 20'; daemon_with "$n" 'timeout = 3' ;;
    setting:*) daemon_with "$n" "${f#*:}" ;;
    build-slow) builds_do "$n" '/bin/sleep 40' ;;
    build-oom) builds_do "$n" 'echo 1000 >/proc/self/oom_score_adj; exec /usr/bin/tail /dev/zero'; memory_limit "$n" 128 ;;
    build-fills) in_node "$n" sh -c ': >>/nix/.fill; chmod 666 /nix/.fill'; builds_do "$n" '/bin/cat /dev/zero >>/nix/.fill 2>/dev/null' ;;
    users-busy) holds "$n" 'cd /nix/var/nix; mkdir -p userpool; cd userpool
        for u in $(getent group nixbld | cut -d: -f4 | tr , " "); do flock -x "$(id -u "$u")" sleep infinity & done; wait'
      wait_for 5 users_taken "$n" || die "$n: the build users are still free" ;;
    gc-run) aux "$n" nsenter -t "$(pid_of "$n")" -m -- env -i "LAB_AUX=$n" "PATH=$CLEAN_PATH" HOME=/root bash -c 'while :; do nix-collect-garbage; done' ;;
    gc-lock) holds "$n" 'exec flock -x /nix/var/nix/gc.lock sleep infinity'
      wait_for 5 gc_locked "$n" || die "$n: the lock is still free" ;;
    store-lock) holds "$n" 'exec flock -x /nix/var/nix/db/big-lock sleep infinity'
      wait_for 5 store_locked "$n" || die "$n: the lock is still free" ;;
    db-lock) holds "$n" 'exec perl -MFcntl -e "open F, q(+<), q(/nix/var/nix/db/db.sqlite) or die; my \$lock = pack q(s s x4 q q l x4), F_WRLCK, 0, 1073741824, 512, 0; fcntl F, F_SETLKW, \$lock or die; sleep"'
      wait_for 20 db_locked "$n" || die "$n: the database is not locked" ;;
    disk-full) in_node "$n" sh -c 'dd if=/dev/zero of=/nix/.fill bs=64k conv=notrunc oflag=append 2>/dev/null; dd if=/dev/zero of=/nix/.fill2 bs=4k conv=notrunc oflag=append 2>/dev/null; test "$(df --output=avail /nix | tail -1)" -eq 0' ;;
    inodes-full) wait_for 5 no_inodes "$n" || die "$n still has inodes" ;;
    low-space) in_node "$n" sh -c 'rm -f /nix/.fill; fallocate -l $(($(df --output=avail -B1 /nix | tail -1) - '$((LAB_STORE_MB * 1048576 / 16))')) /nix/.fill' ;;
    store-ro) wait_for 5 read_only "$n" || die "$n: something still writes to /nix" ;;
    slow | slow:*) local r=${f#slow}; r=${r#:}; r=${r:-64kbit}
      in_net "$n" tc qdisc replace dev eth0 root tbf rate "$r" burst 2kb limit 1mb
      tc qdisc replace dev "$(veth "$n")" root tbf rate "$r" burst 2kb limit 1mb ;;
    mem-max | mem-max:*) local sz=${f#mem-max}; sz=${sz#:}; sz=${sz:-64M}
      is_sd "$n" || die "mem-max needs a systemd node"
      in_node "$n" systemctl set-property --runtime nix-daemon.service "MemoryMax=$sz" MemorySwapMax=0
      in_node "$n" test -e /sys/fs/cgroup/system.slice/nix-daemon.service/memory.max ||
        die "this host has no memory controller in cgroup v2: MemoryMax is not enforced" ;;
    power-off) stop_node "$n"; forget_neighbour "$ip" ;;
    *) die "no such fault: $f" ;;
  esac
}
holds() { # NODE COMMANDS : runs in the node's PID namespace, so that /proc/locks shows the holder
  in_node "$1" nix-store --init # a node that was never asked has no database and no lock files
  in_node "$1" sh -c 'mkdir -p /run/lab; setsid sh -c "$1" >/dev/null 2>&1 </dev/null & echo $! >>/run/lab/holders' - "$2"
}
users_taken() { in_node "$1" sh -c 'cd /nix/var/nix/userpool && for u in [0-9]*; do ! flock -n "$u" true || exit 1; done' 2>/dev/null; }
builds_do() { # NODE COMMANDS : every build runs them before its own script
  in_node "$1" bash -c 'cd /usr/bin; [ -e sh.lab-off ] || cp -P sh sh.lab-off
    printf "#!/bin/dash\ncase \$(/usr/bin/id -un) in nixbld*) %s ;; esac\nexec /bin/dash \"\$@\"\n" "$1" >sh.lab-new
    chmod 755 sh.lab-new; mv -f sh.lab-new sh' - "$2"
}
CGM=$(findmnt -rn -t cgroup -O memory -o TARGET 2>/dev/null | head -n 1) || true
memory_of() { printf '%s/lab-%s-%s' "$CGM" "$LAB_BRIDGE" "$1"; }
memory_limit() { # NODE MEGABYTES : limits nix-daemon and its children, with cgroup v1 or v2
  local n=$1 c p
  if [[ $CGM ]]; then
    c=$(memory_of "$n"); mkdir -p "$c"
    echo $(($2 * 1048576)) >"$c/memory.limit_in_bytes"
    p=$(outer_pid "$n" nix-daemon) || die "$n: nix-daemon is not running"
    echo "$p" >"$c/cgroup.procs"
  else
    in_node "$n" sh -c "echo $(($2 * 1048576)) >/sys/fs/cgroup/system.slice/nix-daemon.service/memory.max" ||
      die "this machine has no memory controller for the lab"
  fi
}
memory_free() { # NODE
  local c p
  [[ $CGM ]] && c=$(memory_of "$1") && [[ -d $c ]] || return 0
  for p in $(cat "$c/cgroup.procs"); do echo "$p" >"$CGM/cgroup.procs" 2>/dev/null || true; done
  rmdir "$c" 2>/dev/null || true
}
outer_pid() { # NODE NAME : the pid on the host of the node's service (the child of PID 1 with that name)
  local p; p=$(pid_of "$1")
  pgrep -x -P "$p" "$2" | head -n 1 | grep .
}
forget_neighbour() { # IP : or packets go to its old hardware address for some seconds
  local n
  ip neigh flush to "$1" dev "$LAB_BRIDGE" 2>/dev/null || true
  for n in $(all_nodes); do
    pid_of "$n" >/dev/null && in_net "$n" ip neigh flush to "$1" dev eth0 2>/dev/null || true
  done
}
no_inodes() { # retried, because the number of files changes
  in_node "$1" sh -c 'mount -o "remount,nr_inodes=$(($(df --output=iused /nix | tail -1)))" /nix && test "$(df --output=iavail /nix | tail -1)" -eq 0' 2>/dev/null
}
read_only() { in_node "$1" sh -c 'pkill -KILL -x nix-store; mount -o remount,ro /nix' 2>/dev/null; }
rejects_logins() { [[ $(timeout 1 bash -c "exec 3<>/dev/tcp/$1/22 && head -c 4 <&3" 2>/dev/null) != "SSH-" ]]; }
store_locked() { in_node "$1" test -e /nix/var/nix/db/big-lock && ! in_node "$1" flock -n /nix/var/nix/db/big-lock true; }
db_locked() { in_node "$1" sh -c 'grep -q "POSIX.*WRITE.*:$(stat -c %i /nix/var/nix/db/db.sqlite) 1073741824 " /proc/locks'; }
gc_locked() { in_node "$1" test -e /nix/var/nix/gc.lock && ! in_node "$1" flock -n /nix/var/nix/gc.lock true; }

heal() { # NODE
  local n=$1
  pid_of "$n" >/dev/null || { (start_node "$n"); return; }
  spec "$n"
  aux_stop "$n"; memory_free "$n"
  in_net "$n" sh -c "ip link set eth0 up; ip route del blackhole $LAB_NET.0/25; ip route del blackhole $LAB_NET.128/25; tc qdisc del dev eth0 root" 2>/dev/null || true
  tc qdisc del dev "$(veth "$n")" root 2>/dev/null || true
  svc_kill "$n" ssh CONT || true; svc_kill "$n" nix-daemon CONT || true
  # exit code: 1 restart sshd, 2 restart nix-daemon, 3 both
  local again=0
  in_node "$n" bash -c '
    again=0
    nft delete table inet lab 2>/dev/null
    if [ -e /run/lab/undo ]; then bash /run/lab/undo >/dev/null 2>&1; rm -f /run/lab/undo; fi
    pkill -KILL -u remotebuild
    [ ! -d /home/.lab-home ] || mv /home/.lab-home ~remotebuild
    chmod 644 /etc/ssh/keys/remotebuild; usermod -e "" -p "*" remotebuild
    rm -f /tmp/.fill /tmp/.fill2 /etc/nologin
    for f in $(find ~remotebuild -name "*.lab-home"); do mv -f "$f" "${f%.lab-home}"; done
    [ ! -e /run/lab/limited ] || { rm -f /run/lab/limited; again=1; }
    for p in $(cat /run/lab/holders 2>/dev/null); do kill -KILL -- "-$p"; done; rm -f /run/lab/holders
    cd /usr/bin; for f in *.lab-off; do [ -e "$f" ] && mv -f "$f" "${f%.lab-off}"; done
    chmod 755 $(readlink -f nix nix-daemon nix-store | sort -u); cd /
    sed -i "/^echo Welcome to the builder/d" ~remotebuild/.bashrc
    [ "$(getent passwd remotebuild | cut -d: -f7)" = /bin/bash ] || usermod -s /bin/bash remotebuild
    cmp -s /lab/keys/id.pub /etc/ssh/keys/remotebuild || cp /lab/keys/id.pub /etc/ssh/keys/remotebuild
    mount -o remount,rw,nr_inodes=50k /nix 2>/dev/null || mount -o remount,rw /nix
    if [ -e /nix/.fill ] || [ -e /nix/.fill2 ]; then
      rm -f /nix/.fill /nix/.fill2
      nix-store --gc >/dev/null 2>&1      # a build that hit ENOSPC leaves its output behind (2.8, 2.26)
    fi
    cmp -s /lab/keys/host_$(hostname) /etc/ssh/ssh_host_ed25519_key || {
      cp /lab/keys/host_$(hostname) /etc/ssh/ssh_host_ed25519_key; chmod 600 /etc/ssh/ssh_host_ed25519_key; again=1; }
    [ "$(cat /etc/ssh/lab.conf)" = "'"$SSHD_USUAL"'" ] || { echo "'"$SSHD_USUAL"'" >/etc/ssh/lab.conf; again=1; }
    [ ! -s /etc/nix/lab.conf ] || { : >/etc/nix/lab.conf; again=$((again | 2)); }
    exit $again' || again=$?
  ((again > 3)) && die "$n: heal failed ($again)"
  ((again & 1)) && sshd_stop "$n"
  svc_alive "$n" ssh && listens "$n" || sshd_start "$n"
  ((again & 2)) && daemon_stop "$n"
  daemon_start "$n"
  wait_for 10 node_ready "$(pid_of "$n")" "$ip" || die "$n is not ready after heal"
}

# Cached Debian roots, and unpacked tools.

have_root() { [[ $1 == host || -e $LAB_ROOTS/$1.v$ROOT_VERSION.ok ]]; }

mirror() { # the Debian mirror of this machine's apt
  [[ ${LAB_MIRROR:-} ]] && { printf '%s' "$LAB_MIRROR"; return; }
  apt-get indextargets --format '$(SITE)' 'Origin: Debian' 2>/dev/null | grep -v security | sort | uniq -c | sort -rn | awk 'NR==1{printf "%s", $2}'
}

get_tools() { # [NAME...] : unpacks packages without installing them, so no service starts
  local t deb
  mkdir -p "$LAB_DIR/dl" "$TOOLS"
  for t in "${@:-mmdebstrap}"; do
    command -v "$t" >/dev/null && continue
    say "lab: fetching $t"
    (cd "$LAB_DIR/dl" && apt-get -q -o APT::Sandbox::User=root download "$t" >/dev/null) || die "cannot download the package $t: run apt-get update"
    for deb in "$LAB_DIR/dl/$t"_*.deb; do dpkg -x "$deb" "$TOOLS"; done
  done
}

build_root() { # SUITE
  local s=$1 t=$LAB_ROOTS/$1.tmp
  have_root "$s" && return 0
  rm -rf "$t"; mkdir -p "$LAB_ROOTS" "$LAB_DIR/tmp"
  local -a opt=()
  # the Release of a suite in development is valid for 7 days only
  [[ $s == forky || $s == sid || $s == testing ]] && opt+=(--aptopt='Acquire::Check-Valid-Until "false"')
  TMPDIR=$LAB_DIR/tmp mmdebstrap --mode=root --variant=essential \
    --keyring="${LAB_KEYRING:-/usr/share/keyrings/debian-archive-keyring.gpg}" \
    --aptopt='Acquire::Languages "none"' "${opt[@]}" \
    --dpkgopt=force-unsafe-io \
    --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/doc/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' \
    --include="$PACKAGES" "$s" "$t" "$2" >"$LAB_ROOTS/$s.log" 2>&1 </dev/null ||
    { tail -5 "$LAB_ROOTS/$s.log" >&2; die "mmdebstrap $s failed, see $LAB_ROOTS/$s.log"; }
  prepare_root "$t"
  rm -f "$t"/etc/ssh/ssh_host_*
  rm -rf "${LAB_ROOTS:?}/$s"; mv "$t" "$LAB_ROOTS/$s"
  chroot "$LAB_ROOTS/$s" dpkg-query -W -f '${Version}\n' nix-bin >"$LAB_ROOTS/$s.v$ROOT_VERSION.ok"
}

prepare_root() { # ROOTDIR : users
  local r=$1 u
  for u in $USERS; do
    grep -q "^$u:" "$r/etc/passwd" && continue
    chroot "$r" useradd -m -s /bin/bash -p '*' "$u"       # '*': no password, but not "locked" for sshd
    # Debian: /nix/var/nix/daemon-socket is 0770 root:nix-users
    [[ $u == outsider ]] || chroot "$r" usermod -aG nix-users "$u"
  done
  chroot "$r" usermod -s /usr/sbin/nologin noshell
}

build_roots() { # NODE...
  local n s pids=() suites=() m rc=0 p
  for n in "$@"; do spec "$n"; have_root "$suite" || suites+=("$suite"); done
  [[ ${#suites[@]} -gt 0 ]] || return 0
  get_tools mmdebstrap
  m=$(mirror); [[ $m ]] || die "found no Debian mirror in this machine's apt sources (set LAB_MIRROR)"
  for s in $(printf '%s\n' "${suites[@]}" | sort -u); do
    say "lab: building root $s"; build_root "$s" "$m" & pids+=($!)
  done
  for p in "${pids[@]}"; do wait "$p" || rc=1; done
  [[ $rc == 0 ]] || die "building roots failed"
}

make_keys() {
  local k n
  mkdir -p "$KEYS"; chmod 755 "$KEYS"
  exec 9>"$LAB_DIR/keys.lock"; flock 9
  # id: accepted everywhere; wrong: accepted nowhere; locked: has a passphrase; open: readable by others; notakey: not a key
  for k in id wrong; do
    [[ -e $KEYS/$k ]] || ssh-keygen -q -t ed25519 -N '' -C "lab-$k" -f "$KEYS/$k"
  done
  [[ -e $KEYS/locked ]] || { cp "$KEYS/id" "$KEYS/locked"; ssh-keygen -q -p -P '' -N secret -f "$KEYS/locked" >/dev/null; }
  [[ -e $KEYS/open ]] || { cp "$KEYS/id" "$KEYS/open"; chmod 644 "$KEYS/open"; }
  [[ -e $KEYS/notakey ]] || { echo 'this is not a private key' >"$KEYS/notakey"; chmod 600 "$KEYS/notakey"; }
  # pub: a public key instead of a private one; ca: signs hosts and users; signed, late, soon: keys that are accepted only
  # with their certificates: that of `late` is expired, that of `soon` ends tomorrow
  [[ -e $KEYS/pub ]] || { cp "$KEYS/id.pub" "$KEYS/pub"; chmod 600 "$KEYS/pub"; }
  for k in ca signed late soon; do
    [[ -e $KEYS/$k ]] || ssh-keygen -q -t ed25519 -N '' -C "lab-$k" -f "$KEYS/$k"
  done
  [[ -e $KEYS/signed-cert.pub ]] || ssh-keygen -q -s "$KEYS/ca" -I signed -n remotebuild "$KEYS/signed.pub"
  [[ -e $KEYS/late-cert.pub ]] || ssh-keygen -q -s "$KEYS/ca" -I late -n remotebuild -V 20200101:20200102 "$KEYS/late.pub"
  ssh-keygen -q -s "$KEYS/ca" -I soon -n remotebuild -V -1h:+1d "$KEYS/soon.pub"
  [[ -e $KEYS/rsa_host ]] || ssh-keygen -q -t rsa -b 2048 -N '' -C host-rsa -f "$KEYS/rsa_host"
  for n in $(all_nodes); do
    [[ -e $KEYS/host_$n ]] || ssh-keygen -q -t ed25519 -N '' -C "host-$n" -f "$KEYS/host_$n"
    [[ -e $KEYS/host_$n-cert.pub ]] || sign_host "$n"
    cp "$KEYS/host_$n.pub" "$KEYS/host_$n-soon.pub"
    ssh-keygen -q -s "$KEYS/ca" -I "$n" -h -n "$n,cert.$n" -V -1h:+1d "$KEYS/host_$n-soon.pub"
    [[ -e $KEYS/newhost_$n ]] || ssh-keygen -q -t ed25519 -N '' -C "newhost-$n" -f "$KEYS/newhost_$n"
  done
  known_hosts >"$KEYS/known_hosts"
  cp "$KEYS/known_hosts" "$KEYS/known_hosts.hashed"; chmod 644 "$KEYS/known_hosts.hashed"
  ssh-keygen -q -H -f "$KEYS/known_hosts.hashed" >/dev/null 2>&1; rm -f "$KEYS/known_hosts.hashed.old"
  exec 9>&-
}
sign_host() { # NODE : a valid and an expired certificate
  local k=$KEYS/host_$1
  cp "$k.pub" "$k-late.pub"
  ssh-keygen -q -s "$KEYS/ca" -I "$1" -h -n "$1,cert.$1" -V 20200101:20200102 "$k-late.pub"
  ssh-keygen -q -s "$KEYS/ca" -I "$1" -h -n "$1,cert.$1" "$k.pub"
}

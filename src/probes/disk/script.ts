/**
 * Prints the file systems of the store, the build directory (its path from nix.conf), the state and the logs: one `stat` for all,
 * or one for each where that fails. A file system that hangs is given up after 5 s.
 */
// A repetition of more than 255 is an error for the regular expressions of musl
export const diskScript = `
limit=; command -v timeout >/dev/null 2>&1 && limit='timeout 5'
space() {
  echo "== $1 $2"
  case $os in
    Linux) $limit stat -f -c 'statfs %a %b %S %d %c' "$2" 2>/dev/null || $limit df -Pk "$2" 2>/dev/null | tail -n 1 ;;
    *) df -Pk "$2" 2>/dev/null | tail -n 1; df -i "$2" 2>/dev/null | tail -n 1 | sed 's/^/inodes /' ;;
  esac
}
build=
[ ! -r /etc/nix/nix.conf ] || while IFS=' \t=' read -r key value || [ -n "$key" ]; do
  [ "$key" != build-dir ] || build=$value
done </etc/nix/nix.conf
kind=build
[ -d "$build" ] || build=/nix/var/nix/builds
[ -d "$build" ] || { kind=tmp; build=/tmp; }
labels=
set --
for place in "store /nix/store" "$kind $build" 'state /nix/var/nix' 'log /nix/var/log/nix'; do
  [ -d "\${place#* }" ] || continue
  labels="$labels \${place%% *}"
  set -- "$@" "\${place#* }"
done
newline='
'
if [ "$os" = Linux ] && all=$($limit stat -f -c 'statfs %a %b %S %d %c' "$@" 2>/dev/null); then
  for label in $labels; do
    echo "== $label $1"
    shift
    echo "\${all%%"$newline"*}"
    all=\${all#*"$newline"}
  done
else
  # One that hangs or fails hides no other
  for label in $labels; do space "$label" "$1"; shift; done
fi
echo "== mounts"
[ ! -r /proc/mounts ] || sed -nE '/^[^ ]+ \\/(nix[^ ]*)? /{s/^(.{150}.{150}).*/\\1/;p;}' /proc/mounts
`

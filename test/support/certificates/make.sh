#!/usr/bin/env bash
# Creates the files in this directory, with OpenSSL 3: `bash make.sh`. The keys are for tests only; valid until 2120.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")"
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
request() {
  openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1.key"
  openssl req -new -key "$1.key" -subj "/CN=$2" -out "$work/$1.csr"
}
authority() {
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$work/$1.key" -subj "/CN=$2" -days 36500 \
    -addext keyUsage=critical,keyCertSign -out "$1.pem"
}
sign() { # name, authority, extensions, from, until
  : >"$work/index.txt"; openssl rand -hex 8 >"$work/serial"
  cat >"$work/ca.cnf" <<EOF
[ca]
default_ca=d
[d]
database=$work/index.txt
serial=$work/serial
new_certs_dir=$work
default_md=sha256
policy=p
[p]
commonName=supplied
[e]
basicConstraints=CA:FALSE
$3
EOF
  openssl ca -batch -notext -config "$work/ca.cnf" -extensions e -cert "$2.pem" -keyfile "$work/$2.key" \
    -in "$work/$1.csr" -startdate "$4" -enddate "$5" -out "$1.pem"
}
server=$'extendedKeyUsage=serverAuth\nsubjectAltName=DNS:localhost,IP:127.0.0.1'
client=$'extendedKeyUsage=clientAuth\nsubjectAltName=DNS:scraper.example,URI:spiffe://example/scraper,IP:192.0.2.7,email:ops@example.org'
authority ca "builder-monitor test CA"
authority other-ca "another test CA"
for name in server renewed expired future; do request $name localhost; done
for name in client untrusted; do request $name scraper; done
sign server ca "$server" 20200101000000Z 21200101000000Z
sign renewed ca "$server" 20200101000000Z 21200101000000Z
sign expired ca "$server" 20200101000000Z 20200201000000Z
sign future ca "$server" 21190101000000Z 21200101000000Z
sign client ca "$client" 20200101000000Z 21200101000000Z
sign untrusted other-ca "$client" 20200101000000Z 21200101000000Z
openssl pkey -in server.key -aes256 -passout pass:test -out encrypted.key
chmod 644 ./*.key

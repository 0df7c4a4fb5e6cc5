# Of the production dependencies. Written by scripts/npm-deps-hash.sh --write
"sha256-qWOAKy/xaYl035u+Rd5Z2cP2pQCZ5BOfkn+lT+RfTrc="

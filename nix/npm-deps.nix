# Of the production dependencies. Written by scripts/npm-deps-hash.sh --write
"sha256-NjpzPjkmzyf21Wt59OsvfODN1iiunxNFo3dy52Hl8oo="

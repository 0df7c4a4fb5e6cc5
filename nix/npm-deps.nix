# Of the production dependencies. Written by scripts/npm-deps-hash.sh --write
"sha256-YrjLdzsjTjA5WwLA/HFF1zoyx0A8okxMbmyg7TpoA4I="

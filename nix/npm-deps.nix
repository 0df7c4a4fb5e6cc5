# Of the production dependencies. Written by scripts/npm-deps-hash.sh --write
"sha256-hwDKnPAW5hYpaBcNRoBcUyjWh1itoJZgfF5ixFaZC7w="

// Runs TypeScript sources in node: `node --import ./scripts/ts/register.mjs FILE.ts`. Each file is translated once and cached in
// node_modules/.cache; tap's own loader translates everything again for each test file.
import { register } from 'node:module'

register('./hooks.mjs', import.meta.url)

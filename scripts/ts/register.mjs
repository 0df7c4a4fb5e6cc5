// Lets node run the sources as they are: `node --import ./scripts/ts/register.mjs FILE.ts`. Each file is translated once and kept in
// node_modules/.cache, for the loader that tap brings translates everything anew for each test file.
import { register } from 'node:module'

register('./hooks.mjs', import.meta.url)

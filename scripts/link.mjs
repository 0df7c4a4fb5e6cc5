// Puts the built program where `npx builder-monitor` looks first. Without it npx keeps a copy of this package in its cache,
// which stays without the program for good if npx ran before the build.
import { chmodSync, existsSync, mkdirSync, rmSync, symlinkSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const program = join(root, 'dist', 'main.js')
const link = join(root, 'node_modules', '.bin', 'builder-monitor')

if (process.platform !== 'win32' && existsSync(program)) {
  chmodSync(program, 0o755)
  mkdirSync(dirname(link), { recursive: true })
  rmSync(link, { force: true })
  symlinkSync(join('..', '..', 'dist', 'main.js'), link)
}

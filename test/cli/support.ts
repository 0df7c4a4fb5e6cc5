/** The built program as a child process. */
import { spawn } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Test } from 'tap'

const main = fileURLToPath(new URL('../../dist/main.js', import.meta.url))

interface Ended {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

/** Runs the built program. */
export const start = (args: readonly string[], env: NodeJS.ProcessEnv = {}) => {
  const child = spawn(process.execPath, [main, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    // Hides nix, ssh and settings of this machine from the program
    env: { PATH: '/nonexistent', HOME: '/nonexistent', ...env },
  })
  let stdout = ''
  let stderr = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text))
  const ended = new Promise<Ended>(resolve =>
    child.on('close', code => resolve({ code, stdout, stderr })),
  )
  const saw = async (pattern: RegExp): Promise<RegExpExecArray> => {
    for (const started = Date.now(); ;) {
      const found = pattern.exec(stdout) ?? pattern.exec(stderr)
      if (found) return found
      if (child.exitCode !== null)
        throw new Error(`ended with ${child.exitCode}: ${stderr}`)
      if (Date.now() - started > 60_000)
        throw new Error(`${String(pattern)} was not printed: ${stdout}${stderr}`)
      await new Promise(resolve => setTimeout(resolve, 20))
    }
  }
  return { child, ended, saw }
}
export const run = (args: readonly string[], env?: NodeJS.ProcessEnv) =>
  start(args, env).ended

/** Creates a directory that is deleted after the test. */
export const scratch = async (t: Test): Promise<string> => {
  const directory = await mkdtemp(join(tmpdir(), 'cli-test-'))
  t.teardown(() => rm(directory, { recursive: true, force: true }))
  return directory
}

/** The environment of a Nix with these machine lines. */
export const conf = async (t: Test, machines: string): Promise<NodeJS.ProcessEnv> => {
  const directory = await scratch(t)
  await writeFile(join(directory, 'machines'), machines)
  await writeFile(join(directory, 'nix.conf'), `builders = @${directory}/machines\n`)
  return { NIX_CONF_DIR: directory, NIX_USER_CONF_FILES: '' }
}

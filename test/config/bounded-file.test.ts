import { execFileSync } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { validationContext } from '../../src/cli/validation-context.ts'
import { readBoundedFile } from '../../src/config/bounded-file.ts'
import { loadConfig } from '../../src/config/config.ts'
import { loadWebConfig } from '../../src/config/web/web-config.ts'

t.test(
  'what is no readable regular file is one clear error, without waiting',
  async t => {
    // The path of a socket has at most 107 bytes
    const directory = await mkdtemp(join(tmpdir(), 'files-'))
    t.teardown(() => rm(directory, { recursive: true }))
    const at = (name: string) => join(directory, name)
    const pipe = at('pipe')
    execFileSync('mkfifo', [pipe])
    const socket = at('socket')
    const server = createServer()
    await new Promise<void>(resolve => server.listen(socket, resolve))
    t.teardown(() => server.close())
    await writeFile(at('large'), ' '.repeat(2 * 1024 * 1024))
    const errors: readonly (readonly [string, string])[] = [
      [pipe, 'is not a regular file'],
      [socket, 'is not a regular file'],
      ['/dev/zero', 'is not a regular file'],
      ['/dev/null', 'is not a regular file'],
      [directory, 'is a directory'],
      [at('large'), 'is larger than 1 MiB'],
      [at('missing'), 'does not exist'],
      [`${pipe}/below`, 'cannot be read (ENOTDIR)'],
    ]
    for (const [path, error] of errors) {
      t.match(await readBoundedFile(path), { error }, path)
      const expected = { ok: false, errors: [`${path}: ${error}`] }
      t.match(await loadConfig(path, false, validationContext), expected)
      t.match(await loadWebConfig(path), expected)
    }
    t.match(await loadConfig(at('missing'), true, validationContext), { ok: true })
    t.match(await loadConfig(pipe, true, validationContext), { ok: false })
  },
)

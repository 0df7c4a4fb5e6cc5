/** The slot holder as a process. */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import t from 'tap'
import { run, scratch, start } from './support.ts'

const ask = (path: string, request: object): Promise<string> =>
  new Promise((resolve, reject) => {
    const socket = connect(path, () => socket.write(`${JSON.stringify(request)}\n`))
    let reply = ''
    socket.setEncoding('utf8')
    socket.on('data', (text: string) => {
      reply += text
      if (!/"held":\["|"error"/.test(reply)) return
      resolve(reply)
      socket.destroy()
    })
    socket.on('error', reject)
  })
const isFree = (path: string) => spawnSync('flock', ['-n', path, 'true']).status === 0
const path = process.env['PATH']

t.test('holds slots until it is killed, and starts again after that', async t => {
  const directory = await scratch(t)
  const socket = join(directory, 'hold.sock')
  const load = join(directory, 'current-load')
  const env = { PATH: path, NIX_STATE_DIR: directory }
  const request = { pid: 1, directory: load, hold: ['b1-0'], abort: [] }

  const first = start(['hold-slots', '--socket', socket], env)
  await first.saw(/started/)
  t.match(await ask(socket, request), '"held":["b1-0"]')
  t.match(await run(['hold-slots', '--socket', socket], env), {
    code: 1,
    stderr: /cannot listen on .*EADDRINUSE/,
  })
  first.child.kill('SIGKILL')
  await first.ended
  t.ok(isFree(join(load, 'b1-0')))
  t.ok(existsSync(socket), 'its socket is left')

  const second = start(['hold-slots', '--socket', socket], env)
  await second.saw(/started/)
  t.match(await ask(socket, request), '"held":["b1-0"]')
  second.child.kill('SIGTERM')
  t.match(await second.ended, { code: 0, stdout: /stopped/ })
})

t.test('without a program that locks, each connection is told so', async t => {
  const directory = await scratch(t)
  mkdirSync(join(directory, 'empty'))
  const socket = join(directory, 'hold.sock')
  const holder = start(['hold-slots', '--socket', socket], {
    PATH: join(directory, 'empty'),
    NIX_STATE_DIR: directory,
  })
  await holder.saw(/started/)
  t.match(await ask(socket, {}), /neither flock \(util-linux\) nor perl is installed/)
  holder.child.kill('SIGTERM')
  t.match(await holder.ended, { code: 0 })
})

t.test('without a socket it says how to start it', async t => {
  t.match(await run(['hold-slots']), {
    code: 3,
    stderr: /sudo systemctl start builder-monitor-slots\.socket/,
  })
})

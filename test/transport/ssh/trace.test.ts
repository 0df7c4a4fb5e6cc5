/** The trace of a login. */
import t from 'tap'
import { generateKey } from '../../../src/demo/keys.ts'
import type { Trace } from '../../../src/model/index.ts'
import { createDial } from '../../../src/transport/ssh/dial.ts'
import { createRun } from '../../../src/transport/run.ts'
import { formatTarget } from '../../../src/transport/ssh/format-trace.ts'
import { splitSshOpts } from '../../../src/transport/ssh/ssh-command.ts'
import { aBuilder } from '../../support/builders.ts'
import {
  blobOf,
  clientKey,
  clock,
  hostKey,
  keyFile,
  never,
  pinOf,
  rawServer,
  sshServer,
} from './support.ts'
import { fingerprintOf } from '../../../src/transport/ssh/known-hosts.ts'
import { aTarget } from './target.ts'

const notes = () => {
  const steps: string[] = []
  const trace: Trace = (step, detail = '') => steps.push(`${step}: ${detail}`)
  return { steps, trace }
}

const login = async (port: number, keys: readonly string[], pin = hostKey.public) => {
  const { steps, trace } = notes()
  const dial = createDial({
    run: createRun(),
    clock,
    env: {},
    nix: () => ({ version: '2.31.0', system: 'x86_64-linux' }),
    resolve: () => aTarget({ port, identityFiles: keys }),
  })
  const builder = aBuilder({ host: '127.0.0.1', port, publicHostKey: pinOf(pin) })
  const dialled = await dial({ ...builder, sshKey: keys[0]! }, never, trace)
  t.teardown(() => dialled.connection?.close())
  return { ...dialled, steps, text: steps.join('\n') }
}
const fingerprint = (publicLine: string) => fingerprintOf(blobOf(publicLine))

t.test('traces a successful login', async t => {
  const { port } = await sshServer(t)
  const otherKey = generateKey('other')
  const [wrong, right] = [keyFile(t, otherKey.private), keyFile(t)]
  const { outcome, steps, text } = await login(port, [wrong, right])
  t.equal(outcome.status, 'ok')
  t.match(
    steps.map(step => step.split(':')[0]),
    [
      'ssh -G',
      'keys and known hosts',
      'connect',
      'identification',
      'host key',
      'key exchange',
      'offer',
      'rejected',
      'offer',
      'logged in',
      'channel',
    ],
  )
  t.match(text, `127.0.0.1 port ${port} connected in `)
  t.match(
    text,
    `host key: ssh-ed25519 ${fingerprint(hostKey.public)}: verified by pinned`,
  )
  t.match(text, `offer: ${wrong} ssh-ed25519 ${fingerprint(otherKey.public)}`)
  t.match(text, 'rejected: the server accepts publickey')
  t.match(text, `offer: ${right} ssh-ed25519 ${fingerprint(clientKey.public)}`)
  t.notMatch(text, /PRIVATE|b3BlbnNzaC1rZXk/, 'no private key and no public key data')
})

t.test('traces a failed login with its stage and the received text', async t => {
  const { port } = await sshServer(t)
  const other = await login(port, [keyFile(t)], generateKey('other').public)
  t.match(other.text, /host key: ssh-ed25519 SHA256:\S+: host_key_mismatch, pinned/)
  t.match(other.text, /login failed: .*in stage host_key/)

  const refused = await login(port, [keyFile(t, generateKey('other').private)])
  t.match(refused.text, /rejected: the server accepts publickey\nlogin failed: /)

  const httpPort = await rawServer(t, socket => socket.end('HTTP/1.1 400 Bad\r\n'))
  const { text } = await login(httpPort, [keyFile(t)])
  t.match(text, 'in stage banner; the server sent "HTTP/1.1 400 Bad')

  const gone = await rawServer(t, socket => socket.destroy())
  t.match((await login(gone, [keyFile(t)])).text, 'login failed')
})

t.test('omits values of NIX_SSHOPTS and the proxy command', t => {
  const options = splitSshOpts(
    `-oSetEnv=TOKEN=planted -o "ProxyCommand=nc --password planted" -F /conf -vplanted -J planted`,
    true,
  )
  const text = formatTarget(
    {
      destination: 'nix@b1',
      pinnedHostName: 'b1',
      options: [...options, '-i', '/key'],
      nixSshOpts: options,
    },
    aTarget({ proxyCommand: 'nc --password planted', agent: '/run/agent' }),
  )
  t.equal(
    text.split('\n')[0],
    'ssh -o SetEnv=... -o ProxyCommand=... -F /conf -v -J ... -i /key -- nix@b1',
  )
  t.match(text, 'uses a ProxyCommand')
  t.match(text, 'agent /run/agent')
  t.notMatch(text, 'planted')
  t.end()
})

/** A nix-daemon that does not run as root: its user's ssh is that of builds, and fixes name that user. */
import t from 'tap'
import { atClient } from './support.ts'

const client = 'c3'
const home = '/home/plain'
const socket = `${home}/d/socket`

/** Starts a second daemon, as an unprivileged user with a store and an ssh key of its own. */
const start = `
  install -d -o plain -g plain -m 700 ${home}/.ssh ${home}/d
  install -o plain -g plain -m 600 /lab/keys/id ${home}/.ssh/id_ed25519
  setsid runuser -u plain -- env HOME=${home} NIX_DAEMON_SOCKET_PATH=${socket} \\
    NIX_CONFIG="$(printf 'build-users-group =\\ntrusted-users = *')" \\
    nix-daemon --store 'local?root=${home}/d/store' >${home}/d/log 2>&1 </dev/null &
  for i in $(seq 200); do test -S ${socket} && exit 0; sleep 0.05; done
  cat ${home}/d/log; exit 1`
const stop = `
  pid=$(ps -u plain -o pid=,args= | awk '/nix-daemon --store/ {print $1}')
  test -z "$pid" || kill $pid
  rm -rf ${home}/d ${home}/.ssh/id_ed25519`

const must = async (command: string) => {
  const { exit, stdout, stderr } = await atClient(client, command)
  t.equal(exit, 0, stderr)
  return stdout
}

t.test('names the user of a rootless nix-daemon', async t => {
  t.teardown(() => must(stop))
  await must(start)
  const checkWith = async (key: string) => {
    const line = `ssh-ng://remotebuild@b2 x86_64-linux ${key} 2`
    const { stdout } = await atClient(
      client,
      `NIX_DAEMON_SOCKET_PATH=${socket} NIX_CONFIG='builders = ${line}' node /lab/project/dist/main.js check --json`,
    )
    return JSON.parse(stdout) as {
      client: { checks: Record<string, unknown> }
      builders: unknown[]
    }
  }
  const own = await checkWith('-')
  t.match(own.client.checks['identity'], {
    status: 'degraded',
    kind: 'ssh_settings_differ',
    reason:
      /the ssh settings of plain differ.* identity files is \/home\/plain\/\.ssh\/id_ed25519 for plain/,
  })
  t.match(own.builders, [
    {
      cause: {
        kind: 'auth_denied',
        fixes: [
          {},
          { command: /^ssh-keygen -y -f ~plain\//, user: 'plain', root: false },
        ],
        reproduce: /^sudo -H -u plain ssh /,
      },
    },
  ])
  const page = await must(
    `NIX_DAEMON_SOCKET_PATH=${socket} node /lab/project/dist/main.js explain auth_denied`,
  )
  t.match(page, /builds use the ssh of plain, known by: process \d+\./)
  t.match(page, /\nsudo -H -u plain ssh-keygen -y -f KEY\n/)
  const named = await checkWith('/lab/keys/id')
  t.match(named.builders, [{ state: 'healthy' }])
  t.match(named.client.checks['identity'], {
    status: 'ok',
    reason: /^builds log in as plain \(process \d+\)$/,
  })
})

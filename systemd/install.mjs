#!/usr/bin/env node
/**
 * Installs this checkout as a service of systemd: `sudo node systemd/install.mjs`, after `npm ci && npm run build`.
 *
 *   /opt/builder-monitor                         the program, with its production packages only
 *   /usr/local/bin/builder-monitor               starts it with this node
 *   /etc/systemd/system/builder-monitor.service  the unit, as it is in this directory
 *   .../builder-monitor.service.d/10-keys.conf   lends it the builders' keys and root's files of ssh
 *
 * Again: takes over a newer checkout, or keys of new builders. `--remove`: undoes it, but for state and configuration.
 */
import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const checkout = join(dirname(fileURLToPath(import.meta.url)), '..')
const program = '/opt/builder-monitor'
const launcher = '/usr/local/bin/builder-monitor'
const unit = '/etc/systemd/system/builder-monitor.service'
const dropIn = `${unit}.d/10-keys.conf`
const sysusers = '/usr/lib/sysusers.d/builder-monitor.conf'

const stop = sentence => {
  process.stderr.write(`install: ${sentence}\n`)
  process.exit(1)
}
const run = (file, ...args) => execFileSync(file, args, { encoding: 'utf8' })

const install = () => {
  if (!existsSync(join(checkout, 'dist', 'main.js')))
    stop('there is no dist/main.js yet: npm ci && npm run build')
  if (/^\/(home|root|run\/user)\//.test(process.execPath))
    stop(
      `the service cannot see ${process.execPath} (ProtectHome): install Node for the whole system`,
    )
  copyProgram()
  writeFileSync(
    launcher,
    `#!/bin/sh\nexec ${process.execPath} ${program}/dist/main.js "$@"\n`,
  )
  chmodSync(launcher, 0o755)
  mkdirSync(dirname(sysusers), { recursive: true })
  cpSync(join(checkout, 'systemd', 'builder-monitor.sysusers'), sysusers)
  run('systemd-sysusers', sysusers)
  cpSync(join(checkout, 'systemd', 'builder-monitor.service'), unit)
  mkdirSync(dirname(dropIn), { recursive: true })
  const lent = filesToLend()
  writeFileSync(dropIn, dropInOf(lent))
  run('systemctl', 'daemon-reload')
  run('systemctl', 'enable', '--quiet', 'builder-monitor.service')
  run('systemctl', 'restart', 'builder-monitor.service')
  for (const file of lent.values()) process.stdout.write(`lends ${file}\n`)
  process.stdout.write(
    'builder-monitor runs: sudo builder-monitor status, and http://127.0.0.1:10922/\n',
  )
}

/** Only what package-lock.json calls neither development nor optional. */
const copyProgram = () => {
  rmSync(program, { recursive: true, force: true })
  const { packages } = JSON.parse(
    readFileSync(join(checkout, 'package-lock.json'), 'utf8'),
  )
  const wanted = Object.entries(packages)
    .filter(([path, entry]) => path !== '' && !entry.dev && !entry.optional)
    .map(([path]) => path)
  for (const path of ['package.json', 'config.schema.json', 'LICENSE', 'dist', ...wanted])
    cpSync(join(checkout, path), join(program, path), {
      recursive: true,
      // Packages within packages are entries of their own
      filter: source =>
        !source.slice(join(checkout, path).length).includes('/node_modules'),
    })
}

/** Keys of the active builders and root's own files of ssh, by the name under which the service finds them. */
const filesToLend = () => {
  const files = new Map()
  const add = (file, name = file.slice(1).replaceAll('/', '-')) => {
    if (existsSync(file)) files.set(name, file)
  }
  let listed = '{"builders":[]}'
  try {
    listed = run(launcher, 'builders', '--json')
  } catch (error) {
    // A malformed line has exit code 1, and the list all the same
    listed = error.stdout || listed
  }
  for (const { sshKey } of JSON.parse(listed).builders)
    if (sshKey?.startsWith('/') && !sshKey.startsWith('/nix/store/')) add(sshKey)
  add('/root/.ssh/known_hosts', 'ssh-known_hosts')
  add('/root/.ssh/config', 'ssh-config')
  const keys = existsSync('/root/.ssh') ? readdirSync('/root/.ssh') : []
  for (const key of keys) if (/^id_\w+$/.test(key)) add(`/root/.ssh/${key}`)
  return files
}

const dropInOf = files =>
  [
    '# Written by install.mjs of builder-monitor; run it again for keys of new builders.',
    '[Service]',
    // Debian lets only this group ask nix-daemon
    ...(hasGroup('nix-users') ? ['SupplementaryGroups=nix-users'] : []),
    ...[...files].flatMap(([name, file]) => [
      `LoadCredential=${name}:${file}`,
      // The service starts without the file, too, and says that it is missing
      `SetCredential=${name}:\\n`,
    ]),
    '',
  ].join('\n')

const hasGroup = name =>
  readFileSync('/etc/group', 'utf8')
    .split('\n')
    .some(line => line.startsWith(`${name}:`))

const remove = () => {
  if (existsSync(unit))
    run('systemctl', 'disable', '--now', '--quiet', 'builder-monitor.service')
  for (const path of [program, launcher, unit, dirname(dropIn), sysusers])
    rmSync(path, { recursive: true, force: true })
  run('systemctl', 'daemon-reload')
  process.stdout.write(
    'removed; left: /var/lib/builder-monitor, /etc/builder-monitor, the user builder-monitor\n',
  )
}

if (process.getuid() !== 0) stop('it needs root: sudo node systemd/install.mjs')
if (!existsSync('/run/systemd/system')) stop('systemd does not run here')
if (process.argv.includes('--remove')) remove()
else install()

#!/usr/bin/env node
/**
 * Installs this checkout as a systemd service: `sudo node systemd/install.mjs`, after `npm ci && npm run build`.
 *
 *   /opt/builder-monitor                         the program, with its production packages only
 *   /usr/local/bin/builder-monitor               starts it with this node
 *   /etc/systemd/system/builder-monitor.service  the unit, as it is in this directory
 *   .../builder-monitor.service.d/10-keys.conf   passes it the builders' keys and the ssh files of nix-daemon's user
 *   .../builder-monitor-slots.{socket,service}   the slot holder, which runs only while a builder is drained or quarantined
 *
 * Run it again to install a newer checkout or the keys of new builders. `--abort-hung-connects` gives the slot holder the
 * rights that `quarantine.abortHungConnects` needs. `--remove` removes all but state and configuration.
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
import { basename, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const checkout = join(dirname(fileURLToPath(import.meta.url)), '..')
const program = '/opt/builder-monitor'
const launcher = '/usr/local/bin/builder-monitor'
const units = '/etc/systemd/system'
const unit = `${units}/builder-monitor.service`
const dropIn = `${unit}.d/10-keys.conf`
const holderSocket = `${units}/builder-monitor-slots.socket`
const holder = `${units}/builder-monitor-slots.service`
const holderUser = `${holder}.d/10-user.conf`
const abortConnects = `${holder}.d/20-abort-hung-connects.conf`
const sysusers = '/usr/lib/sysusers.d/builder-monitor.conf'

const stop = message => {
  process.stderr.write(`install: ${message}\n`)
  process.exit(1)
}
const run = (file, ...args) => execFileSync(file, args, { encoding: 'utf8' })

const install = () => {
  if (!existsSync(join(checkout, 'dist', 'main.js')))
    stop('dist/main.js is missing: run npm ci && npm run build')
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
  const passed = filesToPass()
  writeFileSync(dropIn, dropInFor(passed))
  installHolder()
  run('systemctl', 'daemon-reload')
  run('systemctl', 'enable', '--quiet', basename(holderSocket), 'builder-monitor.service')
  // Stops a holder of the previous version, too; the monitor starts the new one
  run('systemctl', 'restart', basename(holderSocket))
  run('systemctl', 'restart', 'builder-monitor.service')
  for (const file of passed.values()) process.stdout.write(`passes ${file}\n`)
  process.stdout.write(
    'builder-monitor is running: sudo builder-monitor status, http://127.0.0.1:10922/\n',
  )
}

/** Installs the units of the slot holder, as the user of nix-daemon, who owns the locks. */
const installHolder = () => {
  for (const path of [holderSocket, holder])
    cpSync(join(checkout, 'systemd', basename(path)), path)
  mkdirSync(dirname(holderUser), { recursive: true })
  const user = daemonUser()
  rmSync(holderUser, { force: true })
  if (user !== 'root') writeFileSync(holderUser, holderUserDropIn(user))
  // Kept by later runs without the option: an update must not take the rights away
  if (process.argv.includes('--abort-hung-connects'))
    cpSync(join(checkout, 'systemd', basename(abortConnects)), abortConnects)
  if (existsSync(abortConnects))
    process.stdout.write(
      `the slot holder may end an ssh that hangs (quarantine.abortHungConnects): ${abortConnects}\n`,
    )
}

const holderUserDropIn = user =>
  [
    '# Written by install.mjs of builder-monitor: the user of nix-daemon',
    '[Service]',
    `User=${user}`,
    'ExecStartPre=',
    // As that user: what root creates in a directory of another user can be redirected by a symbolic link
    `ExecStartPre=-+setpriv --reuid=${user} --clear-groups mkdir -p /nix/var/nix/current-load`,
    '',
  ].join('\n')

/** Copies the packages that package-lock.json marks as neither development nor optional. */
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
      // Nested packages have their own entries
      filter: source =>
        !source.slice(join(checkout, path).length).includes('/node_modules'),
    })
}

/** Returns the keys of the active builders and the ssh files of nix-daemon's user, by credential ID. */
const filesToPass = () => {
  const files = new Map()
  const add = (file, name = file.slice(1).replaceAll('/', '-')) => {
    if (existsSync(file)) files.set(name, file)
  }
  let listed = '{"builders":[]}'
  try {
    listed = run(launcher, 'builders', '--json')
  } catch (error) {
    // With a malformed line the exit code is 1, but the list is printed
    listed = error.stdout || listed
  }
  for (const { sshKey } of JSON.parse(listed).builders)
    if (sshKey?.startsWith('/') && !sshKey.startsWith('/nix/store/')) add(sshKey)
  const directory = join(daemonHome(), '.ssh')
  add(join(directory, 'known_hosts'), 'ssh-known_hosts')
  add(join(directory, 'config'), 'ssh-config')
  const keys = existsSync(directory) ? readdirSync(directory) : []
  for (const key of keys)
    // The ID of a default key is the same for every user
    if (/^id_\w+$/.test(key)) add(join(directory, key), `root-.ssh-${key}`)
  return files
}

/** Returns the user of nix-daemon: root, or User= of its unit. */
const daemonUser = () => {
  try {
    return run('systemctl', 'show', 'nix-daemon.service', '-P', 'User').trim() || 'root'
  } catch {
    return 'root'
  }
}

/** Returns the home directory of the user of nix-daemon, whose ssh builds use. */
const daemonHome = () => {
  try {
    return run('getent', 'passwd', daemonUser()).split(':')[5] || '/root'
  } catch {
    return '/root'
  }
}

const dropInFor = files =>
  [
    '# Written by install.mjs of builder-monitor; run it again for keys of new builders.',
    '[Service]',
    // Debian lets only this group connect to nix-daemon
    ...(hasGroup('nix-users') ? ['SupplementaryGroups=nix-users'] : []),
    ...[...files].flatMap(([name, file]) => [
      `LoadCredential=${name}:${file}`,
      // Lets the service start without the file and report it
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
  if (existsSync(holderSocket))
    run('systemctl', 'disable', '--now', '--quiet', basename(holderSocket))
  for (const path of [
    ...[program, launcher, unit, dirname(dropIn), sysusers],
    ...[holderSocket, holder, dirname(holderUser), '/run/builder-monitor-slots'],
    '/run/builder-monitor',
  ])
    rmSync(path, { recursive: true, force: true })
  run('systemctl', 'daemon-reload')
  process.stdout.write(
    'removed; kept: /var/lib/builder-monitor, /etc/builder-monitor, the user builder-monitor\n',
  )
}

if (process.getuid() !== 0) stop('needs root: sudo node systemd/install.mjs')
if (!existsSync('/run/systemd/system')) stop('systemd is not running')
if (process.argv.includes('--remove')) remove()
else install()

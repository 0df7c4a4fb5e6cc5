/** The printed restart of nix-daemon on booted systemd 252, 257 and newer, from each state of the units. */
import t from 'tap'
import { kindFixes } from '../../src/diagnosis/kinds/index.ts'
import { lab } from './support.ts'

t.setTimeout(300_000)
t.jobs = 3

const fix = kindFixes('daemon_down', {})[0]
const restart = fix && 'command' in fix ? fix.command : ''
const units = 'nix-daemon.socket nix-daemon.service'
const dropIn = '/run/systemd/system/nix-daemon.service.d'

const states = {
  running: `systemctl start nix-daemon.socket; systemctl start nix-daemon.service`,
  'running without its socket': `systemctl stop ${units}; systemctl start nix-daemon.service`,
  stopped: `systemctl stop ${units}`,
  'waiting for a connection': `systemctl stop ${units}; systemctl start nix-daemon.socket`,
  frozen: `systemctl start nix-daemon.service; systemctl kill -s STOP nix-daemon.service`,
  'stopped after a crash loop': `
    systemctl stop ${units}
    mkdir -p ${dropIn}
    printf '[Service]\\nExecStart=\\nExecStart=/bin/false\\n' >${dropIn}/crash.conf
    systemctl daemon-reload
    for i in 1 2 3 4 5 6 7 8; do systemctl start nix-daemon.service; done
    systemctl start nix-daemon.socket
    rm ${dropIn}/crash.conf
    systemctl daemon-reload`,
} as const

for (const machine of ['s1', 's2', 's3'])
  t.test(`nix-daemon on ${machine}`, async t => {
    const up = await lab(['up', machine])
    t.equal(up.exit, 0, up.stderr)
    const on = (command: string) => lab(['exec', machine, 'bash', '-c', command])
    for (const [state, commands] of Object.entries(states)) {
      await on(commands)
      const ran = await on(restart)
      t.equal(ran.exit, 0, `${state}: ${ran.stdout}${ran.stderr}`)
      t.equal(
        (await on(`systemctl is-active ${units}`)).stdout,
        'active\nactive\n',
        `${state}: both units run`,
      )
      const added = await on(
        'timeout 20 runuser -u plain -- env NIX_REMOTE=daemon nix-store --add /etc/hostname',
      )
      t.match(added.stdout, /^\/nix\/store\//, `${state}: the daemon answers`)
    }
  })

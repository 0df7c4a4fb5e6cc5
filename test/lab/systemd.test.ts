/**
 * The service in booted systemd 252, 257 and newer: installed as the README says, ready, proven, reloaded, watched by the
 * watchdog, with credentials, refused and stopped.
 */
import t from 'tap'
import { lab, type Ran, waitFor } from './support.ts'

t.setTimeout(400_000)
t.jobs = 3

const machines = { s1: '252', s2: '257', s3: '2' } as const
const key = '/etc/nix/builder_ed25519'
const line = (host: string) => `ssh-ng://remotebuild@${host} x86_64-linux ${key} 2`

/** A shell on one of the machines, as root; `node` is where a package of Node would have it. */
const on = (machine: string) => {
  const run = (command: string): Promise<Ran> =>
    lab(['exec', machine, 'bash', '-c', command])
  const must = async (command: string): Promise<string> => {
    const ran = await run(command)
    if (ran.exit !== 0)
      throw new Error(`${command}: exit ${ran.exit}: ${ran.stdout}${ran.stderr}`)
    return ran.stdout
  }
  const show = async (property: string) =>
    (await must(`systemctl show builder-monitor -P ${property}`)).trim()
  return { run, must, show }
}

interface Status {
  readonly builders: readonly {
    readonly state: string
    readonly proven: boolean
    readonly cause: unknown
    readonly probes: Readonly<Record<string, { readonly reason?: string }>>
  }[]
}

for (const [machine, version] of Object.entries(machines))
  t.test(`the service on systemd ${version}, ${machine}`, async t => {
    const up = await lab(['up', 'b2', machine])
    t.equal(up.exit, 0, up.stderr)
    const { run, must, show } = on(machine)
    const status = async (): Promise<Status | null> => {
      const { stdout } = await run('builder-monitor status --json')
      return stdout ? (JSON.parse(stdout) as Status) : null
    }
    const until = (what: string, isSo: () => Promise<boolean>, seconds = 30) =>
      waitFor(what, seconds, async () => ((await isSo()) ? true : null))
    const journal = () => must('journalctl -u builder-monitor -o cat --no-pager')

    await must(`
      ln -sf /lab/bin/node /usr/local/bin/node
      mkdir -p /root/.ssh && chmod 700 /root/.ssh
      install -m 600 /lab/keys/id ${key}
      if test -e /etc/ssh/ssh_known_hosts; then mv /etc/ssh/ssh_known_hosts /root/.ssh/known_hosts; fi
      echo 'builders = ${line('b2')}' >>/etc/nix/nix.conf`)
    t.match(await must('systemctl --version'), new RegExp(`^systemd ${version}`))

    const checked = await run(
      'cp /lab/project/systemd/builder-monitor.service /tmp; cd /tmp; ln -sf /bin/true /usr/local/bin/builder-monitor; systemd-analyze verify ./builder-monitor.service',
    )
    t.equal(checked.stdout + checked.stderr, '', 'verify says nothing at all')
    t.equal(
      (
        await run(
          'systemd-analyze security --offline=true --threshold=17 /tmp/builder-monitor.service',
        )
      ).exit,
      0,
      'exposure is at most 1.7',
    )
    await must('rm /usr/local/bin/builder-monitor')

    const installed = await must('cd /lab/project && node systemd/install.mjs')
    t.match(
      installed,
      /lends \/etc\/nix\/builder_ed25519\nlends \/root\/\.ssh\/known_hosts/,
    )
    t.equal(await show('ActiveState'), 'active', 'ready when install returns')
    await until(
      'a proven builder',
      async () => (await status())?.builders[0]?.proven === true,
    )
    t.match(await status(), { builders: [{ state: 'healthy', cause: null }] })
    await until('the headline', async () =>
      (await show('StatusText')).startsWith('1 of 1 builder can take work'),
    )
    const pid = await show('MainPID')
    t.equal((await must(`ps -o user= -p ${pid}`)).trim().slice(0, 7), 'builder')
    t.match(
      await must(
        'curl -s http://127.0.0.1:10922/-/healthy || node -e "fetch(\'http://127.0.0.1:10922/-/healthy\').then(async r=>console.log(await r.text()))"',
      ),
      /./,
    )

    // Reload: says so, keeps the process; a bad configuration is told and the old one stays
    await must('systemctl reload builder-monitor')
    t.match(await journal(), /"msg":"reloaded"/)
    await must(
      'mkdir -p /etc/builder-monitor && echo "{ nonsense" >/etc/builder-monitor/config.json',
    )
    t.not((await run('systemctl reload builder-monitor')).exit, 0, 'a bad one is refused')
    t.equal(await show('ActiveState'), 'active')
    t.equal(await show('MainPID'), pid, 'and the service goes on')
    t.match(await journal(), /the new configuration is bad, the old one stays/)

    // The same at start is for a person to mend: no restart
    await run('systemctl restart builder-monitor')
    t.equal(await show('ActiveState'), 'failed')
    t.equal(await show('ExecMainStatus'), '78')
    t.equal(await show('NRestarts'), '0')
    t.match(await journal(), /builder-monitor: \/etc\/builder-monitor\/config\.json/)
    await must('rm /etc/builder-monitor/config.json && systemctl start builder-monitor')

    // A monitor that hangs is killed and comes back
    await must(`mkdir -p /etc/systemd/system/builder-monitor.service.d
      printf '[Service]\\nWatchdogSec=3s\\nRestartSec=100ms\\n' >/etc/systemd/system/builder-monitor.service.d/90-test.conf
      systemctl daemon-reload && systemctl restart builder-monitor`)
    await must('sleep 4')
    t.equal(await show('NRestarts'), '0', 'it is fed')
    await must(`kill -STOP ${await show('MainPID')}`)
    await until('the watchdog', async () => (await show('NRestarts')) === '1')
    t.match(await journal(), /Watchdog timeout/)
    await until('it is back', async () => (await show('ActiveState')) === 'active')

    // A key that is not there does not keep it from saying so
    await must(`rm ${key}; systemctl restart builder-monitor`)
    // The verdict waits for a second sight, and after a login without a key that is a minute
    await until('the key is missed', async () => {
      const login = (await status())?.builders[0]?.probes['login']
      return login?.reason === `the private key ${key} does not exist`
    })
    await must(`install -m 600 /lab/keys/id ${key}; systemctl restart builder-monitor`)
    await until(
      'with the key again',
      async () => (await status())?.builders[0]?.state === 'healthy',
    )

    // Somebody else has the port: one sentence, and it tries again
    await must(`systemctl stop builder-monitor
      (node -e "require('net').createServer().listen(10922,'127.0.0.1')" & echo $! >/tmp/squatter) >/dev/null 2>&1`)
    await run('systemctl start builder-monitor')
    await until('the sentence', async () =>
      /cannot listen on 127\.0\.0\.1:10922: another program has that address/.test(
        await journal(),
      ),
    )
    t.match(await journal(), /status=1\/FAILURE/)
    await must('kill $(cat /tmp/squatter)')
    await until('it gets the port', async () => (await show('ActiveState')) === 'active')

    // Stopped in the middle of its work, it leaves nobody behind
    await must('systemctl stop builder-monitor')
    t.equal(await show('Result'), 'success')
    t.equal((await run('pgrep -u builder-monitor')).stdout, '', 'no orphan')

    await must('cd /lab/project && node systemd/install.mjs --remove')
    t.not((await run('systemctl cat builder-monitor')).exit, 0)
    await lab(['down', machine])
  })

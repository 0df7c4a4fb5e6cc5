/**
 * The service on booted systemd 252, 257 and newer, installed with the commands of the README: readiness, reload, state
 * file, watchdog, credentials, TLS, a port in use, stop.
 */
import { readFileSync } from 'node:fs'
import t from 'tap'
import { lab } from './support.ts'
import { key, line, machines, on, until } from './systemd-machine.ts'

t.setTimeout(700_000)
t.jobs = 3

/** The commands of README.md for Debian, line by line. */
const readmeCommands = (): string[] => {
  const text = readFileSync(new URL('../../README.md', import.meta.url), 'utf8')
  const block = /^## Debian[^]*?```sh\n([^]*?)```/m.exec(text)?.[1] ?? ''
  return block.split('\n').flatMap(line => line.replace(/\s+#.*/, '').trim() || [])
}

interface Line {
  readonly PRIORITY: string
  readonly MESSAGE: string
}

interface Status {
  readonly client: {
    readonly checks: Readonly<Record<string, { readonly reason?: string }>>
  }
  readonly builders: readonly {
    readonly state: string
    readonly verified: boolean
    readonly cause: unknown
    readonly probes: Readonly<Record<string, { readonly reason?: string }>>
  }[]
}

for (const [machine, version] of Object.entries(machines))
  t.test(`the service on systemd ${version}, ${machine}`, async t => {
    const up = await lab(['up', 'b2', machine])
    t.equal(up.exit, 0, up.stderr)
    const { run, must, show: showUnit } = on(machine)
    const show = (property: string) => showUnit('builder-monitor', property)
    const status = async (): Promise<Status | null> => {
      const { stdout } = await run('builder-monitor status --json')
      return stdout ? (JSON.parse(stdout) as Status) : null
    }
    const journal = () => must('journalctl -u builder-monitor -o cat --no-pager')

    await must(`
      ln -sf /lab/bin/node /usr/local/bin/node
      mkdir -p /root/.ssh && chmod 700 /root/.ssh
      install -m 600 /lab/keys/id ${key}
      if test -e /etc/ssh/ssh_known_hosts; then mv /etc/ssh/ssh_known_hosts /root/.ssh/known_hosts; fi
      echo 'builders = ${line('b2')}' >>/etc/nix/nix.conf
      systemctl restart nix-daemon.service`)
    t.match(await must('systemctl --version'), new RegExp(`^systemd ${version}`))

    const checked = await run(
      'cp /lab/project/systemd/builder-monitor.service /tmp; cd /tmp; ln -sf /bin/true /usr/local/bin/builder-monitor; systemd-analyze verify ./builder-monitor.service',
    )
    t.equal(checked.stdout + checked.stderr, '', 'systemd-analyze verify prints nothing')
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

    // The commands that need the network ran before; the others run unchanged
    const commands = readmeCommands()
    const [install, check, ...others] = commands.filter(command =>
      command.startsWith('sudo '),
    )
    t.same(others, [])
    t.match(commands[0], /^git clone /)
    const beforeCheck = commands.slice(0, -1).flatMap(command => command.split('&&'))
    t.ok(beforeCheck.length <= 5, 'the installation has at most five commands')
    const installed = await must(`cd /lab/project && ${install?.slice('sudo '.length)}`)
    t.match(
      installed,
      /passes \/etc\/nix\/builder_ed25519\npasses \/root\/\.ssh\/known_hosts/,
    )
    t.equal(await show('ActiveState'), 'active', 'ready when install returns')
    await until(
      'a verified builder',
      async () => (await status())?.builders[0]?.verified === true,
    )
    t.match(await status(), { builders: [{ state: 'healthy', cause: null }] })
    t.match(await must(check?.slice('sudo '.length) ?? ''), '1 of 1 builder available')
    await until('the headline', async () =>
      (await show('StatusText')).startsWith('1 of 1 builder available'),
    )
    const pid = await show('MainPID')
    t.equal((await must(`ps -o user= -p ${pid}`)).trim().slice(0, 7), 'builder')
    t.match(
      await must(
        'curl -s http://127.0.0.1:10922/-/healthy || node -e "fetch(\'http://127.0.0.1:10922/-/healthy\').then(async r=>console.log(await r.text()))"',
      ),
      /./,
    )

    // A reload is logged and keeps the process; an invalid configuration is reported, the previous one stays
    await must('systemctl reload builder-monitor')
    t.match(await journal(), /"msg":"reloaded"/)
    await must(
      'mkdir -p /etc/builder-monitor && echo "{ nonsense" >/etc/builder-monitor/config.json',
    )
    t.not(
      (await run('systemctl reload builder-monitor')).exit,
      0,
      'rejects an invalid configuration',
    )
    t.equal(await show('ActiveState'), 'active')
    t.equal(await show('MainPID'), pid, 'the process stays')
    t.match(await journal(), /invalid configuration, the previous one stays active/)

    // journald strips the priority prefix of each line; the rest is JSON
    const journalLine = async (text: string): Promise<Line> => {
      const lines = await must(
        `journalctl -u builder-monitor -o json --no-pager | grep -F '${text}' | tail -n 1`,
      )
      return JSON.parse(lines) as Line
    }
    const inJournal = async (text: string) => {
      const { PRIORITY, MESSAGE } = await journalLine(text)
      return { PRIORITY, ...(JSON.parse(MESSAGE) as object) }
    }
    t.match(await inJournal('started'), { PRIORITY: '6', level: 'info', msg: 'started' })
    t.match(await inJournal('the previous one stays'), { PRIORITY: '3', level: 'error' })

    // An invalid configuration at start: no restart, because only the user can fix it
    await run('systemctl restart builder-monitor')
    t.equal(await show('ActiveState'), 'failed')
    t.equal(await show('ExecMainStatus'), '78')
    t.equal(await show('NRestarts'), '0')
    t.match(
      await show('StatusText'),
      /^\/etc\/builder-monitor\/config\.json: line 1: not JSON/,
    )
    t.match(await journal(), /builder-monitor: \/etc\/builder-monitor\/config\.json/)
    await must('rm /etc/builder-monitor/config.json && systemctl start builder-monitor')

    // A broken state file is renamed and a new one started; a write error is reported
    const state = '/var/lib/builder-monitor/state.json'
    const metric = async () => {
      const get = `fetch('http://127.0.0.1:10922/metrics').then(async r => console.log(await r.text()))`
      const text = await must(`node -e "${get}"`)
      return /^builder_monitor_state_file_ok (\d)$/m.exec(text)?.[1]
    }
    await must(
      `systemctl stop builder-monitor; echo '{ broken' >${state}; systemctl start builder-monitor`,
    )
    t.match(await inJournal('cannot read the state file'), {
      PRIORITY: '4',
      level: 'warn',
      path: state,
    })
    t.equal(
      await must(`cat ${state}.bad`),
      '{ broken\n',
      'the broken file is kept as .bad',
    )
    await until('a new state file', async () => (await metric()) === '1')
    t.match(await must(`cat ${state}`), /^\{"version":/)
    await must('chmod 500 /var/lib/builder-monitor')
    await until(
      'a write error of the state file',
      async () => (await metric()) === '0',
      60,
    )
    t.match(await inJournal('cannot write the state file'), {
      PRIORITY: '4',
      err: { code: 'EACCES' },
    })
    t.equal(
      await show('ActiveState'),
      'active',
      'the service continues without a state file',
    )

    // The watchdog kills and restarts a service that hangs
    await must(`mkdir -p /etc/systemd/system/builder-monitor.service.d
      printf '[Service]\\nWatchdogSec=3s\\nRestartSec=100ms\\n' >/etc/systemd/system/builder-monitor.service.d/90-test.conf
      systemctl daemon-reload && systemctl restart builder-monitor`)
    await must('sleep 4')
    t.equal(await show('NRestarts'), '0', 'the watchdog gets its pings')
    await must(`kill -STOP ${await show('MainPID')}`)
    await until(
      'a restart by the watchdog',
      async () => (await show('NRestarts')) === '1',
    )
    t.match(await journal(), /Watchdog timeout/)
    await until(
      'the restarted service',
      async () => (await show('ActiveState')) === 'active',
    )

    // The service starts without the key and reports it
    await must(`rm ${key}; systemctl restart builder-monitor`)
    // The health changes after a second login, a minute after a login without a key
    await until('a report of the missing key', async () => {
      const login = (await status())?.builders[0]?.probes['login']
      return login?.reason === `the private key ${key} does not exist`
    })
    if (machine === 's1')
      await until(
        'the missing key in the status line',
        async () => (await show('StatusText')).includes('b2: key missing'),
        100,
      )
    await must(`install -m 600 /lab/keys/id ${key}; systemctl restart builder-monitor`)
    await until(
      'a healthy builder with the key',
      async () => (await status())?.builders[0]?.state === 'healthy',
    )
    // The service has a copy of the key from its start, so it does not use a new key
    await must(
      `sleep 1; install -m 600 /lab/keys/id ${key}; systemctl reload builder-monitor`,
    )
    await until('a report of the changed key', async () => {
      const { reason = '' } = (await status())?.client.checks['keys'] ?? {}
      return reason.includes(`${key} has changed since this service started`)
    })

    // TLS as in docs/access.md, with a key that only root can read: systemd passes a copy
    const certificates = '/lab/project/test/support/certificates'
    await must(`
      cd /etc/builder-monitor
      install -m 644 ${certificates}/server.pem builds.crt
      install -m 600 ${certificates}/server.key builds.key
      cat >web.yml <<-END
	tls_server_config:
	  cert_file: /etc/builder-monitor/builds.crt
	  key_file: /run/credentials/builder-monitor.service/web.key
	END
      cat >/etc/systemd/system/builder-monitor.service.d/91-tls.conf <<-END
	[Service]
	LoadCredential=web.key:/etc/builder-monitor/builds.key
	Environment=BUILDER_MONITOR_WEB_CONFIG=/etc/builder-monitor/web.yml
	END
      systemctl daemon-reload && systemctl restart builder-monitor`)
    const overTls = `require('https').get({ host: '127.0.0.1', port: 10922, path: '/-/healthy',
      ca: require('fs').readFileSync('${certificates}/ca.pem') }, r => console.log(r.resume().statusCode))`
    t.equal(
      await must(`node -e "${overTls}"`),
      '200\n',
      'TLS with a key from LoadCredential=',
    )
    await must(`
      rm /etc/systemd/system/builder-monitor.service.d/91-tls.conf /etc/builder-monitor/*
      systemctl daemon-reload && systemctl restart builder-monitor`)

    // The port is in use: the service says so and tries again
    await must(`systemctl stop builder-monitor
      (node -e "require('net').createServer().listen(10922,'127.0.0.1')" & echo $! >/tmp/other-server) >/dev/null 2>&1`)
    await run('systemctl start builder-monitor')
    await until('the message in the journal', async () =>
      /cannot listen on 127\.0\.0\.1:10922: the address is in use/.test(await journal()),
    )
    t.match(await journal(), /status=1\/FAILURE/)
    await until('the message in the status line', async () =>
      (await show('StatusText')).startsWith(
        'cannot listen on 127.0.0.1:10922: the address is in use',
      ),
    )
    await must('kill $(cat /tmp/other-server)')
    await until(
      'the service after the port is free',
      async () => (await show('ActiveState')) === 'active',
    )

    // A stop during probes leaves no process
    await must('systemctl stop builder-monitor')
    t.equal(await show('Result'), 'success')
    t.equal((await run('pgrep -u builder-monitor')).stdout, '', 'no process is left')

    await must('cd /lab/project && node systemd/install.mjs --remove')
    t.not((await run('systemctl cat builder-monitor')).exit, 0)
    await lab(['down', machine])
  })

/**
 * The slot holder on booted systemd 252, 257 and newer, installed with install.mjs: drains keep real builds away, and whatever
 * dies, the slots are free at once or after the lease. LAB_SOAK=1 kills 1,000 times in all instead of 60.
 */
import { appendFile } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { lab, labDir, labNet, waitFor } from './support.ts'
import { key, line, machines, on, until } from './systemd-machine.ts'

const kills = Number(
  process.env['LAB_KILLS'] ?? (process.env['LAB_SOAK'] === '1' ? 1000 : 60),
)
/** s1 also waits for the end of an idle holder. */
const shares = { s1: 0.2, s2: 0.4, s3: 0.4 } as const
t.setTimeout(700_000 + kills * 5000)
t.jobs = 3

const socket = '/run/builder-monitor-slots/hold.sock'
const directory = '/nix/var/nix/current-load'
const holder = 'builder-monitor-slots'
const dropIns = '/etc/systemd/system/builder-monitor.service.d'

/** Runs a function of lib/slot-locks.sh on a machine, which prints milliseconds. */
const measureOn = (machine: string) => {
  const { output } = on(machine)
  return async (command: string): Promise<number> =>
    Number(await output(`. /lab/project/test/lab/lib/slot-locks.sh; ${command}`))
}

/** Real builds by the daemon of the machine; prints the builder of each. */
const build = (count: number, script: string) =>
  `for i in $(seq ${count}); do
     NIX_REMOTE=daemon nix-build -j0 --no-out-link --argstr n "$i-$RANDOM-$EPOCHREALTIME" -E '{ n }: derivation { name = "x-\${n}";
       system = "x86_64-linux"; builder = "/bin/sh"; args = [ "-c" "PATH=/usr/bin:/bin; ${script}; echo \${n} >$out" ]; }' 2>&1 | sed -n "s/^building .* on '.*@\\(b.\\)'.*/\\1/p" &
   done; wait`

for (const machine of ['s1', 's2', 's3'] as const)
  t.test(`the slot holder on systemd ${machines[machine]}, ${machine}`, async t => {
    const up = await lab(['up', 'b2', 'b3', machine])
    t.equal(up.exit, 0, up.stderr)
    const { run, output, show } = on(machine)
    const measure = measureOn(machine)
    const report = (what: string, ms: number) =>
      appendFile(join(labDir, 'slots.txt'), `${machine}  ${what}: ${ms} ms\n`)
    const held = () => measure('until_held "$(now)" 30000')

    await output(`
      ln -sf /lab/bin/node /usr/local/bin/node
      mkdir -p /root/.ssh && chmod 700 /root/.ssh
      install -m 600 /lab/keys/id ${key}
      if test -e /etc/ssh/ssh_known_hosts; then mv /etc/ssh/ssh_known_hosts /root/.ssh/known_hosts; fi
      echo 'builders = ${line('b2')} ; ${line('b3')}' >>/etc/nix/nix.conf
      systemctl restart nix-daemon.service
      cp /lab/project/systemd/${holder}.* /tmp; ln -sf /bin/true /usr/local/bin/builder-monitor`)
    const verified = await run(
      `cd /tmp; systemd-analyze verify ./${holder}.service ./${holder}.socket`,
    )
    t.equal(
      verified.stdout + verified.stderr,
      '',
      'systemd-analyze verify prints nothing',
    )
    const security = await run(
      `systemd-analyze security --offline=true --threshold=10 /tmp/${holder}.service`,
    )
    t.equal(security.exit, 0, `exposure is at most 1.0: ${security.stdout.slice(-200)}`)

    await output(`
      rm /usr/local/bin/builder-monitor; mkdir -p ${dropIns}
      printf '[Service]\\nRestartSec=100ms\\n' >${dropIns}/90-test.conf
      cd /lab/project && node systemd/install.mjs`)
    t.equal(
      await show(holder, 'ActiveState'),
      'inactive',
      'nothing runs until it is needed',
    )
    t.equal(await show(`${holder}.socket`, 'ActiveState'), 'active')

    // A drain keeps builds away, and a running build ends undisturbed
    t.match(await output('builder-monitor drain b2'), /^drained: b2\nno builds/)
    t.equal(await output(build(4, ':')), 'b3\nb3\nb3\nb3', 'builds run elsewhere')
    await output(`(${build(2, 'sleep 3')}) >/tmp/running 2>&1 &`)
    await until(
      'two running builds',
      async () =>
        (
          await run(
            `for i in 0 1; do ! flock -n ${directory}/*b3-$i true || exit; done; exit 5`,
          )
        ).exit === 5,
    )
    t.match(
      await output('builder-monitor drain --wait b3'),
      /^drained: b3\nb3: [12] builds? of this machine runs?\n(.*\n)*no builds of this machine run there$/,
    )
    t.equal(await output('cat /tmp/running'), 'b3\nb3', 'the running builds ended')
    // Postponed, not failed
    await output(`(${build(1, ':')}) >/tmp/postponed 2>&1 &`)
    await output('sleep 1; test ! -s /tmp/postponed; builder-monitor undrain b2')
    await until(
      'the postponed build',
      async () => (await output('cat /tmp/postponed')) === 'b2',
    )
    t.equal(await output(build(2, ':')), 'b2\nb2', 'b2 is in service again')
    await output('builder-monitor drain b2 --reason test')
    await held()

    // Who may connect, and how many
    const connect = `node -e "require('net').connect('${socket}').on('error', e => console.log(e.code)).on('connect', () => console.log('connected'))"`
    t.equal(await output(`runuser -u plain -- ${connect}`), 'EACCES')
    const monitor = await show('builder-monitor', 'MainPID')
    await output(`mkdir -p /tmp/second && cat >/tmp/second/config.json <<-END
	{ "listen": ["127.0.0.1:10999"], "builders": { "b2": { "drained": true } } }
	END`)
    const second = await run(
      'RUNTIME_DIRECTORY=/tmp/second timeout 8 builder-monitor run --log-format json --config /tmp/second/config.json',
    )
    t.match(
      second.stdout,
      `another monitor (process ${monitor}) uses this slot holder: stop it first`,
    )

    const restart = await measure('longest_free systemctl restart builder-monitor')
    await report(
      'longest time that a slot was free during a restart of the monitor',
      restart,
    )
    t.ok(restart < 1000, `${restart} ms`)
    t.match(await output('builder-monitor status b2'), /drained/, 'the drain is kept')

    // The holder's directory is deleted: it holds the slots of the new one
    await output(`rm -r ${directory}`)
    await until(
      'slots in the new directory',
      async () =>
        (await run(`ls ${directory}/*b2-0 && ! flock -n ${directory}/*b2-0 true`))
          .exit === 0,
    )

    // SIGKILL and SIGSTOP
    const kill = (signal: string, unit: string, max: number) =>
      measure(
        `start=$(now); kill -${signal} $(systemctl show ${unit} -P MainPID); until_free $start ${max}`,
      )
    await held()
    for (const unit of [holder, 'builder-monitor']) {
      const ms = await kill('KILL', unit, 10_000)
      await report(`free after SIGKILL of ${unit}`, ms)
      t.ok(ms < 1000, `${ms} ms`)
      await report('held again', await held())
    }
    const frozen = await kill('STOP', 'builder-monitor', 40_000)
    await report('free after SIGSTOP of the monitor', frozen)
    t.ok(frozen > 10_000 && frozen < 22_000, `after the lease, ${frozen} ms`)
    await output('kill -CONT $(systemctl show builder-monitor -P MainPID)')
    await held()
    const hung = await kill('STOP', holder, 40_000)
    await report('free after SIGSTOP of the holder', hung)
    t.ok(hung < 22_000, `killed by the watchdog, ${hung} ms`)
    t.match(await output(`journalctl -u ${holder} --no-pager`), /Watchdog timeout/)
    await held()

    const count = Math.ceil(kills * shares[machine])
    const longest = await measure(`kill_at_random ${count}`)
    await report(`longest time until free in ${count} kills`, longest)
    t.ok(longest < 1000, `${longest} ms`)

    const stopped = await measure(
      'start=$(now); systemctl stop builder-monitor & until_free $start 10000; wait',
    )
    await report('free after a stop of the monitor', stopped)
    t.ok(stopped < 6000, `${stopped} ms`)
    t.equal(await output(`(${build(4, ':')}) | sort -u`), 'b2\nb3')

    if (machine === 's1')
      await until(
        'the end of an idle holder',
        async () => (await show(holder, 'ActiveState')) === 'inactive',
        70,
      )
    if (machine === 's2') await testHungConnects(t)
    if (machine === 's3') await testDaemonUser(t)

    await output('cd /lab/project && node systemd/install.mjs --remove')
    t.equal(
      await output(
        'find /etc/systemd /run -name "builder-monitor*" -not -path "*.d/90-*"',
      ),
      '',
    )
    await lab(['down', machine])
  })

/** With --abort-hung-connects the holder ends an ssh that hangs, so that the build runs on the other builder. */
const testHungConnects = async (t: Test) => {
  const { output } = on('s2')
  const measure = measureOn('s2')
  await output(`
    mkdir -p /etc/builder-monitor
    echo '{ "quarantine": { "enable": true, "abortHungConnects": true } }' >/etc/builder-monitor/config.json
    cd /lab/project && node systemd/install.mjs --abort-hung-connects
    builder-monitor undrain b2 b3
    nft 'add table inet lab; add chain inet lab out { type filter hook output priority 0; }'`)
  await waitFor('a verified b2', 60, async () =>
    (await output('builder-monitor status b2 --json')).includes('"verified": true')
      ? true
      : null,
  )
  await output(`nft add rule inet lab out ip daddr ${labNet}.2 drop`)
  const ms = await measure(
    `start=$(now); (${build(4, ':')}) >/tmp/hung; echo $(($(now) - start))`,
  )
  await appendFile(
    join(labDir, 'slots.txt'),
    `s2  4 builds while b2 does not answer: ${ms} ms\n`,
  )
  t.equal(await output('cat /tmp/hung'), 'b3\nb3\nb3\nb3')
  t.ok(ms < 60_000, `${ms} ms instead of 135 s`)
  t.match(
    await output(`journalctl -u ${holder} -o cat --no-pager`),
    `"endpoint":"${labNet}.2 port 22","msg":"ended an ssh that hung in its connect"`,
  )
  await output('nft delete table inet lab; rm /etc/builder-monitor/config.json')
}

/** A nix-daemon with a user of its own: the holder is that user, and creates the directory as that user. */
const testDaemonUser = async (t: Test) => {
  const { output, show } = on('s3')
  const measure = measureOn('s3')
  await output(`
    useradd --system nixd
    mkdir -p /etc/systemd/system/nix-daemon.service.d
    printf '[Service]\\nUser=nixd\\n' >/etc/systemd/system/nix-daemon.service.d/user.conf
    rm -r ${directory}; chown nixd /nix/var/nix; systemctl daemon-reload
    cd /lab/project && node systemd/install.mjs
    builder-monitor drain b2`)
  t.ok((await measure('until_held "$(now)" 30000')) < 30_000)
  t.match(
    await output(`stat -c '%U' ${directory} ${directory}/*b2-0`),
    /^nixd\nnixd$/,
    'lock files of that user',
  )
  t.equal(
    (await output(`ps -o user= -p ${await show(holder, 'MainPID')}`)).trim(),
    'nixd',
  )
  await output(
    'builder-monitor undrain b2; rm -r /etc/systemd/system/nix-daemon.service.d',
  )
}

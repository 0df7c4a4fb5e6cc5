/** The systemd units limit what a hostile builder or client can make the monitor use. */
import { readFileSync } from 'node:fs'
import t from 'tap'

const read = (path: string): string =>
  readFileSync(new URL(`../${path}`, import.meta.url), 'utf8')

const limits = ['MemoryMax', 'TasksMax', 'LimitNOFILE'] as const

t.test('both units limit memory, tasks and descriptors alike', async t => {
  const unit = read('systemd/builder-monitor.service')
  const service = read('nix/service.nix')
  for (const limit of limits) {
    const own = new RegExp(`^${limit}=(\\d+[MG]?)$`, 'm').exec(unit)?.[1]
    const nixos = new RegExp(`^ +${limit} = "?(\\d+[MG]?)"?;$`, 'm').exec(service)?.[1]
    t.ok(own, `${limit} is in systemd/builder-monitor.service`)
    t.equal(nixos, own, `${limit} of nix/service.nix`)
  }
})

t.test(
  'a directory of slot locks that cannot be made does not stop the socket',
  async t => {
    // systemd stops a socket whose service fails 20 times within 2 s (systemd.socket(5), TriggerLimitBurst=)
    const lines = [
      'systemd/builder-monitor-slots.service',
      'systemd/install.mjs',
      'docs/quarantine.md',
    ].flatMap(path =>
      read(path)
        .split('\n')
        .filter(line => /mkdir -p \S+current-load/.test(line)),
    )
    t.equal(lines.length, 3)
    for (const line of lines) t.match(line, /ExecStartPre=-\+/)
    const nixos = read('nix/module.nix').match(/"\S+\$\{.*akeLockDirectory\}"/g)
    t.equal(nixos?.length, 2)
    for (const command of nixos ?? []) t.match(command, /^"-\+/)
  },
)

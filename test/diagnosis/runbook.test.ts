import { readFile, readdir } from 'node:fs/promises'
import t from 'tap'
import { kindNames, type Kind, type Params } from '../../src/model/index.ts'
import {
  fixesText,
  formatMessage,
  kindFixes,
  kindAlert,
  kinds,
} from '../../src/diagnosis/kinds/index.ts'
import { builderParams } from '../../src/diagnosis/params.ts'
import { alertNames, alertRules } from '../../src/alerts/rules.ts'
import {
  dependsOnSshUser,
  renderKindsTable,
  renderRunbook,
  renderRunbookIndex,
} from '../../src/diagnosis/runbook.ts'
import { aBuilder } from '../support/builders.ts'

const docs = new URL('../../docs/', import.meta.url)
const pages = new URL('runbooks/', docs)
const fixesOf = (kind: Kind, params: Params) => fixesText(kindFixes(kind, params))

t.test('every kind has a page that equals the code', async t => {
  for (const kind of kindNames) {
    const page = await readFile(new URL(`${kind}.md`, pages), 'utf8').catch(() => '')
    t.equal(page, renderRunbook(kind), `${kind}; else: npm run docs`)
    t.notMatch(page, /undefined|\bnull\b/, kind)
    t.notMatch(page, /^> (?:.*[ (])?-(?:[ ,).]|$)/m, `${kind}: no parameter is missing`)
  }
  t.equal(await readFile(new URL('README.md', pages), 'utf8'), renderRunbookIndex())
  t.equal(await readFile(new URL('kinds.md', docs), 'utf8'), renderKindsTable())
  t.equal(
    (await readdir(pages)).length,
    kindNames.length + alertRules.length + 1,
    'there are no other pages',
  )
})

t.test('the table has exactly the kinds of the model', async t => {
  t.strictSame(Object.keys(kinds).sort(), [...kindNames].sort())
})

t.test('every alert of a kind exists', async t => {
  for (const kind of kindNames) {
    const alert = kindAlert(kind)
    if (alert !== null) t.ok(alertNames.includes(alert), `${kind}: ${alert}`)
  }
})

t.test('messages and fixes need only the parameters of every builder', async t => {
  const params = builderParams(aBuilder({ port: 2222 }))
  for (const kind of kindNames) {
    const message = formatMessage(kind, params)
    t.notMatch(`${message} ${fixesOf(kind, params)}`, /undefined/, kind)
    t.match(message, /^[^.].*[^.]$/, `${kind}: no full stop`)
    t.not(kindFixes(kind, params).length, 0)
  }
})

t.test('fixes have the port, the key and the user of the machine line', async t => {
  const params = builderParams(aBuilder({ port: 2222 }))
  t.match(
    fixesOf('control_master', params),
    'sudo ssh -i /etc/nix/key -p 2222 -O exit nix@b1',
  )
  t.match(fixesOf('auth_denied', params), 'sudo ssh-keygen -y -f /etc/nix/key')
})

t.test('commands quote a hostile builder name', async t => {
  const params = builderParams(
    aBuilder({ host: 'a; rm -rf /', user: '$(id)', sshKey: '/k`id`' }),
  )
  t.match(fixesOf('control_master', params), `-i '/k\`id\`' -O exit '$(id)@a; rm -rf /'`)
  t.match(fixesOf('key_permissions', params), `chmod 600 '/k\`id\`'`)
  t.match(fixesOf('key_permissions', { key: '~root/.ssh/id' }), 'chmod 600 ~root/.ssh/id')
  const commands = kindNames
    .flatMap(kind => kindFixes(kind, params))
    .flatMap(fix => ('command' in fix ? [fix.command.replace(/'[^']*'/g, '')] : []))
  for (const command of commands) t.notMatch(command, /\brm -rf \/|\$\(id\)|`id`/)
})

t.test('fixes behind a jump host name it', async t => {
  t.match(
    fixesOf('tcp_refused', { jump: 'gate', host: 'gate' }),
    /^Take the jump host gate/,
  )
})

t.test('a step names the builder where its command runs', async t => {
  t.equal(
    fixesText(kindFixes('clock_skew', {}), 'b1'),
    'on b1 run: sudo timedatectl set-ntp true',
  )
  t.equal(
    fixesText(kindFixes('client_offline', {})),
    'Bring the network up; run: ip address; run: ip route',
  )
})

t.test('all of a command for root runs as root', async t => {
  const chained = kindNames
    .flatMap(kind => kindFixes(kind, { service: 'builder-monitor' }))
    .flatMap(fix => ('command' in fix && fix.root ? [fix.command] : []))
    .filter(command => /&&|\|\||;/.test(command.replace(/'[^']*'/g, '')))
  t.same(chained, [])
})

t.test('the restart of nix-daemon stops the socket and forgets a crash loop', async t => {
  const commands = kindNames
    .flatMap(kind => kindFixes(kind, {}))
    .flatMap(fix => ('command' in fix ? [fix.command] : []))
  t.notOk(commands.some(command => /systemctl restart nix-daemon/.test(command)))
  t.equal(
    fixesOf('daemon_restart_needed', {}),
    "run: sudo sh -c 'for verb in reset-failed stop start; do systemctl $verb nix-daemon.socket nix-daemon.service; done'; On macOS: sudo launchctl kickstart -k system/org.nixos.nix-daemon",
  )
})

t.test(
  'a host key from a copy of known_hosts needs a restart of the service',
  async t => {
    for (const kind of ['host_key_changed', 'host_key_unknown'] as const) {
      t.match(
        fixesOf(kind, { service: 'builder-monitor' }),
        /Then restart builder-monitor, which has a copy of known_hosts.*; run: sudo systemctl restart builder-monitor$/,
      )
      t.notMatch(fixesOf(kind, {}), /copy of known_hosts/)
    }
  },
)

t.test('a page about the user of nix-daemon says who that is here', async t => {
  const page = (kind: Kind) =>
    renderRunbook(kind, { sshOwner: { user: 'nixd', knownBy: 'process 86' } })
  const sentence =
    /builds use the ssh of nixd, known by: process 86\. The keys, known_hosts and ssh_config/
  for (const kind of ['auth_denied', 'host_key_unknown', 'daemon_build_fails'] as const)
    t.match(page(kind), sentence, kind)
  t.match(page('auth_denied'), /\nsudo -H -u nixd ssh-keygen -y -f KEY\n/)
  t.match(page('dns'), /to nixd's ~\/\.ssh\/config/)
  t.match(
    renderRunbook('auth_denied', { sshOwner: null }),
    /is not known: no process, unit or socket[^]*\nsudo ssh-keygen -y -f KEY\n/,
  )
  t.notOk(dependsOnSshUser('disk_low'))
  t.equal(page('disk_low'), renderRunbook('disk_low'), 'other pages stay as they are')
})

import { readFile, readdir } from 'node:fs/promises'
import t from 'tap'
import {
  formatFix,
  kindNames,
  formatMessage,
  kindSide,
  kindState,
} from '../../src/diagnosis/kinds.ts'
import { builderParams } from '../../src/diagnosis/params.ts'
import { alertRules } from '../../src/alerts/rules.ts'
import { renderRunbook, renderRunbookIndex } from '../../src/diagnosis/runbook.ts'
import { aBuilder } from '../support/builders.ts'

const pages = new URL('../../docs/runbooks/', import.meta.url)

t.test(
  'every kind has a sentence, a hint, a side and a page that is up to date',
  async t => {
    for (const kind of kindNames) {
      const page = await readFile(new URL(`${kind}.md`, pages), 'utf8').catch(() => '')
      t.equal(page, renderRunbook(kind), `${kind}; else: npm run docs`)
      t.notMatch(page, /undefined|\bnull\b/, kind)
      t.notMatch(page, /^> (?:.*[ (])?-(?:[ ,).]|$)/m, `${kind}: nothing is left open`)
    }
    t.equal(await readFile(new URL('README.md', pages), 'utf8'), renderRunbookIndex())
    t.equal(
      (await readdir(pages)).length,
      kindNames.length + alertRules.length + 1,
      'and no page is left over',
    )
  },
)

t.test('sentences hold with nothing but what is known of every builder', async t => {
  const params = builderParams(aBuilder({ port: 2222 }))
  for (const kind of kindNames) {
    t.notMatch(
      `${formatMessage(kind, params)} ${formatFix(kind, params)}`,
      /undefined/,
      kind,
    )
    t.ok(kindSide(kind) && kindState(kind))
  }
})

t.test('hints carry the port, the key and the user of the machine line', async t => {
  const params = builderParams(aBuilder({ port: 2222 }))
  t.match(formatFix('disk_full', params), 'sudo ssh -i /etc/nix/key -p 2222 nix@b1')
  t.match(formatFix('auth_denied', params), 'ssh-copy-id -i /etc/nix/key nix@b1')
})

t.test('a hostile builder name cannot escape from a command to paste', async t => {
  const params = builderParams(
    aBuilder({ host: 'a; rm -rf /', user: '$(id)', sshKey: '/k`id`' }),
  )
  t.match(formatFix('disk_full', params), `-i '/k\`id\`' '$(id)@a; rm -rf /'`)
})

import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'

const root = fileURLToPath(new URL('..', import.meta.url))

/**
 * Words that are not used in code, messages and docs, with their replacement, as regular expressions. The words that
 * are used: docs/contributing/vocabulary.md.
 */
const rejected: Readonly<Record<string, string>> = {
  'told|tells?|telling': 'reported, sent, printed, known, with a subject',
  'mend(s|ed|ing)?': 'fix',
  'anew|afresh': 'again, new',
  'whom|whoever|whomever': 'the client, the user, the receiver',
  '(no|some|any|every)body': 'no client, every receiver, or a passive',
  'courier|parcel|errands?|workshop': 'worker, request, target, sandbox',
  'rungs?|ladder': 'probe, probe order',
  'verdicts?|damped|undamped': 'health, debounced',
  'sentences?|hints?': 'message, fix',
  'doubts?|distrusts?|suspects?|suspicion': 'self-check failed',
  'prove[ns]?|proved|proving|proofs?': 'verified, verify',
  'besides|meanwhile|whereabouts|thereby': 'also, in the meantime, address',
  'shall|lest|dearer': 'must, so that not, more expensive',
  'lend(s|ing)?|lent': 'pass, passed',
  'judge[ds]?|guilty|blame[ds]?': 'evaluate, verify, cause',
  'hall|ground floor|meeting place': 'core types, lowest layer',
  'kin|luck|strangers?|heard': 'related, outcome, untrusted, received',
}

const checked = [
  'src',
  'docs',
  'nix',
  'systemd',
  'prometheus',
  'grafana',
  'scripts',
  'bench',
  '.github',
  'README.md',
  'CHANGELOG.md',
  'CONTRIBUTING.md',
  'config.schema.json',
]

const filesBelow = (path: string): readonly string[] =>
  statSync(join(root, path)).isDirectory()
    ? readdirSync(join(root, path), { recursive: true }).map(file =>
        join(path, String(file)),
      )
    : [path]

const isText = (file: string): boolean =>
  /\.(ts|js|mjs|md|nix|json|yml|service|sysusers|sh|svg)$/.test(file)

/** Separates the words of an identifier: `sentAlerts` and `sent_alerts` are "sent alerts". */
const splitWords = (text: string): string =>
  text.replaceAll(/([a-z\d])([A-Z])/g, '$1 $2').replaceAll('_', ' ')

t.test('rejected words do not come back', async t => {
  const patterns = Object.entries(rejected).map(
    ([words, instead]) => [new RegExp(`\\b(?:${words})\\b`, 'gi'), instead] as const,
  )
  const found: string[] = []
  for (const file of checked.flatMap(filesBelow).filter(isText)) {
    const lines = readFileSync(join(root, file), 'utf8').split('\n')
    for (const [index, line] of lines.entries())
      for (const [pattern, instead] of patterns)
        for (const [word] of splitWords(line).matchAll(pattern))
          found.push(`${file}:${index + 1}: ${word} (use: ${instead})`)
  }
  t.same(found, [])
})

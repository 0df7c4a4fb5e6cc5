/** Remote text must not stall the daemon: the rules take linear time for lines made to be expensive. */
import t from 'tap'
import { classify } from '../../src/diagnosis/classify.ts'
import {
  consequential,
  definite,
  generic,
  keyWarnings,
  matchRule,
  type MessageRule,
} from '../../src/diagnosis/message-rules.ts'

/** Returns texts that a pattern matches up to one of its repetitions: the literal text before each, per alternative. */
const beginnings = ({ source }: RegExp): readonly string[] => {
  const texts = new Set<string>([''])
  let text = ''
  for (let i = 0; i < source.length; i++) {
    const rest = source.slice(i)
    const [group = ''] = /^\((?:\?[:=!]|\?<[=!])?/.exec(rest) ?? []
    const [set = ''] = /^(?:\[(?:\\.|[^\]\\])*\]|\\[a-zA-Z]|\.)/.exec(rest) ?? []
    const [repetition = ''] = /^(?:[*+?]|\{\d+(?:,\d*)?\})\??/.exec(rest) ?? []
    if (repetition) {
      texts.add(text)
      i += repetition.length - 1
    } else if (set) {
      text += set.includes('d') ? '1' : 'a'
      i += set.length - 1
    } else if (group) i += group.length - 1
    else if (rest.startsWith('|')) {
      texts.add(text)
      text = ''
    } else if (rest.startsWith('\\')) text += source[++i] ?? ''
    else if (!')^$'.includes(source[i] ?? '')) text += source[i]
  }
  return [...texts, text]
}

const fillers = ['a', ' ', "'", '0', '/', ':', '{', '\t', 'a ', "' ", '-1']

const hostileLines = function* (pattern: RegExp, length: number): Generator<string> {
  for (const beginning of beginnings(pattern)) {
    for (const filler of fillers)
      yield (beginning + filler.repeat(length)).slice(0, length)
    if (beginning) yield beginning.repeat(length / beginning.length + 1).slice(0, length)
  }
}

/** Returns the CPU time of `work` in milliseconds, which other processes do not change. */
const cpuMs = (work: () => void): number => {
  const { user } = process.cpuUsage()
  work()
  return (process.cpuUsage().user - user) / 1000
}

/** For a line of any length. */
const limitMs = 5

/** The least of several runs: the first one compiles the pattern, and a collection of garbage is not the pattern's. */
const leastMs = (work: () => void): number => {
  let least = Infinity
  for (let i = 0; i < 5 && least > limitMs / 5; i++) least = Math.min(least, cpuMs(work))
  return least
}

const tables: Readonly<Record<string, readonly MessageRule[]>> = {
  definite,
  generic,
  consequential,
  keyWarnings,
}

for (const [name, rules] of Object.entries(tables))
  t.test(
    `each rule of ${name} takes less than ${limitMs} ms for a hostile line`,
    async t => {
      for (const rule of rules) {
        const [pattern] = rule
        let slowest = 0
        for (const length of [2000, 256_000])
          for (const line of hostileLines(pattern, length))
            slowest = Math.max(
              slowest,
              leastMs(() => matchRule(rule, line)),
            )
        t.ok(slowest < limitMs, `${slowest} ms: ${pattern.source.slice(0, 60)}`)
      }
    },
  )

/** Of the order of a hundred rules for each of its lines. */
const textLimitMs = 500

t.test('classifies a hostile text of the largest size in bounded time', async t => {
  for (const [pattern] of Object.values(tables).flat().slice(0, 20))
    for (const line of [...hostileLines(pattern, 2000)].slice(-3)) {
      const text = `${line}\n`.repeat(128)
      const ms = leastMs(() => classify(text))
      t.ok(ms < textLimitMs, `${ms} ms: ${pattern.source.slice(0, 60)}`)
    }
})

t.test('finds the reason at the end of a long line and of a long text', async t => {
  const reason = 'ssh: connect to host b1 port 22: Connection refused'
  for (const text of [
    'x '.repeat(5000) + reason,
    reason + ' x'.repeat(5000),
    'x\n'.repeat(400_000) + reason,
  ])
    t.equal(classify(text)?.kind, 'tcp_refused')
})

t.test('the limit is able to fail', async t => {
  const quadratic = /a[^'\n]*b/
  t.ok(leastMs(() => quadratic.exec('a'.repeat(8000))) > limitMs)
})

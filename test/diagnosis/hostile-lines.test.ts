/** Remote text must not stall the daemon: the rules take linear time for lines made to be expensive. */
import t from 'tap'
import { classify } from '../../src/diagnosis/classify.ts'
import {
  consequential,
  definite,
  generic,
  keyWarnings,
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

/**
 * A linear pattern takes a few milliseconds for 256,000 characters, a quadratic one a minute, and every machine that is
 * used for tests is between them.
 */
const limitMs = 500

const tables: Readonly<Record<string, readonly MessageRule[]>> = {
  definite,
  generic,
  consequential,
  keyWarnings,
}

for (const [name, rules] of Object.entries(tables))
  t.test(`each rule of ${name} takes linear time`, async t => {
    for (const [pattern] of rules) {
      let slowest = 0
      for (const length of [2000, 256_000])
        for (const line of hostileLines(pattern, length))
          slowest = Math.max(
            slowest,
            cpuMs(() => pattern.exec(line)),
          )
      t.ok(slowest < limitMs, `${slowest} ms: ${pattern.source.slice(0, 60)}`)
    }
  })

t.test('classifies a hostile text of the largest size in bounded time', async t => {
  for (const [pattern] of Object.values(tables).flat().slice(0, 20))
    for (const line of [...hostileLines(pattern, 2000)].slice(-3)) {
      const text = `${line}\n`.repeat(128)
      const ms = cpuMs(() => classify(text))
      t.ok(ms < 10 * limitMs, `${ms} ms: ${pattern.source.slice(0, 60)}`)
    }
})

t.test('the limit is able to fail', async t => {
  const quadratic = /a[^'\n]*b/
  const line = 'a'.repeat(64_000)
  t.ok(cpuMs(() => quadratic.exec(line)) > limitMs)
})

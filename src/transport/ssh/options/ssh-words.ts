/** One option or word of an ssh command line. */
export interface SshWord {
  /** The letter of an option; null for a word that is no option. */
  readonly flag: string | null
  /** The argument of the option, or the word. */
  readonly value: string
}

/** Options with an argument (ssh.c, getopt). */
const withArgument = 'BDEFIJLOPQRSWbceilmopw'

/** Options without an argument. */
const withoutArgument = '1246ACGKMNTVXYafgknqstvxy'

/** Whether ssh has this option. */
export const isSshFlag = (flag: string): boolean =>
  withArgument.includes(flag) || withoutArgument.includes(flag)

/**
 * Parses the words of NIX_SSHOPTS as ssh does after the destination: options up to the first word that is none, which
 * starts the remote command, as does everything after `--`.
 */
export const parseSshWords = (words: readonly string[]): readonly SshWord[] => {
  const parsed: SshWord[] = []
  for (let i = 0; i < words.length; i++) {
    const word = words[i]!
    if (word === '--' || !word.startsWith('-') || word === '-') {
      parsed.push({ flag: null, value: words.slice(i).join(' ') })
      return parsed
    }
    for (let at = 1; at < word.length; at++) {
      const flag = word[at]!
      if (!withArgument.includes(flag)) {
        parsed.push({ flag, value: '' })
        continue
      }
      parsed.push({ flag, value: word.slice(at + 1) || (words[++i] ?? '') })
      break
    }
  }
  return parsed
}

/** Splits `Option=value` or `Option value` as ssh's -o does; the name in lower case. */
export const splitOption = (text: string): readonly [name: string, value: string] => {
  const name = /^\s*[\w-]+/.exec(text.slice(0, 200))?.[0] ?? ''
  const value = text.slice(name.length).trimStart()
  return [
    name.trim().toLowerCase(),
    unquote((value.startsWith('=') ? value.slice(1) : value).trim()),
  ]
}

const unquote = (text: string): string =>
  text.length > 1 && text.startsWith('"') && text.endsWith('"') ? text.slice(1, -1) : text

/** Options of the command line that set an option of ssh_config(5). */
const optionOfFlag: Readonly<Record<string, string>> = {
  '4': 'addressfamily',
  '6': 'addressfamily',
  B: 'bindinterface',
  D: 'dynamicforward',
  L: 'localforward',
  M: 'controlmaster',
  N: 'sessiontype',
  R: 'remoteforward',
  S: 'controlpath',
  T: 'requesttty',
  W: 'sessiontype',
  b: 'bindaddress',
  c: 'ciphers',
  f: 'stdinnull',
  m: 'macs',
  n: 'stdinnull',
  p: 'port',
  s: 'sessiontype',
  t: 'requesttty',
  w: 'tunnel',
}

/** Returns the words that set an option (in lower case), as they are written; null if none does. */
export const findOptionWord = (
  words: readonly SshWord[],
  option: string,
): string | null => {
  for (const { flag, value } of words) {
    if (flag === 'o' && splitOption(value)[0] === option) return `-o ${value}`
    if (flag !== null && optionOfFlag[flag] === option)
      return value ? `-${flag} ${value}` : `-${flag}`
  }
  return null
}

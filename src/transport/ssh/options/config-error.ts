import type { Kind, Params } from '../../../model/index.ts'
import { oneLine } from '../../../text/truncate.ts'

/** Why ssh rejects its own configuration. */
export interface ConfigError {
  readonly kind: Kind
  readonly params: Params
}

/** `FILE line N: TEXT` and `FILE: line N: TEXT` (readconf.c). */
const position = /^(\S[^:\n]*?):? line (\d+): ?(.*)/

/** Explains the stderr of an ssh that does not accept its configuration (readconf.c, ssh.c). */
export const describeConfigError = (stderr: string): ConfigError => {
  const lines = stderr
    .slice(0, 64 * 1024)
    .split('\n')
    .map(line => line.slice(0, 1000).trim())
    .filter(line => line !== '' && !/^debug\d: |^Pseudo-terminal /.test(line))
  for (const line of lines) {
    const [, file = '', number = '', text = ''] = position.exec(line) ?? []
    const isCommandLine = file === 'command-line'
    if (/^RefuseConnection/.test(text))
      return {
        kind: 'ssh_option',
        params: {
          option: 'RefuseConnection',
          where: `${file}:${number}`,
          detail: oneLine(text),
        },
      }
    if (file)
      return {
        kind: 'ssh_config_invalid',
        params: {
          where: isCommandLine ? 'NIX_SSHOPTS' : `${file}:${number}`,
          detail: oneLine(text),
          ...(isCommandLine ? {} : { file, line: number }),
        },
      }
    const owner = /^Bad owner or permissions on (.+)/.exec(line)?.[1]
    if (owner)
      return {
        kind: 'ssh_config_invalid',
        params: { where: owner, file: owner, detail: oneLine(line), reason: 'owner' },
      }
    const unreadable = /^Can't open user config file (.+): ([^:]+)$/.exec(line)
    if (unreadable)
      return {
        kind: 'ssh_config_invalid',
        params: { where: 'NIX_SSHOPTS', detail: oneLine(line) },
      }
    const unresolved = /^(?:ssh: )?Could not resolve host "([^"]*)"/.exec(line)
    if (unresolved)
      return {
        kind: 'ssh_option',
        params: {
          option: 'CanonicalizeFallbackLocal',
          value: 'no',
          detail: `${oneLine(unresolved[1] ?? '')} is in none of CanonicalDomains`,
        },
      }
  }
  // What is left are errors of the command line: a usage, a bad argument
  const [line = 'ssh -G failed'] = lines
  return {
    kind: 'ssh_config_invalid',
    params: { where: 'NIX_SSHOPTS', detail: oneLine(line) },
  }
}

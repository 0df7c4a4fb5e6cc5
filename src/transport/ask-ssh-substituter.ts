import type { AskSubstituter, LocalNix, Run } from '../model/index.ts'
import { dialectOf } from '../nix/dialect.ts'
import { parseStoreUri, sshDestination } from '../nix/machines/store-uri.ts'
import { splitSshOpts } from './ssh/ssh-command.ts'
import { resolveTarget } from './ssh/ssh-config.ts'
import { connectTcp } from './ssh/tcp-connect.ts'

export interface AskSshSubstituterDeps {
  readonly run: Run
  readonly env: Readonly<Record<string, string | undefined>>
  readonly nix: () => LocalNix
}

/**
 * Creates a function that asks whether the host of an ssh:// substituter accepts a connection, at the address of `ssh -G`.
 * It does not log in. Behind a jump host or a proxy nothing is asked.
 */
export const createAskSshSubstituter =
  ({ run, env, nix }: AskSshSubstituterDeps): AskSubstituter =>
  async (url, timeoutMs, signal) => {
    const dialect = dialectOf(nix().version)
    const uri = parseStoreUri(url.href, dialect)
    const where = sshDestination({ ...uri, storeUri: uri.text }, dialect)
    if (!where) return { status: 'answers' }
    const options = [
      ...splitSshOpts(env['NIX_SSHOPTS'] ?? '', true),
      ...(where.port === null ? [] : ['-p', String(where.port)]),
    ]
    const resolved = await resolveTarget(
      { destination: where.destination, options },
      run,
      env,
      signal,
    )
    if (resolved.status !== 'ok') return { status: 'answers' }
    const { hostname, port, family, proxyJump, proxyCommand } = resolved.value
    if (proxyJump !== null || proxyCommand !== null) return { status: 'answers' }
    const startedAt = performance.now()
    const deadline = AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)])
    const result = await connectTcp(hostname, port, family, timeoutMs, deadline)
    if (result.ok) {
      result.socket.destroy()
      return { status: 'answers' }
    }
    if (signal.aborted || result.localCode) return { status: 'answers' }
    if (result.kind === 'tcp_timeout') return { status: 'hangs', isConnected: false }
    const seconds = (performance.now() - startedAt) / 1000
    return { status: 'fails', code: codes[result.kind] ?? 'EHOSTUNREACH', seconds }
  }

const codes: Readonly<Record<string, string>> = {
  dns: 'ENOTFOUND',
  tcp_refused: 'ECONNREFUSED',
}

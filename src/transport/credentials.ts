import type { CertificateSeen, Run } from '../model.ts'
import { certificateInLine, type Certificate } from './certificate.ts'
import { readKey } from './identities.ts'
import type { SshTarget } from './ssh-config.ts'

export interface CredentialSources {
  readonly target: SshTarget
  /** Key of the machine line, which ssh drops from its list where the file is missing. */
  readonly lineKey: string | null
  readonly run: Run
  readonly env: Readonly<Record<string, string | undefined>>
  readonly signal: AbortSignal
}

/**
 * The user certificates that ssh would offer (sshconnect2.c, ssh.c load_public_identity_files): those of CertificateFile,
 * where there is none those beside the identity files, and those of an agent. What cannot be read is not there for ssh
 * either.
 */
export const readUserCertificates = async (
  sources: CredentialSources,
): Promise<readonly CertificateSeen[]> => {
  const [files, agent] = await Promise.all([inFiles(sources), inAgent(sources)])
  return [...files, ...agent]
}

const inFiles = async ({
  target,
  lineKey,
}: CredentialSources): Promise<CertificateSeen[]> => {
  const keys = new Set([...(lineKey ? [lineKey] : []), ...target.identityFiles])
  const paths =
    target.certificateFiles.length > 0
      ? target.certificateFiles
      : [...keys].map(key => `${key}-cert.pub`)
  const found = await Promise.all(
    paths.map(async path => {
      const read = await readKey(path)
      if ('error' in read) return []
      return userCertificates(read.key.toString('latin1').split('\n', 1), path)
    }),
  )
  return found.flat()
}

/** More keys than any sshd would listen to. */
const maxAgentKeys = 100

const inAgent = async ({
  target: { agent, identitiesOnly },
  run,
  env,
  signal,
}: CredentialSources): Promise<CertificateSeen[]> => {
  if (agent === null || identitiesOnly) return []
  const listed = await run({
    file: 'ssh-add',
    args: ['-L'],
    env: { ...env, SSH_AUTH_SOCK: agent },
    // An agent that hangs would hang ssh too, but that is for the login to find out
    signal: AbortSignal.any([signal, AbortSignal.timeout(1000)]),
  })
  const lines = listed.stdout.split('\n').slice(0, maxAgentKeys)
  return userCertificates(lines, 'agent')
}

const userCertificates = (lines: readonly string[], source: string): CertificateSeen[] =>
  lines.flatMap(line => {
    const certificate = certificateInLine(line)
    return certificate?.role === 'user' ? [seen(certificate, source)] : []
  })

export const seen = (
  { role, validFrom, validUntil }: Certificate,
  source: string,
): CertificateSeen => ({ role, source, validFrom, validUntil })

import type { CertificateInfo, Run } from '../../model/index.ts'
import { parseCertificateLine, type Certificate } from './certificate.ts'
import { readKeyFile } from './identities.ts'
import type { SshTarget } from './ssh-config.ts'

export interface CertificateSources {
  readonly target: SshTarget
  /** Key of the machine line, which ssh drops from its list if the file is missing. */
  readonly lineKey: string | null
  readonly run: Run
  readonly env: Readonly<Record<string, string | undefined>>
  readonly signal: AbortSignal
}

/**
 * Reads the user certificates that ssh would offer (sshconnect2.c, ssh.c load_public_identity_files): those of
 * CertificateFile, or else those next to the identity files, and those of an agent. Ignores unreadable files, as ssh does.
 */
export const readUserCertificates = async (
  sources: CertificateSources,
): Promise<readonly CertificateInfo[]> => {
  const [files, agent] = await Promise.all([
    readFileCertificates(sources),
    readAgentCertificates(sources),
  ])
  return [...files, ...agent]
}

const readFileCertificates = async ({
  target,
  lineKey,
}: CertificateSources): Promise<CertificateInfo[]> => {
  const keys = new Set([...(lineKey ? [lineKey] : []), ...target.identityFiles])
  const paths =
    target.certificateFiles.length > 0
      ? target.certificateFiles
      : [...keys].map(key => `${key}-cert.pub`)
  const certificates = await Promise.all(
    paths.map(async path => {
      const read = await readKeyFile(path)
      if ('error' in read) return []
      return parseUserCertificates(read.key.toString('latin1').split('\n', 1), path)
    }),
  )
  return certificates.flat()
}

/** More keys than any sshd accepts. */
const maxAgentKeys = 100

const readAgentCertificates = async ({
  target: { agent, identitiesOnly },
  run,
  env,
  signal,
}: CertificateSources): Promise<CertificateInfo[]> => {
  if (agent === null || identitiesOnly) return []
  const listed = await run({
    file: 'ssh-add',
    args: ['-L'],
    env: { ...env, SSH_AUTH_SOCK: agent },
    // A hanging agent would block ssh, too, but the login reports that
    signal: AbortSignal.any([signal, AbortSignal.timeout(1000)]),
  })
  const lines = listed.stdout.split('\n').slice(0, maxAgentKeys)
  return parseUserCertificates(lines, 'agent')
}

const parseUserCertificates = (
  lines: readonly string[],
  source: string,
): CertificateInfo[] =>
  lines.flatMap(line => {
    const certificate = parseCertificateLine(line)
    return certificate?.role === 'user' ? [toCertificateInfo(certificate, source)] : []
  })

export const toCertificateInfo = (
  { role, validFrom, validUntil, principals }: Certificate,
  source: string,
): CertificateInfo => ({
  role,
  source,
  validFrom,
  validUntil,
  ...(principals === undefined ? {} : { principals }),
})

/** SSH certificates: ssh2 does not support them, OpenSSH does. */
import type { LoginValue } from '../../../src/model/index.ts'
import {
  always,
  down,
  healthy,
  healthyAnd,
  healthyThroughOpenssh,
  type Expected,
  type Row,
} from './row.ts'

/** Healthy, with a notice that the certificate ends tomorrow. */
const endsTomorrow = (role: 'user' | 'host'): Expected =>
  healthyAnd((t, builder) => {
    const value = builder.probes.login?.value as LoginValue | undefined
    const left =
      (value?.certificates.find(certificate => certificate.role === role)?.validUntil ??
        0) -
      Date.now() / 1000
    t.ok(
      left > 3600 && left < 25 * 3600,
      `${builder.name}: the certificate is valid for ${left} s`,
    )
    const hasNotice = builder.notices?.some(({ kind }) => kind === 'certificate_expires')
    t.ok(hasNotice, `${builder.name}: a notice says so`)
  })

/** The file of a security key without its device, in base64: the key itself is in the device. */
const securityKey =
  'LS0tLS1CRUdJTiBPUEVOU1NIIFBSSVZBVEUgS0VZLS0tLS0KYjNCbGJuTnphQzFyWlhrdGRqRUFBQUFBQkc1dmJtVUFBQUFFYm05dVpRQUFBQUFBQUFBQkFBQUFTZ0FBQUJwemF5MXpjMgpndFpXUXlOVFV4T1VCdmNHVnVjM05vTG1OdmJRQUFBQ0FIQndjSEJ3Y0hCd2NIQndjSEJ3Y0hCd2NIQndjSEJ3Y0hCd2NICkJ3Y0hCd0FBQUFSemMyZzZBQUFBYUFBQUFBRUFBQUFCQUFBQUduTnJMWE56YUMxbFpESTFOVEU1UUc5d1pXNXpjMmd1WTIKOXRBQUFBSUFjSEJ3Y0hCd2NIQndjSEJ3Y0hCd2NIQndjSEJ3Y0hCd2NIQndjSEJ3Y0hBQUFBQkhOemFEb0JBQUFBQm1oaApibVJzWlFBQUFBQUFBQUFDYldVQgotLS0tLUVORCBPUEVOU1NIIFBSSVZBVEUgS0VZLS0tLS0K'

const cert = ({ node }: { readonly node: string }) => ({ host: `cert.${node}` })

export const certificateRows: readonly Row[] = [
  {
    name: 'a host certificate of a known authority',
    faults: ['hostcert'],
    line: cert,
    expect: always(healthyThroughOpenssh),
  },
  {
    name: 'a host certificate where the plain key is known',
    faults: ['hostcert'],
    expect: always(healthy),
  },
  {
    name: 'a host certificate that has expired',
    faults: ['hostcert-late'],
    line: cert,
    expect: always(down('certificate_expired', 'security', /ssh-keygen -L/)),
  },
  {
    name: 'a host certificate that does not list the name',
    faults: ['hostcert'],
    ssh: ({ node }) => [
      `UserKnownHostsFile /lab/share/authority`,
      'GlobalKnownHostsFile none',
      `HostKeyAlias v9.${node}`,
    ],
    from: {
      before:
        'printf "@cert-authority * %s\\n" "$(cut -d" " -f1,2 /lab/keys/ca.pub)" >/lab/share/authority',
    },
    expect: ({ node }) =>
      down('certificate_principal', 'security', new RegExp(`-n v9\\.${node}`)),
  },
  {
    name: 'a user certificate that does not list the user',
    faults: ['user-ca'],
    line: () => ({ key: '/lab/keys/signed', user: 'plain' }),
    expect: always(down('certificate_principal', 'security', /lists plain/)),
  },
  {
    name: 'a security key whose device is not plugged in',
    faults: ['security-key'],
    from: {
      before: `printf ${securityKey} | base64 -d >/tmp/lab-sk; chmod 600 /tmp/lab-sk`,
    },
    line: () => ({ key: '/tmp/lab-sk' }),
    ssh: () => ['IdentitiesOnly yes'],
    expect: always(down('key_signing_failed', 'client', /without a device/)),
  },
  {
    name: 'no host certificate where only an authority is known',
    line: cert,
    expect: always(down('host_key_unknown', 'client', /ssh-keygen -lf/)),
  },
  {
    name: 'a user certificate',
    faults: ['user-ca'],
    line: () => ({ key: '/lab/keys/signed' }),
    expect: always(healthyThroughOpenssh),
  },
  {
    name: 'a user certificate that ends tomorrow',
    faults: ['user-ca'],
    line: () => ({ key: '/lab/keys/soon' }),
    expect: always(endsTomorrow('user')),
  },
  {
    name: 'a host certificate that ends tomorrow',
    faults: ['hostcert-soon'],
    line: cert,
    expect: always(endsTomorrow('host')),
  },
  {
    name: 'a user certificate that has expired',
    faults: ['user-ca'],
    line: () => ({ key: '/lab/keys/late' }),
    expect: always(down('certificate_expired', 'security', /ssh-keygen -L/)),
  },
  {
    name: 'a user certificate of an unknown authority',
    line: () => ({ key: '/lab/keys/signed' }),
    expect: always(down('auth_denied', 'client', /authorized_keys/)),
  },
]

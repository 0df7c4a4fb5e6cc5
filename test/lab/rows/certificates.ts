/** SSH certificates: ssh2 knows none, OpenSSH does. */
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

/** Healthy, and said to end tomorrow. */
const endsTomorrow = (role: 'user' | 'host'): Expected =>
  healthyAnd((t, builder) => {
    const value = builder.probes.login?.value as LoginValue | undefined
    const left =
      (value?.certificates.find(one => one.role === role)?.validUntil ?? 0) -
      Date.now() / 1000
    t.ok(left > 3600 && left < 25 * 3600, `${builder.name}: ${left} s are left`)
    const noted = builder.notices?.some(({ kind }) => kind === 'certificate_expires')
    t.ok(noted, `${builder.name}: and that is noted`)
  })

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
    name: 'a user certificate that the builder does not look at',
    line: () => ({ key: '/lab/keys/signed' }),
    expect: always(down('auth_denied', 'client', /authorized_keys/)),
  },
]

/** SSH certificates: ssh2 knows none, OpenSSH does. */
import { always, down, healthy, healthyThroughOpenssh, type Row } from './row.ts'

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

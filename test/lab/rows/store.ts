/** Faults of the builder's store and disks. */
import type { CanaryValue } from '../../../src/model/index.ts'
import { always, degraded, down, healthy, type Row } from './row.ts'

export const storeRows: readonly Row[] = [
  {
    name: 'a full store',
    faults: ['disk-full'],
    expect: always(down('disk_full', 'remote', /nix-collect-garbage/)),
  },
  {
    name: 'a store without inodes',
    faults: ['inodes-full'],
    expect: always(down('inodes_full', 'remote', /nix-collect-garbage.*df -i/)),
  },
  {
    name: 'a store below min-free',
    faults: ['low-space'],
    expect: always({
      state: 'degraded',
      kind: 'below_min_free',
      side: 'remote',
      fix: /nix-collect-garbage/,
    }),
  },
  {
    name: 'a full /tmp',
    faults: ['tmp-full'],
    // Since 2.30 the build directories are in /nix/var/nix
    expect: ({ node }) =>
      node === 'b3' ? healthy : degraded('disk_low', 'remote', /\/tmp/),
  },
  {
    name: 'a read-only store',
    faults: ['store-ro'],
    expect: always(down('store_read_only', 'remote', /remount,rw/)),
  },
  {
    name: 'a sandbox without /bin/sh',
    faults: ['no-sh'],
    noBuild:
      'the build of the oracle needs /bin/sh, those of nixpkgs bring their own shell',
    expect: always({
      state: 'healthy',
      kind: null,
      also: (t, builder) => {
        const { runs } = (builder.probes.canary?.value ?? { runs: [] }) as CanaryValue
        t.equal(
          runs[0]?.systemVerified,
          false,
          `${builder.name}: the system is not verified`,
        )
      },
    }),
  },
  {
    name: 'a disk that fills during the build',
    faults: ['build-fills'],
    expect: always(down('disk_full', 'remote', /nix-collect-garbage/)),
  },
]

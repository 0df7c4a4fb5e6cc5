const GiB = 1024 ** 3

/** The properties that a simulated builder reports. */
export interface DemoBuilder {
  readonly name: string
  readonly scheme: 'ssh-ng' | 'ssh'
  readonly nixVersion: string
  readonly trusted: boolean
  /** False if the machine line pins another key than the server's. */
  readonly hasPinnedKey: boolean
  readonly isFlaky: boolean
  readonly maxJobs: number
  readonly features: readonly string[]
  readonly disk: {
    readonly sizeBytes: number
    readonly availableBytes: number
    readonly minFreeBytes: number
  }
  readonly memory: { readonly sizeBytes: number; readonly availableBytes: number }
}

/** The system of all simulated builders. */
export const demoSystem = 'x86_64-linux'
export const demoUser = 'demo'

const healthy: DemoBuilder = {
  name: 'demo-healthy',
  scheme: 'ssh-ng',
  // The last release with worker protocol 1.35, so that a real Nix can use it too
  nixVersion: '2.19.7',
  trusted: true,
  hasPinnedKey: true,
  isFlaky: false,
  maxJobs: 8,
  features: ['big-parallel', 'kvm'],
  disk: { sizeBytes: 500 * GiB, availableBytes: 210 * GiB, minFreeBytes: 20 * GiB },
  memory: { sizeBytes: 32 * GiB, availableBytes: 21 * GiB },
}

/** One builder for each typical state. */
export const demoBuilders: readonly DemoBuilder[] = [
  healthy,
  {
    ...healthy,
    name: 'demo-full-disk',
    scheme: 'ssh',
    maxJobs: 4,
    disk: { sizeBytes: 200 * GiB, availableBytes: 3 * GiB, minFreeBytes: 10 * GiB },
  },
  { ...healthy, name: 'demo-untrusted', trusted: false, maxJobs: 4 },
  { ...healthy, name: 'demo-changed-key', hasPinnedKey: false, maxJobs: 4 },
  { ...healthy, name: 'demo-flaky', isFlaky: true, maxJobs: 2 },
]

/** Returns `count` healthy builders, for load tests. */
export const manyBuilders = (count: number): readonly DemoBuilder[] =>
  Array.from({ length: count }, (_, i) => ({
    ...healthy,
    name: `demo-${String(i + 1).padStart(3, '0')}`,
  }))

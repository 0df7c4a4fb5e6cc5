/** Thresholds of all alerts, in seconds and bytes. */
export const thresholds = {
  /** Canary intervals without a success. */
  unverifiedIntervals: 4,
  belowMinFreeSeconds: 3600,
  gcOverdueBytes: 2 ** 30,
  fullBytes: 100 * 2 ** 20,
  fullInodes: 5000,
  slotSeconds: 86_400,
  expirySeconds: 3 * 86_400,
  /** Login intervals without an attempt. After a rejected key logins back off for up to `backOffSeconds`. */
  staleIntervals: 3,
  backOffSeconds: 900,
  oomKillsPerHour: 2,
  clockSkewSeconds: 60,
} as const

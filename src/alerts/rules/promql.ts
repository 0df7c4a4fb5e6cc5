/** Parts shared by several expressions. */
export const perBuilder = 'on (instance, job, builder)'
export const unlessSelfCheckFailed =
  'unless on (instance, job) (builder_monitor_self_check_failed == 1)'
export const inState = (states: string): string =>
  `(nix_builder_state{state=~"${states}"} == 1)`
export const unlessDrained = `unless ${perBuilder} ${inState('drained')}`
export const canaryInterval = 'builder_monitor_probe_interval_seconds{probe="canary"}'
export const loginInterval = 'builder_monitor_probe_interval_seconds{probe="login"}'

/** For runbooks. */
export const seeStatus =
  '`sudo builder-monitor status` shows the cause, the side and the fix.'

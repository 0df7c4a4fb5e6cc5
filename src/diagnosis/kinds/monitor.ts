import type { Kind } from '../../model/index.ts'
import { here, hereAsRoot, noAction, text, type KindInfo } from './kind-info.ts'

/** Kinds that need no change on any side, and errors of the monitor itself. */
export const monitorKinds = {
  internal: {
    side: 'none',
    state: 'down',
    message: p => `internal error of builder-monitor${p.detail}`,
    fixes: () => [
      text('Report a bug with the output of this command'),
      here('builder-monitor check --json'),
    ],
    meaning: 'A bug of builder-monitor. The builder may be healthy.',
    diagnosis: 'The evidence has the stack trace; please report it.',
  },
  unclassified: {
    side: 'none',
    state: 'down',
    message: p => `unknown error${p.detail}`,
    fixes: () => [text('Read the evidence, and report it so that it gets a name')],
    meaning: 'An error message that builder-monitor does not know.',
    diagnosis: 'The evidence; please report it, so that it gets a name.',
  },
  asleep: {
    side: 'none',
    state: 'info',
    message: p => `${p.host} does not answer (allowed: expect is asleep)`,
    fixes: () => [noAction],
    meaning:
      'The configuration allows this builder to sleep (expect: "asleep"), and it does not answer.',
    diagnosis: 'No action needed. Builds that select it still wait for its timeout.',
  },
  drained: {
    side: 'none',
    state: 'info',
    message: p => `${p.host} is drained: not probed, no alerts`,
    fixes: () => [
      text('When it can take builds again, end the drain'),
      hereAsRoot('builder-monitor undrain NAME'),
      text(
        'A drain of the configuration: remove builders.NAME.drained from /etc/builder-monitor/config.json, then reload',
      ),
      hereAsRoot('builder-monitor reload'),
    ],
    meaning:
      'This builder was drained with `builder-monitor drain` or in the configuration: it is not probed and causes no alerts. Builds are kept away from it while the slot holder runs; builds that run there go on. Without the slot holder Nix still uses it while its line is in the list.',
    diagnosis:
      '`sudo builder-monitor status` shows who drained it, since when, why and until when, how many builds still run there, and whether builds are really kept away.',
  },
  dependency_failed: {
    side: 'none',
    state: 'info',
    message: p => `not probed, because ${p.waitsFor} failed`,
    fixes: p => [text(`Fix ${p.waitsFor} first`)],
    meaning: 'A probe on which this one depends failed, so this one did not run.',
    diagnosis: 'The probe that failed.',
  },
  not_requested: {
    side: 'none',
    state: 'info',
    message: p => `not requested${p.detail}`,
    fixes: () => [
      text('Request a canary build to verify the builder'),
      here('builder-monitor check --canary'),
    ],
    meaning: 'The command did not request this probe.',
    diagnosis: 'check --canary requests it.',
  },
  not_applicable: {
    side: 'none',
    state: 'info',
    message: p => `not applicable${p.detail}`,
    fixes: () => [noAction],
    meaning:
      'This machine or its builders have nothing to check here, for example ssh where no builder uses it.',
    diagnosis: 'The message has the reason.',
  },
  no_local_nix: {
    side: 'none',
    state: 'info',
    message: () => 'no nix-build on this machine, so no canary can be sent',
    fixes: () => [text('Install Nix here (Debian: sudo apt-get install nix-bin)')],
    meaning:
      'The local nix-build sends canaries, and there is none in PATH. builder-monitor requests a build from the builder directly.',
    diagnosis: 'which nix-build.',
  },
  not_ssh_store: {
    side: 'none',
    state: 'info',
    message: p => `${p.uri} is not reached over SSH`,
    fixes: () => [text('No action needed: only the canary checks this builder')],
    meaning:
      'This store is a local path, a socket, or the name localhost alone, which Nix does not reach over SSH.',
    diagnosis: 'builder-monitor builders.',
  },
  no_data: {
    side: 'none',
    state: 'info',
    message: p => `no data${p.detail}`,
    fixes: () => [noAction],
    meaning:
      'The builder did not report this, or not in time. No data is neither good nor bad.',
    diagnosis:
      'Run the check again. The link may be slow, or the shell may lack the usual tools.',
  },
} as const satisfies Partial<Record<Kind, KindInfo>>

import type { Kind } from '../../model/index.ts'
import { shellQuote } from '../../nix/protocol/store-command.ts'
import {
  controlSshd,
  here,
  hereAsRoot,
  onBuilder,
  onBuilderAsRoot,
  renewKnownHosts,
  text,
  type KindInfo,
} from './kind-info.ts'

/** Kinds of host keys and certificates. */
export const securityKinds = {
  host_key_changed: {
    side: 'security',
    state: 'down',
    message: p =>
      `the host key of ${p.host} changed: the builder was reinstalled, or this is a man-in-the-middle attack${p.detail}`,
    fixes: p => [
      text(
        'Find out whether the builder was reinstalled. If it was, compare the fingerprint on its console, then remove the old key',
      ),
      onBuilder('ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub'),
      hereAsRoot(`ssh-keygen -R ${shellQuote(p.knownAs === '-' ? p.host : p.knownAs)}`),
      ...renewKnownHosts(p),
    ],
    meaning:
      'The builder presents another host key than the one in known_hosts. Either it was reinstalled, or another machine answers in its place and would get the builds. Find out before you remove the old key.',
    diagnosis:
      "ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub on the builder's console, compared with the fingerprint in the message.",
    alert: 'NixBuilderHostKeyChanged',
  },
  host_key_mismatch: {
    side: 'security',
    state: 'down',
    message: p =>
      `the host key of ${p.host} differs from the key pinned in the machine line${p.detail}`,
    fixes: () => [
      text(
        'If the builder was reinstalled, pin its new key in field 8 of the machine line',
      ),
      onBuilder('base64 -w0 /etc/ssh/ssh_host_ed25519_key.pub'),
    ],
    meaning:
      'The builder presents another host key than the one pinned in field 8 of its machine line. Either it was reinstalled, or another machine answers in its place, as with a changed key.',
    diagnosis: 'See host_key_changed. base64 -d of field 8 prints the pinned key.',
  },
  host_key_revoked: {
    side: 'security',
    state: 'down',
    message: p => `the host key of ${p.host} is marked @revoked${p.detail}`,
    fixes: () => [
      text('Give the builder a new host key'),
      onBuilderAsRoot('rm /etc/ssh/ssh_host_*'),
      onBuilderAsRoot('ssh-keygen -A'),
      controlSshd('restart'),
    ],
    meaning:
      'A known_hosts file on this machine marks the key of the builder @revoked, as compromised.',
    diagnosis: 'The file and line in the message.',
  },
  certificate_expired: {
    side: 'security',
    state: 'down',
    message: p => `an SSH certificate for ${p.host} is not valid any more${p.detail}`,
    fixes: () => [
      text(
        'Request a new certificate from the certificate authority. ssh-keygen -L -f CERTIFICATE prints its validity',
      ),
    ],
    meaning:
      'An SSH certificate of the host or of the user has expired, or is not valid yet.',
    diagnosis: 'ssh-keygen -L -f CERTIFICATE.',
  },
  certificate_principal: {
    side: 'security',
    state: 'down',
    message: p =>
      `an SSH certificate for ${p.host} is not valid for ${p.knownAs}${p.detail}`,
    fixes: p => [
      text(
        `Issue a certificate that lists ${p.knownAs}. For a host, on the machine of the authority`,
      ),
      here(
        `ssh-keygen -s CA_KEY -I ${shellQuote(p.host)} -h -n ${shellQuote(p.knownAs)} ssh_host_ed25519_key.pub`,
      ),
      text(
        `Or use a name that the certificate lists: as the host of the machine line, or as HostKeyAlias for ${p.host} in root's ~/.ssh/config`,
      ),
      onBuilder('ssh-keygen -L -f /etc/ssh/ssh_host_ed25519_key-cert.pub'),
    ],
    meaning:
      'An SSH certificate lists the names for which it is valid (principals): host names in that of a host, user names in that of a user. The name that ssh uses is not one of them.',
    diagnosis: 'ssh-keygen -L -f CERTIFICATE prints the principals.',
  },
  certificate_expires: {
    side: 'security',
    state: 'info',
    message: p => `an SSH certificate for ${p.host} expires soon${p.detail}`,
    fixes: () => [
      text(
        'Request a new certificate from the certificate authority before that. ssh-keygen -L -f CERTIFICATE prints its validity',
      ),
    ],
    meaning:
      'An SSH certificate of the user or of the host expires within three days. After that logins with it fail. Host certificates are known only for logins through OpenSSH.',
    diagnosis:
      'ssh-keygen -L -f CERTIFICATE; nix_builder_credential_expiry_timestamp_seconds has the time.',
    alert: 'NixBuilderCredentialExpires',
  },
  host_key_unpinned: {
    side: 'security',
    state: 'degraded',
    message: p => `ssh accepts any host key for ${p.host}${p.detail}`,
    fixes: p => [
      text(
        'Pin the key in field 8 of the machine line; or set StrictHostKeyChecking yes, compare the fingerprint and add the key to known_hosts',
      ),
      here(`ssh-keyscan ${shellQuote(p.host)}`),
    ],
    meaning:
      "ssh is configured to accept any host key (StrictHostKeyChecking no), so it would not detect another machine in the builder's place.",
    diagnosis: 'sudo ssh -G HOST | grep -i stricthostkey.',
  },
} as const satisfies Partial<Record<Kind, KindInfo>>

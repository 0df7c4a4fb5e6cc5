/** What happens between the login and the first byte of Nix: the shell and its start-up files, limits, slow answers. */
import { always, degraded, down, healthy, type Row } from './row.ts'

/** ssh_config lines of a slow link. */
const slowLink = (delayMs: number, lossPercent: number, startMs = 0) => [
  `ProxyCommand /lab/bin/node /lab/project/test/lab/lib/delay.mjs %h %p ${delayMs} ${lossPercent} ${startMs}`,
]
const slowLogin = degraded('slow_login', 'remote', /time ssh/)
/** Depends on which packets are lost. */
const slow = {
  ...degraded('slow_link', 'network', /ping/),
  or: { ...slowLogin, or: healthy },
}

const ended = always(down('session_ended', 'remote', /echo works/))
const pam = (type: 'account' | 'session') => [
  'sshd:UsePAM yes',
  `do:cp /etc/pam.d/sshd /etc/pam.d/sshd.lab; sed -i '1i ${type} required pam_deny.so' /etc/pam.d/sshd`,
  'undo:mv /etc/pam.d/sshd.lab /etc/pam.d/sshd',
]
const elsewhere = always(
  down(
    'remote_environment',
    'remote',
    /Remove (?:NIX_\w+|store in nix.conf) from .*grep/,
  ),
)
const moreThanKeys = always(
  down('auth_method_refused', 'remote', /PubkeyAuthentication yes.*sshd -T -C user=/),
)

/** The account, PAM, forced commands and the environment of the remote shell. */
const accountRows: readonly Row[] = [
  { name: 'PAM refuses the account', faults: pam('account'), expect: ended },
  { name: 'PAM refuses the session', faults: pam('session'), expect: ended },
  {
    name: '/etc/nologin with PAM',
    faults: ['sshd:UsePAM yes', 'nologin-file'],
    expect: always(down('session_ended', 'remote', /\/etc\/nologin/)),
  },
  {
    name: 'an expired password',
    faults: [
      'sshd:UsePAM yes',
      'do:usermod -p x remotebuild; chage -d 0 -M 1 remotebuild',
      'undo:chage -M 99999 -d 2020-01-01 remotebuild',
    ],
    expect: ended,
  },
  {
    name: 'a ChrootDirectory that others can write',
    faults: ['sshd:ChrootDirectory /home/remotebuild'],
    expect: ended,
  },
  {
    name: 'a ForceCommand for files only',
    faults: ['sshd:ForceCommand internal-sftp'],
    expect: ended,
  },
  {
    name: 'a ForceCommand that does not exist',
    faults: ['sshd:ForceCommand /nonexistent/wrapper'],
    expect: ended,
  },
  {
    name: 'a forced command that names a Nix that does not exist',
    faults: ['key-options:command="/nowhere/bin/nix-daemon --stdio"'],
    expect: always(down('nix_missing', 'remote', /command= of the key/)),
  },
  {
    name: 'an sshd without public keys',
    faults: ['sshd:PubkeyAuthentication no\nPasswordAuthentication yes'],
    expect: moreThanKeys,
  },
  {
    name: 'an sshd that demands two keys',
    faults: ['sshd:AuthenticationMethods publickey,publickey'],
    expect: moreThanKeys,
  },
  {
    name: 'NIX_REMOTE of the remote shell names no socket',
    faults: ['startup:.bashrc:export NIX_REMOTE=unix:///nowhere/socket'],
    expect: elsewhere,
  },
  {
    name: 'NIX_STATE_DIR of sshd names no state',
    faults: ['sshd:SetEnv NIX_STATE_DIR=/odd/var'],
    expect: elsewhere,
  },
  {
    name: 'a builder whose nix.conf names another store',
    faults: ['setting:store = /other'],
    expect: elsewhere,
  },
  {
    name: 'NIX_REMOTE=daemon in the remote shell',
    faults: ['startup:.bashrc:export NIX_REMOTE=daemon'],
    expect: always(healthy),
  },
  {
    name: 'a shared library that does not fit',
    faults: [
      'startup:.bashrc:mkdir -p /tmp/lib; for l in sqlite3.so.0 stdc++.so.6; do echo x >/tmp/lib/lib$l; done; export LD_LIBRARY_PATH=/tmp/lib',
    ],
    expect: always(down('nix_not_executable', 'remote', /LD_LIBRARY_PATH/)),
  },
  ...(['zsh', 'tcsh', 'fish', 'dash'] as const).map((shell): Row => ({
    name: `no nix in PATH, ${shell}`,
    faults: [`shell:${shell}`, 'no-nix'],
    expect: always(down('nix_missing', 'remote', /remote-program=/)),
  })),
  {
    name: 'a .bashrc that prints an empty line',
    faults: ['startup:.bashrc:echo'],
    expect: always(down('shell_noise', 'remote', /only in interactive shells/)),
  },
  {
    name: 'a .bashrc that never ends',
    faults: ['startup:.bashrc:sleep infinity'],
    isLong: true,
    expect: always(down('shell_hangs', 'remote', /time ssh/)),
  },
]

export const sessionRows: readonly Row[] = [
  ...accountRows,
  ...(['zsh', 'tcsh', 'fish', 'dash'] as const).map(shell => ({
    name: `${shell} as the login shell`,
    faults: [`shell:${shell}`],
    expect: always(healthy),
  })),
  {
    name: 'a .zshenv that prints',
    faults: ['shell:zsh', 'startup:.zshenv:echo Welcome to the builder'],
    expect: always(down('shell_noise', 'remote', /only in interactive shells/)),
  },
  {
    name: 'a .cshrc that prints',
    faults: ['shell:tcsh', 'startup:.cshrc:echo Welcome to the builder'],
    expect: always(down('shell_noise', 'remote', /only in interactive shells/)),
  },
  {
    name: 'a config.fish that prints',
    faults: [
      'shell:fish',
      'startup:.config/fish/config.fish:echo Welcome to the builder',
    ],
    expect: always(down('shell_noise', 'remote', /only in interactive shells/)),
  },
  {
    name: 'a .bashrc that prints to stderr only',
    faults: ['startup:.bashrc:echo Welcome to the builder >&2'],
    expect: always(healthy),
  },
  {
    name: 'a .bashrc that exits without a word',
    faults: ['startup:.bashrc:exit 7'],
    expect: always(down('session_ended', 'remote', /echo works/)),
  },
  {
    name: 'a .zshenv that exits with a message',
    faults: ['shell:zsh', 'startup:.zshenv:echo Use the batch system >&2; exit 1'],
    expect: always(down('session_ended', 'remote', /echo works/)),
  },
  {
    name: 'a .bashrc that reads its input',
    faults: ['startup:.bashrc:read -r answer'],
    isLong: true,
    expect: always(down('shell_reads_input', 'remote', /only in interactive shells/)),
  },
  {
    name: 'a .cshrc that reads its input',
    faults: ['shell:tcsh', 'startup:.cshrc:set answer = $<'],
    isLong: true,
    expect: always(down('shell_reads_input', 'remote', /only in interactive shells/)),
  },
  {
    name: '/etc/nologin',
    faults: ['nologin-file'],
    expect: always(down('session_ended', 'remote', /\/etc\/nologin/)),
  },
  {
    name: 'a login shell that does not exist',
    faults: ['missing-shell'],
    expect: always(down('auth_denied', 'client', /authorized_keys/)),
  },
  {
    name: 'no process left for the user',
    faults: ['no-processes'],
    expect: always(down('process_limit', 'remote', /TasksMax/)),
  },
  {
    name: 'a login shell that needs 12 s',
    faults: ['startup:.bashrc:sleep 12'],
    isLong: true,
    expect: always(slowLogin),
  },
  {
    name: 'an sshd that needs 15 s to look up a key',
    faults: ['slow-auth'],
    isLong: true,
    expect: always(slowLogin),
  },
  {
    name: 'a build that needs 40 s',
    faults: ['build-slow'],
    isLong: true,
    expect: always(degraded('slow_build', 'remote', /uptime/)),
  },
  {
    name: 'a link with 400 ms delay and 5 % loss',
    ssh: () => slowLink(400, 5),
    expect: always(slow),
  },
  {
    name: 'a link with 1.5 s delay',
    ssh: () => slowLink(1500, 0),
    isLong: true,
    expect: always(slow),
  },
  {
    name: 'a connection that takes 20 s',
    ssh: () => slowLink(5, 0, 20_000),
    isLong: true,
    expect: always(slow),
  },
  {
    name: 'the lock of the whole store is held',
    faults: ['store-lock'],
    isLong: true,
    expect: always(down('store_locked', 'remote', /kill \d+/)),
  },
  {
    name: 'the lock of the database is held',
    faults: ['db-lock'],
    isLong: true,
    expect: always(down('store_locked', 'remote', /kill \d+/)),
  },
]

import type { Builder, Cause } from '../model/index.ts'
import { shellQuote, storeCommand } from '../nix/protocol/store-command.ts'
import { builderParams } from './params.ts'

/** Returns a shell command that shows the same result with standard tools. */
export const reproduceCommand = (builder: Builder, probe: Cause['probe']): string => {
  const { ssh, dest } = builderParams(builder) as { ssh: string; dest: string }
  const sudo =
    builder.sshUser === undefined ? 'sudo' : `sudo -H -u ${shellQuote(builder.sshUser)}`
  const login = `${sudo} ${ssh}${pinnedKeyOption(builder)} -o BatchMode=yes -o ConnectTimeout=5 ${dest}`
  switch (probe) {
    case 'config':
      return 'builder-monitor builders'
    case 'login':
      return `${login} true`
    case 'trust':
      // The program ends when standard input closes; its first output shows the protocol
      return `${login} ${shellQuote(storeCommand(builder))} </dev/null | head -c 200`
    case 'disk':
      return `${login} 'df -h /nix/store; df -i /nix/store'`
    case 'memory':
      return `${login} 'cat /proc/meminfo /proc/pressure/memory'`
    case 'system':
      return `${login} nix --extra-experimental-features nix-command show-config`
    case 'locks':
      return `${login} grep FLOCK /proc/locks`
    case 'sessions':
      return `${login} 'ps -eo pid,ppid,etime,args | grep -E "[n]ix-(daemon|store)"'`
    case 'substituters':
      return `${login} 'curl -sS -m 2 https://cache.nixos.org/nix-cache-info'`
    case 'throughput':
      return `time head -c 1048576 /dev/urandom | ${login} 'cat >/dev/null'`
    case 'slots':
      return 'sudo lslocks -o PID,TYPE,PATH | grep current-load'
    case 'canary':
    case 'direct':
      return (
        `nix-build --no-out-link --max-jobs 0 --option substitute false --builders ${shellQuote(builder.line)} ` +
        `-E 'derivation { name = "canary"; system = "${builder.systems[0] ?? ''}"; builder = "/bin/sh"; ` +
        `args = [ "-c" "echo $nonce > $out" ]; nonce = toString builtins.currentTime; }'`
      )
    default:
      return probe satisfies never
  }
}

/** Returns the option by which ssh accepts the pinned host key of the machine line, as it does for Nix. */
const pinnedKeyOption = ({ publicHostKey }: Builder): string => {
  const line = Buffer.from(publicHostKey ?? '', 'base64').toString('latin1')
  const [, key] = /^([\w@.-]{1,64} [\w+/=]{1,2000})(?:\s|$)/.exec(line) ?? []
  return key === undefined
    ? ''
    : ` -o ${shellQuote(`KnownHostsCommand=/bin/echo %H ${key}`)}`
}

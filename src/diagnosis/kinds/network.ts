import type { Kind } from '../../model/index.ts'
import { shellQuote } from '../../nix/protocol/store-command.ts'
import { here, readSshdLog, text, type KindInfo } from './kind-info.ts'

/** Kinds of the path between this machine and the builder. */
export const networkKinds = {
  tcp_timeout: {
    side: 'network',
    state: 'down',
    message: p => `cannot reach ${p.host} port ${p.port}: no reply${p.detail}`,
    fixes: p => [
      text('Check that the machine is on and that no firewall drops packets'),
      here(`ping -c 3 ${shellQuote(p.host)}`),
      here(`nc -vz ${shellQuote(p.host)} ${shellQuote(p.port)}`),
    ],
    meaning:
      'Packets to the builder get no reply: it is off, frozen, or a firewall drops them. Nix sets no timeout, so each build waits about two minutes for the kernel.',
    diagnosis:
      "ping HOST; nc -vz HOST PORT. ConnectTimeout 5 in root's ssh_config shortens the wait of builds.",
  },
  tcp_unreachable: {
    side: 'network',
    state: 'down',
    message: p => `no route to ${p.host}${p.detail}`,
    fixes: p => [
      text('Check that the machine is on and the network is up'),
      ...(p.address === '-' ? [] : [here(`ip route get ${shellQuote(p.address)}`)]),
      here(`ping -c 3 ${shellQuote(p.host)}`),
    ],
    meaning:
      'The network reports that the builder is unreachable: it is off (no reply to ARP), or a route is missing.',
    diagnosis: 'ip route get ADDRESS; ping HOST.',
  },
  kex_timeout: {
    side: 'network',
    state: 'down',
    message: p =>
      `${p.host} port ${p.port} sends its SSH banner, but the key exchange gets no reply`,
    fixes: p => [
      text('Packets of full size may get lost on the path (VPN, tunnel). Try one'),
      here(`ping -c 3 -M do -s 1472 ${shellQuote(p.host)}`),
      text(
        'If only small packets pass, lower the MTU of the interface that leads there: sudo ip link set dev DEVICE mtu 1280',
      ),
    ],
    meaning:
      'TCP connects and sshd sends its banner, but its next packets do not arrive. They are the first large ones: this happens where a hop drops packets larger than its MTU and the ICMP message about it is filtered (VPN, PPPoE, tunnels). A machine without free memory or entropy may also stop here.',
    diagnosis:
      'ssh -vvv HOST stops after "expecting SSH2_MSG_KEX_ECDH_REPLY"; tracepath HOST shows the MTU of the path.',
  },
  connection_lost: {
    side: 'network',
    state: 'down',
    message: p => `lost the connection to ${p.host}${p.detail}`,
    fixes: () => [text("Check the link and the builder's sshd log"), readSshdLog],
    meaning: 'The connection was established and then broke.',
    diagnosis:
      "The link, and the builder's sshd log. ServerAliveInterval in root's ssh_config ends builds on a dead connection.",
  },
  dead_address: {
    side: 'network',
    state: 'degraded',
    message: p =>
      `${p.host} answers only after unreachable addresses (${p.dead}), which delay every build`,
    fixes: p => [
      text(
        "Remove the unreachable address from DNS or /etc/hosts, or set AddressFamily or HostName in root's ~/.ssh/config",
      ),
      here(`getent ahosts ${shellQuote(p.host)}`),
    ],
    meaning:
      'The name has several addresses and the first ones do not answer. ssh tries them one after another, so each build waits for the timeout.',
    diagnosis: 'getent ahosts HOST, then ssh to each address.',
  },
  slow_link: {
    side: 'network',
    state: 'degraded',
    message: p => `the link to ${p.host} is slow${p.detail}`,
    fixes: p => [
      text(
        'Find out what uses or limits the link; compress=true in the store URI may help. If the rate is normal for it, set minMiBPerSecond of this builder in the configuration (0: do not measure)',
      ),
      here(`ping -c 3 ${shellQuote(p.host)}`),
    ],
    meaning:
      'Packets to the builder take long or get lost, or data to or from it is slower than the limit (1 MiB/s by default) or than a tenth of what is usual for this builder. Builds work, and wait for the login and for the copying of inputs and outputs.',
    diagnosis:
      'ping HOST shows delay and loss. nix_builder_ssh_phase_duration_seconds and nix_builder_throughput_bytes_per_second, also on its page, show both over time.',
  },
} as const satisfies Partial<Record<Kind, KindInfo>>

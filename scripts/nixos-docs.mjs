// Prints docs/nixos.md, from the options of nix/module.nix and nix/darwin.nix: node scripts/nixos-docs.mjs >docs/nixos.md
// Needs a real Nix (`nix-instantiate`), but no nixpkgs: test/nixos evaluates the modules. test/lab/nixos.test.ts compares.
import { execFileSync } from 'node:child_process'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const { nixos, darwin } = JSON.parse(
  execFileSync(
    'nix-instantiate',
    ['--eval', '--strict', '--json', join(root, 'test', 'nixos'), '-A', 'options'],
    { encoding: 'utf8', maxBuffer: 1 << 26 },
  ),
)

const inline = text => `\`${text.trim().replace(/\s+/g, ' ')}\``
const block = text => {
  const lines = text.replace(/\s+$/, '').split('\n')
  return lines.length === 1
    ? inline(text)
    : `\n\n  \`\`\`nix\n${lines.map(l => `  ${l}`).join('\n')}\n  \`\`\``
}
const section = ({ name, type, description, default: fallback, example, readOnly }) =>
  [
    `### \`${name}\``,
    '',
    description.trim(),
    '',
    `- Type: ${type}${readOnly ? ', read-only' : ''}`,
    ...(fallback === null ? [] : [`- Default: ${block(fallback)}`]),
    ...(example === null ? [] : [`- Example: ${block(example)}`]),
    '',
  ].join('\n')

const top = `# NixOS and nix-darwin

Generated from \`nix/module.nix\` by \`node scripts/nixos-docs.mjs\`; do not edit.

## First run

With flakes:

\`\`\`nix
{
  inputs.builder-monitor.url = "git+https://example.org/builder-monitor"; # where you have it from
  outputs = { nixpkgs, builder-monitor, ... }: {
    nixosConfigurations.HOST = nixpkgs.lib.nixosSystem {
      modules = [
        ./configuration.nix
        builder-monitor.nixosModules.default
        { services.builderMonitor.enable = true; }
      ];
    };
  };
}
\`\`\`

Without:

\`\`\`nix
{
  imports = [ /path/to/builder-monitor/nix/module.nix ];
  services.builderMonitor.enable = true;
}
\`\`\`

That is all: the builders are those of \`nix.buildMachines\`, their keys are lent to the service, the status page and
\`/metrics\` are on <http://127.0.0.1:10922/>, and \`sudo builder-monitor status\` tells the same in a terminal. The
configuration is checked while the system is built; a change of it is a reload.

\`services.builderMonitor.prometheus.enable = true\` adds the scrape configuration and the rules to this machine's Prometheus;
for a Prometheus elsewhere, \`config.services.builderMonitor.prometheus.scrapeConfig\` is what to give it.

The package installs npm's production dependencies as one fixed output, whose hash is in \`nix/npm-deps.nix\`
(\`scripts/npm-deps-hash.sh --write\` after a change of \`package-lock.json\`), and wants \`nodejs_24\` and a TypeScript of 5.8
or newer from nixpkgs (25.05 and newer).

## Who it runs as, and what that user may do

The service is a user of its own, \`builder-monitor\`, with no rights. Two things it does get deserve to be known:

- **The keys of the builders.** Whoever has them can log in to the builders as the account that Nix uses; where that account is
  trusted there, it is as good as root there. They are lent by systemd (\`LoadCredential=\`), so that only PID 1 and the
  service can read the copies, and the files themselves stay root's.
- **\`canary.trusted\`**, off. It adds the user to \`trusted-users\` of this machine's Nix, which makes it
  root-equivalent here. Only canaries through the local nix-daemon (\`canary.mode = "daemon"\`) need it; the private canary
  proves the builders without it.

## Credentials

A file that the service cannot read itself is read from \`$CREDENTIALS_DIRECTORY\`, by a name that follows from its path:
without the leading slash, every other slash a dash.

| file | credential |
|---|---|
| \`/etc/nix/builder_ed25519\` | \`etc-nix-builder_ed25519\` |
| \`/root/.ssh/id_ed25519\` (where a machine names no key) | \`root-.ssh-id_ed25519\` |
| \`/root/.ssh/known_hosts\` | \`ssh-known_hosts\` |
| \`/root/.ssh/config\` | \`ssh-config\` |

A file that is missing does not keep the service from starting: its credential is then a single newline (\`SetCredential=\`),
and the builder is reported with the key that is missing. Credentials are read when the service starts. After a key was made or
changed, and after root's known_hosts or ssh_config was: \`systemctl restart builder-monitor\`.

## NixOS options

`

const shared = new Set(nixos.map(option => option.name))
const others = darwin.filter(
  option =>
    !shared.has(option.name) ||
    JSON.stringify(option) !== JSON.stringify(nixos.find(o => o.name === option.name)),
)
const missing = nixos.filter(option => !darwin.some(o => o.name === option.name))
const mac = `## nix-darwin

\`darwinModules.default\` (\`nix/darwin.nix\`) has the same options without ${missing
  .map(({ name }) => `\`${name.split('.').slice(2).join('.')}\``)
  .join(', ')}; the service is a launchd daemon that logs to
\`/var/log/builder-monitor.log\`. What differs:

`

process.stdout.write(
  top + nixos.map(section).join('\n') + '\n' + mac + others.map(section).join('\n'),
)

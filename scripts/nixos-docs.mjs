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
  inputs.builder-monitor.url = "git+https://example.org/builder-monitor"; # your source
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

That is all: the builders are those of \`nix.buildMachines\`, systemd passes copies of their keys to the service, the status page
and \`/metrics\` are on <http://127.0.0.1:10922/>, and \`sudo builder-monitor status\` prints the same in a terminal. The
configuration is validated when the system is built; a change causes a reload.

\`services.builderMonitor.prometheus.enable = true\` adds the scrape configuration and the rules to this machine's Prometheus;
for a Prometheus elsewhere, \`config.services.builderMonitor.prometheus.scrapeConfig\` is the entry for it.

The package installs npm's production dependencies as one fixed output, with its hash in \`nix/npm-deps.nix\`
(\`scripts/npm-deps-hash.sh --write\` after a change of \`package-lock.json\`), and needs \`nodejs_24\` and a TypeScript of 5.8
or newer from nixpkgs (25.05 and newer).

## The user and its permissions

The service runs as its own user, \`builder-monitor\`, without privileges, except for two things:

- **The keys of the builders.** They allow logins to the builders as the account that Nix uses; a trusted account is as good as
  root there. systemd passes copies (\`LoadCredential=\`), so that only PID 1 and the service can read them, and the files
  themselves belong to root.
- **\`canary.trusted\`**, off. It adds the user to \`trusted-users\` of this machine's Nix, which makes it
  root-equivalent here. Only canaries through the local nix-daemon (\`canary.mode = "daemon"\`) need it; the private canary
  verifies the builders without it.

## Credentials

A file that the service cannot read itself is read from \`$CREDENTIALS_DIRECTORY\`, with a name made from its path:
without the leading slash, with dashes for the other slashes.

| file | credential |
|---|---|
| \`/etc/nix/builder_ed25519\` | \`etc-nix-builder_ed25519\` |
| \`/root/.ssh/id_ed25519\` (for machines without a key) | \`root-.ssh-id_ed25519\` |
| \`/root/.ssh/known_hosts\` | \`ssh-known_hosts\` |
| \`/root/.ssh/config\` | \`ssh-config\` |

The service starts when a file is missing: its credential is then a single newline (\`SetCredential=\`),
and the builder is reported with the missing key. Credentials are read when the service starts. After a change of a key or of root's
known_hosts or ssh_config run \`systemctl restart builder-monitor\`.

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
\`/var/log/builder-monitor.log\`. Differences:

`

process.stdout.write(
  top + nixos.map(section).join('\n') + '\n' + mac + others.map(section).join('\n'),
)

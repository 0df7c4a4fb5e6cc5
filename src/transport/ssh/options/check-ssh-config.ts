import type { CheckSshConfig } from '../../../model/index.ts'
import { builderParams } from '../../../diagnosis/params.ts'
import { configuredKeyFile, explainSshOpts, sshCommand } from '../ssh-command.ts'
import { resolveTarget } from '../ssh-config.ts'
import type { SshConfigDeps } from '../resolve-ssh-config-as.ts'
import { checkKey, typeOfPrivateKey } from '../ssh2.ts'
import { readIdentities } from '../identities.ts'
import { toFault } from './check-options.ts'
import { readOptionFacts } from './option-facts.ts'
import { parseSshWords } from './ssh-words.ts'
import { findRiskyOptions, findRiskyWords } from './risky-options.ts'

/** Creates a check of ssh's configuration by `ssh -G` alone. */
export const createCheckSshConfig =
  ({ run, env, nix }: SshConfigDeps): CheckSshConfig =>
  async (builder, otherEnv, signal) => {
    const usedEnv = { ...env, ...otherEnv }
    const nixSshOpts = usedEnv['NIX_SSHOPTS']
    const { version } = nix()
    const command = sshCommand(builder, nix(), nixSshOpts)
    if (!command) return null
    const params = builderParams(builder)
    const words = parseSshWords(command.nixSshOpts)
    const sources = { command, run, env: usedEnv, signal }
    const [word] = findRiskyWords(words)
    if (word) {
      const fault = await toFault(word, builder, '', sources)
      return { kind: fault.kind, params: { ...params, ...fault.params } }
    }
    const quotes = explainSshOpts(nixSshOpts, version)
    if (quotes?.isFatal)
      return {
        kind: 'ssh_config_invalid',
        params: { ...params, where: 'NIX_SSHOPTS', detail: quotes.detail },
      }
    const resolved = await resolveTarget(command, run, usedEnv, signal)
    if (resolved.status !== 'ok') {
      const isAboutConfig =
        resolved.kind === 'ssh_config_invalid' || resolved.kind === 'ssh_option'
      return isAboutConfig
        ? {
            kind: resolved.kind,
            params: {
              ...params,
              ...resolved.params,
              ...(quotes === null ? {} : { detail: quotes.detail }),
            },
          }
        : null
    }
    const options = resolved.value.options ?? new Map<string, readonly string[]>()
    const identities = await readIdentities(
      resolved.value.identityFiles,
      configuredKeyFile(builder),
      checkKey,
    )
    const facts = await readOptionFacts(
      options,
      version,
      identities.usable.flatMap(({ key }) => typeOfPrivateKey(key) ?? []),
    )
    const certain = findRiskyOptions(options, null, words, facts).find(
      ({ rule }) => rule?.isCertain,
    )
    if (!certain) return null
    const fault = await toFault(certain, builder, '', sources)
    return { kind: fault.kind, params: { ...params, ...fault.params } }
  }

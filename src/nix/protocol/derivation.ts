import { defaultStoreDir, sha256, storePath } from './store-path.ts'
import { sortedEntries } from './wire-writer.ts'

/** Arguments of `derivation { }`: an input-addressed derivation with one output and no inputs. */
export interface DerivationSpec {
  readonly name: string
  readonly system: string
  readonly builder: string
  readonly args: readonly string[]
  /** Additional attributes; name, system, builder and out are added as `derivation` does. */
  readonly env: Readonly<Record<string, string>>
}

/** A derivation with its store paths. */
export interface Derivation extends DerivationSpec {
  readonly outPath: string
  readonly drvPath: string
  /** The text that `nix-instantiate` writes to `drvPath`. */
  readonly aterm: string
}

/** Computes output path and derivation path as Nix does (derivations.cc hashDerivationModulo). */
export const instantiate = (
  spec: DerivationSpec,
  storeDir: string = defaultStoreDir,
): Derivation => {
  const { name, system, builder } = spec
  const withOutput = (out: string): DerivationSpec => ({
    ...spec,
    env: { ...spec.env, name, system, builder, out },
  })
  const outPath = storePath({
    type: 'output:out',
    innerHash: sha256(printATerm(withOutput(''), '')),
    name,
    storeDir,
  })
  const full = withOutput(outPath)
  const aterm = printATerm(full, outPath)
  const drvPath = storePath({
    type: 'text',
    innerHash: sha256(aterm),
    name: `${name}.drv`,
    storeDir,
  })
  return { ...full, outPath, drvPath, aterm }
}

const printATerm = (drv: DerivationSpec, outPath: string): string => {
  const env = sortedEntries(drv.env).map(pair => `(${pair.map(quote).join(',')})`)
  return (
    `Derive([("out",${quote(outPath)},"","")],[],[],${quote(drv.system)},` +
    `${quote(drv.builder)},[${drv.args.map(quote).join(',')}],[${env.join(',')}])`
  )
}

const escapes: Readonly<Record<string, string>> = {
  '"': '\\"',
  '\\': '\\\\',
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
}
const quote = (text: string): string =>
  `"${text.replace(/["\\\n\r\t]/g, char => escapes[char] ?? char)}"`

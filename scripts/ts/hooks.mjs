// Hooks of node's module loader (nodejs.org/api/module.html, "Customization hooks"); they run in a thread of their own.
import { createHash } from 'node:crypto'
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'

const cache = new URL('../../node_modules/.cache/ts/', import.meta.url)
const options = new URL('../../tsconfig.json', import.meta.url)
const made = mkdir(cache, { recursive: true })

// Sources import each other with the extension .ts
export const resolve = (specifier, context, next) =>
  specifier.startsWith('.') && specifier.endsWith('.ts') && context.parentURL
    ? {
        url: new URL(specifier, context.parentURL).href,
        format: 'module',
        shortCircuit: true,
      }
    : next(specifier, context)

export const load = async (url, context, next) =>
  url.startsWith('file:') && /\.ts$/.test(url) && !url.includes('/node_modules/')
    ? { source: await translated(url), format: 'module', shortCircuit: true }
    : next(url, context)

const translated = async url => {
  const text = await readFile(fileURLToPath(url), 'utf8')
  const key = createHash('sha256')
    .update(
      `${process.versions.modules}\0${url}\0${await readFile(options, 'utf8')}\0${text}`,
    )
    .digest('hex')
  const kept = new URL(`${key}.js`, cache)
  const known = await readFile(kept, 'utf8').catch(() => null)
  if (known !== null) return known
  const { default: ts } = await import('typescript')
  const { config } = ts.readConfigFile(fileURLToPath(options), ts.sys.readFile)
  const { options: compilerOptions } = ts.convertCompilerOptionsFromJson(
    config.compilerOptions,
    fileURLToPath(new URL('../../', import.meta.url)),
  )
  const { outputText } = ts.transpileModule(text, {
    fileName: fileURLToPath(url),
    compilerOptions: {
      ...compilerOptions,
      // A single file does not reveal that its package has type module
      module: ts.ModuleKind.ESNext,
      moduleResolution: ts.ModuleResolutionKind.Bundler,
      // The files are not renamed
      rewriteRelativeImportExtensions: false,
      sourceMap: false,
      inlineSourceMap: true,
      inlineSources: true,
    },
  })
  await made
  // Other processes may translate the same file
  const draft = new URL(`${key}.${process.pid}.${Math.random()}`, cache)
  await writeFile(draft, outputText)
  await rename(draft, kept)
  return outputText
}

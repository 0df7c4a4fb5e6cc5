import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import type { HttpAnswer, Route } from '../exporter.ts'
import { pageStyle } from './style.ts'

/** What the pages need besides themselves. Another content has another address, so that readers may keep it. */
export interface Assets {
  readonly stylePath: string
  readonly scriptPath: string
  readonly routes: readonly Route[]
}

/** Reads the script, which lies beside this file. */
export const createAssets = (): Assets => {
  const script = readFileSync(new URL('browser.js', import.meta.url), 'utf8')
  const stylePath = `/assets/${digestOf(pageStyle)}.css`
  const scriptPath = `/assets/${digestOf(script)}.js`
  return {
    stylePath,
    scriptPath,
    routes: [
      { method: 'GET', path: stylePath, handle: () => kept('text/css', pageStyle) },
      { method: 'GET', path: scriptPath, handle: () => kept('text/javascript', script) },
    ],
  }
}

const digestOf = (text: string): string =>
  createHash('sha256').update(text).digest('base64url').slice(0, 12)

const kept = (type: string, body: string): HttpAnswer => ({
  status: 200,
  type: `${type}; charset=utf-8`,
  headers: { 'cache-control': 'public, max-age=31536000, immutable' },
  body,
})

import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import type { HttpResponse, Route } from '../http/route.ts'
import { pageStyle } from './style.ts'

/** The style sheet and script of the pages. Their URLs contain a digest, so browsers may cache them forever. */
export interface Assets {
  readonly stylePath: string
  readonly scriptPath: string
  readonly routes: readonly Route[]
}

/** Reads browser.js from the folder of this file. */
export const createAssets = (): Assets => {
  const script = readFileSync(new URL('browser.js', import.meta.url), 'utf8')
  const stylePath = `/assets/${digest(pageStyle)}.css`
  const scriptPath = `/assets/${digest(script)}.js`
  return {
    stylePath,
    scriptPath,
    routes: [
      {
        method: 'GET',
        path: stylePath,
        handle: () => cachedForever('text/css', pageStyle),
      },
      {
        method: 'GET',
        path: scriptPath,
        handle: () => cachedForever('text/javascript', script),
      },
    ],
  }
}

const digest = (text: string): string =>
  createHash('sha256').update(text).digest('base64url').slice(0, 12)

const cachedForever = (type: string, body: string): HttpResponse => ({
  status: 200,
  type: `${type}; charset=utf-8`,
  headers: { 'cache-control': 'public, max-age=31536000, immutable' },
  body,
})

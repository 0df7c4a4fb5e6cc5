/** The status page in a real Chromium: of real builders that break, and of the demo fleet, which shows every state. */
import { readFile, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import {
  chromium,
  type Browser,
  type BrowserContextOptions,
  type Page,
} from 'playwright-core'
import t, { type Test } from 'tap'
import { freePort, startProgram, type Program } from './program.ts'
import { fault, heal, inNode, machineLine, shared, waitFor } from './support.ts'

t.setTimeout(700_000)

const main = fileURLToPath(new URL('../../dist/main.js', import.meta.url))
const script = fileURLToPath(new URL('lab.sh', import.meta.url))
const images = fileURLToPath(new URL('../../docs/images', import.meta.url))
const axe = await readFile(
  createRequire(import.meta.url).resolve('axe-core/axe.min.js'),
  'utf8',
)

/** A browser for the length of a test; gives what opens a page in it. */
const launch = async (t: Test) => {
  const browser = await chromium.launch({
    executablePath: '/usr/bin/chromium',
    args: [
      ...['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run'],
      ...['--disable-background-networking', '--disable-component-update'],
      '--disable-sync',
    ],
  })
  t.teardown(() => browser.close())
  return (t: Test, url: string, options: BrowserContextOptions = {}) =>
    openPage(t, browser, url, options)
}

const hostile = '<img src=x onerror=window.owned=1><script>window.owned=1</script>'

/** A page of which everything is noted that should not happen. */
const openPage = async (
  t: Test,
  browser: Browser,
  url: string,
  options: BrowserContextOptions,
): Promise<Page> => {
  const context = await browser.newContext(options)
  t.teardown(() => context.close())
  const page = await context.newPage()
  page.on('pageerror', error => t.fail('an error in the page', { error }))
  page.on('dialog', dialog => t.fail('a dialog', { text: dialog.message() }))
  page.on('console', message => {
    // Streams end where the monitor is ended
    if (message.type() === 'error' && !message.text().includes('ERR_'))
      t.fail('the browser complains', { text: message.text() })
  })
  page.on('request', request => {
    if (
      new URL(request.url()).origin !== new URL(url).origin &&
      !request.url().startsWith('data:')
    )
      t.fail('the page asks others', { url: request.url() })
  })
  await page.goto(url)
  return page
}

/** Rules of WCAG and good practice that axe-core can check. */
const violations = async (page: Page) => {
  await page.evaluate(axe)
  return page.evaluate<readonly string[]>(
    'axe.run().then(({ violations }) => violations.map(({ id, nodes }) => `${id}: ${nodes[0].html}`))',
  )
}

const wordOf = (page: Page, name: string) =>
  page
    .locator(`tbody[data-name="${name}"]`)
    .getAttribute('data-word', { timeout: 500 })
    .catch(() => null)

const untilReady = (url: string) =>
  waitFor('the first round of checks', 60, async () => {
    const answer = await fetch(`${url}/-/ready`).catch(() => null)
    return answer?.ok ? true : null
  })

const demo = async (t: Test) => {
  const port = await freePort()
  const program = startProgram(
    process.execPath,
    [main, 'demo', '--listen', `127.0.0.1:${port}`],
    {
      // The demo has no Nix, whatever this machine has
      PATH: '/usr/bin:/bin',
    },
  )
  t.teardown(() => program.stop())
  const url = `http://127.0.0.1:${port}`
  await untilReady(url)
  await waitFor('every state of the demo', 60, async () => {
    const states = await (await fetch(`${url}/metrics`)).text()
    return ['healthy', 'degraded', 'down'].every(state =>
      new RegExp(`nix_builder_state\\{[^}]*state="${state}"\\} 1`).test(states),
    )
      ? true
      : null
  })
  return url
}

t.test(
  'an open page shows that a builder dies, that it lives, and that the monitor is gone',
  async t => {
    const open = await launch(t)
    const port = await freePort()
    const dir = await shared()
    t.teardown(dir.drop)
    const lines = ['b1', 'b2'].map(host => machineLine({ scheme: 'ssh-ng', host }))
    await writeFile(join(dir.outside, 'machines'), `${lines.join('\n')}\n`)
    await writeFile(
      join(dir.outside, 'config.json'),
      JSON.stringify({
        listen: [`127.0.0.1:${port}`],
        schedule: { login: '*/3 * * * * *' },
        canary: { enabled: false },
      }),
    )
    const start = (): Program =>
      startProgram(
        'bash',
        [
          script,
          'client',
          'host',
          'node',
          '/lab/project/dist/main.js',
          'run',
          '--config',
          `${dir.inside}/config.json`,
        ],
        { NIX_CONFIG: `builders = @${dir.inside}/machines` },
      )
    let monitor = start()
    t.teardown(async () => {
      await heal('b1')
      await monitor.stop()
    })
    const url = `http://127.0.0.1:${port}`
    await untilReady(url)

    const page = await open(t, `${url}/`)
    const becomes = (name: string, word: string, seconds = 40) =>
      waitFor(`${name} to be ${word}`, seconds, async () =>
        (await wordOf(page, name)) === word ? true : null,
      )
    await becomes('b1', 'healthy')
    await becomes('b2', 'healthy')
    t.equal(await page.locator('#live').textContent(), 'live')
    await page.evaluate('globalThis.sameDocument = true')

    await fault('b1', 'sshd-stop')
    await becomes('b1', 'down')
    t.equal(await page.locator('#news').textContent(), 'b1: down', 'and it is announced')
    t.match(await page.title(), /^✘ /)
    t.match(
      await page.locator('tbody[data-name="b1"]').textContent(),
      'Nothing listens on b1',
    )
    t.equal(
      await page
        .locator('#fleet > tbody')
        .first()
        .getAttribute('data-name')
        .then(name => name !== 'b2'),
      true,
      'the urgent stand first',
    )
    await heal('b1')
    await becomes('b1', 'healthy')
    t.ok(
      await page.evaluate<boolean>(`'sameDocument' in globalThis`),
      'without loading it anew',
    )

    // What a builder says is text, here and on its page
    await inNode(
      'b2',
      `sed -i "1i echo Welcome to the builder '${hostile}'" ~remotebuild/.bashrc`,
    )
    await becomes('b2', 'down')
    const about = await open(t, `${url}/builders/b2`)
    t.match(await about.locator('#builder').textContent(), hostile)
    for (const one of [page, about]) {
      t.notOk(await one.evaluate<boolean>(`'owned' in globalThis`), 'nothing of it ran')
      t.equal(await one.locator('img[src=x], main script').count(), 0)
    }
    await heal('b2')

    await monitor.stop('SIGKILL')
    await waitFor('the page to say that it is old', 20, async () =>
      (await page.locator('html.behind').count()) === 1 ? true : null,
    )
    t.match(await page.locator('#live').textContent(), 'reconnecting')
    monitor = start()
    await waitFor('the page of the new monitor', 40, async () =>
      (await page
        .locator('#live')
        .textContent()
        .catch(() => '')) === 'live'
        ? true
        : null,
    )
    await becomes('b2', 'healthy')
  },
)

t.test(
  'the demo fleet: complete without a script, by keyboard, for everybody',
  async t => {
    const open = await launch(t)
    const url = await demo(t)

    await t.test('without a script', async t => {
      const page = await open(t, `${url}/`, { javaScriptEnabled: false })
      t.equal(await page.locator('#fleet > tbody').count(), 5)
      t.match(await page.locator('h1').textContent(), 'builders available')
      t.equal(await page.locator('noscript meta[http-equiv=refresh]').count(), 1)
      t.equal(await page.locator('pre button').count(), 0, 'no button that does nothing')
      await page.fill('input[name=name]', 'healthy')
      await page.click('.filter button')
      await page.waitForURL(/name=healthy/)
      t.equal(await page.locator('#fleet > tbody').count(), 1)
      await page.click('text=demo-healthy')
      t.match(await page.locator('h1').textContent(), /demo-healthy is\s+healthy/)
    })

    await t.test('by keyboard', async t => {
      const page = await open(t, `${url}/`)
      const focused = () =>
        page.evaluate<string>('document.activeElement.textContent.trim()')
      await page.keyboard.press('Tab')
      t.equal(await focused(), 'To the builders')
      await page.keyboard.press('/')
      await page.keyboard.type('healthy/')
      t.equal(
        await page.inputValue('input[name=name]'),
        'healthy/',
        'a slash in the field is a slash',
      )
      await page.keyboard.press('Backspace')
      await page.keyboard.press('Enter')
      await page.waitForURL(/name=healthy/)
      await page.waitForSelector('#live:has-text("live")')
      t.equal(await page.locator('#fleet > tbody').count(), 1)
      await page.keyboard.press('j')
      t.equal(await focused(), 'demo-healthy')
      await page.keyboard.press('Enter')
      await page.waitForURL(/builders\/demo-healthy/)
      const step = page.locator('details[data-key=disk]')
      t.equal(await step.getAttribute('open'), null)
      await step.locator('summary').focus()
      await page.keyboard.press('Enter')
      t.equal(await step.getAttribute('open'), '')
      const before = await step.locator('time').getAttribute('datetime')
      await waitFor('the next reading', 30, async () =>
        (await step.locator('time').getAttribute('datetime')) === before ? null : true,
      )
      t.equal(await step.getAttribute('open'), '', 'what was open stays open')
      t.match(await focused(), /^disk/, 'and what was focused, focused')
    })

    await t.test(
      'two clocks that differ: said, and times are of the monitor',
      async t => {
        const page = await open(t, `${url}/`)
        // The monitor's clock is two hours ahead of this browser's
        await page.route(`${url}/`, async route => {
          const response = await route.fetch()
          const ahead = (await response.text()).replace(
            /data-now="([\d.]+)"/,
            (_, now) => `data-now="${Number(now) + 7200}"`,
          )
          await route.fulfill({ response, body: ahead })
        })
        await page.reload()
        await page.waitForSelector('#live:has-text("live, this clock is")')
        t.match(
          await page.locator('#live').textContent(),
          /this clock is (?:2 h 0|1 h 59) m off/,
        )
        const age = page.locator('tbody time[data-say]').first()
        t.match(await age.textContent(), /\b2 h \d m/)
      },
    )

    await t.test('a command is copied', async t => {
      const page = await open(t, `${url}/`, {
        permissions: ['clipboard-read', 'clipboard-write'],
      })
      const block = page
        .locator('tbody[data-name="demo-changed-key"] pre[data-copy]')
        .first()
      await block.locator('button').click()
      await block.locator('button:has-text("copied")').waitFor()
      t.match(
        await page.evaluate<string>('navigator.clipboard.readText()'),
        /^sudo ssh .* true$/,
      )
    })

    await t.test('nothing that axe-core finds fault with, in any look', async t => {
      for (const path of [
        '/',
        '/builders/demo-changed-key',
        '/builders/demo-healthy',
        '/?name=nobody',
        '/runbooks/',
        '/runbooks/disk_full',
      ])
        for (const [colorScheme, width] of [
          ['light', 1280],
          ['dark', 1280],
          ['light', 320],
        ] as const) {
          const page = await open(t, url + path, {
            colorScheme,
            viewport: { width, height: 800 },
          })
          t.strictSame(await violations(page), [], `${path}, ${colorScheme}, ${width} px`)
          t.ok(
            await page.evaluate<boolean>(
              'document.documentElement.scrollWidth <= innerWidth',
            ),
            `nothing sticks out of ${path}, ${width} px`,
          )
          await page.context().close()
        }
    })

    await t.test('a theme that was chosen holds, and paper is white', async t => {
      const page = await open(t, `${url}/`, { colorScheme: 'light' })
      const ground = () =>
        page.evaluate<string>('getComputedStyle(document.body).backgroundColor')
      const light = await ground()
      await page.click('footer >> text=dark')
      const dark = await ground()
      t.not(dark, light)
      await page.goto(`${url}/builders/demo-healthy`)
      t.equal(await ground(), dark)
      await page.emulateMedia({ media: 'print' })
      t.equal(await ground(), light)
      t.notOk(await page.locator('footer').isVisible())
    })

    // LAB_SCREENSHOTS=1 draws those of the README anew
    if (process.env['LAB_SCREENSHOTS'])
      for (const [file, path, options] of [
        ['page', '/', {}],
        ['page-dark', '/?name=untrusted', { colorScheme: 'dark' }],
        ['page-narrow', '/?state=down', { viewport: { width: 320, height: 700 } }],
        ['builder', '/builders/demo-changed-key', {}],
      ] as const) {
        const page = await open(t, url + path, {
          viewport: { width: 1280, height: 900 },
          ...options,
        })
        await page.waitForSelector('#live:has-text("live")')
        await page.screenshot({
          path: join(images, `${file}.png`),
          fullPage: file !== 'page-narrow',
        })
      }
  },
)

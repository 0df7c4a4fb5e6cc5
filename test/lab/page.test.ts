/** The status page in a real Chromium, with real builders that fail and with the demo fleet, which has every state. */
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
import { freePort } from '../support/free-port.ts'
import { startProgram, type Program } from './program.ts'
import { fault, heal, inNode, machineLine, shared, waitFor } from './support.ts'

t.setTimeout(700_000)

const main = fileURLToPath(new URL('../../dist/main.js', import.meta.url))
const script = fileURLToPath(new URL('lab.sh', import.meta.url))
const images = fileURLToPath(new URL('../../docs/images', import.meta.url))
const axe = await readFile(
  createRequire(import.meta.url).resolve('axe-core/axe.min.js'),
  'utf8',
)

/** Starts a browser for a test. Returns a function that opens a page. */
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

/** Opens a page. Script errors, dialogs and requests to other hosts fail the test. */
const openPage = async (
  t: Test,
  browser: Browser,
  url: string,
  options: BrowserContextOptions,
): Promise<Page> => {
  const context = await browser.newContext(options)
  t.teardown(() => context.close())
  const page = await context.newPage()
  page.on('pageerror', error => t.fail('no error in the page', { error }))
  page.on('dialog', dialog => t.fail('no dialog', { text: dialog.message() }))
  page.on('console', message => {
    // Streams end when the monitor stops
    if (message.type() === 'error' && !message.text().includes('ERR_'))
      t.fail('no error in the console', { text: message.text() })
  })
  page.on('request', request => {
    if (
      new URL(request.url()).origin !== new URL(url).origin &&
      !request.url().startsWith('data:')
    )
      t.fail('no request to another host', { url: request.url() })
  })
  await page.goto(url)
  return page
}

/** Returns the rules of WCAG and good practice that axe-core reports. */
const violations = async (page: Page) => {
  await page.evaluate(axe)
  return page.evaluate<readonly string[]>(
    'axe.run().then(({ violations }) => violations.map(({ id, nodes }) => `${id}: ${nodes[0].html}`))',
  )
}

const wordOf = (page: Page, name: string) =>
  page
    .locator(`tbody[data-name="${name}"]`)
    .getAttribute('data-label', { timeout: 500 })
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
      // The demo must not use the Nix of this machine
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
  'an open page shows a failing builder, its recovery and a stopped monitor',
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
    t.equal(
      await page.locator('#announcement').textContent(),
      'b1: down',
      'the change is announced',
    )
    t.match(await page.title(), /^✘ /)
    t.match(
      await page.locator('tbody[data-name="b1"]').textContent(),
      'Cannot reach b1 port 22',
    )
    t.equal(
      await page
        .locator('#fleet > tbody')
        .first()
        .getAttribute('data-name')
        .then(name => name !== 'b2'),
      true,
      'urgent builders are first',
    )
    await heal('b1')
    await becomes('b1', 'healthy')
    t.ok(
      await page.evaluate<boolean>(`'sameDocument' in globalThis`),
      'the page was not reloaded',
    )

    // Output of a builder is escaped, on both pages
    await inNode(
      'b2',
      `sed -i "1i echo Welcome to the builder '${hostile}'" ~remotebuild/.bashrc`,
    )
    await becomes('b2', 'down')
    const builderPage = await open(t, `${url}/builders/b2`)
    t.match(await builderPage.locator('#builder').textContent(), hostile)
    for (const opened of [page, builderPage]) {
      t.notOk(
        await opened.evaluate<boolean>(`'owned' in globalThis`),
        'no script of the builder ran',
      )
      t.equal(await opened.locator('img[src=x], main script').count(), 0)
    }
    await heal('b2')

    await monitor.stop('SIGKILL')
    await waitFor('the page to say that it is old', 20, async () =>
      (await page.locator('html.disconnected').count()) === 1 ? true : null,
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

t.test('the page of the demo fleet', async t => {
  const open = await launch(t)
  const url = await demo(t)

  await t.test('works without JavaScript', async t => {
    const page = await open(t, `${url}/`, { javaScriptEnabled: false })
    t.equal(await page.locator('#fleet > tbody').count(), 5)
    t.match(await page.locator('h1').textContent(), 'builders available')
    t.equal(await page.locator('noscript meta[http-equiv=refresh]').count(), 1)
    t.equal(
      await page.locator('pre button').count(),
      0,
      'no copy buttons without JavaScript',
    )
    await page.fill('input[name=name]', 'healthy')
    await page.click('.filter button')
    await page.waitForURL(/name=healthy/)
    t.equal(await page.locator('#fleet > tbody').count(), 1)
    await page.click('text=demo-healthy')
    t.match(await page.locator('h1').textContent(), /demo-healthy is\s+healthy/)
  })

  await t.test('works with the keyboard', async t => {
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
      'a slash in the field is text',
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
    await waitFor('the next measurement', 30, async () =>
      (await step.locator('time').getAttribute('datetime')) === before ? null : true,
    )
    t.equal(await step.getAttribute('open'), '', 'open details stay open')
    t.match(await focused(), /^disk/, 'the focus stays')
  })

  await t.test('shows a clock difference and uses the clock of the monitor', async t => {
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
    await page.waitForSelector('#live:has-text("live, clock of this computer is off")')
    t.match(
      await page.locator('#live').textContent(),
      /clock of this computer is off by (?:2 h 0|1 h 59) m/,
    )
    const age = page.locator('tbody time[data-template]').first()
    t.match(await age.textContent(), /\b2 h \d m/)
  })

  await t.test('the button copies a command', async t => {
    const page = await open(t, `${url}/`, {
      permissions: ['clipboard-read', 'clipboard-write'],
    })
    const block = page
      .locator('tbody[data-name="demo-changed-key"] pre[data-copy]')
      .filter({ hasText: 'BatchMode' })
      .first()
    await block.locator('button').click()
    await block.locator('button:has-text("copied")').waitFor()
    t.match(
      await page.evaluate<string>('navigator.clipboard.readText()'),
      /^sudo ssh .* true$/,
    )
  })

  await t.test('has no accessibility violations in any theme and width', async t => {
    for (const path of [
      '/',
      '/builders/demo-changed-key',
      '/builders/demo-healthy',
      '/?name=nothing',
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
          `${path} fits into ${width} px`,
        )
        await page.context().close()
      }
  })

  await t.test('keeps the selected theme and prints in light colors', async t => {
    const page = await open(t, `${url}/`, { colorScheme: 'light' })
    const background = () =>
      page.evaluate<string>('getComputedStyle(document.body).backgroundColor')
    const light = await background()
    await page.click('footer >> text=dark')
    const dark = await background()
    t.not(dark, light)
    await page.goto(`${url}/builders/demo-healthy`)
    t.equal(await background(), dark)
    await page.emulateMedia({ media: 'print' })
    t.equal(await background(), light)
    t.notOk(await page.locator('footer').isVisible())
  })

  // LAB_SCREENSHOTS=1 updates the screenshots of the README
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
})

// Keeps a page of the monitor alive: puts in what has changed (server-sent events of /live), lets times pass, copies
// commands, and listens to a few keys. Without it the page is complete, and is loaded anew every half minute.

const page = document.documentElement
const byId = id => document.getElementById(id)

// ------------------------------------------------------------------------------------------------------------- times

/** How far this computer's clock is off the monitor's, in seconds, when the answer began to come. */
const skew = (() => {
  const [navigation] = performance.getEntriesByType('navigation')
  const arrived = performance.timeOrigin + (navigation?.responseStart ?? 0)
  return Number(page.dataset.now) - arrived / 1000
})()

const duration = seconds => {
  const total = Math.max(0, Math.floor(seconds))
  const days = Math.floor(total / 86400)
  const hours = Math.floor(total / 3600) % 24
  const minutes = Math.floor(total / 60) % 60
  if (days > 0) return `${days} d ${hours} h`
  if (hours > 0) return `${hours} h ${minutes} m`
  return minutes > 0 ? `${minutes} m` : `${total} s`
}

const passTime = () => {
  const now = Date.now() / 1000 + skew
  for (const time of document.querySelectorAll('time[data-say]')) {
    const text = time.dataset.say.replace(
      '{}',
      duration(now - Date.parse(time.dateTime) / 1000),
    )
    if (time.textContent !== text) time.textContent = text
  }
}
setInterval(passTime, 1000)

// -------------------------------------------------------------------------------------------------------------- live

const say = (text, isBad = false) => {
  const off = Math.abs(skew) > 2 ? `, this clock is ${duration(Math.abs(skew))} off` : ''
  byId('live').textContent = text + off
  page.classList.toggle('behind', isBad)
}

const focusable = 'a, button, summary, input, select, [tabindex]'

/** Puts an element in the place of the one with its id, or at the end of the table; what was open or focused stays so. */
const put = (id, markup) => {
  const template = document.createElement('template')
  template.innerHTML = markup
  const next = template.content.firstElementChild
  const old = byId(id)
  if (!old) {
    byId('fleet').append(next)
    offerCopies()
    return announce(null, next)
  }
  const opened = old.querySelectorAll('details')
  next.querySelectorAll('details').forEach((one, i) => {
    const same = one.dataset.key
      ? old.querySelector(`details[data-key="${one.dataset.key}"]`)
      : opened[i]
    if (same) one.open = same.open
  })
  const place = [...old.querySelectorAll(focusable)].indexOf(document.activeElement)
  old.replaceWith(next)
  offerCopies()
  if (place >= 0) next.querySelectorAll(focusable)[place]?.focus({ preventScroll: true })
  announce(old, next)
}

/** Tells people who cannot see the page of verdicts that changed, and of nothing else. */
const announce = (old, next) => {
  const { name, word } = next.dataset
  if (name === undefined || old?.dataset.word === word) return
  byId('news').textContent = `${name}: ${word}`
}

const arrange = order => {
  const table = byId('fleet')
  const wanted = new Set(order)
  for (const row of table.querySelectorAll(':scope > tbody'))
    if (!wanted.has(row.id)) row.remove()
  const rows = table.querySelectorAll(':scope > tbody')
  if (order.every((id, i) => rows[i]?.id === id)) return
  const focused = document.activeElement
  table.append(...order.flatMap(id => byId(id) ?? []))
  focused?.focus({ preventScroll: true })
}

const iconColours = {
  healthy: '#1f9d55',
  degraded: '#d99000',
  down: '#d93025',
}

const entitle = ({ title, state }) => {
  document.title = `${title} · builder-monitor`
  const icon = byId('icon')
  icon.href = icon.href.replace(
    /fill%3D%22%23\w{6}/,
    `fill%3D%22${encodeURIComponent(iconColours[state] ?? '#7b8794')}`,
  )
}

const update = ({ gone, title, parts = {}, order }) => {
  if (gone) return location.reload()
  if (title) entitle(title)
  for (const [id, markup] of Object.entries(parts)) put(id, markup)
  if (order && byId('fleet')) arrange(order)
  passTime()
}

let mark = page.dataset.live.split(' ', 1)[0]
const address = page.dataset.live.slice(mark.length + 1)
const follow = () => {
  const query = new URLSearchParams({ page: address, since: mark })
  const stream = new EventSource(`/live?${query}`)
  stream.addEventListener('open', () => say('live'))
  stream.addEventListener('update', event => {
    mark = event.lastEventId
    update(JSON.parse(event.data))
  })
  stream.addEventListener('reload', () => location.reload())
  stream.addEventListener('error', () => {
    say('reconnecting: what you see may be old', true)
    if (stream.readyState !== EventSource.CLOSED) return
    // It was refused: the browser does not try again by itself
    setTimeout(follow, 15_000)
  })
}

// -------------------------------------------------------------------------------------------------- copies and keys

const copy = async text => {
  if (navigator.clipboard) return navigator.clipboard.writeText(text)
  // Only pages from this machine or over TLS have a clipboard
  const area = document.createElement('textarea')
  area.value = text
  document.body.append(area)
  area.select()
  document.execCommand('copy')
  area.remove()
}

const offerCopies = () => {
  for (const block of document.querySelectorAll('pre[data-copy]:not(:has(button))')) {
    const text = block.textContent
    const button = document.createElement('button')
    button.textContent = 'copy'
    button.addEventListener('click', async () => {
      await copy(text)
      button.textContent = 'copied'
      setTimeout(() => (button.textContent = 'copy'), 2000)
    })
    block.append(button)
  }
}

const step = by => {
  const links = [...document.querySelectorAll('#fleet th[scope=row] a')]
  const here = links.indexOf(document.activeElement)
  links[here < 0 ? 0 : Math.min(links.length - 1, Math.max(0, here + by))]?.focus()
}

document.addEventListener('keydown', event => {
  if (event.ctrlKey || event.metaKey || event.altKey) return
  if (event.target.closest('input, select, textarea')) return
  if (event.key === 'j') step(1)
  else if (event.key === 'k') step(-1)
  else if (event.key === '/' && document.querySelector('.filter input')) {
    event.preventDefault()
    document.querySelector('.filter input').focus()
  }
})

offerCopies()
passTime()
if (mark) follow()

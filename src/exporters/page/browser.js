// Updates an open page: replaces changed regions (server-sent events of /live), updates relative times, copies commands,
// and handles keys. Without it the page is complete and reloads every 30 seconds.

const page = document.documentElement
const byId = id => document.getElementById(id)

// ------------------------------------------------------------------------------------------------------------- times

/** Offset of the monitor's clock from this computer's clock in seconds, measured when the response arrived. */
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

const updateTimes = () => {
  const now = Date.now() / 1000 + skew
  for (const time of document.querySelectorAll('time[data-template]')) {
    const text = time.dataset.template.replace(
      '{}',
      duration(now - Date.parse(time.dateTime) / 1000),
    )
    if (time.textContent !== text) time.textContent = text
  }
}
setInterval(updateTimes, 1000)

// -------------------------------------------------------------------------------------------------------------- live

const setStatus = (text, isBad = false) => {
  const off =
    Math.abs(skew) > 2
      ? `, clock of this computer is off by ${duration(Math.abs(skew))}`
      : ''
  byId('live').textContent = text + off
  page.classList.toggle('disconnected', isBad)
}

const focusable = 'a, button, summary, input, select, [tabindex]'

/** Replaces the element with this id, or appends a row to the table. Keeps open details and the focus. */
const replaceRegion = (id, markup) => {
  const template = document.createElement('template')
  template.innerHTML = markup
  const next = template.content.firstElementChild
  const old = byId(id)
  if (!old) {
    byId('fleet').append(next)
    addCopyButtons()
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
  addCopyButtons()
  if (place >= 0) next.querySelectorAll(focusable)[place]?.focus({ preventScroll: true })
  announce(old, next)
}

/** Announces changed states to screen readers, and nothing else. */
const announce = (old, next) => {
  const { name, label } = next.dataset
  if (name === undefined || old?.dataset.label === label) return
  byId('announcement').textContent = `${name}: ${label}`
}

const sortRows = order => {
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

const setTitle = ({ text, icon }) => {
  document.title = `${text} · builder-monitor`
  byId('icon').href = icon
}

const update = ({ removed, title, parts = {}, order }) => {
  if (removed) return location.reload()
  if (title) setTitle(title)
  for (const [id, markup] of Object.entries(parts)) replaceRegion(id, markup)
  if (order && byId('fleet')) sortRows(order)
  updateTimes()
}

let cursor = page.dataset.live.split(' ', 1)[0]
const address = page.dataset.live.slice(cursor.length + 1)
const connect = () => {
  const query = new URLSearchParams({ page: address, since: cursor })
  const stream = new EventSource(`/live?${query}`)
  stream.addEventListener('open', () => setStatus('live'))
  stream.addEventListener('update', event => {
    cursor = event.lastEventId
    update(JSON.parse(event.data))
  })
  stream.addEventListener('reload', () => location.reload())
  stream.addEventListener('error', () => {
    setStatus('disconnected: this page may be outdated, reconnecting', true)
    if (stream.readyState !== EventSource.CLOSED) return
    // After an HTTP error the browser does not reconnect by itself
    setTimeout(connect, 15_000)
  })
}

// -------------------------------------------------------------------------------------------------- copies and keys

const copy = async text => {
  if (navigator.clipboard) return navigator.clipboard.writeText(text)
  // Browsers provide the clipboard only over TLS and for localhost
  const area = document.createElement('textarea')
  area.value = text
  document.body.append(area)
  area.select()
  document.execCommand('copy')
  area.remove()
}

const addCopyButtons = () => {
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

const moveFocus = by => {
  const links = [...document.querySelectorAll('#fleet th[scope=row] a')]
  const current = links.indexOf(document.activeElement)
  links[current < 0 ? 0 : Math.min(links.length - 1, Math.max(0, current + by))]?.focus()
}

document.addEventListener('keydown', event => {
  if (event.ctrlKey || event.metaKey || event.altKey) return
  if (event.target.closest('input, select, textarea')) return
  if (event.key === 'j') moveFocus(1)
  else if (event.key === 'k') moveFocus(-1)
  else if (event.key === '/' && document.querySelector('.filter input')) {
    event.preventDefault()
    document.querySelector('.filter input').focus()
  }
})

addCopyButtons()
updateTimes()
if (cursor) connect()

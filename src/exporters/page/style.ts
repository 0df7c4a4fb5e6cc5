/** The style sheet. Uses no external resources; follows the light or dark preference of the system. */
export const pageStyle = `
:root {
  color-scheme: light dark;
  --ground: light-dark(#f6f7f9, #14171c);
  --card: light-dark(#fff, #1c2027);
  --line: light-dark(#dde1e7, #323843);
  --edge: light-dark(#8a94a3, #6b7686);
  --text: light-dark(#1b2027, #e7eaef);
  --quiet: light-dark(#5a6472, #a0a9b6);
  --code: light-dark(#f0f2f5, #12151a);
  --link: light-dark(#1c56b5, #86b1f5);
  --healthy: light-dark(#17703a, #62cf8b);
  --degraded: light-dark(#8a5a00, #f0b843);
  --down: light-dark(#b3261e, #ff8a80);
  --unknown: light-dark(#4b5b73, #a9bbd6);
  --asleep: var(--unknown);
  --drained: var(--unknown);
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; padding: 1.5rem 1.25rem 2.5rem; max-width: 80rem;
  background: var(--ground); color: var(--text);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif;
}
[data-theme=light] { color-scheme: light; }
[data-theme=dark] { color-scheme: dark; }
a { color: var(--link); }
:is(a, summary, button, input, select, [tabindex]):focus-visible { outline: 2px solid var(--link); outline-offset: 2px; }
h1 { text-wrap: balance; margin: .25rem 0 1.25rem; font-size: clamp(1.2rem, 2.6vw, 1.65rem); line-height: 1.3; overflow-wrap: anywhere; }
p, li, summary, figure { overflow-wrap: anywhere; }
h2 { margin: 2rem 0 .5rem; font-size: 1.05rem; }
.brand { color: var(--quiet); font-size: .875rem; margin: 0; display: flex; gap: .25rem 1rem; flex-wrap: wrap; }
.brand b { color: var(--text); font-weight: 600; }
.note { border-left: 4px solid var(--degraded); background: var(--card); padding: .6rem .9rem; margin: 0 0 1rem; border-radius: 0 6px 6px 0; }
.note.stops { border-color: var(--down); }
.service { margin: 0 0 .35rem; }
.note code { overflow-wrap: anywhere; } .note p { margin: 0; }
.fixes { margin: 0 0 .35rem; padding-left: 1.25rem; } .fixes li { overflow-wrap: anywhere; } pre code { font: inherit; }
table { width: 100%; border-collapse: separate; border-spacing: 0; background: var(--card); border: 1px solid var(--line); border-radius: 10px; overflow: hidden; }
th, td { text-align: left; vertical-align: baseline; padding: .6rem .75rem; font-weight: 400; }
thead th { color: var(--quiet); font-size: .8125rem; white-space: nowrap; border-bottom: 1px solid var(--line); }
tbody + tbody > tr:first-child > * { border-top: 1px solid var(--line); }
tbody th { font-weight: 600; overflow-wrap: anywhere; min-width: 9rem; }
tbody th a { color: inherit; text-decoration: none; } tbody th a:hover { text-decoration: underline; }
time { white-space: nowrap; }
tbody:target { background: light-dark(#eef4ff, #222b3a); }
table#fleet:not(:has(tbody)) { display: none; }
td.number { font-variant-numeric: tabular-nums; white-space: nowrap; }
.systems { min-width: 9rem; } .systems span { white-space: nowrap; }
.systems .features { display: block; white-space: normal; }
.quiet, .features { color: var(--quiet); font-size: .875rem; }
.state { white-space: nowrap; font-weight: 600; }
.state i { display: inline-block; width: 1.5rem; height: 1.5rem; margin-right: .45rem; border-radius: 50%; font: 700 .8rem/1.5rem system-ui, sans-serif; text-align: center; background: currentColor; }
.state i span { color: var(--card); }
.healthy { color: var(--healthy); } .degraded { color: var(--degraded); } .down { color: var(--down); }
.unknown { color: var(--unknown); } .asleep { color: var(--asleep); } .drained { color: var(--drained); }
.unknown i { background: none; border: 2px dashed currentColor; line-height: 1.25rem; } .unknown i span { color: inherit; }
tr.cause td { padding-top: 0; }
.why { border-left: 4px solid currentColor; padding-left: .9rem; margin-bottom: .3rem; }
.why > * { color: var(--text); }
.why p { margin: 0 0 .35rem; overflow-wrap: anywhere; }
pre { margin: .2rem 0 .5rem; padding: .5rem .7rem; background: var(--code); border: 1px solid var(--line); border-radius: 6px; font: .8125rem/1.5 ui-monospace, "DejaVu Sans Mono", Menlo, monospace; white-space: pre-wrap; overflow-wrap: anywhere; user-select: all; }
details { font-size: .875rem; } details pre { max-height: 18rem; overflow: auto; }
summary { color: var(--quiet); cursor: pointer; width: fit-content; }
.label { color: var(--quiet); font-size: .8125rem; margin: 0; }
.empty, blockquote { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 1rem 1.25rem; }
blockquote { margin: 0 0 1rem; } blockquote p { margin: 0; }
.empty li { overflow-wrap: anywhere; }
.filter { display: flex; flex-wrap: wrap; gap: .5rem 1rem; align-items: end; margin: 0 0 1rem; color: var(--quiet); font-size: .875rem; }
input, select, button { font: inherit; color: var(--text); background: var(--card); border: 1px solid var(--edge); border-radius: 6px; padding: .25rem .5rem; }
button { cursor: pointer; }
.history { width: 180px; }
svg.checks { display: block; max-width: 100%; } svg.checks.old { opacity: .45; }
.good { fill: var(--healthy); } path.degraded { fill: var(--degraded); } .failed { fill: var(--down); } .gap { fill: var(--edge); } .none { fill: var(--line); }
.sparks { display: flex; flex-wrap: wrap; gap: .75rem 2rem; margin: .75rem 0; }
.spark { margin: 0; font-size: .875rem; } .spark figcaption { color: var(--quiet); } .spark p { margin: 0; }
.spark polyline { fill: none; stroke: var(--link); stroke-width: 1.5; vector-effect: non-scaling-stroke; }
.wide { overflow-x: auto; }
.matrix { width: auto; } .matrix caption { text-align: left; color: var(--quiet); font-size: .875rem; padding: 0 0 .4rem; caption-side: top; background: var(--ground); }
.matrix :is(th, td) { padding: .4rem .75rem; white-space: nowrap; } .matrix tbody th { min-width: 0; } .matrix tbody tr + tr > * { border-top: 1px solid var(--line); }
.phases { display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; list-style: none; padding: 0; margin: .4rem 0; font-size: .875rem; }
pre { position: relative; } pre button { position: absolute; top: .3rem; right: .3rem; padding: 0 .5rem; font: .75rem/1.6 system-ui, sans-serif; user-select: none; }
pre[data-copy]:has(button) { padding-right: 4.5rem; }
.hidden { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; margin: 0; }
.disconnected #live { color: var(--down); font-weight: 600; }
main > details, #builder > details, #findings > details { margin: .35rem 0; }
footer { margin-top: 1.75rem; color: var(--quiet); font-size: .875rem; display: flex; flex-wrap: wrap; gap: .35rem 1.25rem; }
.skip { position: absolute; left: -99rem; } .skip:focus { left: 1rem; }
@media (max-width: 46rem) {
  body { padding: 1rem .75rem 2rem; }
  table, tbody, tr, th, td { display: block; }
  thead { position: absolute; left: -99rem; }
  tbody { padding: .7rem .85rem; }
  tbody + tbody { border-top: 1px solid var(--line); }
  tbody + tbody > tr:first-child > * { border-top: 0; }
  tbody th, tbody td { padding: .1rem 0; min-width: 0; }
  td[data-name]::before { content: attr(data-name) " "; color: var(--quiet); font-size: .875rem; }
  td[data-name]:empty { display: none; }
  tr.cause td { padding-top: .5rem; }
  .matrix, .matrix thead, .matrix tbody, .matrix tr, .matrix th, .matrix td, .matrix caption { display: revert; position: static; }
  .history { width: auto; }
}
@media (prefers-contrast: more) { :root { --quiet: var(--text); --line: var(--edge); } }
@media (prefers-reduced-motion: reduce) { * { scroll-behavior: auto !important; transition: none !important; animation: none !important; } }
@media print { :root { color-scheme: light; } body { max-width: none; padding: 0; } footer, .skip, .filter, pre button { display: none; } tbody { break-inside: avoid; } }
`

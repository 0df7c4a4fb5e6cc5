/** Fits one screen. */
export const helpText = `builder-monitor watches Nix remote builders from the side that sends the builds.

  builder-monitor run                       the daemon: status page and /metrics on 127.0.0.1:10922
  builder-monitor check [BUILDER...]        look at every builder once and say what is wrong
  builder-monitor status [BUILDER...]       the same from the running daemon
  builder-monitor reload                    the running daemon reads its configuration and the builders anew
  builder-monitor alert test                the running daemon sends a test alert to everybody whom it tells
  builder-monitor builders                  the active builders as Nix sees them
  builder-monitor config check [FILE]       check our own configuration, and a web configuration file
  builder-monitor explain KIND              what a kind means, how to see it, how to mend it
  builder-monitor demo                      the daemon on an embedded fleet of five

Options
  --json             check, status, builders: one JSON object
  --canary           check: prove each builder with a real build
  --debug            check: what was asked and answered, step by step, under each rung
  --features         check: prove each advertised feature, too
  --canary-mode M    check: private (default; any user) or daemon (through the local nix-daemon)
  --config FILE      run, check, config check: instead of /etc/builder-monitor/config.json
  --listen ADDRESS   run, demo: serve HTTP here, host:port or unix:/path; may be repeated
  --web.config.file FILE
                     run, demo, config check: TLS and logins, as Prometheus' exporters take it (docs/access.md)
  --log-format F     run, demo: json, pretty, or auto (default; pretty on a terminal, else json)
  --log-level LEVEL  run, demo: debug, info, warn, error or silent
  --socket PATH      status, reload, alert test: the daemon's control socket
  --version, --help

Exit codes of check and status: 0 healthy, 1 degraded, 2 down, 3 unknown, usage or no builder.
`

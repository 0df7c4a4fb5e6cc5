import type { Outcome, SubstitutersValue, TelemetryProbe } from '../model/index.ts'
import { oneLine } from '../text/truncate.ts'

const maxSubstituters = 8
const secondsPerSubstituter = 2
/** Below the limit of one command. */
const secondsInAll = 5

/** curl(1), exit codes. Others mean that a server answered, or did so in an unexpected way. */
const curlErrors: Readonly<Record<string, string>> = {
  5: 'the proxy has no address',
  6: 'the name has no address',
  7: 'no connection',
  28: 'no answer within 2 s',
  35: 'TLS handshake failed',
  60: 'its certificate is not trusted',
}
/** wget(1), exit status. */
const wgetErrors: Readonly<Record<string, string>> = {
  4: 'no connection or no answer',
  5: 'its certificate is not trusted',
}

/**
 * Asks on the builder whether its substituters answer (nix-cache-info, one after the other): with
 * builders-use-substitutes the builder gets inputs there, and one that hangs delays every build (nix issues 12681, 8101,
 * 7459). Uses curl or wget, as the user of the login; credentials and proxies of nix-daemon are not known.
 */
export const substitutersProbe: TelemetryProbe<'substituters'> = {
  name: 'substituters',
  summary: "the builder's substituters answer",
  script: `
limit=; command -v timeout >/dev/null 2>&1 && limit='timeout 2'
start=$(date +%s)
if command -v curl >/dev/null 2>&1; then tool=curl
elif command -v wget >/dev/null 2>&1; then tool=wget
else return 0
fi
urls=$({ $limit nix --extra-experimental-features nix-command config show 2>/dev/null ||
  $limit nix --extra-experimental-features nix-command show-config 2>/dev/null; } | sed -n 's/^substituters = //p')
for url in $urls; do
  [ $(( $(date +%s) - start )) -lt ${secondsInAll} ] || break
  case "$url" in http://*|https://*) ;; *) continue;; esac
  info="\${url%%[?]*}"; info="\${info%/}/nix-cache-info"
  case $tool in
    curl) curl -s -o /dev/null -m ${secondsPerSubstituter} -- "$info" </dev/null 2>/dev/null;;
    wget) wget -q -T ${secondsPerSubstituter} -t 1 -O /dev/null -- "$info" </dev/null 2>/dev/null;;
  esac
  echo "$tool $? $url"
done
true
`,
  parse: output => {
    const checked = output
      .split('\n')
      .slice(0, maxSubstituters)
      .flatMap(line => {
        const [, tool, code = '', text = ''] =
          /^(curl|wget) (\d{1,3}) (\S{1,500})$/.exec(line) ?? []
        const url = withoutSecrets(text)
        if (tool === undefined || url === null) return []
        const reason = (tool === 'curl' ? curlErrors : wgetErrors)[code] ?? null
        return [{ url, reason }]
      })
    if (checked.length === 0) return noData
    return { status: 'ok', value: { checked } satisfies SubstitutersValue }
  },
  samples: ({ checked }, { name: builder }) =>
    checked.map(({ url, reason }) => ({
      family: 'nix_builder_substituter_up',
      labels: { builder, substituter: url },
      value: reason === null ? 1 : 0,
    })),
}

const noData: Outcome<never> = {
  status: 'skipped',
  kind: 'no_data',
  params: { detail: 'no http substituter, or neither curl nor wget' },
}

/** Returns the origin and path of a URL, without user, password and parameters; null for other text. */
const withoutSecrets = (text: string): string | null => {
  if (!URL.canParse(text)) return null
  const { origin, pathname } = new URL(text)
  return oneLine(`${origin}${pathname === '/' ? '' : pathname}`, 120)
}

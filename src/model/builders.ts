/** One machine line of the active `builders`, with the defaults that Nix applies (machines.cc parseBuilderLine). */
export interface Builder {
  /** Unique and stable: the host, with more of the URI only when two lines would have the same name. */
  readonly name: string
  /** As written, with the scheme added when the line has none. */
  readonly storeUri: string
  /** `ssh`, `ssh-ng`, `local`, `unix`, ...: the part before `://`. */
  readonly scheme: string
  readonly user: string | null
  /** Without brackets for IPv6; null for local stores. */
  readonly host: string | null
  readonly port: number | null
  /** Query parameters of the store URI, decoded. */
  readonly params: Readonly<Record<string, string>>
  readonly systems: readonly string[]
  readonly sshKey: string | null
  /** Path of the copy of that key passed by systemd (LoadCredential=). Absent when the key itself is readable. */
  readonly credential?: string
  /** The user of nix-daemon's ssh; absent for root. */
  readonly sshUser?: string
  /** Number of slots, an unsigned 32-bit integer. 0 means never free. */
  readonly maxJobs: number
  readonly speedFactor: number
  readonly supportedFeatures: readonly string[]
  readonly mandatoryFeatures: readonly string[]
  /** Base64 of the public host key line, as written. */
  readonly publicHostKey: string | null
  readonly origin: Origin
  /** The machine line, ready to be passed to `--builders`. */
  readonly line: string
  /** The key of the machine in a TOML list of Lix. Absent when it is written as a line. */
  readonly tomlName?: string
}

/** Where something was read: a file (or `NIX_CONFIG`, the `builders` setting, ...) and a 1-based line. */
export interface Origin {
  readonly file: string
  readonly line: number
}

/** An error in a file that was read. `message` states the error and its effect in Nix. */
export interface Problem extends Origin {
  readonly message: string
  /** True when Nix fails every build (or every command) because of it. Absent when only a part is ignored. */
  readonly isFatal?: boolean
}

/** The builders that this Nix uses. */
export interface ActiveBuilders {
  /** `nix`: reported by Nix. `files`: read from its configuration files. `demo`: the embedded fleet. */
  readonly source: 'nix' | 'files' | 'demo'
  readonly builders: readonly Builder[]
  readonly problems: readonly Problem[]
  /** Every file that was read or searched for. A change of one requires a reload. */
  readonly files: readonly string[]
  /** What the probes need to know about the local Nix. */
  readonly nix: LocalNix
}

/** The Nix of this machine. */
export interface LocalNix {
  /** For example `2.26.3`. Null when Nix is not installed. */
  readonly version: string | null
  /** The `system` setting, for example `x86_64-linux`. */
  readonly system: string
  /** Identifies the local store, to recognize it behind a builder. Null or absent if unknown. */
  readonly storeId?: string | null
  /** Settings by name, as text. Only those that findings and checks need; unknown ones are absent. */
  readonly settings?: Readonly<Record<string, LocalSetting>>
  /** The system's nix.conf and the files that it includes. */
  readonly configFiles?: readonly string[]
  /** Places of the builders list that this Nix reads differently than they look. */
  readonly syntaxPitfalls?: readonly SyntaxPitfall[]
}

export interface LocalSetting {
  readonly value: string
  /** Null when Nix reported the value but not its source. */
  readonly origin: Origin | null
}

/**
 * Text that Nix parses differently than it looks. `blank`: a line of white space is a malformed machine.
 * `comment`: what follows a `;` in a comment is a machine.
 */
export interface SyntaxPitfall extends Origin {
  readonly kind: 'blank' | 'comment'
  /** The text that Nix parses as a machine line. */
  readonly text: string
}

/** Advice about the configuration. It breaks nothing at present. */
export interface Finding {
  /** Absent when it concerns this machine. */
  readonly builder?: string
  /** One of the rules in diagnosis/lint/. */
  readonly rule: string
  readonly message: string
  /** The exact line to write. */
  readonly fix: string
}

/** One machine line of the active `builders`, with the defaults that Nix applies (machines.cc parseBuilderLine). */
export interface Builder {
  /** Unique and stable: the host, with more of the URI only where two lines collide. */
  readonly name: string
  /** As written, with the scheme added where the line has none. */
  readonly storeUri: string
  /** `ssh`, `ssh-ng`, `local`, `unix`, ...: what stands before `://`. */
  readonly scheme: string
  readonly user: string | null
  /** Without brackets for IPv6; null for local stores. */
  readonly host: string | null
  readonly port: number | null
  /** Query parameters of the store URI, decoded. */
  readonly params: Readonly<Record<string, string>>
  readonly systems: readonly string[]
  readonly sshKey: string | null
  /** The copy of that key which systemd gave us; absent where the key itself is read. */
  readonly credential?: string
  /** Slots; an unsigned 32-bit number, 0 means never free. */
  readonly maxJobs: number
  readonly speedFactor: number
  readonly supportedFeatures: readonly string[]
  readonly mandatoryFeatures: readonly string[]
  /** Base64 of the public host key line, as written. */
  readonly publicHostKey: string | null
  readonly origin: Origin
  /** The machine line itself, one line, ready for `--builders`. */
  readonly line: string
  /** The key of the machine in a TOML list of Lix; absent where it is written as a line. */
  readonly tomlName?: string
}

/** Where something was read: a file (or `NIX_CONFIG`, `builders` setting ...) and a 1-based line. */
export interface Origin {
  readonly file: string
  readonly line: number
}

/** Something wrong with what we read; `message` says what, and what Nix does about it. */
export interface Problem extends Origin {
  readonly message: string
  /** True where Nix itself fails every build (or every command) for it; absent where only a part is lost. */
  readonly isFatal?: boolean
}

/** The answer to "which builders does this Nix use". */
export interface ActiveBuilders {
  /** `nix` when Nix told us, `files` when we read its files ourselves, `demo` for the embedded fleet. */
  readonly source: 'nix' | 'files' | 'demo'
  readonly builders: readonly Builder[]
  readonly problems: readonly Problem[]
  /** Every file that was read or looked for: a change of one means reading again. */
  readonly files: readonly string[]
  /** What else of the local Nix the probes need. */
  readonly nix: LocalNix
}

/** The Nix of this machine. */
export interface LocalNix {
  /** `2.26.3`, or null where there is no nix. */
  readonly version: string | null
  /** The `system` setting, for example `x86_64-linux`. */
  readonly system: string
  /** Settings by name, as text; those that nobody told are absent. Only what findings and checks need. */
  readonly settings?: Readonly<Record<string, LocalSetting>>
  /** nix.conf of the system, and what it includes. */
  readonly configFiles?: readonly string[]
  /** Places of the builders list that this Nix reads otherwise than people do. */
  readonly syntaxPitfalls?: readonly SyntaxPitfall[]
}

export interface LocalSetting {
  readonly value: string
  /** null where Nix told the value and we do not know from where. */
  readonly origin: Origin | null
}

/** `blank`: a line of blanks is a broken machine. `comment`: what follows `;` in a comment is a machine. */
export interface SyntaxPitfall extends Origin {
  readonly kind: 'blank' | 'comment'
  /** What Nix takes for a machine line. */
  readonly text: string
}

/** Advice about the configuration: nothing is broken by it now. */
export interface Finding {
  /** Absent where it is about this machine. */
  readonly builder?: string
  /** Closed set of diagnosis/lint.ts. */
  readonly rule: string
  readonly message: string
  /** The exact line to write. */
  readonly fix: string
}

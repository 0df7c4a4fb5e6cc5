/** The adapter of commander: declarations of commands, their typed options, help texts and usage errors. */
import { Command, CommanderError, InvalidArgumentError, Option } from 'commander'
import { version } from '../version.ts'
import { printErrors, UsageError, type Io } from './terminal.ts'

/** One option. `T` is what the command gets. */
export interface OptionSpec<T> {
  readonly option: () => Option
  readonly value: (parsed: unknown) => T
}

/** `--name`, true or false. */
export const flag = (flags: string, description: string): OptionSpec<boolean> => ({
  option: () => new Option(flags, description),
  value: parsed => parsed === true,
})

/** `--name <value>`, not empty; of several the last one. */
export const text = (
  flags: string,
  description: string,
): OptionSpec<string | undefined> => ({
  option: () => new Option(flags, description).argParser(notEmpty),
  value: parsed => (typeof parsed === 'string' ? parsed : undefined),
})

/** `--name <value>`, one of `choices`. */
export const choice = <const T extends string>(
  flags: string,
  choices: readonly T[],
  description: string,
): OptionSpec<T | undefined> => ({
  option: () => new Option(flags, description).choices(choices),
  value: parsed => choices.find(one => one === parsed),
})

/** `--name <value>`, repeatable; all values in order, undefined where there is none. */
export const list = (
  flags: string,
  description: string,
): OptionSpec<readonly string[] | undefined> => ({
  option: () =>
    new Option(flags, description).argParser<readonly string[]>((value, previous) => [
      ...(previous ?? []),
      notEmpty(value),
    ]),
  value: parsed => (Array.isArray(parsed) ? (parsed as readonly string[]) : undefined),
})

/** Leaves an option out of the help. */
export const hidden = <T>(spec: OptionSpec<T>): OptionSpec<T> => ({
  ...spec,
  option: () => spec.option().hideHelp(),
})

const notEmpty = (value: string): string => {
  if (value === '') throw new InvalidArgumentError('It is empty.')
  return value
}

type OptionSpecs = Readonly<Record<string, OptionSpec<unknown>>>
type OptionValues<O extends OptionSpecs> = {
  readonly [K in keyof O]: O[K] extends OptionSpec<infer T> ? T : never
}

/** The declaration of one command. */
export interface CommandSpec<O extends OptionSpecs> {
  /** `check`, or `config check` for a subcommand of a group. */
  readonly name: string
  readonly summary: string
  /** Positional arguments as commander writes them: `[BUILDER...]`, `<KIND>`. */
  readonly argument?: readonly [syntax: string, description: string]
  readonly options: O
  readonly example: string
  /** What each exit code means. */
  readonly exitCodes: string
  /** Returns the exit code. Throws UsageError for an error that the user can correct. */
  readonly run: (
    options: OptionValues<O>,
    positionals: readonly string[],
    io: Io,
  ) => Promise<number>
}

/** A declared command. */
export interface CliCommand {
  readonly name: string
  readonly summary: string
  /** Adds it to a group of commands; `onExit` gets its exit code. */
  readonly addTo: (group: Command, io: Io, onExit: (code: number) => void) => void
}

export const defineCommand = <const O extends OptionSpecs>(
  spec: CommandSpec<O>,
): CliCommand => ({
  name: spec.name,
  summary: spec.summary,
  addTo: (group, io, onExit) => {
    const command = group.command(spec.name.split(' ').at(-1) ?? '')
    const [first = '', ...rest] = spec.summary
    command.summary(spec.summary).description(`${first.toUpperCase()}${rest.join('')}.`)
    if (spec.argument) command.argument(...spec.argument)
    const options = Object.entries(spec.options).map(
      ([key, one]) => [key, one, one.option()] as const,
    )
    for (const [, , option] of options) command.addOption(option)
    command.addHelpText(
      'after',
      `\nExample:\n  ${spec.example}\n\nExit codes: ${spec.exitCodes}`,
    )
    command.action(async () => {
      const values = Object.fromEntries(
        options.map(([key, one, option]) => [
          key,
          one.value(command.getOptionValue(option.attributeName())),
        ]),
      )
      // Each key has the value of its own spec
      onExit(await spec.run(values as OptionValues<O>, command.args, io))
    })
  },
})

const usageExitCode = 3

/**
 * Runs the command that `argv` names and returns its exit code; 3 for usage errors, which are printed to standard error
 * with the closest command or option.
 */
export const runCli = async (
  commands: readonly CliCommand[],
  argv: readonly string[],
  io: Io,
): Promise<number> => {
  let exitCode = 0
  const program = createProgram(commands, io, code => (exitCode = code))
  try {
    await program.parseAsync(argv.length === 0 ? ['--help'] : [...argv], {
      from: 'user',
    })
    return exitCode
  } catch (error) {
    if (error instanceof CommanderError) return exitOf(error, io)
    if (!(error instanceof UsageError)) throw error
    printErrors(error.message.split('\n'), io)
    return usageExitCode
  }
}

/** commander throws for help and version too. A group without its subcommand prints its help as an error. */
const exitOf = ({ exitCode, code, message }: CommanderError, io: Io): number => {
  if (exitCode === 0) return 0
  if (code !== 'commander.help')
    io.err(
      `builder-monitor: ${message.replace(/^error: /, '').replace(/\n\(Did you mean/, ' (did you mean')}\n`,
    )
  return usageExitCode
}

const createProgram = (
  commands: readonly CliCommand[],
  io: Io,
  onExit: (code: number) => void,
): Command => {
  const program = new Command('builder-monitor')
  program
    .description('Watches Nix remote builders from the machine that sends the builds.')
    .version(`builder-monitor ${version}`, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print help')
    .helpCommand('help [COMMAND]', 'print the help of a command')
    .exitOverride()
    // Errors are printed once, by runCli
    .configureOutput({ writeOut: io.out, writeErr: io.err, outputError: () => undefined })
  const groups = new Map<string, Command>()
  for (const command of commands) {
    const [groupName, subcommand] = command.name.split(' ')
    if (groupName === undefined || subcommand === undefined)
      command.addTo(program, io, onExit)
    else {
      const group = groups.get(groupName) ?? program.command(groupName)
      groups.set(groupName, group)
      group.helpCommand(false)
      command.addTo(group, io, onExit)
      const all = commands.filter(({ name }) => name.startsWith(`${groupName} `))
      group.summary(all.map(({ summary }) => summary).join('; '))
    }
  }
  return program
}

/** The smallest programs for Linux that show whether a machine executes another architecture. */

/** Exit code of every program below: neither a shell nor the kernel uses it. */
export const programExitCode = 42

interface Architecture {
  readonly bits: 32 | 64
  /** e_machine of the ELF header (elf(5)). */
  readonly machine: number
  /** e_flags of the ELF header. */
  readonly flags?: number
  /** Machine code of exit(42), little-endian, in hex. */
  readonly code: string
}

/** By the first part of a Nix system. */
const architectures: Readonly<Record<string, Architecture>> = {
  // mov edi, 42; mov eax, 60; syscall
  x86_64: { bits: 64, machine: 0x3e, code: 'bf2a000000 b83c000000 0f05' },
  // mov ebx, 42; mov eax, 1; int 0x80
  i686: { bits: 32, machine: 0x03, code: 'bb2a000000 b801000000 cd80' },
  // mov x0, 42; mov x8, 93; svc 0
  aarch64: { bits: 64, machine: 0xb7, code: '400580d2 a80b80d2 010000d4' },
  // mov r0, 42; mov r7, 1; svc 0
  armv7l: {
    bits: 32,
    machine: 0x28,
    flags: 0x05000000,
    code: '2a00a0e3 0170a0e3 000000ef',
  },
  // li a0, 42; li a7, 93; ecall
  riscv64: { bits: 64, machine: 0xf3, code: '1305a002 9308d005 73000000' },
}

const architectureOf = (system: string): string | null => {
  const [name = '', kernel] = system.split('-')
  return kernel === 'linux' && Object.hasOwn(architectures, name) ? name : null
}

/** Returns an ELF program for a Nix system that ends with `programExitCode`; null where none is known. */
export const programFor = (system: string): Buffer | null => {
  const name = architectureOf(system)
  const architecture = name === null ? undefined : architectures[name]
  return architecture ? elf(architecture) : null
}

const loadAddress = 0x400000

/** Creates a static executable of one segment (elf(5)). */
const elf = ({ bits, machine, flags = 0, code }: Architecture): Buffer => {
  const is64 = bits === 64
  const headerSize = is64 ? 64 : 52
  const segmentHeaderSize = is64 ? 56 : 32
  const start = headerSize + segmentHeaderSize
  const program = Buffer.from(code.replaceAll(' ', ''), 'hex')
  const size = start + program.length
  const file = Buffer.alloc(size)
  let at = 0
  const half = (value: number) => (at = file.writeUInt16LE(value, at))
  const word = (value: number) => (at = file.writeUInt32LE(value, at))
  const address = (value: number) =>
    (at = is64 ? file.writeBigUInt64LE(BigInt(value), at) : file.writeUInt32LE(value, at))
  file.set([0x7f, 0x45, 0x4c, 0x46, is64 ? 2 : 1, 1, 1])
  at = 16
  half(2) // ET_EXEC
  half(machine)
  word(1)
  address(loadAddress + start)
  address(headerSize)
  address(0)
  word(flags)
  for (const value of [headerSize, segmentHeaderSize, 1, 0, 0, 0]) half(value)
  const readExecute = 5
  word(1) // PT_LOAD
  if (is64) word(readExecute)
  address(0)
  address(loadAddress)
  address(loadAddress)
  address(size)
  address(size)
  if (!is64) word(readExecute)
  address(0x1000)
  file.set(program, start)
  return file
}

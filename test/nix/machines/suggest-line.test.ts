import fc from 'fast-check'
import t from 'tap'
import { suggestLine } from '../../../src/nix/machines/suggest-line.ts'

const system = 'x86_64-linux'

t.test('offers the line that was meant', async t => {
  const table: readonly (readonly [written: string, meant: string])[] = [
    ['ssh://ssh://u@h', 'ssh://u@h'],
    ['ssh-ng://ssh-ng://u@h x86_64-linux - 4', 'ssh-ng://u@h x86_64-linux - 4'],
    ['ssh-ng://ssh://h aarch64-linux', 'ssh-ng://h aarch64-linux'],
    ['ssh://u@h /root/key 4 2 kvm', 'ssh://u@h x86_64-linux /root/key 4 2 kvm'],
    ['ssh://u@h /root/key 4', 'ssh://u@h x86_64-linux /root/key 4'],
    ['ssh://u@h ~/.ssh/id', 'ssh://u@h x86_64-linux ~/.ssh/id'],
    ['ssh://u@h 4 1 kvm,big-parallel', 'ssh://u@h x86_64-linux - 4 1 kvm,big-parallel'],
    ['ssh://u@h 4', 'ssh://u@h x86_64-linux - 4'],
    [
      'ssh://u@h aarch64-linux,armv7l-linux 4 1 kvm',
      'ssh://u@h aarch64-linux,armv7l-linux - 4 1 kvm',
    ],
    [
      'ssh://ssh://u@h /root/key 4 2 kvm - -',
      'ssh://u@h x86_64-linux /root/key 4 2 kvm - -',
    ],
  ]
  for (const [written, meant] of table)
    t.equal(suggestLine(written, system)?.line, meant, written)
})

t.test('leaves correct and unclear lines alone', async t => {
  for (const line of [
    'ssh://u@h',
    'h',
    'ssh-ng://u@h x86_64-linux,i686-linux /root/key 4 2.5 kvm,nixos-test big - ',
    'ssh-ng://u@h - - 8 1 - - ' + 'c3NoLWVkMjU1MTkgQUFBQUMzTnphQzFsWkRJMU5URTVBQUFBSU8=',
    'ssh://u@h x86_64-linux key 4',
    '/local/store x86_64-linux',
    'ssh://u@h many words that mean nothing',
    '',
  ])
    t.equal(suggestLine(line, system), null, line)
  fc.assert(fc.property(fc.string(), line => suggestLine(line, system) !== undefined))
})

/** Output of the scripts on real machines, or assembled from the documentation of their commands. */

/** Recorded from a Debian node with Nix 2.34.8. */
export const debian = {
  system: `time 1795384652
kernel Linux 6.18.44-fc-v669 x86_64
nix nix (Nix) 2.34.8
boot 1795380636
users 10
set.build-users-group nixbld
set.cores 1
set.extra-platforms i686-linux x86_64-v1-linux x86_64-v2-linux x86_64-v3-linux x86_64-v4-linux
set.max-free 67108864
set.max-jobs 2
set.min-free 33554432
set.sandbox false
set.system x86_64-linux
set.system-features benchmark big-parallel lab-b3
`,
  disk: `== store /nix/store
statfs 65536 65536 4096 51190 51200
== build /tmp
statfs 16384 16384 4096 3085509 3085510
== state /nix/var/nix
statfs 65536 65536 4096 51190 51200
== mounts
overlay / overlay rw,relatime,lowerdir=/a,upperdir=/b,workdir=/c,uuid=on 0 0
nix /nix tmpfs rw,relatime,size=262144k,nr_inodes=51200,mode=755 0 0
`,
  memory: `== meminfo
MemTotal:       24684084 kB
MemFree:        22745580 kB
MemAvailable:   23867200 kB
Buffers:           36492 kB
Cached:          1247716 kB
== pressure
some avg10=0.00 avg60=0.00 avg300=0.00 total=0
full avg10=0.00 avg60=0.00 avg300=0.00 total=0
`,
}

/** After the manual pages of df, sysctl and vm_stat of macOS 14. */
export const darwin = {
  system: `time 1710003600
kernel Darwin 23.3.0 arm64
nix nix (Nix) 2.28.3
boot 1710000000
users 32
set.build-users-group nixbld
set.cores 0
set.extra-platforms x86_64-darwin
set.max-free 9223372036854775807
set.max-jobs 10
set.min-free 0
set.sandbox false
set.system aarch64-darwin
set.system-features apple-virt benchmark big-parallel nixos-test
`,
  disk: `== store /nix/store
/dev/disk3s7   971350180 53412345 312345678    15%    /nix
inodes /dev/disk3s7   1942700360 106824690 624691356    15% 1234567 3123456780    0%   /nix
== build /tmp
/dev/disk3s5   971350180 583412345 312345678    66%    /System/Volumes/Data
inodes /dev/disk3s5   1942700360 1166824690 624691356    66% 2234567 3123456780    0%   /System/Volumes/Data
== state /nix/var/nix
/dev/disk3s7   971350180 53412345 312345678    15%    /nix
inodes /dev/disk3s7   1942700360 106824690 624691356    15% 1234567 3123456780    0%   /nix
== mounts
`,
  memory: `== memsize
17179869184
== vm_stat
Mach Virtual Memory Statistics: (page size of 16384 bytes)
Pages free:                               10345.
Pages active:                            311234.
Pages inactive:                          245678.
Pages speculative:                         1234.
Pages throttled:                              0.
Pages wired down:                        123456.
Pages purgeable:                            567.
"Translation faults":                 987654321.
Pages copy-on-write:                   12345678.
Pages zero filled:                    456789012.
Pages stored in compressor:              345678.
Swapins:                                      0.
Swapouts:                                     0.
== load
{ 2.53 2.18 2.04 }
`,
}

/** cgroup v2 with a limit (kernel 6.1, systemd 252; Documentation/admin-guide/cgroup-v2.rst). */
export const cgroupV2 = `== meminfo
MemTotal:       32768000 kB
MemFree:         1024000 kB
MemAvailable:   20480000 kB
== pressure
some avg10=0.12 avg60=0.05 avg300=0.01 total=31415926
full avg10=0.10 avg60=0.04 avg300=0.01 total=27182818
== load
3.25 2.10 1.05 4/321 12345
== current
9663676416
== limit
30198988800
== events
low 0
high 0
max 12
oom 4
oom_kill 3
oom_group_kill 0
== stat
anon 1073741824
shmem 4096
slab_unreclaimable 20000000
kernel_stack 65536
pagetables 1048576
`

/** cgroup v1 (Documentation/admin-guide/cgroup-v1/memory.rst) on a kernel without MemAvailable. */
export const cgroupV1 = `== meminfo
MemTotal:        8192 kB
MemFree:         1000 kB
Buffers:          200 kB
Cached:          3000 kB
== limit1
8589934592
== oom1
oom_kill_disable 0
under_oom 0
oom_kill 2
== stat1
total_rss 524288000
total_shmem 12288
`

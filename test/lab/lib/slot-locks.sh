# Sourced inside a node by slot-holder.test.ts: measures how long slot locks are free or held.
slots=(/nix/var/nix/current-load/*-[0-9])
now() { local t=${EPOCHREALTIME/[.,]/}; echo $((t / 1000)); } # milliseconds
is_free() { flock -n "$1" true; }

# Prints how long it takes until each slot was free once, milliseconds. Ends after MAX.
until_free() { # START MAX
  local slot left=("${slots[@]}") still
  while ((${#left[@]})); do
    still=()
    for slot in "${left[@]}"; do is_free "$slot" || still+=("$slot"); done
    left=("${still[@]}")
    (($(now) - $1 < $2)) || break
  done
  echo $(($(now) - $1))
}

# Prints how long it takes until all slots are held, milliseconds. Ends after MAX.
until_held() { # START MAX
  local slot
  for slot in "${slots[@]}"; do
    while is_free "$slot" && (($(now) - $1 < $2)); do sleep 0.02; done
  done
  echo $(($(now) - $1))
}

# Prints the longest time that a slot was free while CMD ran and until all are held again, milliseconds.
longest_free() { # CMD...
  local slot running longest=0 t
  local -A since=()
  "$@" >/dev/null 2>&1 &
  running=$!
  while t=$(now); kill -0 "$running" 2>/dev/null || ((${#since[@]})); do
    for slot in "${slots[@]}"; do
      if is_free "$slot"; then : "${since[$slot]:=$t}"
      elif [[ ${since[$slot]:-} ]]; then
        t=$(now); ((t - since[$slot] <= longest)) || longest=$((t - since[$slot]))
        unset "since[$slot]"
      fi
    done
    # The machine has few cores, and the monitor needs one
    sleep 0.01
  done
  echo "$longest"
}

# Kills the holder or the monitor COUNT times. Prints the longest time until all slots were free, milliseconds.
kill_at_random() { # COUNT
  local i unit start took longest=0
  for ((i = 0; i < $1; i++)); do
    took=$(until_held "$(now)" 30000)
    ((took < 30000)) || { echo "not held after kill $i"; return 1; }
    unit=builder-monitor; ((RANDOM % 2)) && unit=builder-monitor-slots
    sleep "0.$((RANDOM % 3))"
    start=$(now)
    kill -KILL "$(systemctl show "$unit" -P MainPID)" 2>/dev/null || { ((i--)); continue; }
    took=$(until_free "$start" 10000)
    ((took <= longest)) || longest=$took
  done
  until_held "$(now)" 30000 >/dev/null
  echo "$longest"
}

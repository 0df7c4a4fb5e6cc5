/** Waits for `work`, but at most `ms` milliseconds. */
export const withinDeadline = async (
  ms: number,
  work: () => Promise<void>,
): Promise<void> => {
  let timer: NodeJS.Timeout | undefined
  const timeout = new Promise<void>(resolve => {
    timer = setTimeout(resolve, ms)
  })
  await Promise.race([work(), timeout])
  clearTimeout(timer)
}

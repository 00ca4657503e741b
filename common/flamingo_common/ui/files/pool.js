/** Several tasks at a time. Pure. */

/**
 * @template T
 * @param {T[]} items in the order in which they begin
 * @param {number} limit how many run at a time
 * @param {AbortSignal} signal no further one begins when it is aborted
 * @param {(item: T) => Promise<void>} run does not fail
 */
export async function runAll(items, limit, signal, run) {
  const waiting = items.values();
  const work = async () => {
    for (const item of waiting) {
      if (signal.aborted) return;
      await run(item);
    }
  };
  await Promise.all(Array.from({ length: limit }, work)); // they share one iterator
}

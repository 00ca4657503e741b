/**
 * Whether the server can be reached: what the last request found out, and while it cannot, a
 * request every few seconds.
 */

const RETRY_INTERVAL_MS = 2000;

let isLost = false;

/** Sends `lost` and `restored`. */
export const connectionEvents = new EventTarget();

/** @param {() => Promise<unknown>} probe a request; it is repeated until one gets an answer */
export function reportUnreachable(probe) {
  if (isLost) return;
  isLost = true;
  connectionEvents.dispatchEvent(new Event("lost"));
  const retry = async () => {
    await probe().catch(() => null);
    if (isLost) setTimeout(retry, RETRY_INTERVAL_MS);
  };
  setTimeout(retry, RETRY_INTERVAL_MS);
}

/** The server has answered. */
export function reportReachable() {
  if (!isLost) return;
  isLost = false;
  connectionEvents.dispatchEvent(new Event("restored"));
}

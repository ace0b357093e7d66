/**
 * Ends a connection on which Redis answers what nobody asked.
 *
 * ioredis 6.0.0 takes such a reply for an oddity and goes on, so that every later answer may go to
 * the command before; and where the reply is a null it throws where nobody can catch it. Redis never
 * does this, but what stands between it and us may. Importing this module replaces the one place
 * where a reply is given to its command.
 */
import * as driver from "ioredis/built/DataHandler.js";
import type { CommandItem } from "ioredis/built/types.js";

/** What the driver's handler of a connection's replies has and does not show. */
interface Handler {
  readonly redis: driver.DataHandledable;
}

/**
 * Hangs up, because replies and commands do not belong together any more: those under way fail with
 * the error that is returned, and a new connection is made.
 */
export const endWith = (
  redis: Pick<driver.DataHandledable, "recoverFromFatalError">,
  reason: string,
): Error => {
  const error = new Error(`Connection is closed: ${reason}`);
  redis.recoverFromFatalError(error, error, { offlineQueue: false });
  return error;
};

// The default export of a CommonJS module is inside of one more in Deno, and is not in the binary.
const { default: exported } = driver;
const DataHandler: unknown = "default" in exported ? exported.default : exported;

if (typeof DataHandler !== "function" || !("shiftCommand" in DataHandler.prototype)) {
  throw new Error("This version of ioredis gives replies to commands in another way");
}

Object.defineProperty(DataHandler.prototype, "shiftCommand", {
  configurable: true,
  writable: true,
  value(this: Handler): CommandItem | null {
    const item = this.redis.commandQueue.shift();
    if (item !== undefined) return item;
    endWith(this.redis, "a reply that nobody asked for");
    return null;
  },
});

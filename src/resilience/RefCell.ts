/** The way past an effect per access of a `Ref`, for the one hot path that needs it. */
import type { MutableRef, Ref } from "effect";

/**
 * The mutable cell under a `Ref`: the same state, without an effect per access. Composing
 * `Ref.modify` and `clockWith` per call was measured at several times the cost of the whole call.
 */
export const cellOf = <A>(ref: Ref.Ref<A>): MutableRef.MutableRef<A> => {
  const cell: unknown = Reflect.get(ref, "ref");
  // Effect's only implementation of Ref holds its value in a MutableRef called `ref`.
  if (typeof cell === "object" && cell !== null && "current" in cell) {
    return cell as MutableRef.MutableRef<A>;
  }
  throw new TypeError("Cannot find the MutableRef under a Ref");
};

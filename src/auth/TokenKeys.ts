/**
 * The keys that protect tokens at rest, as `TOKEN_CACHE_KEY` writes them: 32 bytes in base64 each,
 * several separated by commas. The first encrypts, all decrypt: a new key is put in front.
 */
import { type Array as Arrays, Data, Either, Redacted } from "effect";

/** At least one AES-256 key; the first one encrypts. */
export type TokenKeys = Arrays.NonEmptyReadonlyArray<Redacted.Redacted<Uint8Array>>;

/** The text holds something that is no key; all faults at once, none quotes the text. */
export class InvalidTokenCacheKey extends Data.TaggedError("InvalidTokenCacheKey")<{
  readonly problems: ReadonlyArray<string>;
}> {
  override get message(): string {
    return `Invalid token cache key: ${this.problems.join("; ")}`;
  }
}

const keyBytes = 32;

/** Reads the keys; base64 with or without padding, of either alphabet, blanks around it ignored. */
export const parseTokenKeys = (
  text: Redacted.Redacted<string>,
): Either.Either<TokenKeys, InvalidTokenCacheKey> => {
  const problems: Array<string> = [];
  const keys = Redacted.value(text).split(",").map((part, index) => {
    const name = `key ${index + 1}`;
    const bytes = fromBase64(part.trim());
    if (part.trim() === "") problems.push(`${name} is empty`);
    else if (bytes === undefined) problems.push(`${name} is not base64`);
    else if (bytes.length !== keyBytes) {
      problems.push(`${name} has ${bytes.length} bytes in place of ${keyBytes}`);
    }
    return Redacted.make(bytes ?? new Uint8Array());
  });
  const [first, ...rest] = keys;
  return first === undefined || problems.length > 0
    ? Either.left(new InvalidTokenCacheKey({ problems }))
    : Either.right([first, ...rest]);
};

const fromBase64 = (text: string): Uint8Array | undefined => {
  if (!/^([A-Za-z0-9+/]*|[A-Za-z0-9_-]*)={0,2}$/.test(text)) return undefined;
  try {
    return Uint8Array.from(
      atob(text.replaceAll("-", "+").replaceAll("_", "/")),
      (character) => character.charCodeAt(0),
    );
  } catch {
    return undefined;
  }
};

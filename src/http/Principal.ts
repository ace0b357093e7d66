/** Who is calling, as far as a verified token says. */
import { Context } from "effect";

/** The caller that a valid token names. */
export class Principal extends Context.Tag("http/Principal")<Principal, {
  /** The `sub` claim: who, within the tenant. Not fit for a metric label. */
  readonly subject: string;
  /** The `tenantId` claim, `[A-Za-z0-9_-]{1,64}`: the only tenant this caller may see. */
  readonly tenantId: string;
}>() {}

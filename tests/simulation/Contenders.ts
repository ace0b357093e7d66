/** The policies that are compared: this project's with fixed and adaptive settings, and its peers'. */
import * as Amicis from "./policies/Amicis.ts";
import * as Cockatiel from "./policies/Cockatiel.ts";
import * as Gobreaker from "./policies/Gobreaker.ts";
import * as Opossum from "./policies/Opossum.ts";
import type { Contender } from "./Policy.ts";

export const fixed = Amicis.contender(
  "fixed",
  "amicis by default: 50 % of at least 5 in 10 s, or 5 in a row; 30 s; 3 trials; ramp; 64 calls at a time",
);

export const adaptive = Amicis.contender(
  "adaptive",
  "BREAKER_ADAPTIVE=true",
  { breaker: { adaptive: true } },
);

/** What the documentation recommends where probes are possible. */
export const recommended = Amicis.contender(
  "adaptive + probes",
  "BREAKER_ADAPTIVE=true, BREAKER_OPEN_FOR_MAX=2m, a probe every 3 s",
  { breaker: { adaptive: true, openForMax: "2 minutes" }, probeEvery: 3_000 },
);

export const probes = Amicis.contender(
  "fixed + probes",
  "Fixed thresholds, a probe every 3 s",
  { probeEvery: 3_000 },
);

/** A breaker that leaves partial outages to the throttle. */
const patient = { failureRate: 0.95, consecutiveFailures: 20 };

export const throttled = Amicis.contender(
  "throttle K 2",
  "MONGODB_THROTTLE=2, BREAKER_FAILURE_RATE=0.95, BREAKER_CONSECUTIVE_FAILURES=20",
  { breaker: patient, throttle: { k: 2 } },
);

export const proportional = Amicis.contender(
  "throttle K 1.1, sent",
  "As throttle K 2, with MONGODB_THROTTLE=1.1, THROTTLE_COUNT=sent",
  { breaker: patient, throttle: { k: 1.1, count: "sent" } },
);

export const limited = Amicis.contender(
  "adaptive limit",
  "MONGODB_ADAPTIVE_CONCURRENCY=true, fixed thresholds",
  { adaptiveLimit: true },
);

export const opossum = Opossum.contender("opossum");

export const gobreaker = Gobreaker.contender("gobreaker");

export const cockatiel = Cockatiel.contender(
  "cockatiel, in a row",
  "ConsecutiveBreaker(5); 10 s; one trial, the rest is held",
  () => Cockatiel.consecutive(5),
);

export const cockatielSampling = Cockatiel.contender(
  "cockatiel, sampling",
  "SamplingBreaker(20 % of 30 s); 10 s; one trial, the rest is held",
  () => Cockatiel.sampling({ threshold: 0.2, duration: 30_000 }),
);

export const contenders: ReadonlyArray<Contender> = [
  fixed,
  adaptive,
  recommended,
  probes,
  throttled,
  proportional,
  limited,
  opossum,
  gobreaker,
  cockatiel,
  cockatielSampling,
];

/**
 * Which traces are recorded: the samplers that `OTEL_TRACES_SAMPLER` names, decided by the trace's id
 * alone, so that every process of a trace comes to the same decision at the same ratio.
 */
import { Option, type Tracer } from "effect";

/** The legal values of `OTEL_TRACES_SAMPLER`. */
export type SamplerName =
  | "always_on"
  | "always_off"
  | "traceidratio"
  | "parentbased_always_on"
  | "parentbased_always_off"
  | "parentbased_traceidratio";

/** A sampler, and the share from 0 to 1 that those by ratio keep. */
export interface SamplerSettings {
  readonly name: SamplerName;
  readonly ratio: number;
}

/** Whether a span is recorded, and for what percentage of all it stands (0 to 100). */
export interface Decision {
  readonly sampled: boolean;
  readonly rate: number;
}

const all: Decision = { sampled: true, rate: 100 };
const none: Decision = { sampled: false, rate: 100 };

/** Decides about the first span of a process in a trace; those below it follow it. */
export type Sampler = (parent: Option.Option<Tracer.AnySpan>, traceId: string) => Decision;

/** By the lower 64 bits of the id, as the SDKs of other languages do. */
const byRatio = (ratio: number): (traceId: string) => Decision => {
  const bound = BigInt(Math.round(ratio * 2 ** 32)) << 32n;
  const kept = { sampled: true, rate: ratio * 100 };
  return (traceId) => BigInt(`0x${traceId.slice(16)}`) < bound ? kept : none;
};

/** The sampler of these settings. */
export const make = ({ name, ratio }: SamplerSettings): Sampler => {
  const own = name.endsWith("traceidratio")
    ? byRatio(ratio)
    : () => name.endsWith("always_on") ? all : none;
  if (!name.startsWith("parentbased_")) return (_, traceId) => own(traceId);
  return (parent, traceId) =>
    Option.match(parent, {
      onNone: () => own(traceId),
      onSome: ({ sampled }) => sampled ? all : none,
    });
};

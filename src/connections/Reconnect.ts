/**
 * The pace at which lost connections are tried again, the same for every dependency: soon at first,
 * never a stampede. It knows no end: only the scope's closing stops it.
 */
import { Duration, Schedule } from "effect";

const initialDelay = 100;

/** The longest pause between two attempts, in milliseconds. */
export const maxDelay = 2_000;

/** 100 ms, doubling, ±20 %, at most 2 s. */
export const backoff: Schedule.Schedule<unknown> = Schedule.exponential(initialDelay).pipe(
  Schedule.jittered,
  Schedule.modifyDelay((_, delay) => Duration.min(delay, Duration.millis(maxDelay))),
);

/** The same pace for drivers that ask for a delay in milliseconds; `attempt` counts from 1. */
export const delayOf = (attempt: number): number =>
  Math.min(maxDelay, initialDelay * 2 ** Math.min(attempt - 1, 10) * (0.8 + 0.4 * Math.random()));

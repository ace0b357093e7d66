/**
 * The `process_*` metrics that Deno gives without any permission.
 *
 * prom-client's own set is not used: most of it speaks of Node's internals, and the rest reads
 * `/proc`, which a service with a narrow permission list may not.
 */
import process from "node:process";
import { type Families, gauges, readCounter } from "./MetricFamilies.ts";

/** Declares the families; all are read when a scrape asks. */
export const register = (families: Families): void => {
  readCounter(
    families,
    "process_cpu_seconds_total",
    "Total user and system CPU time spent in seconds.",
    () => {
      const { user, system } = process.cpuUsage();
      return (user + system) / 1e6;
    },
  );
  const gauge = (name: string, help: string, read: () => number) =>
    gauges(families, name, help, [])({}, read);
  gauge(
    "process_start_time_seconds",
    "Start time of the process since unix epoch in seconds.",
    () => performance.timeOrigin / 1_000,
  );
  gauge(
    "process_heap_bytes",
    "Used size of the JavaScript heap in bytes.",
    () => Deno.memoryUsage().heapUsed,
  );
  gauge(
    "process_resident_memory_bytes",
    "Resident memory size in bytes.",
    () => Deno.memoryUsage().rss,
  );
};

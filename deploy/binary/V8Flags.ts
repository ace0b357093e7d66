/** How V8 is told to use memory, in the binary and wherever its speed is measured. */
export const v8Flags: ReadonlyArray<string> = [
  // A start leaves less than 16 MB behind: with a megabyte of room at first, as is usual, that is a
  // dozen collections, now it is none before the service is ready (12 would do for one, of 3 ms). More
  // is worse under load: with 24 a token exchange from the cache at 256 connections was slower by 9 to
  // 23 in 100, by more the less of the processor's cache the neighbours left.
  "--min-semi-space-size=16",
  // V8 believes that it has the machine's memory, not the container's, and collects old garbage only
  // when the heap has grown to four times what is live: under full load an instance was killed at
  // 512 MiB. Now it is twice; the time that goes into collecting is too little to be measured.
  "--heap-growing-percent=100",
  // Left in peace for some seconds, V8 collects everything and gives back the room for young objects.
  // The next load then has survivors in place of garbage until there is as much room again: measured
  // for the cached route after 12 s of rest, 48,000 requests a second in place of 56,000, the slowest
  // hundredth after 3 ms in place of 1. The price is that an idle instance keeps its memory.
  "--no-memory-reducer",
];

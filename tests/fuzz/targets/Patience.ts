/** How long an answer may take: long beside the limits that services are given here. */
const patience = 10_000;

/** The answer, or an error when it takes longer: what takes longer does not end by itself. */
export async function inTime<A>(work: Promise<A>): Promise<A> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`No end within ${patience} ms`)), patience);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

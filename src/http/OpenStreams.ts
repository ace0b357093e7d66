/** Bodies that are still being sent, so that a stopping server can end them. */

/** The open streams of one server. */
export class OpenStreams {
  readonly #open = new Set<() => void>();

  get size(): number {
    return this.#open.size;
  }

  /** The same bytes as `source`, until that ends, the caller goes away, or {@link endAll}. */
  track(source: ReadableStream<Uint8Array>): ReadableStream<Uint8Array> {
    const reader = source.getReader();
    let end = () => {};
    const forget = () => this.#open.delete(end);
    return new ReadableStream<Uint8Array>({
      start: (controller) => {
        end = () => {
          forget();
          controller.close();
          // Whoever fills it may refuse to stop; nobody is left to be told.
          reader.cancel().catch(() => {});
        };
        this.#open.add(end);
      },
      pull: async (controller) => {
        try {
          const { done, value } = await reader.read();
          if (!this.#open.has(end)) return;
          if (!done) return controller.enqueue(value);
          forget();
          controller.close();
        } catch (error) {
          if (forget()) controller.error(error);
        }
      },
      cancel: (reason) => {
        forget();
        return reader.cancel(reason);
      },
    });
  }

  /** Ends every stream as if its source had ended. */
  endAll(): void {
    for (const end of [...this.#open]) end();
  }
}

/**
 * Pictures of one trace: for each policy a strip with what reached the dependency, what of it failed,
 * what was turned away, and when the policy was not closed. SVG without scripts or fonts of its own;
 * colours follow the reader's scheme.
 */
import type { Tick } from "./Simulation.ts";
import { minute, second, type Trace } from "./Trace.ts";

export interface Strip {
  readonly policy: string;
  readonly ticks: ReadonlyArray<Tick>;
}

const width = 860;
const left = 170;
const height = 56;
const gap = 14;
const top = 58;

const style = `text{font:12px system-ui,sans-serif;fill:#222}.axis{fill:#666}
.sent{fill:#5b8dc9}.failed{fill:#c0392b}.refused{fill:#c9ccd1}.fault{fill:#f6e3c5}.open{fill:#e0a526}
@media(prefers-color-scheme:dark){text{fill:#ddd}.axis{fill:#aaa}.refused{fill:#4a4f57}.fault{fill:#4b3d25}
.ground{fill:#14171c}}.ground{fill:#fff}@media(prefers-color-scheme:dark){.ground{fill:#14171c}}`;

const escape = (text: string): string =>
  text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");

/** Ticks joined to as many columns as the picture has room for; each is an average a second. */
const columns = (ticks: ReadonlyArray<Tick>, count: number): ReadonlyArray<Tick> =>
  Array.from({ length: count }, (_, index) => {
    const from = Math.floor(index * ticks.length / count);
    const to = Math.max(from + 1, Math.floor((index + 1) * ticks.length / count));
    const part = ticks.slice(from, to);
    const mean = (of: (tick: Tick) => number) =>
      part.reduce((sum, tick) => sum + of(tick), 0) / Math.max(1, part.length);
    return {
      sent: mean(({ sent }) => sent),
      failed: mean(({ failed }) => failed),
      refused: mean(({ refused }) => refused),
      notClosed: mean(({ notClosed }) => notClosed),
    };
  });

/** Draws the time from `from` to `to` (milliseconds). */
export const draw = (
  trace: Trace,
  strips: ReadonlyArray<Strip>,
  from: number,
  to: number,
): string => {
  const x = (at: number) => left + (width - left - 10) * (at - from) / (to - from);
  const count = Math.floor((width - left - 10) / 2);
  const shown = strips.map(({ policy, ticks }) => ({
    policy,
    columns: columns(ticks.slice(from / second, to / second), count),
  }));
  const most = Math.max(
    1,
    ...shown.flatMap(({ columns }) => columns.map(({ sent, refused }) => sent + refused)),
  );
  const total = top + strips.length * (height + gap) + 22;
  const faults = trace.faults.filter((fault) => fault.to > from && fault.from < to)
    .map((fault) => {
      const [a, b] = [x(Math.max(from, fault.from)), x(Math.min(to, fault.to))];
      const size = `height="${total - top - 14}" width="${(b - a).toFixed(1)}"`;
      return `<rect class="fault" x="${a.toFixed(1)}" y="${top - 6}" ${size}/>`;
    });
  const rows = shown.flatMap(({ policy, columns }, row) => {
    const bottom = top + row * (height + gap) + height;
    const paths = { sent: "", failed: "", refused: "" };
    const bars = columns.map(({ notClosed }, index) => {
      if (notClosed <= 0) return "";
      const opacity = Math.min(1, notClosed / trace.replicas / trace.keys + 0.15).toFixed(2);
      return `<rect class="open" opacity="${opacity}" x="${left + 2 * index}" y="${
        bottom + 2
      }" width="2" height="5"/>`;
    });
    columns.forEach(({ sent, failed, refused }, index) => {
      const at = left + 2 * index;
      const bar = (kind: keyof typeof paths, base: number, size: number) => {
        const [y, h] = [bottom - (base + size) / most * height, size / most * height];
        if (h > 0) paths[kind] += `M${at} ${y.toFixed(1)}h2v${h.toFixed(1)}h-2z`;
      };
      bar("failed", 0, failed);
      bar("sent", failed, sent - failed);
      bar("refused", sent, refused);
    });
    return [
      `<text x="10" y="${bottom - height / 2 + 4}">${escape(policy)}</text>`,
      ...Object.entries(paths).map(([kind, d]) => `<path class="${kind}" d="${d}"/>`),
      ...bars,
    ];
  });
  const legend = [
    ["sent", "answered"],
    ["failed", "failed"],
    ["refused", "turned away"],
    ["open", "not closed"],
    ["fault", "trouble"],
  ].map(([kind, label], index) => {
    const at = left + index * 125;
    return `<rect class="${kind}" x="${at}" y="30" width="11" height="11"/><text x="${
      at + 16
    }" y="40">${label}</text>`;
  });
  const minutes = Array.from({ length: Math.floor((to - from) / minute) + 1 }, (_, index) => index);
  const every = Math.max(1, Math.ceil(minutes.length / 12));
  const axis = minutes.filter((index) => index % every === 0).map((index) =>
    `<text class="axis" text-anchor="middle" x="${x(from + index * minute).toFixed(1)}" y="${
      total - 4
    }">${index} min</text>`
  );
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width + 20} ${total}" role="img">`,
    `<title>${escape(`${trace.name}: ${trace.description}`)}</title><style>${style}</style>`,
    `<rect class="ground" width="100%" height="100%"/>`,
    `<text x="10" y="20" font-weight="bold">${escape(trace.name)}</text>`,
    ...legend,
    ...faults,
    ...rows,
    ...axis,
    "</svg>\n",
  ].filter((line) => line !== "").join("\n");
};

/** The embedded dashboard as Grafana reads it: panels on a grid of 24 columns, and their queries. */

const file = new URL("../../../src/operations/assets/dashboard.json", import.meta.url);

/** What a panel asks; the legend's `{{label}}` is a label of the series. */
export interface Target {
  readonly expr: string;
  readonly legendFormat?: string;
  readonly instant?: boolean;
}

/** A value is shown in the color of the last step that it reaches; the first has no value. */
export interface Step {
  readonly color: string;
  readonly value: number | null;
}

/** How values are shown. */
export interface Defaults {
  readonly unit?: string;
  readonly decimals?: number;
  readonly max?: number;
  readonly mappings?: ReadonlyArray<
    {
      readonly options: Readonly<
        Record<string, { readonly text: string; readonly color: string }>
      >;
    }
  >;
  readonly thresholds?: { readonly steps: ReadonlyArray<Step> };
  readonly custom?: {
    readonly fillOpacity?: number;
    readonly stacking?: { readonly mode: "none" | "normal" };
  };
}

/** How a panel shows its values. */
export interface FieldConfig {
  readonly defaults: Defaults;
  readonly overrides: ReadonlyArray<{
    readonly matcher: { readonly id: string; readonly options: string };
    readonly properties: ReadonlyArray<
      { readonly id: string; readonly value: { readonly fixedColor: string } }
    >;
  }>;
}

/** One panel; a row is only a heading. */
export interface Panel {
  readonly id: number;
  readonly type: string;
  readonly title: string;
  readonly description?: string;
  readonly datasource?: { readonly uid: string };
  readonly gridPos: {
    readonly x: number;
    readonly y: number;
    readonly w: number;
    readonly h: number;
  };
  readonly targets?: ReadonlyArray<Target>;
  readonly fieldConfig?: FieldConfig;
  readonly options?: { readonly yAxis?: { readonly unit?: string } };
}

export interface Dashboard {
  readonly uid: string;
  readonly title: string;
  readonly panels: ReadonlyArray<Panel>;
  readonly annotations: {
    readonly list: ReadonlyArray<{ readonly expr?: string; readonly titleFormat?: string }>;
  };
  readonly templating: {
    readonly list: ReadonlyArray<
      { readonly name: string; readonly label?: string; readonly definition?: string }
    >;
  };
}

export const dashboard: Dashboard = JSON.parse(await Deno.readTextFile(file));

/** What stands for Grafana's own variables, each a duration such as `4s`. */
export interface Windows {
  readonly rate: string;
  readonly interval: string;
  readonly range: string;
}

/** A query as Grafana sends it with "All" chosen everywhere. */
export const filledIn = (expr: string, { rate, interval, range }: Windows): string =>
  expr
    .replaceAll(/\$(namespace|service|breaker)\b/g, ".*")
    .replaceAll("$__rate_interval", rate)
    .replaceAll("$__interval", interval)
    .replaceAll("$__range", range);

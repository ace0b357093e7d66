/** The OpenAPI document of a service, as it is served and printed. */
import type { HttpApi } from "@effect/platform";
import { openApi } from "./http/OpenApi.ts";
import { AdminApi } from "./operations/AdminApi.ts";
import { version } from "./Version.ts";

/** What a document is made of. */
export interface Described {
  readonly title: string;
  readonly description: string;
  readonly apis: ReadonlyArray<HttpApi.HttpApi.Any>;
}

/** As JSON; the administration is in it only when there is one. */
export const apiDocument = (
  { title, description, apis }: Described,
  hasAdmin: boolean,
): string =>
  JSON.stringify(
    openApi(hasAdmin ? [...apis, AdminApi] : apis, {
      title,
      version,
      description,
      license: { name: "MIT", identifier: "MIT" },
    }),
    null,
    2,
  );

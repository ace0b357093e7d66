/** What `--print` writes out: documents that are embedded in the program or derived from it. */
import { apiDocument } from "./ApiDocument.ts";
import * as AuthService from "./AuthService.ts";
import type { Printable } from "./Cli.ts";
import type { ServiceName } from "./Config.ts";
import alerts from "./operations/assets/alerts.yaml" with { type: "text" };
import dashboard from "./operations/assets/dashboard.json" with { type: "text" };
import * as RoutingService from "./RoutingService.ts";

/** The text of a document; `openapi` is that of auth unless routing is asked for. */
export const documents = (what: Printable, service: ServiceName | undefined): string => {
  switch (what) {
    case "alerts":
      return alerts;
    case "dashboard":
      return dashboard;
    case "openapi": {
      const description = service === "routing"
        ? RoutingService.description
        : AuthService.description;
      return apiDocument(description, true);
    }
  }
};

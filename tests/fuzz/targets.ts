/** Every target. */
import type { Target } from "./Target.ts";
import { storeCache, tokenCache } from "./targets/Caches.ts";
import { redisValues, tokenEndpoints } from "./targets/Dependencies.ts";
import { dataFile, storeDocuments, tenantDocuments } from "./targets/Documents.ts";
import { httpBytes, httpRequests } from "./targets/Http.ts";
import { settings } from "./targets/Settings.ts";
import { texts } from "./targets/Texts.ts";
import { tokenAnswers } from "./targets/TokenAnswers.ts";
import { jwt } from "./targets/Tokens.ts";

export const targets: ReadonlyArray<Target> = [
  texts,
  storeCache,
  tokenCache,
  tokenAnswers,
  jwt,
  tenantDocuments,
  storeDocuments,
  dataFile,
  settings,
  httpRequests,
  httpBytes,
  redisValues,
  tokenEndpoints,
];

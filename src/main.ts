/** Launch only: arguments and environment in, exit code out. */
import { start } from "./Start.ts";

await start(() => import("./Launch.ts"));

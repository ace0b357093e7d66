/** Launch only: arguments and environment in, exit code out. */
import { launch } from "./Launch.ts";

Deno.exit(await launch(Deno.args));

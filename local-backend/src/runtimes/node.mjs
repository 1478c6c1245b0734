// Starts a function's handler as AWS's managed Node.js runtime does. Part of Fuseline's runtimes.
import { existsSync } from "node:fs";
import { register } from "node:module";
import { run } from "./client/index.mjs";

// `import` knows nothing of NODE_PATH. What is in layers is found by a hook, which costs a thread, so
// only functions with layers pay for it; the runtime's own packages are found without one.
const layers = `${process.env.FUSELINE_OPT ?? "/opt"}/nodejs/`;
const folders = (process.env.NODE_PATH ?? "").split(":").filter((folder) => folder.startsWith(layers));
if (folders.some((folder) => existsSync(folder))) {
  register("./resolve.mjs", import.meta.url, { data: folders });
}

await run(process.env.LAMBDA_TASK_ROOT, process.env._HANDLER);

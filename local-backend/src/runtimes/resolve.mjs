// Looks for modules that `import` does not find in the folders of NODE_PATH that belong to layers.
import { pathToFileURL } from "node:url";

let parents = [];

export function initialize(folders) {
  parents = folders.map((folder) => pathToFileURL(`${folder}/../importer.mjs`).href);
}

export async function resolve(specifier, context, next) {
  const missing = (error) => error?.code === "ERR_MODULE_NOT_FOUND";
  try {
    return await next(specifier, context);
  } catch (error) {
    if (!missing(error) || /^[./]|^[a-z]+:/.test(specifier)) throw error;
    for (const parentURL of parents) {
      try {
        return await next(specifier, { ...context, parentURL });
      } catch (elsewhere) {
        if (!missing(elsewhere)) throw elsewhere;
      }
    }
    throw error;
  }
}

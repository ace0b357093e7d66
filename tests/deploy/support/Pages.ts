/** Where the docs are. */

/** The repository. */
export const root = new URL("../../../", import.meta.url);

/** Every page for readers, as paths in the repository. */
export async function pageNames(): Promise<ReadonlyArray<string>> {
  return ["README.md", "CONTRIBUTING.md", "SECURITY.md", ...await pagesBelow("docs/")];
}

async function pagesBelow(folder: string): Promise<ReadonlyArray<string>> {
  const found: Array<string> = [];
  for await (const { name, isDirectory } of Deno.readDir(new URL(folder, root))) {
    if (isDirectory) found.push(...await pagesBelow(`${folder}${name}/`));
    else if (name.endsWith(".md")) found.push(folder + name);
  }
  return found.toSorted();
}

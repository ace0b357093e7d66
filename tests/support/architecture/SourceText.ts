/**
 * Reads TypeScript as far as the architecture rules need it: code without comments and without the
 * contents of strings, and the modules a file imports. A test compares it with Deno's own parser.
 */

/** A source text taken apart. */
export interface SourceText {
  /** The code: comments are spaces, each string is `"<index>"`, templates keep only `${…}`. */
  readonly code: string;
  /** The contents of the strings by index. */
  readonly strings: ReadonlyArray<string>;
}

/** After these a slash begins a regular expression, not a division. */
const BEFORE_PATTERN =
  /(?:^|[(,=:[!&|?{};+\-*%<>~^]|=>|\b(?:return|typeof|case|in|of|void|yield))$/;

/** Takes a source text apart. */
export function readSource(text: string): SourceText {
  const strings: Array<string> = [];
  /** For each open template the depth of braces inside its current `${…}`. */
  const templates: Array<number> = [];
  let code = "";
  let at = 0;

  const template = () => {
    while (at < text.length) {
      if (text[at] === "\\") at += 2;
      else if (text[at] === "`") return void (code += "`", at++);
      else if (text.startsWith("${", at)) {
        templates.push(0);
        code += "${";
        at += 2;
        return;
      } else at++;
    }
  };

  while (at < text.length) {
    const character = text.charAt(at);
    if (text.startsWith("//", at)) {
      at = endOf(text, "\n", at);
    } else if (text.startsWith("/*", at)) {
      const end = endOf(text, "*/", at + 2) + 2;
      code += text.slice(at, end).replace(/[^\n]/g, " ");
      at = end;
    } else if (character === '"' || character === "'") {
      const match = /^(["'])((?:\\.|(?!\1).)*)\1/.exec(text.slice(at, endOf(text, "\n", at)));
      if (match === null) throw new SyntaxError(`String without end: ${text.slice(at, at + 40)}`);
      strings.push(match[2] ?? "");
      code += `"${strings.length - 1}"`;
      at += match[0].length;
    } else if (character === "`") {
      code += "`";
      at++;
      template();
    } else if (character === "/" && BEFORE_PATTERN.test(code.trimEnd())) {
      const line = text.slice(at, endOf(text, "\n", at));
      const match = /^\/(?:\\.|\[(?:\\.|[^\]\\])*\]|[^/\\[])+\/[a-z]*/.exec(line);
      code += "/ /";
      at += match === null ? 1 : match[0].length;
    } else {
      const depth = templates.at(-1);
      if (depth !== undefined && character === "{") templates[templates.length - 1] = depth + 1;
      if (depth !== undefined && character === "}") {
        if (depth === 0) {
          templates.pop();
          code += "}";
          at++;
          template();
          continue;
        }
        templates[templates.length - 1] = depth - 1;
      }
      code += character;
      at++;
    }
  }
  return { code, strings };
}

function endOf(text: string, mark: string, from: number): number {
  const index = text.indexOf(mark, from);
  return index < 0 ? text.length : index;
}

const IMPORTS = [
  // import … from "x", import type … from "x", export … from "x"
  /(?:^|[;\n}])\s*(?:import|export)\b[^;"()=]*?\bfrom\s*"(\d+)"/g,
  // import "x"
  /(?:^|[;\n}])\s*import\s*"(\d+)"/g,
  // import("x"), also as a type
  /\bimport\s*\(\s*"(\d+)"/g,
];

/** The specifiers that a source text imports, each once, in the order of the text. */
export function importsOf({ code, strings }: SourceText): ReadonlyArray<string> {
  const found = IMPORTS.flatMap((pattern) =>
    Array.from(code.matchAll(pattern), (match) => Number(match[1]))
  );
  const specifiers = found.sort((a, b) => a - b).map((index) => strings[index] ?? "");
  return Array.from(new Set(specifiers));
}

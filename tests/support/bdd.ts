/**
 * Stand-in for `jsr:@std/testing/bdd` over `Deno.test` and `t.step`: the registry that holds the
 * real one cannot be reached from every build machine.
 *
 * To use the real one, change one line of `deno.json`: `"@std/testing/bdd": "jsr:@std/testing@1/bdd"`.
 * Differences: only what is here exists (no snapshot or `this` context), and the op, resource and
 * exit sanitizers, which Deno turned off by default in 2.8, are on for every test and every step.
 * A leak inside a step is reported under the name of the whole top-level test, with its stack.
 */

/** The body of a test; it may use Deno's test context. */
export type TestBody = (t: Deno.TestContext) => void | Promise<void>;
/** The body of a hook. */
export type HookBody = () => void | Promise<void>;

/** What a test or suite may be given between its name and its body. */
export interface TestOptions {
  readonly ignore?: boolean;
  readonly only?: boolean;
  readonly sanitizeOps?: boolean;
  readonly sanitizeResources?: boolean;
  readonly sanitizeExit?: boolean;
  readonly permissions?: Deno.PermissionOptions;
}

interface Definition extends TestOptions {
  readonly name: string;
}

interface Test {
  readonly kind: "test";
  readonly definition: Definition;
  readonly body: TestBody;
}

type HookName = "beforeAll" | "beforeEach" | "afterEach" | "afterAll";

/** A suite made by `describe`; pass it to `it` or `describe` to add to it from outside its body. */
export interface TestSuite {
  readonly kind: "suite";
  readonly definition: Definition;
  readonly children: Array<Test | TestSuite>;
  readonly hooks: Readonly<Record<HookName, Array<HookBody>>>;
  /** A descendant is marked `only`: the other children are left out. */
  hasOnly: boolean;
  readonly parent: TestSuite | undefined;
}

/** Like `deno test --fail-fast`, which knows nothing of steps: a suite ends at its first failure. */
const failFast = Deno.env.get("TEST_FAIL_FAST") === "true";

/** The suite whose body is being run; hooks and tests are added to it. */
let current: TestSuite | undefined;
/** The suite that a hook outside every `describe` opens; all that follows it belongs to it. */
let global: TestSuite | undefined;
let started = false;

function newSuite(definition: Definition, parent: TestSuite | undefined): TestSuite {
  const hooks = { beforeAll: [], beforeEach: [], afterEach: [], afterAll: [] };
  return { kind: "suite", definition, children: [], hooks, hasOnly: false, parent };
}

function add(child: Test | TestSuite, parent: TestSuite | undefined): void {
  if (started) throw new Error(`Cannot register "${child.definition.name}" while tests run`);
  if (parent === undefined) {
    const only = child.definition.only === true || (child.kind === "suite" && child.hasOnly);
    Deno.test({ ...settings(child.definition), only, fn: (t) => run(child, [], t) });
    return;
  }
  parent.children.push(child);
}

function markOnly(parent: TestSuite | undefined): void {
  for (let suite = parent; suite !== undefined; suite = suite.parent) suite.hasOnly = true;
}

function settings(definition: Definition) {
  const { name, ignore, permissions } = definition;
  return {
    name,
    ignore: ignore === true,
    sanitizeOps: definition.sanitizeOps ?? true,
    sanitizeResources: definition.sanitizeResources ?? true,
    sanitizeExit: definition.sanitizeExit ?? true,
    ...(permissions === undefined ? {} : { permissions }),
  };
}

async function run(
  item: Test | TestSuite,
  outer: ReadonlyArray<TestSuite>,
  t: Deno.TestContext,
): Promise<void> {
  started = true;
  if (item.kind === "test") return await runTest(item, outer, t);
  try {
    for (const hook of item.hooks.beforeAll) await hook();
    const inner = [...outer, item];
    for (const child of item.children) {
      if (item.hasOnly && !isOnly(child)) continue;
      const { permissions: _, ...options } = settings(inherited(child, inner));
      const isOk = await t.step({ ...options, fn: (step) => run(child, inner, step) });
      if (!isOk && failFast) return;
    }
  } finally {
    for (const hook of item.hooks.afterAll) await hook();
  }
}

/** beforeEach runs from the outermost suite inwards, afterEach back outwards. */
async function runTest(
  test: Test,
  suites: ReadonlyArray<TestSuite>,
  t: Deno.TestContext,
): Promise<void> {
  const [suite, ...rest] = suites;
  if (suite === undefined) return await test.body(t);
  for (const hook of suite.hooks.beforeEach) await hook();
  try {
    await runTest(test, rest, t);
  } finally {
    for (const hook of suite.hooks.afterEach) await hook();
  }
}

function isOnly(child: Test | TestSuite): boolean {
  return child.definition.only === true || (child.kind === "suite" && child.hasOnly);
}

/** A step takes the sanitizer settings of its nearest suite that has any. */
function inherited(child: Test | TestSuite, suites: ReadonlyArray<TestSuite>): Definition {
  let merged: TestOptions = {};
  for (const { definition } of suites) {
    const { sanitizeOps, sanitizeResources, sanitizeExit } = definition;
    merged = {
      ...merged,
      ...(sanitizeOps === undefined ? {} : { sanitizeOps }),
      ...(sanitizeResources === undefined ? {} : { sanitizeResources }),
      ...(sanitizeExit === undefined ? {} : { sanitizeExit }),
    };
  }
  return { ...merged, ...child.definition };
}

function addHook(name: HookName, hook: HookBody): void {
  if (started) throw new Error(`Cannot register a ${name} hook while tests run`);
  if (current === undefined) {
    global = newSuite({ name: "global" }, undefined);
    current = global;
    add(global, undefined);
  }
  current.hooks[name].push(hook);
}

/** The forms that `it` and `describe` take: `(name, body)`, `(name, options, body)`, `(options with name, body)`, and each with a suite first. */
type Arguments<Body> =
  | [name: string, body: Body]
  | [name: string, options: TestOptions, body: Body]
  | [options: TestOptions & { readonly name: string }, body: Body]
  | [options: TestOptions & { readonly name: string; readonly fn: Body }]
  | [suite: TestSuite, name: string, body: Body]
  | [suite: TestSuite, name: string, options: TestOptions, body: Body];

interface Parsed<Body> {
  readonly suite: TestSuite | undefined;
  readonly definition: Definition;
  readonly body: Body | undefined;
}

function parse<Body>(args: ReadonlyArray<unknown>, forced: TestOptions): Parsed<Body> {
  let suite: TestSuite | undefined;
  let definition: { name?: string } & TestOptions = {};
  let body: Body | undefined;
  for (const argument of args) {
    if (typeof argument === "string") definition = { ...definition, name: argument };
    // The overloads admit a function only as the body.
    else if (typeof argument === "function") body = argument as Body;
    else if (isSuite(argument)) suite = argument;
    else if (typeof argument === "object" && argument !== null) {
      const { fn, ...options } = argument as TestOptions & { name?: string; fn?: Body };
      definition = { ...definition, ...options };
      if (fn !== undefined) body = fn;
    }
  }
  if (definition.name === undefined || definition.name === "") {
    throw new TypeError("A test or suite needs a name");
  }
  const { name } = definition;
  return { suite: suite ?? current, definition: { ...definition, ...forced, name }, body };
}

function isSuite(value: unknown): value is TestSuite {
  return typeof value === "object" && value !== null && "kind" in value && value.kind === "suite";
}

function addTest(args: ReadonlyArray<unknown>, forced: TestOptions): void {
  const { suite, definition, body } = parse<TestBody>(args, forced);
  if (body === undefined && definition.ignore !== true) {
    throw new TypeError(`The test "${definition.name}" has no body`);
  }
  if (definition.only === true) markOnly(suite);
  add({ kind: "test", definition, body: body ?? (() => {}) }, suite);
}

function addSuite(args: ReadonlyArray<unknown>, forced: TestOptions): TestSuite {
  const { suite: parent, definition, body } = parse<() => void>(args, forced);
  const suite = newSuite(definition, parent);
  if (definition.only === true) markOnly(parent);
  const outer = current;
  current = suite;
  try {
    const returned: unknown = body?.();
    if (returned instanceof Promise) {
      throw new TypeError(`The body of describe "${definition.name}" must not be async`);
    }
  } finally {
    current = outer;
  }
  add(suite, parent);
  return suite;
}

/** Registers one test, as a step when inside a `describe`. */
export interface It {
  (...args: Arguments<TestBody>): void;
  /** Runs only this test of its file; the run as a whole then fails, so it is not left in. */
  only(...args: Arguments<TestBody>): void;
  /** Registers the test as ignored. */
  ignore(...args: Arguments<TestBody>): void;
  /** The same as `ignore`. */
  skip(...args: Arguments<TestBody>): void;
  /** Registers a test that is still to be written, as ignored. */
  todo(name: string): void;
}

/** Registers a suite; its body adds tests and hooks and must not be async. */
export interface Describe {
  (...args: Arguments<() => void>): TestSuite;
  (name: string): TestSuite;
  /** Runs only this suite of its file. */
  only(...args: Arguments<() => void>): TestSuite;
  /** Registers every test of the suite as ignored. */
  ignore(...args: Arguments<() => void>): TestSuite;
  /** The same as `ignore`. */
  skip(...args: Arguments<() => void>): TestSuite;
}

/** Registers one test. */
export const it: It = Object.assign(
  (...args: Arguments<TestBody>) => addTest(args, {}),
  {
    only: (...args: Arguments<TestBody>) => addTest(args, { only: true }),
    ignore: (...args: Arguments<TestBody>) => addTest(args, { ignore: true }),
    skip: (...args: Arguments<TestBody>) => addTest(args, { ignore: true }),
    todo: (name: string) => addTest([name], { ignore: true }),
  },
);

/** The same as `it`. */
export const test: It = it;

/** Registers one suite. */
export const describe: Describe = Object.assign(
  (...args: Arguments<() => void> | [name: string]) => addSuite(args, {}),
  {
    only: (...args: Arguments<() => void>) => addSuite(args, { only: true }),
    ignore: (...args: Arguments<() => void>) => addSuite(args, { ignore: true }),
    skip: (...args: Arguments<() => void>) => addSuite(args, { ignore: true }),
  },
);

/** Runs once before the first test of the suite. */
export const beforeAll = (hook: HookBody): void => addHook("beforeAll", hook);
/** The same as `beforeAll`. */
export const before: typeof beforeAll = beforeAll;
/** Runs before each test of the suite and of its inner suites. */
export const beforeEach = (hook: HookBody): void => addHook("beforeEach", hook);
/** Runs after each test of the suite and of its inner suites, also when the test failed. */
export const afterEach = (hook: HookBody): void => addHook("afterEach", hook);
/** Runs once after the last test of the suite, also when one failed. */
export const afterAll = (hook: HookBody): void => addHook("afterAll", hook);
/** The same as `afterAll`. */
export const after: typeof afterAll = afterAll;

/**
 * libpg-query: PostgreSQL's own grammar, compiled to WebAssembly. The only file that knows of the library: how it is loaded
 * in Bun, in the executable, in Node and in Deno, and how its memory is read. Measured: 80 ms for the first instance, 5 ms
 * for further ones; the grammar is that of PostgreSQL 18.
 */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

/** What is used of an instance. */
interface Instance {
  readonly HEAPU8: Uint8Array;
  readonly _malloc: (bytes: number) => number;
  readonly _free: (at: number) => void;
  readonly _wasm_parse_query_raw: (sql: number) => number;
  readonly _wasm_free_parse_result: (result: number) => void;
  readonly _wasm_parse_plpgsql: (sql: number) => number;
  readonly _wasm_scan: (sql: number) => number;
  readonly _wasm_free_string: (text: number) => void;
  readonly getValue: (at: number, type: "i32") => number;
  readonly UTF8ToString: (at: number) => string;
}

/** What no type library of both runtimes declares. */
interface WebAssemblyApi {
  readonly Module: new (bytes: Uint8Array<ArrayBuffer>) => object;
  readonly Instance: new (module: object, imports: object) => object;
}

const { WebAssembly } = globalThis as unknown as { readonly WebAssembly: WebAssemblyApi };

type Factory = (options: {
  readonly instantiateWasm: (imports: object, take: (instance: object) => void) => object;
  readonly print: () => void;
  readonly printErr: () => void;
}) => Promise<Instance>;

/** A syntax error, as the server would find it; `at` is a byte of the text. */
export interface Refusal {
  readonly kind: "syntax-error";
  readonly message: string;
  readonly at: number;
}

/** The tree as JSON text. */
export interface ParsedText {
  readonly kind: "parsed";
  readonly json: string;
}

interface Loaded {
  readonly factory: Factory;
  readonly module: object;
}

let loading: Promise<Loaded> | undefined;

function load(): Promise<Loaded> {
  loading ??= loadOnce();
  return loading;
}

async function loadOnce(): Promise<Loaded> {
  // biome-ignore lint/suspicious/noTsIgnore: the package's own types are of another entry point, which loads for ever.
  // @ts-ignore
  const code = (await import("libpg-query/wasm/libpg-query.js")) as { readonly default: Factory };
  return { factory: code.default, module: new WebAssembly.Module(withMemory(await wasmBytes(), PAGES_MIN)) };
}

/** In the executable the file is inside of it, and only an import with a type puts it there. */
async function wasmBytes(): Promise<Uint8Array<ArrayBuffer>> {
  if (process.versions["bun"] === undefined) {
    return readFileSync(createRequire(import.meta.url).resolve("libpg-query/wasm/libpg-query.wasm"));
  }
  // Bun joins the name before it looks for the file; Deno, whose check of types would read it as text, does not.
  const file = (await import("libpg-query/wasm/" + "libpg-query.wasm", { with: { type: "file" } })) as {
    readonly default: string;
  };
  return readFileSync(file.default);
}

const HEADER_BYTES = 8;
const MEMORY_SECTION = 5;
/** Of 64 KiB: what lies below the library's heap, which is its data and a stack of 32 MiB, and 1 MiB of heap. */
const PAGES_MIN = 544;

/**
 * The module with less memory to begin with; it grows as before. The library asks for 128 MiB, which engines count as in
 * use twice over, though little of it is ever touched: with two instances Bun then lets garbage grow to 500 MiB and more
 * before it looks for any, and all that is written meanwhile is memory fresh from the system.
 */
function withMemory(module: Uint8Array<ArrayBuffer>, pages: number): Uint8Array<ArrayBuffer> {
  for (let at = HEADER_BYTES; at < module.length; ) {
    const section = module[at];
    const [length, start] = unsignedAt(module, at + 1);
    if (section === MEMORY_SECTION) {
      // One memory, then its flags, then what it begins with: two bytes for 128 MiB.
      const [least, end] = unsignedAt(module, start + 2);
      if (least > pages && end === start + 4) module.set([0x80 | (pages & 0x7f), pages >> 7], start + 2);
      return module;
    }
    at = start + length;
  }
  return module;
}

/** A number in LEB128, and where it ends. */
function unsignedAt(bytes: Uint8Array, offset: number): readonly [value: number, end: number] {
  let value = 0;
  for (let at = offset, factor = 1; ; at++, factor *= 128) {
    const byte = bytes[at] ?? 0;
    value += (byte & 0x7f) * factor;
    if (byte < 0x80) return [value, at + 1];
  }
}

/** A new instance with memory of its own. Rejects where the library is not there. */
export async function newGrammar(): Promise<Grammar> {
  const { factory, module } = await load();
  const ignore = (): void => undefined;
  const instance = await factory({
    instantiateWasm: (imports, take) => {
      take(new WebAssembly.Instance(module, imports));
      return {};
    },
    print: ignore,
    printErr: ignore,
  });
  return new Grammar(instance);
}

const ERROR_AT = 8;
const CURSOR_AT = 16;

/** One instance. After anything that it throws it must be thrown away: its stack does not recover. */
export class Grammar {
  readonly #instance: Instance;

  constructor(instance: Instance) {
    this.#instance = instance;
  }

  /** What the instance has of memory, most of which nothing has been written to. */
  get memoryBytes(): number {
    return this.#instance.HEAPU8.length;
  }

  /** The text must be UTF-8 without NUL. Throws what the engine throws at its end of stack or memory. */
  parse(sql: Uint8Array): ParsedText | Refusal {
    const instance = this.#instance;
    const text = this.#put(sql);
    const result = instance._wasm_parse_query_raw(text);
    instance._free(text);
    if (result === 0) throw new Error("Cannot parse a text: the parser is out of memory");
    const error = instance.getValue(result + ERROR_AT, "i32");
    const answer = error === 0 ? this.#treeOf(result) : this.#errorOf(error);
    instance._wasm_free_parse_result(result);
    return answer;
  }

  #treeOf(result: number): ParsedText {
    const tree = this.#instance.getValue(result, "i32");
    if (tree === 0) throw new Error("Cannot parse a text: the parser has given no tree");
    return { kind: "parsed", json: this.#instance.UTF8ToString(tree) };
  }

  #errorOf(error: number): Refusal {
    const { getValue, UTF8ToString } = this.#instance;
    const message = getValue(error, "i32");
    const cursor = getValue(error + CURSOR_AT, "i32");
    return { kind: "syntax-error", message: message === 0 ? "" : UTF8ToString(message), at: Math.max(0, cursor - 1) };
  }

  /** Of one CREATE FUNCTION or DO in PL/pgSQL: its bodies as JSON text; undefined where the library cannot read them. */
  parseBody(sql: Uint8Array): string | undefined {
    const text = this.#textFrom(this.#instance._wasm_parse_plpgsql, sql);
    return text.startsWith("{") ? text : undefined;
  }

  /** The server's tokens as JSON text, to hold our own lexer against; undefined where the text does not lex. */
  scan(sql: Uint8Array): string | undefined {
    const text = this.#textFrom(this.#instance._wasm_scan, sql);
    return text.startsWith("{") ? text : undefined;
  }

  #textFrom(call: (sql: number) => number, sql: Uint8Array): string {
    const instance = this.#instance;
    const text = this.#put(sql);
    const result = call(text);
    instance._free(text);
    const answer = instance.UTF8ToString(result);
    instance._wasm_free_string(result);
    return answer;
  }

  #put(sql: Uint8Array): number {
    const at = this.#instance._malloc(sql.length + 1);
    if (at === 0) throw new Error("Cannot parse a text: the parser is out of memory");
    this.#instance.HEAPU8.set(sql, at);
    this.#instance.HEAPU8[at + sql.length] = 0;
    return at;
  }
}

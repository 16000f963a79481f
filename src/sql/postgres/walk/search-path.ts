/** search_path as servers report it. */

/** SplitIdentifierString() in varlena.c: names between commas, quoted or folded; undefined for anything else. */
export function parseSearchPath(text: string): string[] | undefined {
  if (text.trim() === "") return [];
  const names: string[] = [];
  const element = /\s*(?:"((?:[^"]|"")*)"|([^\s",]+))\s*(,|$)/y;
  for (;;) {
    const match = element.exec(text);
    if (match === null) return undefined;
    const [, quoted, plain = "", end] = match;
    names.push(quoted === undefined ? plain.toLowerCase() : quoted.replaceAll('""', '"'));
    if (end === "") return names;
  }
}

/** What may stand in a command that an operator copies. */

/** A host name or address, and nothing a shell would read as more. */
export function isHostName(name: string | undefined): name is string {
  return name !== undefined && /^[A-Za-z0-9.:-]{1,253}$/.test(name);
}

/** One word for the shell, quoted where it must be. */
export function shellWord(text: string): string {
  return /^[A-Za-z0-9_@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

/** Values as they were given, before they are checked: what, and where it stands. */

export type ValueSource = "flag" | "env" | "file";

export interface RawValue {
  /** Text, or a mapping for the few settings that are one. */
  readonly value: string | Readonly<Record<string, string>>;
  readonly source: ValueSource;
  /** How a problem with it begins: `GATEKEEPER_LISTEN_PORT`, `--listen-port`, `querycop.yaml:7 listen.port`. */
  readonly where: string;
}

/** Values by the key of their setting. */
export type RawValues = Map<string, RawValue>;

export interface RawListener {
  /** `querycop.yaml:4 listeners[0]`, or nothing for the one listener that has no entry of its own. */
  readonly where: string | undefined;
  readonly values: RawValues;
  /** Values of the backend that were given for this listener alone. */
  readonly ownBackend?: readonly RawValue[];
}

/** An entry of `connections:`; its values by the keys of a connection's settings. */
export interface RawConnection extends RawListener {
  readonly name: string;
}

/** The content of a configuration file. */
export interface RawFile {
  /** The entries of `listeners:`; none when the file has no such list. */
  readonly listeners: readonly RawListener[];
  /** The entries of `connections:`. */
  readonly connections: readonly RawConnection[];
  /** Values at the top level: those of the process, and those shared by all listeners. */
  readonly top: RawValues;
  /** True when the file could not be taken apart: what it seems to leave out says nothing then. */
  readonly isBroken: boolean;
  readonly problems: readonly string[];
  readonly warnings: readonly string[];
}

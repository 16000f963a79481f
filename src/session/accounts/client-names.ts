/** Under which name a client is known where its own word for it would be nobody's: see `clientNames` of the listener. */
import { QuerycopError } from "../../base/errors.ts";
import type { ListenerOptions } from "../listener-options.ts";

/** The user that policy and audit know the client by. Throws QC_USER_NOT_ALLOWED for a name that is none of the listener's. */
export function knownName({ clientNames }: Pick<ListenerOptions, "clientNames">, name: string): string {
  if (clientNames === undefined) return name;
  const user = clientNames.get(name);
  if (user !== undefined) return user;
  const names = [...clientNames.keys()].filter((one) => one !== "").map((one) => `"${one}"`);
  throw new QuerycopError("QC_USER_NOT_ALLOWED", `Refused user "${name}": this listener is for ${names.join(", ")}`, {
    clientMessage: `querycop: Access denied for user '${name}': log in here as ${names.join(" or ")}`,
  });
}

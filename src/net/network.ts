/** Which sockets are used, decided once at start. */
import process from "node:process";
import { bunApi } from "./bun-api.ts";
import { BunNetwork } from "./bun-network.ts";
import { NodeNetwork } from "./node-transport.ts";
import type { Network } from "./transport.ts";

/**
 * Bun's own sockets under Bun, node:net elsewhere. `QUERYCOP_TRANSPORT=node` in the environment takes node:net under Bun
 * too: the way out should Bun's sockets misbehave somewhere. It is no setting, because nobody should have to choose.
 */
function chooseNetwork(): Network {
  const bun = bunApi();
  const node = new NodeNetwork();
  if (bun === undefined || process.env["QUERYCOP_TRANSPORT"] === "node") return node;
  return new BunNetwork(bun, node);
}

export const network: Network = chooseNetwork();

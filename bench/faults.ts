/**
 * What client, server, audit and querycop see when a network, a server, a name or a disk fails, for sessions in eight
 * states: `bun bench/faults.ts [--servers mysql,mariadb] [--faults <name>,…] [--states <name>,…] [--seed 1]`.
 *
 * In a network namespace with a wire on each leg that loses, delays and cuts packets, TLS on both; needs root or user
 * namespaces, and /dev/net/tun. A cell says what the client was told and after how many seconds; what the server had of the
 * connection; the outcome of the last statement and the end of the session on record. Exit code 1 where something hung past
 * its bound, was lost, or ran without a record.
 */
import { parseArgs } from "node:util";
import { type FaultCell, faultTable } from "../test/support/faults/table.ts";

const { values } = parseArgs({
  options: {
    servers: { type: "string", default: "mysql,mariadb" },
    faults: { type: "string" },
    states: { type: "string" },
    seed: { type: "string", default: "1" },
  },
});

let wrong = 0;
for (const kind of values.servers.split(",") as readonly ("mysql" | "mariadb")[]) {
  let fault = "";
  const show = (cell: FaultCell): void => {
    if (cell.fault !== fault) {
      fault = cell.fault;
      const freed =
        cell.freedMs === undefined ? "not all sessions over" : `over in ${(cell.freedMs / 1000).toFixed(1)} s`;
      console.log(`\n${kind}, ${fault}: ${freed}`);
    }
    const client = `${cell.client} ${(cell.clientMs / 1000).toFixed(1)} s`;
    console.log(`  ${cell.state.padEnd(12)} ${client.padEnd(18)} server ${cell.server.padEnd(13)} ${cell.record}`);
    for (const problem of cell.problems) console.log(`    WRONG: ${problem}`);
    wrong += cell.problems.length;
  };
  const chosen = {
    ...(values.faults === undefined ? {} : { faults: values.faults.split(",") }),
    ...(values.states === undefined ? {} : { states: values.states.split(",") }),
  };
  await faultTable({ kind, seed: Number(values.seed), ...chosen }, show);
}
console.log(`\n${wrong} wrong`);
process.exitCode = wrong === 0 ? 0 : 1;

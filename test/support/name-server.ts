/** A DNS server on UDP that knows a few names, for programs whose /etc/resolv.conf leads to it. */
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { isIPv4 } from "node:net";

/** Per name: addresses of either family, or the name it is an alias of. */
export type Zone = Readonly<Record<string, readonly string[] | string>>;

export interface NameServer {
  readonly address: string;
  close(): void;
}

const TYPE_A = 1;
const TYPE_CNAME = 5;
const TYPE_AAAA = 28;
const NXDOMAIN = 3;

/** RFC 1035. Port 53, which needs root; the address is of 127.0.0.0/8. */
export async function startNameServer(address: string, zone: Zone): Promise<NameServer> {
  const socket = createSocket("udp4");
  socket.on("message", (query, from) => socket.send(answer(query, zone), from.port, from.address));
  socket.bind(53, address);
  await once(socket, "listening");
  return { address, close: () => socket.close() };
}

function encodeName(name: string): Buffer {
  const labels = name.split(".").map((label) => Buffer.concat([Buffer.from([label.length]), Buffer.from(label)]));
  return Buffer.concat([...labels, Buffer.from([0])]);
}

function record(name: string, type: number, data: Buffer): Buffer {
  const head = Buffer.alloc(10);
  head.writeUInt16BE(type, 0);
  head.writeUInt16BE(1, 2);
  head.writeUInt16BE(data.length, 8);
  return Buffer.concat([encodeName(name), head, data]);
}

function addressBytes(address: string): Buffer {
  if (isIPv4(address)) return Buffer.from(address.split(".").map(Number));
  const [head = "", tail = ""] = address.split("::");
  const groups = (text: string): string[] => (text === "" ? [] : text.split(":"));
  const zeros = Array<string>(8 - groups(head).length - groups(tail).length).fill("0");
  const bytes = Buffer.alloc(16);
  for (const [index, group] of [...groups(head), ...zeros, ...groups(tail)].entries()) {
    bytes.writeUInt16BE(Number.parseInt(group, 16), index * 2);
  }
  return bytes;
}

function answer(query: Buffer, zone: Zone): Buffer {
  const labels: string[] = [];
  let at = 12;
  for (let length = query[at] ?? 0; length > 0; length = query[at] ?? 0) {
    labels.push(query.toString("latin1", at + 1, at + 1 + length));
    at += length + 1;
  }
  const type = query.readUInt16BE(at + 1);
  const question = query.subarray(12, at + 5);
  const records: Buffer[] = [];
  let name = labels.join(".").toLowerCase();
  const isKnown = name in zone;
  for (let entry = zone[name]; entry !== undefined; entry = zone[name]) {
    if (typeof entry !== "string") {
      const wanted = entry.filter((address) => (isIPv4(address) ? TYPE_A : TYPE_AAAA) === type);
      records.push(...wanted.map((address) => record(name, type, addressBytes(address))));
      break;
    }
    records.push(record(name, TYPE_CNAME, encodeName(entry)));
    if (type === TYPE_CNAME) break;
    name = entry;
  }
  const head = Buffer.alloc(12);
  query.copy(head, 0, 0, 2);
  head.writeUInt16BE(0x8180 | (isKnown ? 0 : NXDOMAIN), 2);
  head.writeUInt16BE(1, 4);
  head.writeUInt16BE(records.length, 6);
  return Buffer.concat([head, question, ...records]);
}

/** Which character set a collation id of the protocol stands for, and which of them a client may use. */
import { encodeUtf8, equalBytes } from "../base/bytes.ts";
import { decodeCharacters } from "../base/characters.ts";

/**
 * Character sets in which ASCII's digits and letters are bytes of their own, so that statements can be read. `ids` are
 * ranges of collation ids: those of MySQL and MariaDB, whose "nopad" collations lie 1024 above the others and whose UCA
 * 14.0.0 collations begin at 2048 (information_schema.collations of MySQL 9.7 and MariaDB 11; ctype-uca1400.h).
 * SAFETY: in big5, gbk, sjis, cp932 and gb18030 a quote or backslash can be half of a character, and swe7 has letters in
 * their places: whoever reads SQL has to know (src/sql/mysql/lexing/character-classes.ts does).
 */
const ALLOWED: Readonly<Record<string, readonly IdRange[]>> = {
  latin1: [5, 8, 15, 31, [47, 49], 94, 1032, 1071],
  latin2: [2, 9, 21, 27, 77, 1033, 1101],
  latin5: [30, 78, 1054, 1102],
  latin7: [20, 41, 42, 79, 1065, 1103],
  dec8: [3, 69, 1027, 1093],
  cp850: [4, 80, 1028, 1104],
  cp852: [40, 81, 1064, 1105],
  cp866: [36, 68, 1060, 1092],
  cp1250: [26, 34, 44, 66, 99, 1050, 1090],
  cp1251: [14, 23, [50, 52], 1074, 1075],
  cp1256: [57, 67, 1081, 1091],
  cp1257: [29, 58, 59, 1082, 1083],
  hp8: [6, 72, 1030, 1096],
  koi8r: [7, 74, 1031, 1098],
  koi8u: [22, 75, 1046, 1099],
  ascii: [11, 65, 1035, 1089],
  hebrew: [16, 71, 1040, 1095],
  greek: [25, 70, 1049, 1094],
  armscii8: [32, 64, 1056, 1088],
  geostd8: [92, 93, 1116, 1117],
  keybcs2: [37, 73, 1061, 1097],
  macce: [38, 43, 1062, 1067],
  macroman: [39, 53, 1063, 1077],
  tis620: [18, 89, 1042, 1113],
  ujis: [12, 91, 1036, 1115],
  euckr: [19, 85, 1043, 1109],
  gb2312: [24, 86, 1048, 1110],
  eucjpms: [97, 98, 1121, 1122],
  utf8mb3: [33, 76, 83, [192, 215], 223, 253, [576, 579], 1057, 1107, 1216, 1238, [2048, 2303]],
  utf8mb4: [45, 46, [224, 247], [255, 323], [608, 611], 1069, 1070, 1248, 1270, [2304, 2559]],
  binary: [63],
  big5: [1, 84, 1025, 1108],
  gbk: [28, 87, 1052, 1111],
  sjis: [13, 88, 1037, 1112],
  cp932: [95, 96, 1119, 1120],
  gb18030: [[248, 250]],
  swe7: [10, 82, 1034, 1106],
};

/** Not even ASCII's width: servers refuse them too. */
const REFUSED: Readonly<Record<string, readonly IdRange[]>> = {
  ucs2: [35, 90, [128, 151], 159, [640, 642], 1059, 1114, 1152, 1174, [2560, 2815]],
  utf16: [54, 55, [101, 124], [672, 674], 1078, 1079, 1125, 1147, [2816, 3071]],
  utf16le: [56, 62, 1080, 1086],
  utf32: [60, 61, [160, 183], [736, 738], 1084, 1085, 1184, 1206, [3072, 3327]],
};

type IdRange = number | readonly [first: number, last: number];

function namesById(...tables: readonly Readonly<Record<string, readonly IdRange[]>>[]): ReadonlyMap<number, string> {
  const names = new Map<number, string>();
  for (const table of tables) {
    for (const [name, ranges] of Object.entries(table)) {
      for (const range of ranges) {
        const [first, last] = typeof range === "number" ? [range, range] : range;
        for (let id = first; id <= last; id++) names.set(id, name);
      }
    }
  }
  return names;
}

const CHARACTER_SETS_BY_ID = namesById(ALLOWED, REFUSED);

/** The character set of a collation id, or undefined for an id that neither MySQL nor MariaDB has. */
export function characterSetName(collationId: number): string | undefined {
  return CHARACTER_SETS_BY_ID.get(collationId);
}

/**
 * Whether a client may talk to us in the character set of this collation id.
 * SAFETY: an unknown id is refused. Id 0 is not: it is how drivers say "the server's default", and servers take it so.
 */
export function isClientCharacterSet(collationId: number): boolean {
  if (collationId === 0) return true;
  const name = CHARACTER_SETS_BY_ID.get(collationId);
  return name !== undefined && Object.hasOwn(ALLOWED, name);
}

/**
 * The characters of a name that a client sends in the character set of this collation id; UNKNOWN_TEXT stands for what
 * cannot be told. Servers convert the same way, so the same bytes are another name in another set.
 */
export function decodeNameBytes(bytes: Uint8Array, collationId: number | undefined): string {
  const characterSet = collationId === undefined ? undefined : characterSetName(collationId);
  // What a server makes of bytes that have no character set is its own affair.
  return decodeCharacters(bytes, characterSet === undefined || characterSet === "binary" ? "unknown" : characterSet);
}

/** The bytes to keep beside a name that its UTF-8 does not give back. */
export function bytesToKeep(name: string, sent: Uint8Array): Uint8Array | undefined {
  return equalBytes(encodeUtf8(name), sent) ? undefined : sent;
}

/** The bytes of a name: as they were sent, where `sent` is that name. */
export function encodeNameBytes(
  name: string,
  sent: Uint8Array | undefined,
  collationId: number | undefined,
): Uint8Array {
  return sent !== undefined && decodeNameBytes(sent, collationId) === name ? sent : encodeUtf8(name);
}

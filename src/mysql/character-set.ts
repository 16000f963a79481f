/** Which character set a collation id of the protocol stands for, and which of them a client may use. */

/**
 * Character sets in which a quote, a backslash and every other ASCII character that is no letter is never half of
 * another character, so that SQL can be read byte by byte. `ids` are ranges of collation ids: those of MySQL and MariaDB, whose
 * "nopad" collations lie 1024 above the others and whose UCA 14.0.0 collations begin at 2048
 * (information_schema.collations of MySQL 9.7 and MariaDB 11; ctype-uca1400.h).
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
};

/**
 * Character sets refused for clients. In big5, gbk, sjis, cp932 and gb18030 a backslash or a letter can be the second
 * half of a character; swe7 has letters in place of the backslash and brackets; the others do not even have ASCII's width.
 */
const REFUSED: Readonly<Record<string, readonly IdRange[]>> = {
  big5: [1, 84, 1025, 1108],
  gbk: [28, 87, 1052, 1111],
  sjis: [13, 88, 1037, 1112],
  cp932: [95, 96, 1119, 1120],
  gb18030: [[248, 250]],
  swe7: [10, 82, 1034, 1106],
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

/** Names as in `SET NAMES`, in any case; "utf8" is utf8mb3 or utf8mb4, depending on the server. */
export function isClientCharacterSetName(name: string): boolean {
  const lower = name.toLowerCase();
  return lower === "utf8" || Object.hasOwn(ALLOWED, lower);
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
 * Whether names that we read as UTF-8 are the names a server reads in this character set: anything in utf8mb3 and
 * utf8mb4, ASCII in all others that clients may use.
 * SAFETY: servers convert the user name from the client's character set, so the same bytes are another user in latin1.
 */
export function isReadableInCharacterSet(collationId: number | undefined, ...names: readonly string[]): boolean {
  const characterSet = collationId === undefined ? undefined : characterSetName(collationId);
  return characterSet === "utf8mb3" || characterSet === "utf8mb4" || names.every(isAscii);
}

function isAscii(text: string): boolean {
  for (let index = 0; index < text.length; index++) if (text.charCodeAt(index) > 0x7f) return false;
  return true;
}

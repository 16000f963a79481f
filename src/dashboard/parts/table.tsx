/** Tables that read well: a head that stays, numbers to the right, one link per row that the keyboard walks along. */
import type { ComponentChildren } from "preact";

export interface Column<Row> {
  readonly head: string;
  readonly cell: (row: Row) => ComponentChildren;
  readonly isNumber?: boolean;
  /** Takes what room there is. */
  readonly isWide?: boolean;
  /** Left out where the page is narrow. */
  readonly isExtra?: boolean;
  /** Set where rows can be ordered by it. */
  readonly order?: string;
}

interface TableProps<Row> {
  readonly caption: string;
  readonly columns: readonly Column<Row>[];
  readonly rows: readonly Row[];
  readonly keyOf: (row: Row) => string;
  readonly ordered?: string | undefined;
  readonly onOrder?: (order: string) => void;
}

const classOf = <Row,>({ isNumber, isWide, isExtra }: Column<Row>): string =>
  [isNumber && "number", isWide && "wide", isExtra && "extra"].filter(Boolean).join(" ");

export function Table<Row>({ caption, columns, rows, keyOf, ordered, onOrder }: TableProps<Row>) {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a table that is wider than the page is scrolled by keyboard
    <section class="table-frame" tabIndex={0} aria-label={caption}>
      <table>
        <caption class="unseen">{caption}</caption>
        <thead>
          <tr>
            {columns.map((column) => {
              const { head, order } = column;
              const isOrdered = order !== undefined && order === ordered;
              return (
                <th
                  key={head}
                  scope="col"
                  class={classOf(column)}
                  {...(isOrdered ? { "aria-sort": "descending" } : {})}
                >
                  {order === undefined || onOrder === undefined ? (
                    head
                  ) : (
                    <button type="button" class="order" onClick={() => onOrder(order)}>
                      {head}
                      <span aria-hidden="true">{isOrdered ? " ↓" : ""}</span>
                    </button>
                  )}
                </th>
              );
            })}
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <tr key={keyOf(row)}>
              {columns.map((column) => (
                <td key={column.head} class={classOf(column)} data-head={column.head}>
                  {column.cell(row)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}

interface PagerProps {
  readonly offset: number;
  readonly limit: number;
  readonly total: number;
  readonly onMove: (offset: number) => void;
}

export function Pager({ offset, limit, total, onMove }: PagerProps) {
  if (total <= limit && offset === 0) return null;
  return (
    <nav class="pager" aria-label="Pages">
      <button type="button" disabled={offset === 0} onClick={() => onMove(Math.max(0, offset - limit))}>
        Previous
      </button>
      <span>
        {(offset + 1).toLocaleString("en")}–{Math.min(total, offset + limit).toLocaleString("en")} of{" "}
        {total.toLocaleString("en")}
      </span>
      <button type="button" disabled={offset + limit >= total} onClick={() => onMove(offset + limit)}>
        Next
      </button>
    </nav>
  );
}

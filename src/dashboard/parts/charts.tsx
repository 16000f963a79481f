/** Small pictures of numbers over time. Each says in words as well what it shows; deep charts are Grafana's. */

const WIDTH = 240;
const HEIGHT = 44;

interface SparklineProps {
  readonly values: readonly number[];
  readonly label: string;
  readonly kind?: "plain" | "bad" | "warn" | "hold";
}

export function Sparkline({ values, label, kind = "plain" }: SparklineProps) {
  const top = Math.max(...values, 0);
  const x = (index: number): number => (values.length < 2 ? WIDTH : (index / (values.length - 1)) * WIDTH);
  const y = (value: number): number => HEIGHT - 2 - (top === 0 ? 0 : (value / top) * (HEIGHT - 5));
  const points = values.map((value, index) => `${x(index).toFixed(1)},${y(value).toFixed(1)}`).join(" ");
  const last = values.at(-1) ?? 0;
  return (
    <svg
      class={`spark spark-${kind}`}
      viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
      preserveAspectRatio="none"
      role="img"
      aria-label={label}
    >
      {values.length < 2 ? (
        <line class="spark-none" x1="0" x2={WIDTH} y1={HEIGHT - 2} y2={HEIGHT - 2} />
      ) : (
        <>
          <polygon class="spark-area" points={`0,${HEIGHT} ${points} ${WIDTH},${HEIGHT}`} />
          <polyline class="spark-line" points={points} data-last={last} />
        </>
      )}
    </svg>
  );
}

interface BarsProps {
  readonly label: string;
  /** Bottom to top. */
  readonly layers: readonly { readonly kind: "warn" | "bad" | "hold" | "ok"; readonly values: readonly number[] }[];
}

/** Stacked bars over time. */
export function Bars({ label, layers }: BarsProps) {
  const length = Math.max(0, ...layers.map(({ values }) => values.length));
  const sums = Array.from({ length }, (_, index) => layers.reduce((sum, { values }) => sum + (values[index] ?? 0), 0));
  const top = Math.max(...sums, 1);
  const step = WIDTH / Math.max(1, length);
  const heightOf = (value: number): number => (value / top) * (HEIGHT - 2);
  return (
    <svg class="bars" viewBox={`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" role="img" aria-label={label}>
      <line class="spark-none" x1="0" x2={WIDTH} y1={HEIGHT - 0.5} y2={HEIGHT - 0.5} />
      {sums.map((_, index) => {
        let below = 0;
        return layers.map(({ kind, values }) => {
          const height = heightOf(values[index] ?? 0);
          below += height;
          if (height === 0) return null;
          const x = (index * step + step * 0.12).toFixed(2);
          return (
            <rect
              key={`${kind}${x}`}
              class={`bar-${kind}`}
              x={x}
              y={(HEIGHT - below).toFixed(2)}
              width={(step * 0.76).toFixed(2)}
              height={height.toFixed(2)}
            />
          );
        });
      })}
    </svg>
  );
}

/** A share of the largest, behind a number in a table. */
export function Share({ of, top }: { readonly of: number; readonly top: number }) {
  const width = top <= 0 ? 0 : Math.min(100, (of / top) * 100);
  return (
    <svg class="share" viewBox="0 0 100 4" preserveAspectRatio="none" aria-hidden="true">
      <rect class="share-all" width="100" height="4" />
      <rect class="share-part" width={width.toFixed(2)} height="4" />
    </svg>
  );
}

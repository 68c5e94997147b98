// SPDX-License-Identifier: Apache-2.0
// Drift as a table of columns and windows. A cell carries colour, sign and number, and opens the two distributions behind it.
import { useEffect, useRef } from "preact/hooks";
import { at, useGet } from "../api.ts";
import { count, decimal, isNumber, percent, period, shortPeriod, toneOf } from "../format.ts";
import { setParams, useParam } from "../router.ts";
import type { ColumnAnswer, DriftColumn, Maybe, Monitor, WindowAnswer } from "../types.ts";
import { usable } from "../windows.ts";
import { Distribution } from "./distribution.tsx";
import { ErrorNote, Skeleton } from "./notice.tsx";
import { Sign, State } from "./pill.tsx";
import { NoWindows } from "./windowcharts.tsx";

const DRIFT_WORDS: Record<string, string> = {
  ok: "within what is usual",
  watch: "moved, not yet for long",
  alert: "moved, and stays so",
  unknown: "not enough data",
};

/** Columns down, windows across. A cell carries colour, sign and number; it opens the two distributions behind it. */
export function DriftHeat({
  monitor,
  windows: all,
  importance,
}: {
  monitor: string;
  windows: WindowAnswer[];
  importance?: Monitor["importance"];
}) {
  const windows = usable(all).filter((window) => window.drift);
  const [openWindow] = useParam("window");
  const [openColumn] = useParam("column");
  const names = columnNames(windows, importance);
  if (!windows.length || !names.length) return <NoWindows />;
  const chosen = windows.find((window) => String(window.id) === openWindow);
  return (
    <div class="stack">
      <p class="legend-line">
        {(["ok", "watch", "alert", "unknown"] as const).map((state) => (
          <span key={state}>
            <i class={`swatch heat-${state}`} />
            <Sign tone={state} label={state} size={12} /> {state}: {DRIFT_WORDS[state]}
          </span>
        ))}
        <span class="quiet">The number is the effect: how far the column moved, 0 is not at all.</span>
      </p>
      <div class="table-frame">
        <table class="heat" aria-label="Drift by column and window">
          <thead>
            <tr>
              <th scope="col">Column</th>
              {importance && (
                <th scope="col" class="right" title="How much the model leans on it: its share of the importance">
                  Weight
                </th>
              )}
              {windows.map((window) => (
                <th key={window.id} scope="col" class="middle" title={period(window.since, window.until)}>
                  {shortPeriod(window.since, window.until)}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {names.map((name) => (
              <tr key={name}>
                <th scope="row">{name}</th>
                {importance && <td class="right quiet">{isNumber(importance[name]) ? percent(importance[name]) : "–"}</td>}
                {windows.map((window) => {
                  const cell = window.drift?.columns?.find((column) => column.name === name);
                  const open = String(window.id) === openWindow && name === openColumn;
                  return <HeatCell key={window.id} cell={cell} name={name} window={window} open={open} />;
                })}
              </tr>
            ))}
            <tr class="heat-foot">
              <th scope="row">window</th>
              {importance && <td />}
              {windows.map((window) => (
                <td key={window.id} class="middle">
                  <Sign
                    tone={toneOf(window.drift?.state)}
                    label={`${period(window.since, window.until)}: ${window.drift?.state ?? "unknown"}`}
                  />
                </td>
              ))}
            </tr>
          </tbody>
        </table>
      </div>
      {chosen && openColumn ? (
        <ColumnPanel monitor={monitor} window={chosen} column={openColumn} />
      ) : (
        <p class="quiet">Choose a cell to lay that window's values over the baseline.</p>
      )}
    </div>
  );
}

function columnNames(windows: WindowAnswer[], importance: Monitor["importance"]): string[] {
  const names = [...new Set(windows.flatMap((window) => window.drift?.columns?.map((column) => column.name) ?? []))];
  const weight = (name: string) => (name.startsWith("_") ? Infinity : (importance?.[name] ?? 0));
  return importance ? names.sort((a, b) => weight(b) - weight(a)) : names;
}

function HeatCell({
  cell,
  name,
  window,
  open,
}: {
  cell: DriftColumn | undefined;
  name: string;
  window: WindowAnswer;
  open: boolean;
}) {
  const state = cell?.state ?? "unknown";
  const label = `${name}, ${period(window.since, window.until)}: ${state}, effect ${decimal(cell?.effect, 2)}${cell?.reason ? `. ${cell.reason}` : ""}`;
  return (
    <td class="heat-slot">
      <button
        type="button"
        class={`heat-cell heat-${state}${open ? " heat-open" : ""}`}
        title={label}
        aria-label={label}
        aria-pressed={open}
        onClick={() => setParams(open ? { window: "", column: "" } : { window: String(window.id), column: name })}
      >
        {state !== "ok" && <Sign tone={toneOf(state)} label="" size={12} />}
        {isNumber(cell?.effect) ? cell.effect.toFixed(2) : "–"}
      </button>
    </td>
  );
}

function ColumnPanel({ monitor, window, column }: { monitor: string; window: WindowAnswer; column: string }) {
  const { data, error } = useGet<ColumnAnswer>(at("/api/monitors", monitor, "windows", window.id, "columns", column));
  const cell = window.drift?.columns?.find((one) => one.name === column);
  const numbers: [string, Maybe<number>][] = [
    ["KS", cell?.ks],
    ["JS distance", cell?.js],
    ["W1 / scale", cell?.w1],
    ["PSI", cell?.psi],
    ["p", cell?.p],
  ];
  const place = useRef<HTMLElement>(null);
  useEffect(() => place.current?.scrollIntoView({ block: "nearest" }), [window.id, column, data === undefined]);
  return (
    <section class="panel" ref={place} aria-label={`${column} in ${period(window.since, window.until)}`}>
      <header class="panel-head">
        <h2 class="minor">
          {column}, {period(window.since, window.until)}
        </h2>
        <State state={cell?.state} />
        <span class="quiet">
          {numbers
            .filter(([, number]) => isNumber(number))
            .map(([name, number]) => `${name} ${(number ?? 0) < 0.001 ? "< 0.001" : decimal(number)}`)
            .join(" · ")}
          {isNumber(cell?.n) && ` · n ${count(cell.n)}`}
        </span>
        <button type="button" class="button button-small push" onClick={() => setParams({ window: "", column: "" })}>
          Close
        </button>
      </header>
      {cell?.reason && <p>{cell.reason}</p>}
      {error ? (
        <ErrorNote error={error} />
      ) : data ? (
        <Distribution
          answer={data}
          windowName={period(window.since, window.until)}
          baselineName="baseline: the rows it was evaluated on"
        />
      ) : (
        <Skeleton rows={4} />
      )}
    </section>
  );
}

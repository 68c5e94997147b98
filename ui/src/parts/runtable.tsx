// SPDX-License-Identifier: Apache-2.0
// Runs by the hundred thousand: the server filters, sorts and pages; here stand only the rows in view. Columns, filter and
// order are words of the address. Keys: j and k move, Enter opens, x chooses, c compares what is chosen, / filters.
import type { ComponentChildren } from "preact";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { isSystem } from "../curves.ts";
import { alike, count, duration, isImportance, plain, reading, shortId } from "../format.ts";
import type { LongList } from "../longlist.ts";
import { go, setParams, useParam } from "../router.ts";
import { turned } from "../runquery.ts";
import type { Run } from "../types.ts";
import { Icon } from "./icons.tsx";
import { Skeleton } from "./notice.tsx";
import { Word } from "./pill.tsx";
import { Person, When } from "./words.tsx";

interface RunColumn {
  key: string; // as the search language names it
  label: string;
  cell: (run: Run) => ComponentChildren;
  right?: boolean;
  roomy?: boolean;
  isSortable?: boolean;
}

const ROW_PX = 37;
const OVERSCAN = 12;
const NEAR_END = 150; // rows before the end at which the next page is asked for
const MOST_COMPARED = 50;

const FIXED: RunColumn[] = [
  { key: "state", label: "State", cell: (run) => <Word word={run.state} />, isSortable: true },
  { key: "kind", label: "Kind", cell: (run) => run.kind, isSortable: true },
  { key: "experiment", label: "Experiment", cell: (run) => run.experiment },
  { key: "id", label: "Id", cell: (run) => <code title={run.id}>{shortId(run.id)}</code>, isSortable: true },
  { key: "actor", label: "By", cell: (run) => <Person name={run.actor} />, roomy: true, isSortable: true },
  { key: "seconds", label: "Took", cell: (run) => duration(run.seconds), right: true },
  { key: "started_at", label: "Started", cell: (run) => <When at={run.started_at} />, isSortable: true },
  { key: "reason", label: "Reason", cell: (run) => run.reason || "–", roomy: true },
];
const AT_FIRST = new Set(["state", "actor", "seconds", "started_at"]);
const METRICS_AT_FIRST = 3;
const PARAMS_AT_FIRST = 2;

/** The columns there can be, as far as the rows that have come tell. */
function columnsOf(rows: Run[]): RunColumn[] {
  const keys = (pick: (run: Run) => object | undefined) =>
    [...new Set(rows.flatMap((run) => Object.keys(pick(run) ?? {})))].sort();
  const metrics = keys((run) => run.metrics).filter((key) => !isImportance(key));
  return [
    ...FIXED.slice(0, 4),
    ...metrics.map((key): RunColumn => {
      const write = alike(rows.map((run) => run.metrics?.[key]));
      return {
        key: `metrics.${key}`,
        label: key,
        cell: (run) => reading(run.metrics?.[key], write),
        right: true,
        isSortable: true,
      };
    }),
    ...keys((run) => run.params).map((key): RunColumn => {
      const numbers = alike(rows.map((run) => run.params?.[key]));
      const isNumbers = rows.every((run) => ["number", "undefined"].includes(typeof run.params?.[key]));
      return {
        key: `params.${key}`,
        label: key,
        cell: (run) => (isNumbers ? numbers(run.params?.[key]) : text(run.params?.[key])),
        right: isNumbers,
        isSortable: true,
      };
    }),
    ...keys((run) => run.tags).map((key): RunColumn => ({
      key: `tags.${key}`,
      label: key,
      cell: (run) => text(run.tags?.[key]),
      isSortable: true,
    })),
    ...FIXED.slice(4),
  ];
}

function text(value: unknown): string {
  return value === undefined ? "–" : plain(value);
}

/** What is shown until somebody chooses: the state, the metrics that most runs have, the parameters that differ, who and when. */
function firstChoice(columns: RunColumn[], rows: Run[]): Set<string> {
  const times = (key: string) => rows.filter((run) => run.metrics?.[key] !== undefined).length;
  const metrics = columns
    .filter((column) => column.key.startsWith("metrics.") && !isSystem(column.label))
    .sort((a, b) => times(b.label) - times(a.label)); // among equals the order of the alphabet stays
  const differing = columns.filter((column) => {
    if (!column.key.startsWith("params.")) return false;
    const values = rows.map((run) => run.params?.[column.label]).filter((value) => value !== undefined);
    return new Set(values.map((value) => JSON.stringify(value))).size > 1;
  });
  return new Set([
    ...AT_FIRST,
    ...metrics.slice(0, METRICS_AT_FIRST).map((column) => column.key),
    ...differing.slice(0, PARAMS_AT_FIRST).map((column) => column.key),
  ]);
}

interface Props {
  list: LongList<Run>;
  tools: ComponentChildren;
  nothing: ComponentChildren;
}

export function RunTable({ list, tools, nothing }: Props) {
  const { rows, isLoading, isWhole, more } = list;
  const [sort] = useParam("sort");
  const [chosenColumns] = useParam("cols");
  const [picked, setPicked] = useState<ReadonlySet<string>>(new Set());
  const pickedNow = useRef(picked); // keys may come faster than the page is drawn
  const [marked, mark] = useState(-1);
  const [top, setTop] = useState(0);
  const [height, setHeight] = useState(600);
  const frame = useRef<HTMLDivElement>(null);
  const lastPicked = useRef(-1);

  const sample = rows.length > 400 ? rows.slice(0, 400) : rows; // enough to know the columns and how to write them
  const columns = useMemo(() => columnsOf(sample), [rows[0], sample.length]);
  const shown = useMemo(() => {
    const keys = chosenColumns ? new Set(chosenColumns.split(",")) : firstChoice(columns, sample);
    return columns.filter((column) => keys.has(column.key));
  }, [columns, chosenColumns]);

  useEffect(() => {
    const place = frame.current;
    if (!place) return undefined;
    const watch = new ResizeObserver(() => setHeight(place.clientHeight));
    watch.observe(place);
    return () => watch.disconnect();
  }, [isLoading]);
  useEffect(() => {
    if (frame.current) frame.current.scrollTop = 0;
    setTop(0);
    mark(-1);
  }, [sort]);

  const first = Math.max(0, Math.floor(top / ROW_PX) - OVERSCAN);
  const last = Math.min(rows.length, Math.ceil((top + height) / ROW_PX) + OVERSCAN);
  useEffect(() => {
    if (!isWhole && last > rows.length - NEAR_END) more();
  }, [last, rows.length, isWhole]);

  const choose = (next: ReadonlySet<string>) => {
    pickedNow.current = next;
    setPicked(next);
  };
  const pick = (index: number, isRange: boolean) => {
    const run = rows[index];
    if (!run) return;
    const next = new Set(pickedNow.current);
    const isOn = !next.has(run.id);
    const from = isRange && lastPicked.current >= 0 ? Math.min(index, lastPicked.current) : index;
    const to = isRange && lastPicked.current >= 0 ? Math.max(index, lastPicked.current) : index;
    for (const one of rows.slice(from, to + 1)) {
      if (isOn) next.add(one.id);
      else next.delete(one.id);
    }
    lastPicked.current = index;
    choose(next);
  };
  const compare = () => {
    const { size } = pickedNow.current;
    if (size > 1 && size <= MOST_COMPARED) go(compareHref([...pickedNow.current]));
  };
  const open = (index: number) => {
    const run = rows[index];
    if (run) go(`/runs/${run.id}`);
  };
  useRunKeys({ length: rows.length, marked, mark, frame, open, pick: (index) => pick(index, false), compare });

  return (
    <div class="table-part">
      <div class="table-tools">
        {tools}
        <span class="table-count" role="status">
          {isLoading ? "…" : isWhole ? count(rows.length) : `${count(rows.length)} read, more below`}
        </span>
        <ColumnChooser columns={columns} shown={shown} />
      </div>
      {picked.size > 0 && (
        <div class="picked" role="status">
          <b>{count(picked.size)} chosen</b>
          <button
            type="button"
            class="button button-small button-primary"
            disabled={picked.size < 2 || picked.size > MOST_COMPARED}
            title={picked.size > MOST_COMPARED ? `Up to ${MOST_COMPARED} runs are compared at once` : "Key: c"}
            onClick={compare}
          >
            <Icon name="compare" size={14} />
            Compare
          </button>
          <button type="button" class="button button-small" onClick={() => choose(new Set())}>
            Choose none
          </button>
        </div>
      )}
      {isLoading ? (
        <Skeleton rows={12} tall />
      ) : rows.length === 0 ? (
        nothing
      ) : (
        <div class="table-frame run-frame" ref={frame} tabIndex={0} onScroll={(event) => setTop(event.currentTarget.scrollTop)}>
          <table class="run-table" aria-label="runs" aria-rowcount={isWhole ? rows.length : -1}>
            <thead>
              <tr>
                <th scope="col" class="pick">
                  <span class="unseen">Chosen</span>
                </th>
                <Head label="Run" name="name" sort={sort} />
                {shown.map((column) => (
                  <Head
                    key={column.key}
                    label={column.label}
                    name={column.isSortable ? column.key : null}
                    sort={sort}
                    right={column.right}
                    roomy={column.roomy}
                  />
                ))}
              </tr>
            </thead>
            <tbody>
              {first > 0 && <Spacer rows={first} columns={shown.length + 2} />}
              {rows.slice(first, last).map((run, place) => {
                const index = first + place;
                return (
                  <tr
                    key={run.id}
                    aria-rowindex={index + 1}
                    class={`row-link${index === marked ? " row-marked" : ""}${picked.has(run.id) ? " row-picked" : ""}`}
                    onClick={(event) => clickRow(event, run)}
                  >
                    <td class="pick">
                      <input
                        type="checkbox"
                        aria-label={`Choose ${run.name ?? run.id}`}
                        checked={picked.has(run.id)}
                        onClick={(event) => pick(index, event.shiftKey)}
                      />
                    </td>
                    <td>
                      <a href={`/runs/${run.id}`} class="row-name">
                        {run.name ?? shortId(run.id)}
                      </a>
                    </td>
                    {shown.map((column) => (
                      <td key={column.key} class={`${column.right ? "right" : ""}${column.roomy ? " roomy" : ""}`}>
                        {column.cell(run)}
                      </td>
                    ))}
                  </tr>
                );
              })}
              {last < rows.length && <Spacer rows={rows.length - last} columns={shown.length + 2} />}
            </tbody>
          </table>
        </div>
      )}
    </div>
  );
}

export function compareHref(ids: string[]): string {
  return `/compare?runs=${ids.join(",")}`;
}

function Spacer({ rows, columns }: { rows: number; columns: number }) {
  return (
    <tr class="spacer" style={{ height: `${rows * ROW_PX}px` }}>
      <td colSpan={columns} />
    </tr>
  );
}

interface HeadProps {
  label: string;
  name: string | null; // null: the server has no order for it
  sort: string;
  right?: boolean | undefined;
  roomy?: boolean | undefined;
}

function Head({ label, name, sort, right, roomy }: HeadProps) {
  const way = name && sort === name ? "ascending" : name && sort === `-${name}` ? "descending" : undefined;
  const group = name?.includes(".") ? name.slice(0, name.indexOf(".")) : null;
  return (
    <th
      scope="col"
      class={`${right ? "right" : ""}${roomy ? " roomy" : ""}`}
      aria-sort={way}
      title={group ? `${group}.${label}` : undefined}
    >
      {name ? (
        <button type="button" onClick={() => setParams({ sort: turned(sort, name) })}>
          {label}
          <span class="sort-sign" aria-hidden="true">
            {way === "ascending" ? "↑" : way === "descending" ? "↓" : ""}
          </span>
        </button>
      ) : (
        label
      )}
    </th>
  );
}

function clickRow(event: MouseEvent, run: Run): void {
  if (event.target instanceof Element && event.target.closest("a, button, input, .pick")) return;
  if (window.getSelection()?.toString()) return; // somebody is selecting text, not opening a row
  if (event.metaKey || event.ctrlKey) window.open(`/runs/${run.id}`, "_blank", "noopener");
  else go(`/runs/${run.id}`);
}

interface RunKeys {
  length: number;
  marked: number;
  mark: (index: number) => void;
  frame: { current: HTMLDivElement | null };
  open: (index: number) => void;
  pick: (index: number) => void;
  compare: () => void;
}

function useRunKeys(keys: RunKeys): void {
  // What was drawn last, and where the last key led: keys may come faster than effects follow the drawing.
  const drawn = useRef(keys);
  drawn.current = keys;
  const at = useRef(keys.marked);
  at.current = keys.marked;
  useEffect(() => {
    const press = (event: KeyboardEvent) => {
      const { length, mark, frame, open, pick, compare } = drawn.current;
      const target = event.target instanceof Element ? event.target : null;
      const isTyping = target?.closest("input:not([type=checkbox]), textarea, select, dialog");
      if (isTyping || event.metaKey || event.ctrlKey || event.altKey) return;
      if (event.key === "j" || event.key === "k") {
        at.current = Math.min(length - 1, Math.max(0, at.current + (event.key === "j" ? 1 : -1)));
        mark(at.current);
        intoView(frame.current, at.current);
      } else if (event.key === "x" && at.current >= 0) pick(at.current);
      else if (event.key === "c") compare();
      else if (event.key === "Enter" && at.current >= 0 && !target?.closest("a, button")) open(at.current);
    };
    document.addEventListener("keydown", press);
    return () => document.removeEventListener("keydown", press);
  }, []);
}

function intoView(frame: HTMLDivElement | null, index: number): void {
  if (!frame) return;
  const from = index * ROW_PX;
  if (from < frame.scrollTop) frame.scrollTop = from;
  else if (from + 2 * ROW_PX > frame.scrollTop + frame.clientHeight) frame.scrollTop = from + 2 * ROW_PX - frame.clientHeight;
}

const GROUPS: [string, string][] = [
  ["", "The run"],
  ["metrics.", "Metrics"],
  ["params.", "Parameters"],
  ["tags.", "Tags"],
];

function ColumnChooser({ columns, shown }: { columns: RunColumn[]; shown: RunColumn[] }) {
  const [words, setWords] = useState("");
  const on = new Set(shown.map((column) => column.key));
  const flip = (key: string) => {
    const next = columns.filter((column) => (column.key === key ? !on.has(key) : on.has(column.key))).map((column) => column.key);
    if (next.length) setParams({ cols: next.join(",") });
  };
  const found = columns.filter((column) => column.label.toLowerCase().includes(words.trim().toLowerCase()));
  return (
    <details class="chooser">
      <summary class="button button-small">
        <Icon name="columns" size={14} />
        Columns
      </summary>
      <div class="popover">
        <label class="field">
          <span class="unseen">Find a column</span>
          <input
            type="search"
            value={words}
            placeholder="Find a column"
            onInput={(event) => setWords(event.currentTarget.value)}
          />
        </label>
        {GROUPS.map(([start, title]) => {
          const members = found.filter((column) => (start ? column.key.startsWith(start) : !column.key.includes(".")));
          return members.length ? (
            <fieldset key={title} class="chooser-group">
              <legend class="quiet">{title}</legend>
              {members.map((column) => (
                <label key={column.key} class="check">
                  <input type="checkbox" checked={on.has(column.key)} onChange={() => flip(column.key)} />
                  {column.label}
                </label>
              ))}
            </fieldset>
          ) : null;
        })}
        <button type="button" class="button button-small" onClick={() => setParams({ cols: "" })}>
          As they were
        </button>
      </div>
    </details>
  );
}

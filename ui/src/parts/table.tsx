// SPDX-License-Identifier: Apache-2.0
// Every list: sortable, filterable, columns chosen; filter, sorting and columns stand in the address. Only the rows in view
// are in the document, so 100,000 rows feel like 100. Keys: j and k move, Enter opens, / filters.
import type { ComponentChildren } from "preact";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { count } from "../format.ts";
import { go, setParams, useParam } from "../router.ts";
import { compile, order, type Cells } from "../search.ts";
import { Icon } from "./icons.tsx";

export interface Column<Row> {
  key: string;
  label: string;
  value: (row: Row) => unknown; // what is sorted and filtered
  cell?: (row: Row) => ComponentChildren; // what is shown; by default the value
  right?: boolean;
  wide?: boolean;
  hidden?: boolean; // not shown until chosen
  roomy?: boolean; // left out where the window is narrow
  hint?: string;
}

interface Props<Row> {
  name: string; // the prefix of this table's words in the address; "" for a page's main table
  label: string;
  rows: Row[];
  columns: Column<Row>[];
  href?: (row: Row) => string | null;
  tools?: ComponentChildren;
  more?: ComponentChildren;
  filter?: boolean;
  sort?: string;
}

const ROW_PX = 41;
const ALL_ROWS = 120; // up to here every row is drawn; beyond, only those in view
const VIEW_PX = 620;
const OVERSCAN = 8;

export function Table<Row>({ name, label, rows, columns, href, tools, more, filter = true, sort: sortedBy = "" }: Props<Row>) {
  const [text, setText] = useParam(`${name}q`);
  const [sort, setSort] = useParam(`${name}sort`, sortedBy);
  const [chosen] = useParam(`${name}cols`);
  const [marked, mark] = useState(-1);
  const [top, setTop] = useState(0);
  const frame = useRef<HTMLDivElement>(null);
  const box = useRef<HTMLInputElement>(null);

  const shown = useMemo(() => {
    const keys = chosen ? new Set(chosen.split(",")) : null;
    return columns.filter((column) => (keys ? keys.has(column.key) : !column.hidden));
  }, [columns, chosen]);

  const seen = useMemo(() => {
    const test = text ? compile(text) : null;
    const kept = test ? rows.filter((row) => test(cellsOf(row, columns))) : rows;
    const column = columns.find((one) => one.key === sort.replace("-", ""));
    return column ? [...kept].sort((a, b) => order(column.value(a), column.value(b), sort.startsWith("-"))) : kept;
  }, [rows, columns, text, sort]);

  useKeys({ on: name === "", length: seen.length, marked, mark, frame, box, open: (index) => openRow(seen[index], href) });

  const virtual = seen.length > ALL_ROWS;
  const first = virtual ? Math.max(0, Math.floor(top / ROW_PX) - OVERSCAN) : 0;
  const last = virtual ? Math.min(seen.length, Math.ceil((top + VIEW_PX) / ROW_PX) + OVERSCAN) : seen.length;
  const turn = (key: string) => setSort(sort === key ? `-${key}` : sort === `-${key}` ? "" : key);

  return (
    <div class="table-part">
      {(filter || tools) && (
        <div class="table-tools">
          {filter && (
            <label class="field field-filter">
              <Icon name="filter" size={14} />
              <span class="unseen">Filter {label}</span>
              <input
                ref={box}
                type="search"
                value={text}
                placeholder="Filter: words, column:text, column>1, -without"
                onInput={(event) => setText(event.currentTarget.value)}
                spellcheck={false}
              />
            </label>
          )}
          {tools}
          <span class="table-count" aria-live="polite">
            {seen.length === rows.length ? count(rows.length) : `${count(seen.length)} of ${count(rows.length)}`}
          </span>
          {filter && columns.length > 3 && <Chooser name={name} columns={columns} shown={shown} />}
        </div>
      )}
      <div
        class={`table-frame${virtual ? " table-tall" : ""}`}
        ref={frame}
        tabIndex={virtual ? 0 : -1}
        onScroll={virtual ? (event) => setTop(event.currentTarget.scrollTop) : undefined}
      >
        <table aria-label={label} aria-rowcount={seen.length}>
          <thead>
            <tr>
              {shown.map((column) => {
                const way = sort === column.key ? "ascending" : sort === `-${column.key}` ? "descending" : undefined;
                return (
                  <th
                    key={column.key}
                    class={`${column.right ? "right" : ""}${column.roomy ? " roomy" : ""}`}
                    aria-sort={way}
                    title={column.hint}
                    scope="col"
                  >
                    <button type="button" onClick={() => turn(column.key)}>
                      {column.label}
                      <span class="sort-sign" aria-hidden="true">
                        {way === "ascending" ? "↑" : way === "descending" ? "↓" : ""}
                      </span>
                    </button>
                  </th>
                );
              })}
            </tr>
          </thead>
          <tbody>
            {first > 0 && (
              <tr class="spacer" style={{ height: `${first * ROW_PX}px` }}>
                <td colSpan={shown.length} />
              </tr>
            )}
            {seen.slice(first, last).map((row, index) => (
              <tr
                key={first + index}
                class={`${href ? "row-link" : ""}${first + index === marked ? " row-marked" : ""}`}
                onClick={href ? (event) => clickRow(event, row, href) : undefined}
              >
                {shown.map((column, position) => {
                  const inside = column.cell ? column.cell(row) : written(column.value(row));
                  const link = position === 0 && href ? href(row) : null;
                  return (
                    <td
                      key={column.key}
                      class={`${column.right ? "right" : ""}${column.wide ? " wide" : ""}${column.roomy ? " roomy" : ""}`}
                    >
                      {link ? (
                        <a href={link} class="row-name">
                          {inside}
                        </a>
                      ) : (
                        inside
                      )}
                    </td>
                  );
                })}
              </tr>
            ))}
            {last < seen.length && (
              <tr class="spacer" style={{ height: `${(seen.length - last) * ROW_PX}px` }}>
                <td colSpan={shown.length} />
              </tr>
            )}
            {seen.length === 0 && (
              <tr>
                <td class="quiet nothing" colSpan={shown.length}>
                  {text ? `Nothing here matches “${text}”.` : "Nothing yet."}
                </td>
              </tr>
            )}
          </tbody>
        </table>
      </div>
      {more}
    </div>
  );
}

function written(value: unknown): string {
  return value === null || value === undefined || value === "" ? "–" : String(value);
}

function cellsOf<Row>(row: Row, columns: Column<Row>[]): Cells {
  return Object.fromEntries(columns.map((column) => [column.key, column.value(row)]));
}

function openRow<Row>(row: Row | undefined, href: ((row: Row) => string | null) | undefined): void {
  const target = row !== undefined && href ? href(row) : null;
  if (target) go(target);
}

function clickRow<Row>(event: MouseEvent, row: Row, href: (row: Row) => string | null): void {
  if (event.target instanceof Element && event.target.closest("a, button, input")) return;
  if (window.getSelection()?.toString()) return; // somebody is selecting text, not opening a row
  const target = href(row);
  if (!target) return;
  if (event.metaKey || event.ctrlKey) window.open(target, "_blank", "noopener");
  else go(target);
}

interface Keys {
  on: boolean;
  length: number;
  marked: number;
  mark: (index: number) => void;
  frame: { current: HTMLDivElement | null };
  box: { current: HTMLInputElement | null };
  open: (index: number) => void;
}

function useKeys({ on, length, marked, mark, frame, box, open }: Keys): void {
  const at = useRef(marked); // where the last key led: keys may come faster than the page is drawn
  at.current = marked;
  useEffect(() => {
    if (!on) return undefined;
    const press = (event: KeyboardEvent) => {
      const busy = event.target instanceof Element && event.target.closest("input, textarea, select, dialog, [role=tablist]");
      if (busy || event.metaKey || event.ctrlKey || event.altKey) return;
      if (event.key === "/") {
        event.preventDefault();
        box.current?.focus();
      } else if (event.key === "j" || event.key === "k") {
        const next = Math.min(length - 1, Math.max(0, at.current + (event.key === "j" ? 1 : -1)));
        at.current = next;
        mark(next);
        show(frame.current, next);
      } else if (
        event.key === "Enter" &&
        at.current >= 0 &&
        !(event.target instanceof Element && event.target.closest("a, button"))
      ) {
        open(at.current);
      }
    };
    document.addEventListener("keydown", press);
    return () => document.removeEventListener("keydown", press);
  });
}

function show(frame: HTMLDivElement | null, index: number): void {
  if (!frame) return;
  if (frame.scrollHeight > frame.clientHeight + 1) {
    const from = index * ROW_PX;
    if (from < frame.scrollTop) frame.scrollTop = from;
    else if (from + 2 * ROW_PX > frame.scrollTop + frame.clientHeight) frame.scrollTop = from + 2 * ROW_PX - frame.clientHeight;
  } else frame.querySelectorAll("tbody tr")[index]?.scrollIntoView({ block: "nearest" });
}

function Chooser<Row>({ name, columns, shown }: { name: string; columns: Column<Row>[]; shown: Column<Row>[] }) {
  const on = new Set(shown.map((column) => column.key));
  const flip = (key: string) => {
    const next = columns.filter((column) => (column.key === key ? !on.has(key) : on.has(column.key))).map((column) => column.key);
    if (next.length) setParams({ [`${name}cols`]: next.join(",") });
  };
  return (
    <details class="chooser">
      <summary class="button button-small">
        <Icon name="columns" size={14} />
        Columns
      </summary>
      <div class="popover">
        {columns.map((column) => (
          <label key={column.key} class="check">
            <input type="checkbox" checked={on.has(column.key)} onChange={() => flip(column.key)} />
            {column.label}
          </label>
        ))}
        <button type="button" class="button button-small" onClick={() => setParams({ [`${name}cols`]: "" })}>
          As they were
        </button>
      </div>
    </details>
  );
}

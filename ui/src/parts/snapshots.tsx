// SPDX-License-Identifier: Apache-2.0
// The snapshots of a dataset: a strip of their sizes along which two are chosen to be compared, and the table.
import { bytes, count, period, plural } from "../format.ts";
import { go, useParam } from "../router.ts";
import type { SnapshotBrief } from "../types.ts";
import { State, Word } from "./pill.tsx";
import { Table, type Column } from "./table.tsx";
import { Id, Person, When } from "./words.tsx";

const MOST_BARS = 60;

export function snapshotId(snap: SnapshotBrief, dataset?: string): string {
  return snap.id ?? `${snap.dataset ?? dataset}@${snap.number}`;
}

/** A reference has no bytes here. */
export function sizeOf(snap: { kind?: string; size?: number }): string {
  return snap.kind === "reference" ? "not here" : bytes(snap.size);
}

export function snapshotHref(snap: SnapshotBrief, dataset?: string): string {
  return `/snapshots/${snapshotId(snap, dataset)}`;
}

/** What the snapshots of a dataset are counted in. */
function unitOf(snapshots: SnapshotBrief[]): "file" | "row" {
  return snapshots[0]?.kind === "files" ? "file" : "row";
}

function columnsOf(refs: Record<string, number>, unit: "file" | "row"): Column<SnapshotBrief>[] {
  return [
    {
      key: "snapshot",
      label: "Snapshot",
      value: (snap) => snapshotId(snap),
      cell: (snap) => (
        <span class="state-word">
          {snapshotId(snap)} <Refs refs={refs} number={snap.number} />
          {snap.dropped_at && <Word word="dropped" />}
        </span>
      ),
    },
    {
      key: "period",
      label: "Period",
      value: (snap) => snap.period?.since,
      cell: (snap) => (snap.period ? period(snap.period.since, snap.period.until) : "–"),
    },
    { key: "kind", label: "Kind", value: (snap) => snap.kind, hidden: true },
    { key: "rows", label: unit === "file" ? "Files" : "Rows", value: (snap) => snap.rows, cell: (snap) => count(snap.rows), right: true },
    { key: "size", roomy: true, label: "Size", value: (snap) => snap.size, cell: (snap) => sizeOf(snap), right: true },
    {
      key: "warnings",
      label: "Warnings",
      value: (snap) => snap.warnings ?? 0,
      cell: (snap) => (snap.warnings ? <State state="watch" small title={plural(snap.warnings, "warning")} /> : "–"),
    },
    { key: "source", label: "Source", value: (snap) => snap.source, wide: true },
    {
      key: "digest",
      roomy: true,
      label: "Digest",
      value: (snap) => snap.digest,
      cell: (snap) => <Id id={snap.digest} label="digest" />,
    },
    { key: "actor", roomy: true, label: "By", value: (snap) => snap.actor, cell: (snap) => <Person name={snap.actor} /> },
    { key: "made", label: "Taken in", value: (snap) => snap.created_at, cell: (snap) => <When at={snap.created_at} /> },
  ];
}

function Refs({ refs, number }: { refs: Record<string, number>; number: number | undefined }) {
  const names = Object.entries(refs).filter(([, at]) => at === number);
  return (
    <>
      {names.map(([name]) => (
        <Word key={name} word={name} />
      ))}
    </>
  );
}

interface Props {
  dataset: string;
  snapshots: SnapshotBrief[]; // newest first
  refs: Record<string, number>;
}

export function Snapshots({ dataset, snapshots, refs }: Props) {
  return (
    <div class="stack">
      {snapshots.length > 1 && <Strip dataset={dataset} snapshots={snapshots} refs={refs} />}
      <Table name="" label="snapshots" rows={snapshots} columns={columnsOf(refs, unitOf(snapshots))} href={(snap) => snapshotHref(snap, dataset)} />
    </div>
  );
}

/** Rows from snapshot to snapshot, the oldest first. */
function Strip({ dataset, snapshots, refs }: Props) {
  const shown = snapshots.slice(0, MOST_BARS).reverse();
  const most = Math.max(1, ...shown.map((snap) => snap.rows ?? 0));
  return (
    <section class="panel snap-panel" aria-label="Snapshots over time">
      <div class="snap-strip-frame" tabIndex={0} role="group" aria-label={`How many ${unitOf(snapshots)}s each snapshot has`}>
        <ol class="snap-strip">
          {shown.map((snap) => (
            <li key={snap.number} class={refs.current === snap.number ? "snap-current" : ""}>
              <a
                href={snapshotHref(snap, dataset)}
                title={`${snapshotId(snap, dataset)}: ${plural(snap.rows ?? 0, unitOf(snapshots))}${snap.warnings ? `, ${plural(snap.warnings, "warning")}` : ""}`}
              >
                <i
                  class={snap.warnings ? "snap-watch" : ""}
                  style={{ height: `${Math.max(3, ((snap.rows ?? 0) / most) * 56)}px` }}
                />
                <span>
                  @{snap.number}
                  {snap.warnings ? " !" : ""}
                </span>
              </a>
            </li>
          ))}
        </ol>
      </div>
      <Choice dataset={dataset} snapshots={snapshots} />
      <p class="quiet snap-hint">
        Height: {unitOf(snapshots)}s, at most {count(most)}.{refs.current !== undefined && ` Underlined: current, which is @${refs.current}.`}
        {shown.some((snap) => snap.warnings) && " With a mark: the contract found something odd."}
      </p>
    </section>
  );
}

function Choice({ dataset, snapshots }: { dataset: string; snapshots: SnapshotBrief[] }) {
  const [before, setBefore] = useParam("before", String(snapshots[1]?.number ?? ""));
  const [after, setAfter] = useParam("after", String(snapshots[0]?.number ?? ""));
  const compare = (event: Event) => {
    event.preventDefault();
    go(`/snapshots/${dataset}@${before}/diff/${dataset}@${after}`);
  };
  const choice = (label: string, value: string, set: (value: string) => void) => (
    <label class="field field-inline">
      <span>{label}</span>
      <select value={value} onChange={(event) => set(event.currentTarget.value)}>
        {snapshots.map((snap) => (
          <option key={snap.number} value={snap.number}>
            {snapshotId(snap, dataset)}
          </option>
        ))}
      </select>
    </label>
  );
  return (
    <form class="snap-choice" onSubmit={compare}>
      {choice("From", before, setBefore)}
      {choice("to", after, setAfter)}
      <button type="submit" class="button" disabled={before === after} title={before === after ? "Choose two" : undefined}>
        What is different
      </button>
    </form>
  );
}

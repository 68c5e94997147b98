// SPDX-License-Identifier: Apache-2.0
// The ribbon: the whole loop on every object page, the present object lit, each neighbour one click away with its state.
// A station that nothing stands at yet says so; it is never left out.
import { useEffect, useRef } from "preact/hooks";
import { kindWords, splitSubject, shortId, subjectHref, toneOf } from "../format.ts";
import type { Station } from "../types.ts";
import { Icon, type IconName } from "./icons.tsx";

const STATIONS = ["data", "pipeline", "run", "version", "release", "deployment", "monitor", "decision"] as const;

const ICONS: Record<string, IconName> = {
  data: "data",
  pipeline: "pipeline",
  run: "run",
  version: "model",
  release: "release",
  deployment: "deployment",
  monitor: "monitor",
  decision: "decision",
};

export function Ribbon({ stations }: { stations: Station[] }) {
  const known = new Map(stations.map((station) => [station.station, station]));
  const row = useRef<HTMLElement>(null);
  const here = stations.find((station) => station.here)?.station;
  useEffect(() => {
    const lit = row.current?.querySelector(".ribbon-here");
    if (!row.current || !lit) return;
    // Where the row does not fit the lit one is brought into sight.
    row.current.scrollLeft += lit.getBoundingClientRect().left - row.current.getBoundingClientRect().left - 60;
  }, [here]);
  return (
    <nav class="ribbon" aria-label="Lifecycle" ref={row}>
      <ol>
        {STATIONS.map((name) => (
          <Stop key={name} name={name} station={known.get(name)} />
        ))}
        <li class="ribbon-loop" title="Decisions start the next run: the loop closes here">
          <Icon name="loop" size={16} />
          <span class="unseen">and round again</span>
        </li>
      </ol>
    </nav>
  );
}

function Stop({ name, station }: { name: string; station: Station | undefined }) {
  const label = station?.subject || station?.here ? (station.name ?? shortId(splitSubject(station.subject).name)) : null;
  const href = station?.href ?? subjectHref(station?.subject);
  const tone = station?.state ? toneOf(station.state) : "plain";
  const inside = (
    <>
      <span class="ribbon-kind">
        <Icon name={ICONS[name] ?? "plain"} size={12} />
        {name}
      </span>
      <span class="ribbon-name">{label ? shortId(label) : "none yet"}</span>
      <span class={`ribbon-state tone-${label ? tone : "plain"}`}>
        {label && <Icon name={tone} size={12} />}
        {label ? (station?.state ? kindWords(station.state) : "unknown") : "–"}
      </span>
    </>
  );
  const hint = label ? `${name} ${label}: ${station?.state ?? "state unknown"}` : `No ${name} is on record here`;
  const style = `ribbon-stop${station?.here ? " ribbon-here" : ""}${label ? "" : " ribbon-none"}`;
  return (
    <li class="ribbon-item">
      {href && label ? (
        <a class={style} href={href} title={hint} aria-current={station?.here ? "true" : undefined}>
          {inside}
        </a>
      ) : (
        <span class={style} title={hint} aria-current={station?.here ? "true" : undefined}>
          {inside}
        </span>
      )}
    </li>
  );
}

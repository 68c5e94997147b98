// SPDX-License-Identifier: Apache-2.0
// What the steps of a pipeline's run have written, followed while they write it. Only the lines in view are in the document.
import { useEffect, useRef, useState } from "preact/hooks";
import { at, query } from "../api.ts";
import { absolute, count, plural } from "../format.ts";
import { useParam } from "../router.ts";
import type { LogLine } from "../types.ts";
import { Icon } from "./icons.tsx";
import { Command, Empty } from "./notice.tsx";

const ROW_PX = 20;
const VIEW_PX = 520;
const OVERSCAN = 12;
const MOST_LINES = 100_000; // beyond, the oldest are let go; the command line has them all

type Line = "connecting" | "following" | "ended" | "lost";

const WORDS: Record<Line, string> = {
  connecting: "connecting",
  following: "followed live",
  ended: "the run has ended",
  lost: "the line is lost, trying again",
};

interface Props {
  run: string; // of the pipeline
  steps: string[]; // to choose from
  step?: string; // the only one that is shown
}

export function LogLines({ run, steps, step: fixed }: Props) {
  const [chosen, choose] = useParam("of");
  const step = fixed ?? chosen;
  const { lines, dropped, line } = useLines(run, step);
  const frame = useRef<HTMLDivElement>(null);
  const [top, setTop] = useState(0);
  const [isFollowing, setFollowing] = useState(true);
  useEffect(() => {
    const place = frame.current;
    if (place && isFollowing) place.scrollTop = place.scrollHeight;
  }, [lines.length, isFollowing]);
  const scrolled = () => {
    const place = frame.current;
    if (!place) return;
    setTop(place.scrollTop);
    setFollowing(place.scrollHeight - place.scrollTop - place.clientHeight < ROW_PX * 2);
  };
  const first = Math.max(0, Math.floor(top / ROW_PX) - OVERSCAN);
  const last = Math.min(lines.length, Math.ceil((top + VIEW_PX) / ROW_PX) + OVERSCAN);
  return (
    <section aria-label="Log">
      <div class="table-tools">
        {!fixed && (
          <label class="field field-inline">
            <span>Step</span>
            <select value={chosen} onChange={(event) => choose(event.currentTarget.value)}>
              <option value="">all</option>
              {steps.map((name) => (
                <option key={name}>{name}</option>
              ))}
            </select>
          </label>
        )}
        <span class={`log-line log-${line}`} role="status">
          <Icon name={line === "ended" ? "ok" : line === "lost" ? "watch" : "accent"} size={12} />
          {WORDS[line]}
        </span>
        {!isFollowing && lines.length > 0 && (
          <button type="button" class="button button-small" onClick={() => setFollowing(true)}>
            To the newest line
          </button>
        )}
        <span class="table-count">{plural(lines.length + dropped, "line")}</span>
      </div>
      {lines.length === 0 ? (
        <Empty title={line === "ended" ? "Nothing was written" : "Nothing was written yet"}>
          What a step prints, logs or writes to standard error is kept here, line by line.
        </Empty>
      ) : (
        <div class="log" ref={frame} onScroll={scrolled} tabIndex={0} role="log" aria-live="off" aria-label="Lines">
          <div class="log-sheet" style={{ height: `${lines.length * ROW_PX}px` }}>
            <div class="log-shown" style={{ transform: `translateY(${first * ROW_PX}px)` }}>
              {lines.slice(first, last).map((one) => (
                <p key={one.seq} class={`log-row log-of-${one.stream}`}>
                  <time dateTime={one.at} title={absolute(one.at)}>
                    {one.at?.slice(11, 23) ?? ""}
                  </time>
                  {!step && <b title={one.step}>{one.step.replace(/^[A-Za-z_]\w*\.(?=[A-Za-z_])/, "")}</b>}
                  {one.stream !== "out" && <i>{one.stream}</i>}
                  <span>{one.text}</span>
                </p>
              ))}
            </div>
          </div>
        </div>
      )}
      {dropped > 0 && <p class="quiet">The first {count(dropped)} lines are not shown here.</p>}
      <p class="log-command">
        <Command text={`mainstay logs ${run}${step ? ` '${step}'` : ""}${line === "ended" ? "" : " --follow"}`} />
      </p>
    </section>
  );
}

/** The lines so far and those to come. A line that is lost goes on behind the last number, so none comes twice. */
function useLines(run: string, step: string): { lines: LogLine[]; dropped: number; line: Line } {
  const kept = useRef<LogLine[]>([]);
  const [shown, setShown] = useState<{ lines: LogLine[]; dropped: number }>({ lines: [], dropped: 0 });
  const [line, setLine] = useState<Line>("connecting");
  useEffect(() => {
    kept.current = [];
    let dropped = 0;
    let frame = 0;
    setShown({ lines: [], dropped: 0 });
    setLine("connecting");
    const show = () => {
      frame = 0;
      if (kept.current.length > MOST_LINES) {
        dropped += kept.current.length - MOST_LINES;
        kept.current = kept.current.slice(-MOST_LINES);
      }
      setShown({ lines: [...kept.current], dropped });
    };
    const source = new EventSource(query(at("/api/runs", run, "lines", "stream"), { step }));
    source.addEventListener("open", () => setLine("following"));
    source.addEventListener("line", (event: MessageEvent<string>) => {
      const one = JSON.parse(event.data) as LogLine;
      if (one.seq <= (kept.current.at(-1)?.seq ?? -1)) return;
      kept.current.push(one);
      frame ||= requestAnimationFrame(show);
    });
    source.addEventListener("end", () => {
      source.close();
      setLine("ended");
    });
    source.addEventListener("error", () => {
      if (source.readyState !== EventSource.CLOSED || !kept.current.length) setLine("lost");
    });
    return () => {
      source.close();
      cancelAnimationFrame(frame);
    };
  }, [run, step]);
  return { ...shown, line };
}

// SPDX-License-Identifier: Apache-2.0
// The spans of a trace over its time: each below its parent, as long as it took. The chosen one tells what went in and out.
import { useRef, useState } from "preact/hooks";
import { count, duration, isNumber } from "../format.ts";
import { useParam } from "../router.ts";
import type { Span } from "../types.ts";
import { PlainFacts } from "./words.tsx";
import { Sign } from "./pill.tsx";

const AT_ONCE = 500;
const TICKS = 5;

export function Waterfall({ spans }: { spans: Span[] }) {
  const [chosen, choose] = useParam("span");
  const [most, setMost] = useState(AT_ONCE);
  const list = useRef<HTMLUListElement>(null);
  const whole = Math.max(1e-6, ...spans.map((span) => (span.offset_ms ?? 0) + (span.duration_ms ?? 0)));
  const open = spans.find((span) => span.id === chosen) ?? spans[0];
  const walk = (event: KeyboardEvent) => {
    const way = event.key === "ArrowDown" ? 1 : event.key === "ArrowUp" ? -1 : 0;
    if (!way || !open) return;
    event.preventDefault();
    const next = spans[Math.min(spans.length - 1, Math.max(0, spans.indexOf(open) + way))];
    if (!next) return;
    choose(next.id);
    list.current?.querySelector<HTMLElement>(`[data-span="${CSS.escape(next.id)}"]`)?.focus();
  };
  return (
    <div class="trace-view">
      <div class="waterfall">
        <div class="span-row span-head" aria-hidden="true">
          <span>Span</span>
          <span class="span-scale">
            {Array.from({ length: TICKS }, (_, index) => (
              <i key={index}>{duration((whole * index) / (TICKS - 1) / 1000)}</i>
            ))}
          </span>
          <span class="right">Took</span>
        </div>
        <ul ref={list} onKeyDown={walk}>
          {spans.slice(0, most).map((span) => (
            <li key={span.id}>
              <button
                type="button"
                class="span-row"
                data-span={span.id}
                aria-current={span === open ? "true" : undefined}
                onClick={() => choose(span.id)}
              >
                <span class="span-name" style={{ paddingLeft: `${Math.min(span.depth ?? 0, 16) * 14}px` }}>
                  {span.state === "error" && <Sign tone="alert" label="error" size={12} />}
                  {span.name ?? "unnamed"}
                  {span.kind && <span class="quiet"> {span.kind.toLowerCase()}</span>}
                </span>
                <span class="span-track">
                  <i class={span.state === "error" ? "span-bar span-error" : "span-bar"} style={placed(span, whole)} />
                </span>
                <span class="right">{isNumber(span.duration_ms) ? duration(span.duration_ms / 1000) : "still open"}</span>
              </button>
            </li>
          ))}
        </ul>
        {spans.length > most && (
          <button type="button" class="button" onClick={() => setMost(most + AT_ONCE)}>
            More spans ({count(spans.length - most)})
          </button>
        )}
      </div>
      {open && <SpanPanel span={open} />}
    </div>
  );
}

function placed(span: Span, whole: number): Record<string, string> {
  const from = (span.offset_ms ?? 0) / whole;
  const wide = isNumber(span.duration_ms) ? span.duration_ms / whole : 1 - from;
  return { left: `${(from * 100).toFixed(3)}%`, width: `max(2px, ${(wide * 100).toFixed(3)}%)` };
}

function SpanPanel({ span }: { span: Span }) {
  return (
    <section class="panel span-panel" aria-label={span.name ?? span.id}>
      <header class="panel-head">
        <h2 class="minor">{span.name ?? "unnamed"}</h2>
        {span.kind && <span class="quiet">{span.kind.toLowerCase()}</span>}
      </header>
      {span.message && <p class="tone-alert">{span.message}</p>}
      <Said title="Went in" value={span.inputs} />
      <Said title="Came out" value={span.outputs} />
      {span.usage && (
        <>
          <h3>Tokens</h3>
          <PlainFacts facts={span.usage} empty="" />
        </>
      )}
      {span.events && span.events.length > 0 && <Said title="Events" value={span.events} />}
      <details>
        <summary>Attributes ({Object.keys(span.attributes ?? {}).length})</summary>
        <PlainFacts facts={span.attributes} empty="None." />
      </details>
    </section>
  );
}

function Said({ title, value }: { title: string; value: unknown }) {
  if (value === null || value === undefined) return null;
  return (
    <>
      <h3>{title}</h3>
      <pre class="said" tabIndex={0}>
        {typeof value === "string" ? value : JSON.stringify(value, null, 2)}
      </pre>
    </>
  );
}

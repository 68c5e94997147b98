// SPDX-License-Identifier: Apache-2.0
// Small pieces of text with a meaning: times, ids, subjects, people, measured numbers, facts.
import type { ComponentChildren } from "preact";
import { useEffect, useState } from "preact/hooks";
import { absolute, ago, count, isNumber, plain, shortId, splitSubject, subjectHref, subjectName, UNKNOWN } from "../format.ts";
import type { Facts, Maybe, Measured } from "../types.ts";
import { Icon } from "./icons.tsx";

const TICK_MS = 20_000;

/** A moment, relative; absolute on hover. */
export function When({ at }: { at: Maybe<string> }) {
  const [, tick] = useState(0);
  useEffect(() => {
    const timer = window.setInterval(() => tick((n) => n + 1), TICK_MS);
    return () => window.clearInterval(timer);
  }, []);
  if (!at || Number.isNaN(Date.parse(at))) return <Unknown />;
  return (
    <time dateTime={at} title={absolute(at)}>
      {ago(at)}
    </time>
  );
}

export function Unknown({ why }: { why?: string }) {
  return (
    <span class="unknown-text" title={why}>
      {UNKNOWN}
    </span>
  );
}

export async function copyText(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // The clipboard needs https or localhost; elsewhere the old way still works from a click.
    const area = document.createElement("textarea");
    area.value = text;
    area.className = "unseen";
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done;
  }
}

/** A digest or id: short to read, whole when copied. */
export function Id({ id, label }: { id: Maybe<string>; label?: string }) {
  const [done, setDone] = useState(false);
  if (!id) return <Unknown />;
  const copy = async () => {
    setDone(await copyText(id));
    window.setTimeout(() => setDone(false), 1500);
  };
  return (
    <button type="button" class="id" title={`${label ?? "id"} ${id} (click copies it)`} onClick={copy}>
      <code>{shortId(id)}</code>
      <span class="unseen">copy {label ?? "id"}</span>
      {done ? <Icon name="check" size={12} /> : <Icon name="copy" size={12} />}
    </button>
  );
}

/** A subject as a link to its page. */
export function Subject({ subject, children }: { subject: Maybe<string>; children?: ComponentChildren }) {
  if (!subject) return <Unknown />;
  const href = subjectHref(subject);
  const text = children ?? subjectName(subject);
  return href ? (
    <a href={href} title={subject}>
      {text}
    </a>
  ) : (
    <span title={subject}>{text}</span>
  );
}

export function Person({ name }: { name: Maybe<string> | string[] }) {
  const names = Array.isArray(name) ? name : name ? [name] : [];
  if (!names.length) return <Unknown />;
  return <>{names.map((one) => shortId(splitSubject(one).name)).join(", ")}</>;
}

/** A number with its interval and n, and what it is compared to. */
export function Measure({
  of,
  digits = 3,
  compared,
}: {
  of: Maybe<Measured | number>;
  digits?: number;
  compared?: Maybe<number>;
}) {
  const measured = typeof of === "number" ? { value: of } : of;
  const value = measured?.value ?? measured?.auc;
  if (!isNumber(value)) return <Unknown why={measured?.reason ?? "No labels have arrived for this window yet"} />;
  return (
    <span class="measure">
      <b>{value.toFixed(digits)}</b>
      {isNumber(measured?.lo) && isNumber(measured?.hi) && (
        <span class="range" title="95 % interval">{` [${measured.lo.toFixed(digits)}, ${measured.hi.toFixed(digits)}]`}</span>
      )}
      {isNumber(measured?.n) && <span class="range">{` n ${count(measured.n)}`}</span>}
      {isNumber(compared) && <span class="range">{` vs ${compared.toFixed(digits)}`}</span>}
    </span>
  );
}

/** A list of names and values; the value may be anything drawable. */
export function FactList({ facts }: { facts: [string, ComponentChildren][] }) {
  return (
    <dl class="facts">
      {facts.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value ?? <Unknown />}</dd>
        </div>
      ))}
    </dl>
  );
}

/** Facts as the API names them. Digests are shortened, times written out. */
export function PlainFacts({ facts, empty }: { facts: Maybe<Facts>; empty: string }) {
  const entries = Object.entries(facts ?? {});
  if (!entries.length) return <p class="quiet">{empty}</p>;
  return <FactList facts={entries.map(([name, value]) => [name, <Value key={name} value={value} />])} />;
}

export function Value({ value }: { value: unknown }) {
  if (typeof value === "string" && /^[0-9a-f]{64}$/.test(value)) return <Id id={value} label="digest" />;
  if (typeof value === "string" && subjectHref(value)) return <Subject subject={value} />;
  if (value === null || value === undefined) return <Unknown />;
  if (typeof value === "object" && !Array.isArray(value)) {
    return (
      <span class="wrap">
        {Object.entries(value)
          .map(([name, inner]) => `${name} ${plain(inner)}`)
          .join(" · ")}
      </span>
    );
  }
  return <span class="wrap">{plain(value)}</span>;
}

// SPDX-License-Identifier: Apache-2.0
// An act that changes something: a button that opens a sheet with what will happen, a reason, and the same act as a command.
// There is no "Are you sure?": the sheet shows the difference, and the button says what it does.
import type { ComponentChildren } from "preact";
import { useRef, useState } from "preact/hooks";
import { ApiError, freshKey, post } from "../api.ts";
import { curlPost, Forms } from "./copyas.tsx";
import { ErrorNote } from "./notice.tsx";

export interface Field {
  name: string;
  label: string;
  kind: "text" | "choice" | "number";
  choices?: string[];
  value?: string;
  optional?: boolean;
  isApart?: boolean; // the caller makes the path or the body from it; by its own name it is not sent
}

interface Props {
  label: string; // the button and the sheet's own button: a verb
  title: string;
  path: string | ((values: Record<string, string>) => string);
  body?: Record<string, unknown> | ((values: Record<string, string>) => Record<string, unknown>);
  fields?: Field[];
  reason?: "asked" | "optional" | "none";
  reasonName?: string;
  cli?: string | ((values: Record<string, string>) => string);
  tone?: "primary" | "danger" | "plain";
  preview?: ComponentChildren | ((values: Record<string, string>) => ComponentChildren);
  then?: (answer: unknown, reason: string) => Promise<unknown>; // what the act does after its first request
  done?: (answer: unknown) => void;
  disabled?: string | undefined;
}

export function Act(props: Props) {
  const {
    label,
    title,
    path: pathOf,
    body: bodyOf = {},
    fields = [],
    reason = "asked",
    reasonName = "reason",
    cli,
    tone = "plain",
    preview,
    then,
    done,
    disabled,
  } = props;
  const sheet = useRef<HTMLDialogElement>(null);
  const [open, setOpen] = useState(false);
  const [values, setValues] = useState<Record<string, string>>({});
  const [why, setWhy] = useState("");
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<ApiError | null>(null);

  const whole = {
    ...Object.fromEntries(
      fields.map((field) => [field.name, field.value ?? (field.kind === "choice" ? (field.choices?.[0] ?? "") : "")]),
    ),
    ...values,
  };
  const path = typeof pathOf === "function" ? pathOf(whole) : pathOf;
  const body = typeof bodyOf === "function" ? bodyOf(whole) : bodyOf;
  const typed = Object.fromEntries(
    fields
      .filter((field) => whole[field.name] !== "" && !field.isApart)
      .map((field) => [field.name, field.kind === "number" ? numberOr(whole[field.name] ?? "") : whole[field.name]]),
  );
  const request = { ...body, ...typed, ...(reason !== "none" && why ? { [reasonName]: why } : {}) };
  const lacking = (reason === "asked" && !why.trim()) || fields.some((field) => !field.optional && !whole[field.name]);

  const key = JSON.stringify([path, request]); // a changed request is another act and needs another key
  const keys = useRef(new Map<string, string>());
  const show = () => {
    setError(null);
    keys.current.clear();
    setOpen(true);
    window.setTimeout(() => sheet.current?.showModal(), 0);
  };
  const close = () => {
    sheet.current?.close();
    setOpen(false);
  };
  const act = async (event: Event) => {
    event.preventDefault();
    setBusy(true);
    setError(null);
    try {
      const first = await post<unknown>(path, request, keys.current.get(key) ?? remembered(keys.current, key));
      const answer = then ? await then(first, why) : first;
      close();
      setWhy("");
      done?.(answer);
    } catch (trouble) {
      setError(trouble instanceof ApiError ? trouble : new ApiError(0, "error", String(trouble)));
    } finally {
      setBusy(false);
    }
  };

  return (
    <>
      <button type="button" class={`button button-${tone}`} onClick={show} disabled={Boolean(disabled)} title={disabled}>
        {label}
      </button>
      {open && (
        <dialog ref={sheet} class="sheet" aria-label={title} onClose={() => setOpen(false)}>
          <form onSubmit={act}>
            <h2>{title}</h2>
            {preview && <div class="preview">{typeof preview === "function" ? preview(whole) : preview}</div>}
            {fields.map((field) => (
              <label key={field.name} class="field">
                <span>{field.label}</span>
                {field.kind === "choice" ? (
                  <select
                    value={whole[field.name]}
                    onChange={(event) => setValues({ ...values, [field.name]: event.currentTarget.value })}
                  >
                    {field.choices?.map((choice) => (
                      <option key={choice}>{choice}</option>
                    ))}
                  </select>
                ) : (
                  <input
                    type="text"
                    inputMode={field.kind === "number" ? "decimal" : "text"}
                    value={whole[field.name]}
                    onInput={(event) => setValues({ ...values, [field.name]: event.currentTarget.value })}
                  />
                )}
              </label>
            ))}
            {reason !== "none" && (
              <label class="field">
                <span>Reason{reason === "optional" ? " (may be left out)" : ", for the ledger"}</span>
                <textarea
                  rows={2}
                  value={why}
                  required={reason === "asked"}
                  onInput={(event) => setWhy(event.currentTarget.value)}
                  placeholder="In words that will make sense in a year"
                />
              </label>
            )}
            {error && <ErrorNote error={error} />}
            <details class="copy-act">
              <summary>The same from elsewhere</summary>
              <Forms forms={{ cli: typeof cli === "function" ? cli(whole) : (cli ?? null), curl: curlPost(path, request) }} />
            </details>
            <div class="sheet-foot">
              <button type="button" class="button" onClick={close}>
                Leave it
              </button>
              <button
                type="submit"
                class={`button button-${tone === "danger" ? "danger" : "primary"}`}
                disabled={busy || lacking}
                title={lacking ? "Something is still to be filled in" : undefined}
              >
                {busy ? "Working …" : label}
              </button>
            </div>
          </form>
        </dialog>
      )}
    </>
  );
}

/** What is not a number is sent as it was typed: the server's sentence about it is better than silence. */
function numberOr(text: string): number | string {
  const value = Number(text);
  return text.trim() === "" || Number.isNaN(value) ? text : value;
}

function remembered(keys: Map<string, string>, request: string): string {
  const key = freshKey();
  keys.set(request, key);
  return key;
}

/** What changes, before and after, line by line; what stays the same is left out. */
export function Difference({ lines }: { lines: [string, ComponentChildren, ComponentChildren][] }) {
  return (
    <dl class="difference">
      {lines.map(([name, before, after]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>
            <span class="before">{before}</span> <span aria-hidden="true">→</span> <b>{after}</b>
          </dd>
        </div>
      ))}
    </dl>
  );
}

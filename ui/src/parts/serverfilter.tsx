// SPDX-License-Identifier: Apache-2.0
// A filter that the server reads, in the same language as the command line's `--filter`. Where it cannot be read, the server's
// own sentence stands below the field and the rows stay as they were.
import { useEffect, useRef, useState } from "preact/hooks";
import type { ApiError } from "../api.ts";
import { Icon } from "./icons.tsx";
import { Sentence } from "./notice.tsx";

const PAUSE_MS = 450;
interface Props {
  label: string;
  examples: [string, string][]; // a filter, and what it means; the first one shows in the empty field
  value: string;
  set: (value: string) => void;
  error: ApiError | undefined;
}

export function ServerFilter({ label, examples, value, set, error }: Props) {
  const [text, setText] = useState(value);
  const box = useRef<HTMLInputElement>(null);
  useEffect(() => setText(value), [value]);
  useEffect(() => {
    if (text.trim() === value) return undefined;
    const timer = window.setTimeout(() => set(text.trim()), PAUSE_MS);
    return () => window.clearTimeout(timer);
  }, [text]);
  useEffect(() => {
    const press = (event: KeyboardEvent) => {
      const isTyping = event.target instanceof Element && event.target.closest("input, textarea, select, dialog");
      if (event.key !== "/" || isTyping || event.metaKey || event.ctrlKey || event.altKey) return;
      event.preventDefault();
      box.current?.focus();
    };
    document.addEventListener("keydown", press);
    return () => document.removeEventListener("keydown", press);
  }, []);
  return (
    <div class="run-filter">
      <div class="run-filter-row">
        <label class="field field-filter">
          <Icon name="filter" size={14} />
          <span class="unseen">{label}</span>
          <input
            ref={box}
            type="search"
            value={text}
            placeholder={examples[0]?.[0]}
            aria-invalid={Boolean(error)}
            aria-describedby={error ? "filter-error" : undefined}
            onInput={(event) => setText(event.currentTarget.value)}
            onKeyDown={(event) => event.key === "Enter" && set(text.trim())}
            spellcheck={false}
            autocomplete="off"
          />
        </label>
        <details class="chooser filter-help">
          <summary class="button button-quiet" title="How a filter is written">
            <Icon name="unknown" size={14} />
            How
          </summary>
          <div class="popover">
            <dl>
              {examples.map(([example, meaning]) => (
                <div key={example}>
                  <dt>
                    <button type="button" class="button button-quiet" onClick={() => set(example)}>
                      <code>{example}</code>
                    </button>
                  </dt>
                  <dd class="quiet">{meaning}</dd>
                </div>
              ))}
            </dl>
          </div>
        </details>
      </div>
      {error && (
        <p id="filter-error" class="filter-error tone-alert" role="alert">
          <Icon name="alert" size={14} /> <Sentence text={error.message} />
        </p>
      )}
    </div>
  );
}

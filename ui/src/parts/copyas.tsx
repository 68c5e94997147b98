// SPDX-License-Identifier: Apache-2.0
// Copy as: the same view or act as a command, as Python and as curl. The page teaches the tool.
import { useEffect, useRef, useState } from "preact/hooks";
import type { CopyForms } from "../types.ts";
import { Icon } from "./icons.tsx";
import { copyText } from "./words.tsx";

const LABELS: [keyof CopyForms, string][] = [
  ["cli", "Command line"],
  ["python", "Python"],
  ["curl", "curl"],
];

/** A list of the API in all three forms. `path` begins with /api. */
export function listForms(path: string, cli?: string): CopyForms {
  const short = path.replace(/^\/api/, "");
  return {
    cli: cli ?? null,
    python: `import mainstay as ms\nms.connect().get("${short}")`,
    curl: `curl -H "Authorization: Bearer $MAINSTAY_TOKEN" "$MAINSTAY_URL${path}"`,
  };
}

export function curlPost(path: string, body: unknown): string {
  const text = JSON.stringify(body).replaceAll("'", "'\\''");
  return `curl -X POST -H "Authorization: Bearer $MAINSTAY_TOKEN" -H "Content-Type: application/json" -d '${text}' "$MAINSTAY_URL${path}"`;
}

export function Forms({ forms }: { forms: CopyForms }) {
  const [done, setDone] = useState<string | null>(null);
  const copy = async (name: string, text: string) => {
    if (await copyText(text)) setDone(name);
    window.setTimeout(() => setDone(null), 1500);
  };
  return (
    <div class="forms">
      {LABELS.map(([name, label]) => {
        const text = forms[name];
        if (!text) return null;
        return (
          <div class="form-line" key={name}>
            <span class="form-label">{label}</span>
            <pre tabIndex={0}>{text}</pre>
            <button type="button" class="button button-small" onClick={() => copy(name, text)} aria-label={`Copy as ${label}`}>
              <Icon name={done === name ? "check" : "copy"} size={14} />
              {done === name ? "copied" : "copy"}
            </button>
          </div>
        );
      })}
    </div>
  );
}

export function CopyAs({ forms }: { forms: CopyForms | undefined }) {
  const [open, setOpen] = useState(false);
  const box = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (!open) return undefined;
    const outside = (event: Event) => {
      if (event instanceof KeyboardEvent ? event.key === "Escape" : !box.current?.contains(event.target as Node)) setOpen(false);
    };
    document.addEventListener("pointerdown", outside);
    document.addEventListener("keydown", outside);
    return () => {
      document.removeEventListener("pointerdown", outside);
      document.removeEventListener("keydown", outside);
    };
  }, [open]);
  return (
    <div class="copyas" ref={box}>
      <button type="button" class="button" aria-expanded={open} onClick={() => setOpen(!open)} disabled={!forms}>
        <Icon name="copy" size={14} />
        Copy as
      </button>
      {open && forms && (
        <div class="popover">
          <Forms forms={forms} />
        </div>
      )}
    </div>
  );
}

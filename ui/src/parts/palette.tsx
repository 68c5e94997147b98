// SPDX-License-Identifier: Apache-2.0
// The palette (⌘K or Ctrl K): jumps to anything by name, id or digest.
import { useEffect, useRef, useState } from "preact/hooks";
import { query, useGet } from "../api.ts";
import { splitSubject, subjectHref, subjectName } from "../format.ts";
import { go } from "../router.ts";
import type { Found, Page } from "../types.ts";
import { Icon } from "./icons.tsx";

const PLACES: Found[] = [
  ["Home", "/"],
  ["Data", "/datasets"],
  ["Feature views", "/features"],
  ["Pipelines", "/pipelines"],
  ["Schedules", "/schedules"],
  ["Backfills", "/backfills"],
  ["Runs", "/runs"],
  ["Experiments", "/experiments"],
  ["Traces", "/traces"],
  ["Models", "/models"],
  ["Releases", "/releases"],
  ["Deployments", "/deployments"],
  ["Monitoring", "/monitors"],
  ["Alerts", "/alerts"],
  ["Decisions", "/decisions"],
  ["Triggers", "/triggers"],
  ["Predictions", "/predictions"],
  ["Ledger", "/ledger"],
  ["People", "/people"],
  ["Policies", "/policies"],
].map(([title, href]) => ({ title: title ?? "", href: href ?? "/", subject: "page" }));

let opener: (() => void) | null = null;

export function openPalette(): void {
  opener?.();
}

const PAUSE_MS = 120;

export function Palette() {
  const sheet = useRef<HTMLDialogElement>(null);
  const [open, setOpen] = useState(false);
  const [text, setText] = useState("");
  const [asked, setAsked] = useState("");
  const [marked, mark] = useState(0);

  useEffect(() => {
    opener = () => setOpen(true);
    const press = (event: KeyboardEvent) => {
      if ((event.metaKey || event.ctrlKey) && event.key.toLowerCase() === "k") {
        event.preventDefault();
        setOpen(true);
      }
    };
    document.addEventListener("keydown", press);
    return () => document.removeEventListener("keydown", press);
  }, []);
  useEffect(() => {
    if (open && !sheet.current?.open) sheet.current?.showModal();
  }, [open]);
  useEffect(() => {
    const timer = window.setTimeout(() => setAsked(text.trim()), PAUSE_MS);
    return () => window.clearTimeout(timer);
  }, [text]);

  const answer = useGet<Page<Found>>(open && asked ? query("/api/search", { q: asked }) : null);
  const places = PLACES.filter((place) => !text || (place.title ?? "").toLowerCase().includes(text.toLowerCase()));
  const found = [...(asked ? (answer.data?.items ?? []) : []), ...places].slice(0, 40);

  const close = () => {
    sheet.current?.close();
    setOpen(false);
    setText("");
    mark(0);
  };
  const jump = (target: Found | undefined) => {
    const href = target?.href ?? subjectHref(target?.subject);
    if (!href) return;
    close();
    go(href);
  };
  const press = (event: KeyboardEvent) => {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      const next = marked + (event.key === "ArrowDown" ? 1 : -1);
      mark(Math.min(found.length - 1, Math.max(0, next)));
    } else if (event.key === "Enter") {
      event.preventDefault();
      jump(found[marked]);
    }
  };
  useEffect(() => {
    sheet.current?.querySelector("[aria-selected=true]")?.scrollIntoView({ block: "nearest" });
  }, [marked]);

  if (!open) return null;
  return (
    <dialog
      ref={sheet}
      class="palette"
      aria-label="Search"
      onClose={close}
      onClick={(event) => event.target === sheet.current && close()}
    >
      <label class="palette-box">
        <Icon name="search" />
        <span class="unseen">Name, id or digest</span>
        <input
          autofocus
          value={text}
          placeholder="Name, id or digest"
          spellcheck={false}
          role="combobox"
          aria-expanded="true"
          aria-controls="palette-list"
          aria-activedescendant={found[marked] ? `found-${marked}` : undefined}
          onInput={(event) => {
            setText(event.currentTarget.value);
            mark(0);
          }}
          onKeyDown={press}
        />
        <kbd>esc</kbd>
      </label>
      <ul id="palette-list" role="listbox" aria-label="Found">
        {found.map((one, index) => {
          const kind = splitSubject(one.subject).kind || "page";
          return (
            <li
              key={`${one.subject}${one.href}`}
              id={`found-${index}`}
              role="option"
              aria-selected={index === marked}
              onPointerMove={() => mark(index)}
              onClick={() => jump(one)}
            >
              <span class="palette-kind">{kind}</span>
              <span class="palette-title">{one.title ?? subjectName(one.subject)}</span>
              <Icon name="arrow" size={12} />
            </li>
          );
        })}
        {!found.length && (
          <li class="quiet nothing">
            {answer.error?.message ?? (text === asked ? `Nothing is called “${text}”.` : "Looking …")}
          </li>
        )}
      </ul>
    </dialog>
  );
}

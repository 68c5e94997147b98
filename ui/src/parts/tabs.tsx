// SPDX-License-Identifier: Apache-2.0
// Tabs that stand in the address (?tab=…), so that a view can be sent to a colleague.
import type { ComponentChildren } from "preact";
import { useRef } from "preact/hooks";
import { useParam } from "../router.ts";
import { Guard } from "./notice.tsx";

export interface Tab {
  id: string;
  label: string;
  count?: number | undefined;
  body: () => ComponentChildren;
}

export function Tabs({ tabs }: { tabs: Tab[] }) {
  const first = tabs[0]?.id ?? "";
  const [chosen, choose] = useParam("tab", first);
  const row = useRef<HTMLDivElement>(null);
  const open = tabs.find((tab) => tab.id === chosen) ?? tabs[0];
  if (!open) return null;
  const move = (event: KeyboardEvent) => {
    const way = event.key === "ArrowRight" ? 1 : event.key === "ArrowLeft" ? -1 : 0;
    if (!way) return;
    const next = tabs[(tabs.indexOf(open) + way + tabs.length) % tabs.length];
    if (!next) return;
    choose(next.id);
    row.current?.querySelector<HTMLElement>(`#tab-${next.id}`)?.focus();
  };
  return (
    <>
      <div class="tabs" role="tablist" ref={row} onKeyDown={move}>
        {tabs.map((tab) => (
          <button
            key={tab.id}
            id={`tab-${tab.id}`}
            type="button"
            role="tab"
            aria-selected={tab === open}
            aria-controls="tab-body"
            tabIndex={tab === open ? 0 : -1}
            onClick={() => choose(tab.id)}
          >
            {tab.label}
            {tab.count !== undefined && <span class="tab-count">{tab.count}</span>}
          </button>
        ))}
      </div>
      <div id="tab-body" role="tabpanel" aria-labelledby={`tab-${open.id}`} class="tab-body">
        <Guard name={open.label} key={open.id}>
          {open.body()}
        </Guard>
      </div>
    </>
  );
}

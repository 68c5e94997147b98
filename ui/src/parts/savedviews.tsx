// SPDX-License-Identifier: Apache-2.0
// Saved views of one page: a list of names, each a link, and a field that saves what is shown now.
import { useState } from "preact/hooks";
import { go, here } from "../router.ts";
import { forget, save, views } from "../views.ts";
import { Icon } from "./icons.tsx";

export function SavedViews({ page }: { page: string }) {
  const [all, setAll] = useState(() => views(page));
  const [name, setName] = useState("");
  const now = here().query.toString();
  const keep = (event: Event) => {
    event.preventDefault();
    if (!name.trim()) return;
    setAll(save(page, { name: name.trim(), query: now }));
    setName("");
  };
  return (
    <details class="chooser">
      <summary class="button button-small">
        <Icon name="bookmark" size={14} />
        Views
      </summary>
      <div class="popover views">
        {all.length === 0 && <p class="quiet">A view is a filter, an order and columns under a name.</p>}
        <ul>
          {all.map((view) => (
            <li key={view.name}>
              <a href={`/${page}?${view.query}`} aria-current={view.query === now ? "true" : undefined}>
                {view.name}
              </a>
              <button
                type="button"
                class="button button-quiet icon-only"
                aria-label={`Forget the view ${view.name}`}
                onClick={() => setAll(forget(page, view.name))}
              >
                <Icon name="close" size={12} />
              </button>
            </li>
          ))}
        </ul>
        <form onSubmit={keep}>
          <label class="field field-inline">
            <span class="unseen">Name of the view</span>
            <input value={name} placeholder="Name what is shown now" onInput={(event) => setName(event.currentTarget.value)} />
          </label>
          <button type="submit" class="button button-small" disabled={!name.trim()}>
            Save
          </button>
        </form>
        {now && (
          <button type="button" class="button button-small" onClick={() => go(`/${page}`)}>
            As it was at first
          </button>
        )}
      </div>
    </details>
  );
}

// SPDX-License-Identifier: Apache-2.0
// The frame of a list: what it is, how many, its table, the forms to copy; sub-pages of a station as links beside the title.
import type { ComponentChildren } from "preact";
import { useEffect } from "preact/hooks";
import type { ApiError } from "../api.ts";
import { CopyAs, listForms } from "./copyas.tsx";
import { ErrorNote, Skeleton } from "./notice.tsx";
import { setTitle } from "../title.ts";

interface Props {
  title: string;
  about: string;
  path: string; // of the API, for "Copy as"
  cli?: string;
  error?: ApiError | Error | undefined;
  loading: boolean;
  empty: boolean;
  nothing: ComponentChildren;
  acts?: ComponentChildren;
  places?: [string, string][];
  children?: ComponentChildren;
}

export function ListPage({ title, about, path, cli, error, loading, empty, nothing, acts, places, children }: Props) {
  useEffect(() => setTitle(title), [title]);
  return (
    <section>
      <header class="list-head">
        <div>
          <h1>{title}</h1>
          <p class="quiet">{about}</p>
        </div>
        <div class="acts">
          {acts}
          <CopyAs forms={listForms(path, cli)} />
        </div>
      </header>
      {places && (
        <nav class="tabs" aria-label={`${title}: more`}>
          {places.map(([href, label]) => (
            <a key={href} href={href} aria-current={window.location.pathname === href ? "page" : undefined}>
              {label}
            </a>
          ))}
        </nav>
      )}
      {error && <ErrorNote error={error} />}
      {loading && !error ? <Skeleton rows={8} /> : empty && !error ? nothing : children}
    </section>
  );
}

/** As many as the API gives at once; the table filters and sorts what it has. */
export const LIST_LIMIT = 1000;

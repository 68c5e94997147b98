// SPDX-License-Identifier: Apache-2.0
// The page's few icons, drawn on a 16-pixel grid in the text's colour. States differ by shape as well as by colour.
import type { JSX } from "preact";

export type IconName =
  | "home"
  | "data"
  | "pipeline"
  | "run"
  | "model"
  | "release"
  | "deployment"
  | "monitor"
  | "alert-bell"
  | "decision"
  | "governance"
  | "ok"
  | "watch"
  | "alert"
  | "unknown"
  | "plain"
  | "accent"
  | "search"
  | "copy"
  | "sun"
  | "moon"
  | "check"
  | "close"
  | "arrow"
  | "loop"
  | "download"
  | "bolt"
  | "person"
  | "filter"
  | "columns"
  | "bookmark"
  | "compare"
  | "star"
  | "folder"
  | "file"
  | "trace";

const DRAWN: Record<IconName, JSX.Element> = {
  home: <path d="M2.5 7.5 8 3l5.5 4.5V13h-4V9.5h-3V13h-4z" />,
  data: (
    <>
      <ellipse cx="8" cy="4" rx="5" ry="1.9" />
      <path d="M3 4v8c0 1 2.2 1.9 5 1.9s5-.9 5-1.9V4M3 8c0 1 2.2 1.9 5 1.9s5-.9 5-1.9" />
    </>
  ),
  pipeline: (
    <>
      <rect x="1.7" y="2.5" width="4.6" height="3.6" rx="1" />
      <rect x="9.7" y="9.9" width="4.6" height="3.6" rx="1" />
      <path d="M6.3 4.3H8a2 2 0 0 1 2 2v3.6" />
    </>
  ),
  run: <path d="M4.5 3v10l8-5z" />,
  model: <path d="m8 1.8 5.5 3.1v6.2L8 14.2l-5.5-3.1V4.9zM2.5 4.9 8 8l5.5-3.1M8 8v6.2" />,
  release: (
    <>
      <path d="M8.7 2H13.5v4.8L7.2 13.1a1.4 1.4 0 0 1-2 0L2.4 10.3a1.4 1.4 0 0 1 0-2z" />
      <circle cx="10.8" cy="4.8" r=".8" />
    </>
  ),
  deployment: (
    <>
      <path d="M8 10V2.5M5 5.2 8 2.3l3 2.9" />
      <path d="M2.5 10v3.2h11V10" />
    </>
  ),
  monitor: <path d="M1.5 8.5h3l1.8-5 3.2 9 1.9-4h3.1" />,
  "alert-bell": <path d="M4 11V7a4 4 0 0 1 8 0v4l1.2 1.2H2.8zM6.7 14.2h2.6" />,
  decision: <path d="M8 1.8v4.4M8 6.2 3.5 10v4M8 6.2l4.5 3.8v4M1.9 12.4l1.6 1.7 1.6-1.7M10.9 12.4l1.6 1.7 1.6-1.7" />,
  governance: <path d="M8 1.8 13.2 4v3.8c0 3-2.1 5.3-5.2 6.4-3.1-1.1-5.2-3.4-5.2-6.4V4z" />,
  ok: (
    <>
      <circle cx="8" cy="8" r="6.2" />
      <path d="m5.2 8.2 2 2 3.7-4.2" />
    </>
  ),
  watch: (
    <>
      <path d="M8 2.2 14.3 13.3H1.7z" />
      <path d="M8 6.5v3.2M8 11.3v.3" />
    </>
  ),
  alert: (
    <>
      <path class="filled" d="M5.4 1.7h5.2l3.7 3.7v5.2l-3.7 3.7H5.4l-3.7-3.7V5.4z" />
      <path class="knock" d="M8 4.6v4M8 10.9v.5" />
    </>
  ),
  unknown: (
    <>
      <circle cx="8" cy="8" r="6.2" stroke-dasharray="2.4 2.1" />
      <path d="M6.3 6.3a1.7 1.7 0 1 1 2.5 1.5c-.5.3-.8.6-.8 1.2M8 11.1v.3" />
    </>
  ),
  plain: <circle cx="8" cy="8" r="3" />,
  accent: <circle class="filled" cx="8" cy="8" r="3.6" />,
  search: (
    <>
      <circle cx="7" cy="7" r="4.5" />
      <path d="m10.4 10.4 3.6 3.6" />
    </>
  ),
  copy: (
    <>
      <rect x="5.5" y="5.5" width="8" height="8" rx="1.5" />
      <path d="M10.5 5.5V4A1.5 1.5 0 0 0 9 2.5H4A1.5 1.5 0 0 0 2.5 4v5A1.5 1.5 0 0 0 4 10.5h1.5" />
    </>
  ),
  sun: (
    <>
      <circle cx="8" cy="8" r="2.8" />
      <path d="M8 1.5v1.6M8 12.9v1.6M1.5 8h1.6M12.9 8h1.6M3.4 3.4l1.1 1.1M11.5 11.5l1.1 1.1M3.4 12.6l1.1-1.1M11.5 4.5l1.1-1.1" />
    </>
  ),
  moon: <path d="M13.3 9.6A5.7 5.7 0 0 1 6.4 2.7a5.7 5.7 0 1 0 6.9 6.9z" />,
  check: <path d="m3 8.5 3.2 3.2L13 4.5" />,
  close: <path d="m4 4 8 8M12 4l-8 8" />,
  arrow: <path d="M5.5 3 10.5 8l-5 5" />,
  loop: <path d="M12.8 6.5A5.2 5.2 0 0 0 3.3 5.8M3.2 9.5a5.2 5.2 0 0 0 9.5.7M3.1 2.8v3.1h3.1M12.9 13.2v-3.1H9.8" />,
  download: <path d="M8 2.5v7M5 6.8l3 3 3-3M2.8 13h10.4" />,
  bolt: <path d="M9 1.5 3.5 9H8l-1 5.5L12.5 7H8z" />,
  person: (
    <>
      <circle cx="8" cy="5.2" r="2.7" />
      <path d="M2.8 13.8c.4-2.9 2.5-4.4 5.2-4.4s4.8 1.5 5.2 4.4" />
    </>
  ),
  filter: <path d="M2 4h12M4.5 8h7M6.5 12h3" />,
  columns: (
    <>
      <rect x="2.2" y="2.7" width="11.6" height="10.6" rx="1.4" />
      <path d="M6.2 2.7v10.6M10 2.7v10.6" />
    </>
  ),
  bookmark: <path d="M4 2.3h8v11.4L8 10.6l-4 3.1z" />,
  compare: <path d="M2.5 12.5 6 7l3 3.5 4.5-7M2.5 5.5 6 9.5l3-5 4.5 7" />,
  star: <path d="m8 1.9 1.9 3.9 4.2.6-3 3 .7 4.2L8 11.6l-3.8 2 .7-4.2-3-3 4.2-.6z" />,
  folder: <path d="M1.8 3.5h4.4l1.4 1.7h6.6v7.8H1.8z" />,
  file: <path d="M3.5 1.8h6l3 3v9.4h-9zM9.5 1.8v3h3" />,
  trace: <path d="M2 3.5h9M4 8h8M6.5 12.5H14" />,
};

export function Icon({ name, size = 16 }: { name: IconName; size?: number }) {
  return (
    <svg class={`icon icon-${name}`} width={size} height={size} viewBox="0 0 16 16" aria-hidden="true" focusable="false">
      {DRAWN[name]}
    </svg>
  );
}

// SPDX-License-Identifier: Apache-2.0
// The left rail: the stations in the order of the loop, with the same words as the command line; below, who you are, whether
// the page is live, and light or dark.
import { useGet, useStream } from "../api.ts";
import { count } from "../format.ts";
import { choose, useTheme } from "../theme.ts";
import type { Me } from "../types.ts";
import { Icon, type IconName } from "./icons.tsx";
import { openPalette } from "./palette.tsx";

const STATIONS: [string, string, IconName, string[]][] = [
  ["/", "Home", "home", []],
  ["/datasets", "Data", "data", ["/snapshots", "/features"]],
  ["/pipelines", "Pipelines", "pipeline", ["/schedules", "/backfills", "/jobs"]],
  ["/runs", "Runs", "run", ["/experiments", "/compare", "/traces"]],
  ["/models", "Models", "model", []],
  ["/releases", "Releases", "release", []],
  ["/deployments", "Deployments", "deployment", ["/predictions"]],
  ["/monitors", "Monitoring", "monitor", []],
  ["/alerts", "Alerts", "alert-bell", []],
  ["/decisions", "Decisions", "decision", ["/triggers"]],
  ["/ledger", "Governance", "governance", ["/people", "/policies"]],
];

function isHere(path: string, root: string, more: string[]): boolean {
  if (root === "/") return path === "/";
  return [root, ...more].some((start) => path === start || path.startsWith(`${start}/`));
}

const mac = /Mac|iPhone|iPad/.test(navigator.platform);

export function Rail({ path }: { path: string }) {
  const me = useGet<Me>("/api/me").data;
  const stream = useStream();
  const theme = useTheme();
  const line = stream.line === "live" ? "Live" : stream.line === "lost" ? "Reconnecting" : "Connecting";
  return (
    <header class="rail">
      <a class="brand" href="/" aria-label="Mainstay, home">
        <svg width="22" height="22" viewBox="0 0 32 32" aria-hidden="true">
          <rect width="32" height="32" rx="7" />
          <path d="M16 6v20M16 8 7 24h18z" />
        </svg>
        <span>Mainstay</span>
      </a>
      <button type="button" class="rail-search" onClick={openPalette} title="Search by name, id or digest">
        <Icon name="search" size={14} />
        <span>Search</span>
        <kbd aria-hidden="true">{mac ? "⌘K" : "Ctrl K"}</kbd>
      </button>
      <nav aria-label="Stations">
        {STATIONS.map(([root, label, icon, more]) => (
          <a key={root} href={root} class="rail-link" aria-current={isHere(path, root, more) ? "page" : undefined} title={label}>
            <Icon name={icon} />
            <span>{label}</span>
          </a>
        ))}
      </nav>
      <div class="rail-foot">
        <p
          class={`rail-line line-${stream.line}`}
          role="status"
          title={stream.line === "live" ? "Ledger events arrive as they happen" : "The page asks again by itself"}
        >
          <i />
          <span>
            {line}
            {stream.last && stream.line === "live" ? ` · event ${count(stream.last.seq)}` : ""}
          </span>
        </p>
        <div class="rail-me">
          <Icon name="person" size={14} />
          <span class="rail-name" title={me?.roles?.join(", ")}>
            {me?.actor ?? "not signed in"}
          </span>
          <button
            type="button"
            class="button button-quiet icon-only"
            onClick={() => choose(theme === "dark" ? "light" : "dark")}
            aria-label={theme === "dark" ? "Switch to light" : "Switch to dark"}
            title={theme === "dark" ? "Light" : "Dark"}
          >
            <Icon name={theme === "dark" ? "sun" : "moon"} size={14} />
          </button>
        </div>
      </div>
    </header>
  );
}

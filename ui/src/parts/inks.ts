// SPDX-License-Identifier: Apache-2.0
// The page's colours, as a canvas wants them.

export interface Inks {
  ink: string;
  muted: string;
  grid: string;
  surface: string;
  accent: string;
  second: string;
  third: string;
  alert: string;
  watch: string;
  hatch: string;
}

export function inks(box: HTMLElement): Inks {
  const names = ["ink", "muted", "grid", "surface", "accent", "second", "third", "alert", "watch", "hatch"] as const;
  const found = coloursOf(box, names);
  return Object.fromEntries(names.map((name, index) => [name, found[index]])) as unknown as Inks;
}

/** What the page's colours are now. Custom properties with light-dark() only resolve when an element uses them as a colour. */
export function coloursOf(box: HTMLElement, names: readonly string[]): string[] {
  const probe = document.createElement("i");
  box.append(probe);
  const found = names.map((name) => {
    probe.style.color = `var(--${name})`;
    return getComputedStyle(probe).color;
  });
  probe.remove();
  return found;
}

export function faded(colour: string, alpha: number): string {
  const parts = /rgba?\(([^)]+)\)/
    .exec(colour)?.[1]
    ?.split(/[\s,/]+/)
    .filter(Boolean);
  return parts ? `rgba(${parts.slice(0, 3).join(",")},${alpha})` : colour;
}

// SPDX-License-Identifier: Apache-2.0
// States. `State` is health: exactly four, each with its own colour, icon, word and, for unknown, hatching.
// `Word` is any other state word (live, refused, succeeded): neutral text with a small coloured sign.
import { isHealth, kindWords, toneOf, type Tone } from "../format.ts";
import type { Maybe } from "../types.ts";
import { Icon, type IconName } from "./icons.tsx";

const WORDS: Record<string, string> = { insufficient: "not enough data", rolled_back: "rolled back", leased: "under way" };

export function State({ state, title, small = false }: { state: Maybe<string>; title?: string; small?: boolean }) {
  const health = isHealth(state) ? state : "unknown";
  return (
    <span
      class={`pill pill-${health}${small ? " pill-small" : ""}`}
      title={title ?? (health === "unknown" ? "Not enough data to say" : undefined)}
    >
      <Icon name={health} size={small ? 12 : 14} />
      {health}
    </span>
  );
}

export function Word({ word }: { word: Maybe<string> }) {
  const tone = toneOf(word);
  return (
    <span class={`pill word-pill tone-${tone}`}>
      <Icon name={tone} size={14} />
      {word ? (WORDS[word] ?? kindWords(word)) : "unknown"}
    </span>
  );
}

/** Whichever of the two the word is. */
export function AnyState({ state }: { state: Maybe<string> }) {
  return !state || isHealth(state) ? <State state={state} /> : <Word word={state} />;
}

/** The sign alone, with its word for those who cannot see it. */
export function Sign({ tone, label, size = 14 }: { tone: Tone; label: string; size?: number }) {
  return (
    <span class={`sign tone-${tone}`} title={label}>
      <Icon name={tone as IconName} size={size} />
      <span class="unseen">{label}</span>
    </span>
  );
}

// SPDX-License-Identifier: Apache-2.0
// What a part shows when it has nothing to show: an error's sentence, an empty page's purpose, a skeleton while loading.
import { Component, type ComponentChildren } from "preact";
import type { ApiError } from "../api.ts";
import { copyText } from "./words.tsx";
import { Icon } from "./icons.tsx";
import { useState } from "preact/hooks";

/** A sentence in which `commands` stand between backticks. */
export function Sentence({ text }: { text: string }) {
  return <>{text.split("`").map((part, index) => (index % 2 ? <code key={index}>{part}</code> : part))}</>;
}

export function ErrorNote({ error, what }: { error: ApiError | Error; what?: string }) {
  const kind = "kind" in error ? error.kind : "error";
  const request = "requestId" in error ? error.requestId : null;
  if (kind === "unauthenticated") {
    return (
      <Empty title="This browser is not signed in" command="mainstay open">
        <Sentence text={error.message} />
      </Empty>
    );
  }
  return (
    <div class="note note-error" role="alert">
      <Icon name="alert" />
      <div>
        {what && <b>{what}</b>}
        <p>
          <Sentence text={error.message} />
        </p>
        {request && <p class="quiet">request {request}</p>}
      </div>
    </div>
  );
}

export function Command({ text }: { text: string }) {
  const [done, setDone] = useState(false);
  const copy = async () => {
    setDone(await copyText(text));
    window.setTimeout(() => setDone(false), 1500);
  };
  return (
    <button type="button" class="command" onClick={copy} aria-label={`Copy command: ${text}`}>
      <code>{text}</code>
      <Icon name={done ? "check" : "copy"} size={14} />
    </button>
  );
}

/** An empty place says what it is for and the one command that makes the first. */
export function Empty({ title, children, command }: { title: string; children?: ComponentChildren; command?: string }) {
  return (
    <div class="empty">
      <h2 class="minor">{title}</h2>
      {children && <p>{children}</p>}
      {command && <Command text={command} />}
    </div>
  );
}

export function Skeleton({ rows = 4, tall = false }: { rows?: number; tall?: boolean }) {
  return (
    <div class={`skeleton${tall ? " skeleton-tall" : ""}`} role="status" aria-label="Loading">
      {Array.from({ length: rows }, (_, index) => (
        <span key={index} />
      ))}
    </div>
  );
}

/** A part that cannot be drawn says so, and leaves the rest of the page standing. */
export class Guard extends Component<{ children: ComponentChildren; name: string }, { failed: Error | null }> {
  override state = { failed: null as Error | null };

  override componentDidCatch(reason: unknown): void {
    console.error(reason);
    this.setState({ failed: reason instanceof Error ? reason : new Error(String(reason)) });
  }

  override componentDidUpdate(before: { name: string }): void {
    if (before.name !== this.props.name && this.state.failed) this.setState({ failed: null });
  }

  override render() {
    const { failed } = this.state;
    if (!failed) return this.props.children;
    return <ErrorNote error={failed} what={`“${this.props.name}” could not be drawn from what the server answered.`} />;
  }
}

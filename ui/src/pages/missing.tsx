// SPDX-License-Identifier: Apache-2.0
// An address that means nothing.
import { Empty } from "../parts/notice.tsx";

export function Missing({ path }: { path: string }) {
  return (
    <section>
      <h1>No such page</h1>
      <Empty title={`Nothing is at ${path}.`}>
        The search (Ctrl K) finds things by name, id or digest; <a href="/">Home</a> shows what is live.
      </Empty>
    </section>
  );
}

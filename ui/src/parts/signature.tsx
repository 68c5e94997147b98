// SPDX-License-Identifier: Apache-2.0
// A version's signature: which columns a request must have, which of the inputs are looked up or computed for it at the moment of
// asking, and what comes back.
import type { ComponentChildren } from "preact";
import { plain } from "../format.ts";
import type { Facts, Typed, VersionSignature } from "../types.ts";
import { Empty } from "./notice.tsx";
import { FactList, Id, PlainFacts, Subject } from "./words.tsx";

export function Signature({ signature }: { signature: unknown }) {
  if (typeof signature !== "object" || !signature)
    return (
      <Empty title="This version carries no signature">
        The signature says which columns a request must have and what comes back.
      </Empty>
    );
  const { inputs, output, views, transforms, sources, ...rest } = signature as VersionSignature & Facts;
  return (
    <div class="stack">
      {inputs !== undefined && <Inputs inputs={inputs} />}
      {output !== undefined && (
        <section>
          <h2>Gives</h2>
          <PlainFacts facts={{ type: output.type, ...output }} empty="Not on record." />
        </section>
      )}
      {(views ?? []).map((pin) => (
        <Made key={pin.view} title="Looked up" of={<Subject subject={`view:${pin.view}`}>{`${pin.view}/${pin.version}`}</Subject>}>
          {[
            ["makes", pin.columns.join(", ")],
            ["of each", typed(pin.entity)],
            ["digest", <Id key="digest" id={pin.digest} label="view digest" />],
          ]}
        </Made>
      ))}
      {(sources ?? []).map((pin) => (
        <Made key={pin.source} title="Asked elsewhere" of={pin.source}>
          {[
            ["makes", typed(pin.columns)],
            ["of each", typed(pin.entity)],
          ]}
        </Made>
      ))}
      {(transforms ?? []).map((one) => (
        <Made key={one.name} title="Computed when asked" of={<code>{one.name}</code>}>
          {[
            ["type", <code key="type">{one.type}</code>],
            ["made of", typed(one.inputs)],
          ]}
        </Made>
      ))}
      {Object.keys(rest).length > 0 && <PlainFacts facts={rest} empty="" />}
    </div>
  );
}

function typed(columns: Typed[]): string {
  return columns.map((one) => `${one.name} (${one.type})`).join(", ");
}

/** What makes some of the inputs, so that a request does not bring them. */
function Made({ title, of, children }: { title: string; of: ComponentChildren; children: [string, ComponentChildren][] }) {
  return (
    <section>
      <h2>
        {title}: {of}
      </h2>
      <FactList facts={children} />
    </section>
  );
}

function Inputs({ inputs }: { inputs: unknown }) {
  return (
    <section>
      <h2>Takes</h2>
      <div class="table-frame">
        <table aria-label="Takes">
          <thead>
            <tr>
              <th scope="col">Column</th>
              <th scope="col">Type</th>
              <th scope="col">Values</th>
            </tr>
          </thead>
          <tbody>
            {fieldsOf(inputs).map((field) => (
              <tr key={field.name}>
                <td>
                  <code>{field.name}</code>
                </td>
                <td>
                  <code>{field.type}</code>
                </td>
                <td class="wide quiet">{field.values || "any"}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}

function fieldsOf(part: unknown): { name: string; type: string; values: string }[] {
  const list = Array.isArray(part)
    ? part
    : typeof part === "object" && part
      ? Object.entries(part).map(([name, type]) => (typeof type === "object" && type ? { name, ...type } : { name, type }))
      : [];
  return list.map((field: unknown, index) => {
    const known = (typeof field === "object" && field ? field : { name: String(field) }) as Facts;
    return { name: String(known["name"] ?? `field ${index + 1}`), type: plain(known["type"]), values: valuesText(known) };
  });
}

const MOST_VALUES = 12;

/** What a column may hold, in words. */
function valuesText({ name: _name, type: _type, categories, minimum, maximum, nullable, required, ...rest }: Facts): string {
  const words: string[] = [];
  if (Array.isArray(categories) && categories.length) {
    words.push(
      categories.slice(0, MOST_VALUES).map(plain).join(", ") +
        (categories.length > MOST_VALUES ? ` … ${categories.length} values` : ""),
    );
  }
  if (minimum != null || maximum != null)
    words.push(`${minimum == null ? "…" : plain(minimum)} to ${maximum == null ? "…" : plain(maximum)}`);
  if (nullable === true) words.push("may be missing");
  if (required === false) words.push("may be left out");
  for (const [key, value] of Object.entries(rest))
    if (value !== null && value !== "" && !(Array.isArray(value) && !value.length)) words.push(`${key} ${plain(value)}`);
  return words.join(" · ");
}

// SPDX-License-Identifier: Apache-2.0
// An MLmodel file, as far as a reader wants to know it: what can load the model, what goes in and comes out. It reads the plain
// YAML that such files are written in (nested names, one value a line); whatever else it meets is left out, never guessed.

export type Plain = string | { [name: string]: Plain };

export interface ModelField {
  name: string;
  type: string;
}

export interface ModelFile {
  facts: [string, string][];
  flavors: { name: string; facts: [string, string][] }[];
  inputs: ModelField[];
  outputs: ModelField[];
}

/** Nested `name: value` lines as objects. Lists, anchors and the like are passed over. */
export function parsePlainYaml(text: string): { [name: string]: Plain } {
  const root: { [name: string]: Plain } = Object.create(null);
  const open: { indent: number; value: { [name: string]: Plain } }[] = [{ indent: -1, value: root }];
  let lastText: { into: { [name: string]: Plain }; name: string; indent: number } | null = null;
  for (const line of text.split("\n")) {
    if (!line.trim() || line.trimStart().startsWith("#")) continue;
    const indent = line.length - line.trimStart().length;
    const found = /^\s*("[^"]*"|'[^']*'|[^\s:'"-][^:]*):(?:\s+(.*))?$/.exec(line);
    if (lastText && indent > lastText.indent && (!found || isOpenQuote(lastText.into[lastText.name]))) {
      lastText.into[lastText.name] = `${lastText.into[lastText.name] as string} ${line.trim()}`; // a folded text goes on
      continue;
    }
    lastText = null;
    if (!found) continue;
    while ((open.at(-1)?.indent ?? -1) >= indent) open.pop();
    const into = open.at(-1)?.value ?? root;
    const name = bare(found[1] ?? "");
    const value = found[2]?.trim() ?? "";
    if (value === "" || value === "|" || value === ">") {
      const inner: { [name: string]: Plain } = Object.create(null);
      into[name] = inner;
      open.push({ indent, value: inner });
    } else {
      into[name] = value;
      lastText = { into, name, indent };
    }
  }
  return unquoted(root) as { [name: string]: Plain };
}

function isOpenQuote(value: Plain | undefined): boolean {
  if (typeof value !== "string" || !/^['"]/.test(value)) return false;
  const quote = value[0] ?? "'";
  return value.length === 1 || !value.endsWith(quote);
}

function unquoted(value: Plain): Plain {
  if (typeof value === "string") return bare(value);
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, unquoted(inner)]));
}

function bare(text: string): string {
  if (/^'.*'$/s.test(text)) return text.slice(1, -1).replaceAll("''", "'");
  if (!/^".*"$/s.test(text)) return text;
  try {
    return String(JSON.parse(text));
  } catch {
    return text.slice(1, -1);
  }
}

export function parseModelFile(text: string): ModelFile {
  const whole = parsePlainYaml(text);
  const { flavors, signature, ...rest } = whole;
  const sides = typeof signature === "object" ? signature : {};
  return {
    facts: texts(rest),
    flavors: Object.entries(typeof flavors === "object" ? flavors : {}).map(([name, facts]) => ({
      name,
      facts: typeof facts === "object" ? texts(facts) : [],
    })),
    inputs: fields(sides["inputs"]),
    outputs: fields(sides["outputs"]),
  };
}

function texts(facts: { [name: string]: Plain }): [string, string][] {
  return Object.entries(facts).flatMap(([name, value]): [string, string][] =>
    typeof value === "string"
      ? value === "null"
        ? []
        : [[name, value]]
      : texts(value).map(([inner, text]) => [`${name}.${inner}`, text]),
  );
}

/** A side of the signature is JSON in one line: columns by name, or tensors with a shape. */
function fields(side: Plain | undefined): ModelField[] {
  try {
    const found: unknown = JSON.parse(typeof side === "string" ? side : "[]");
    return Array.isArray(found) ? found.map((one, index) => field(one as Record<string, unknown>, index)) : [];
  } catch {
    return [];
  }
}

function field(one: Record<string, unknown>, index: number): ModelField {
  const tensor = one["tensor-spec"] as { dtype?: string; shape?: number[] } | undefined;
  const type = tensor ? `${tensor.dtype ?? "tensor"} (${(tensor.shape ?? []).join(", ")})` : String(one["type"] ?? "unknown");
  return { name: String(one["name"] ?? `${index + 1}`), type: one["required"] === false ? `${type}, may be missing` : type };
}

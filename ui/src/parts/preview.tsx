// SPDX-License-Identifier: Apache-2.0
// One file, looked at safely: pictures by their bytes, tables, text, model files, diffs. The bytes come as an attachment and are
// drawn by this page alone; markup in them is text. Whatever has no look can be downloaded.
import type { ComponentChildren } from "preact";
import { useEffect, useState } from "preact/hooks";
import { at, query, useGet } from "../api.ts";
import { parseDiff } from "../diff.ts";
import { bytes, count } from "../format.ts";
import { parseModelFile } from "../mlmodel.ts";
import { imageType, lookOf, MOST_IMAGE_BYTES, MOST_TEXT_BYTES, textOf, type Look } from "../preview.ts";
import { parseCsv, tableOfJson, type Tabular } from "../tabular.ts";
import type { Artifact } from "../types.ts";
import { DiffView } from "./diffview.tsx";
import { Icon } from "./icons.tsx";
import { ErrorNote, Skeleton } from "./notice.tsx";
import { Cells } from "./cells.tsx";
import { FactList, Id } from "./words.tsx";

export function Preview({ file }: { file: Artifact & { path: string } }) {
  const look = lookOf(file.path);
  const name = file.path.split("/").at(-1) ?? "artifact";
  return (
    <section aria-label={file.path}>
      <header class="panel-head">
        <h2 class="minor file-title">{file.path}</h2>
        <span class="quiet">{bytes(file.size)}</span>
        <Id id={file.digest} label="digest" />
        {file.digest && (
          <a class="button button-small push" href={`/api/blobs/${file.digest}`} download={name}>
            <Icon name="download" size={14} />
            Download
          </a>
        )}
      </header>
      {file.digest ? <Looked look={look} file={file} /> : <p class="quiet">The bytes of this file are not on record.</p>}
    </section>
  );
}

function Looked({ look, file }: { look: Look; file: Artifact & { path: string } }) {
  const size = file.size ?? 0;
  if (look === "none") return <NoLook>There is no preview of this kind of file.</NoLook>;
  if (look === "columnar") return <Columnar digest={file.digest ?? ""} />;
  if ((look === "image" || look === "svg") && size > MOST_IMAGE_BYTES)
    return <NoLook>Pictures over {bytes(MOST_IMAGE_BYTES)} are not drawn here.</NoLook>;
  const most = look === "image" || look === "svg" ? MOST_IMAGE_BYTES : MOST_TEXT_BYTES;
  return <Bytes digest={file.digest ?? ""} size={size} most={most} look={look} path={file.path} />;
}

function NoLook({ children }: { children: ComponentChildren }) {
  return <p class="quiet file-none">{children} Download it to look at it with a program of yours.</p>;
}

interface BytesProps {
  digest: string;
  size: number;
  most: number;
  look: Look;
  path: string;
}

function Bytes({ digest, size, most, look, path }: BytesProps) {
  const { data, error } = useBytes(digest, size, most);
  if (error) return <ErrorNote error={error} />;
  if (!data) return <Skeleton rows={6} />;
  const isCut = size > data.length;
  if (look === "image") {
    const type = imageType(data);
    return type ? (
      <Picture bytes={data} type={type} path={path} />
    ) : (
      <NoLook>Its bytes are no picture that a browser draws.</NoLook>
    );
  }
  const text = textOf(data);
  if (text === null) return <NoLook>It holds bytes that are not text.</NoLook>;
  // As an <img> an SVG can neither run a script nor fetch anything.
  if (look === "svg") return <Picture bytes={data} type="image/svg+xml" path={path} />;
  return <Written text={text} isCut={isCut} look={look} />;
}

/** The first `most` bytes of a blob. */
function useBytes(digest: string, size: number, most: number): { data: Uint8Array | null; error: Error | null } {
  const [found, setFound] = useState<{ data: Uint8Array | null; error: Error | null }>({ data: null, error: null });
  useEffect(() => {
    const stop = new AbortController();
    const headers: Record<string, string> = size > most ? { range: `bytes=0-${most - 1}` } : {};
    fetch(at("/api/blobs", digest), { credentials: "same-origin", headers, signal: stop.signal })
      .then(async (answer) => {
        if (!answer.ok) throw new Error(await sentence(answer));
        const all = new Uint8Array(await answer.arrayBuffer());
        setFound({ data: all.subarray(0, most), error: null });
      })
      .catch((reason: unknown) => {
        if (!stop.signal.aborted) setFound({ data: null, error: reason instanceof Error ? reason : new Error(String(reason)) });
      });
    return () => stop.abort();
  }, [digest, most]);
  return found;
}

async function sentence(answer: Response): Promise<string> {
  const body = (await answer.json().catch(() => null)) as { error?: { message?: string } } | null;
  return body?.error?.message ?? `The server answered ${answer.status} and no sentence.`;
}

function Picture({ bytes: data, type, path }: { bytes: Uint8Array; type: string; path: string }) {
  const [source, setSource] = useState("");
  const [size, setSize] = useState("");
  useEffect(() => {
    const reader = new FileReader();
    reader.onload = () => setSource(String(reader.result));
    reader.readAsDataURL(new Blob([data as BlobPart], { type }));
    return () => reader.abort();
  }, [data, type]);
  if (!source) return <Skeleton rows={6} />;
  return (
    <figure class="picture">
      <img
        src={source}
        alt={path}
        onLoad={(event) => setSize(`${event.currentTarget.naturalWidth} × ${event.currentTarget.naturalHeight}`)}
        onError={() => setSize("The browser cannot draw it: the file is damaged or not what its name says.")}
      />
      <figcaption class="quiet">{size}</figcaption>
    </figure>
  );
}

function Written({ text, isCut, look }: { text: string; isCut: boolean; look: Look }) {
  if (look === "csv" || look === "tsv") {
    const table = parseCsv(text, { separator: look === "tsv" ? "\t" : ",", isCut });
    return table ? <Grid table={table} /> : <Text text={text} isCut={isCut} />;
  }
  if (look === "json" && !isCut) return <Json text={text} />;
  if (look === "diff") return <DiffView files={parseDiff(text)} isCut={isCut} />;
  if (look === "model") return <ModelFileView text={text} isCut={isCut} />;
  return (
    <>
      {look === "html" && (
        <p class="quiet file-note">HTML is shown as text: a page that somebody logged is never drawn inside this one.</p>
      )}
      <Text text={text} isCut={isCut} />
    </>
  );
}

function Json({ text }: { text: string }) {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (reason) {
    return (
      <>
        <p class="quiet file-note">It is not JSON: {reason instanceof Error ? reason.message : String(reason)}</p>
        <Text text={text} isCut={false} />
      </>
    );
  }
  const table = tableOfJson(value);
  return table ? <Grid table={table} /> : <Text text={JSON.stringify(value, null, 2)} isCut={false} />;
}

function Text({ text, isCut }: { text: string; isCut: boolean }) {
  return (
    <>
      <pre class="file-text" tabIndex={0}>
        {text}
      </pre>
      {isCut && <p class="quiet file-note">The first {bytes(MOST_TEXT_BYTES)}; the file goes on.</p>}
    </>
  );
}

function Grid({ table, total }: { table: Tabular; total?: number }) {
  return (
    <>
      <Cells columns={table.columns} rows={table.rows} label="Rows of the file" />
      <p class="quiet file-note">
        {table.isCut
          ? `The first ${count(table.rows.length)} rows${total === undefined ? "; the file goes on" : ` of ${count(total)}`}.`
          : `${count(table.rows.length)} rows, all of them.`}
      </p>
    </>
  );
}

interface ColumnarAnswer {
  columns: { name: string; type: string }[];
  rows: unknown[][];
  rows_total: number | null;
}

function Columnar({ digest }: { digest: string }) {
  const { data, error } = useGet<ColumnarAnswer>(query(at("/api/previews", digest), { limit: 200 }));
  if (error) return <ErrorNote error={error} />;
  if (!data) return <Skeleton rows={6} />;
  const total = data.rows_total ?? data.rows.length;
  const columns = data.columns.map((column) => column.name);
  return (
    <>
      <Cells columns={columns} types={data.columns.map((column) => column.type)} rows={data.rows} label="Rows of the file" />
      <p class="quiet file-note">
        {total > data.rows.length
          ? `The first ${count(data.rows.length)} rows of ${count(total)}.`
          : `${count(total)} rows, all of them.`}
      </p>
    </>
  );
}

function ModelFileView({ text, isCut }: { text: string; isCut: boolean }) {
  const model = parseModelFile(text);
  return (
    <div class="stack model-file">
      {model.inputs.length + model.outputs.length > 0 && (
        <div class="pair">
          <Fields title="Goes in" fields={model.inputs} />
          <Fields title="Comes out" fields={model.outputs} />
        </div>
      )}
      {model.flavors.map((flavor) => (
        <section key={flavor.name}>
          <h3>Loaded by {flavor.name.replaceAll("_", " ")}</h3>
          <FactList facts={flavor.facts.map(([name, value]) => [name, <code key={name}>{value}</code>])} />
        </section>
      ))}
      {model.facts.length > 0 && (
        <section>
          <h3>The file</h3>
          <FactList facts={model.facts} />
        </section>
      )}
      <details>
        <summary>As written</summary>
        <Text text={text} isCut={isCut} />
      </details>
    </div>
  );
}

function Fields({ title, fields }: { title: string; fields: { name: string; type: string }[] }) {
  return (
    <section>
      <h3>{title}</h3>
      {fields.length ? (
        <FactList facts={fields.map((field) => [field.name, <code key={field.name}>{field.type}</code>])} />
      ) : (
        <p class="quiet">Not on record.</p>
      )}
    </section>
  );
}

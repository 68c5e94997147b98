// SPDX-License-Identifier: Apache-2.0
// A model version: what it scored, what it takes and gives, which data it learned from, its files and card, where it went.
import { at, useGet } from "../api.ts";
import { days, figure, shortId } from "../format.ts";
import { Act } from "../parts/act.tsx";
import { Candidate } from "../parts/candidate.tsx";
import { FileTree } from "../parts/filetree.tsx";
import { Markdown } from "../parts/markdown.tsx";
import { Command, Empty, ErrorNote, Skeleton } from "../parts/notice.tsx";
import { ObjectPage } from "../parts/objectpage.tsx";
import { Sign } from "../parts/pill.tsx";
import { Reproduced } from "../parts/reproduced.tsx";
import { Signature } from "../parts/signature.tsx";
import { SourceWarnings } from "../parts/sourcewarnings.tsx";
import { Weights, weightsIn } from "../parts/weights.tsx";
import { FactList, Id, Person, PlainFacts, Subject, Unknown, Value, When } from "../parts/words.tsx";
import { go } from "../router.ts";
import type { Deployment, Page, Version } from "../types.ts";
import { metricNames, metricOf } from "./model.tsx";

export function VersionPage({ name, number }: { name: string; number: string }) {
  const { data, error } = useGet<Version>(at("/api/models", name, "versions", number));
  const deployments =
    useGet<Page<Deployment>>("/api/deployments").data?.items.filter((deployment) => deployment.model === name) ?? [];
  const id = `${name}/${number}`;
  return (
    <ObjectPage
      subject={`version:${id}`}
      kind="Version"
      name={id}
      plainName={id}
      state={data?.state}
      made={data?.created_at}
      loading={!data}
      error={error}
      aside={
        <>
          <span>
            format <b>{data?.format ?? "unknown"}</b>
          </span>
          <span>
            age <b>{days(data?.age_days)}</b>
          </span>
          {data?.aliases?.map((alias) => (
            <span key={alias}>
              alias <b>{alias}</b>
            </span>
          ))}
          <Id id={data?.digest} label="digest" />
        </>
      }
      above={
        data && (
          <>
            {data.description && <p class="lead">{data.description}</p>}
            <Marks version={data} />
            <Reproduced run={data.run_id} />
            <SourceWarnings warnings={data.warnings} />
          </>
        )
      }
      acts={
        <>
          {data && !data.is_reference && <Candidate version={id} />}
          {data?.needs_pickle && !data.permission && <AllowPickle name={name} number={number} />}
          {deployments.length > 0 && !data?.is_reference && (
            <Act
              label="Release"
              title={`Release ${id}`}
              tone="primary"
              path={at("/api/deployments", deployments[0]?.name ?? "", "releases")}
              body={{ model: name, version: Number(number) }}
              cli={`mainstay release ${name}@${number} --to ${deployments[0]?.name}`}
              done={(answer) => goToRelease(answer)}
              preview={
                <p>
                  The gate of <b>{deployments[0]?.name}</b> judges {id} against what is live. If it passes, it waits for approval;
                  then the rollout begins.
                </p>
              }
            />
          )}
        </>
      }
      tabs={[
        { id: "metrics", label: "Metrics", body: () => data && <Metrics version={data} /> },
        { id: "signature", label: "Signature", body: () => <Signature signature={data?.signature} /> },
        { id: "origin", label: "Origin", body: () => data && <Origin version={data} /> },
        { id: "files", label: "Files", count: Object.keys(data?.files ?? {}).length, body: () => <Files files={data?.files} /> },
        { id: "card", label: "Model card", body: () => <Card name={name} number={number} /> },
      ]}
    />
  );
}

function goToRelease(answer: unknown): void {
  const release = answer as { deployment?: string; number?: number } | null;
  if (release?.deployment && release.number) go(`/releases/${release.deployment}/${release.number}`);
}

function Metrics({ version }: { version: Version }) {
  const names = metricNames([version]);
  const weights = weightsIn(version.metrics);
  if (!names.length) return <Empty title="This version carries no metric" />;
  return (
    <>
      <p class="quiet">
        {version.evaluation_blob
          ? "On its own later-in-time holdout, rows it has not learned from."
          : "As its run told them; no scores on rows it has not learned from are kept."}
      </p>
      <div class="tiles">
        {names.map((name) => {
          const { value, lo, hi } = metricOf(version, name);
          return (
            <div class="tile" key={name}>
              <span>{name}</span>
              <b>{figure(value)}</b>
              {lo !== null && hi !== null && (
                <small title="95 % interval">
                  [{figure(lo)}, {figure(hi)}]
                </small>
              )}
            </div>
          );
        })}
      </div>
      {weights.length > 0 && (
        <section>
          <h2>What it leans on</h2>
          <Weights weights={weights} />
        </section>
      )}
    </>
  );
}

function Origin({ version }: { version: Version }) {
  const snapshots = (version.snapshots ?? []).map((one) => (typeof one === "string" ? { id: one, role: "" } : one));
  return (
    <div class="stack">
      <FactList
        facts={[
          ["run", version.run_id ? <Subject subject={`run:${version.run_id}`}>{shortId(version.run_id)}</Subject> : <Unknown />],
          [
            "snapshots",
            snapshots.length ? (
              snapshots.map((one) => (
                <span key={`${one.id}${one.role}`} class="gap-right">
                  <Subject subject={`snapshot:${one.id}`} />
                  {one.role && <span class="quiet"> {one.role}</span>}
                </span>
              ))
            ) : (
              <Unknown />
            ),
          ],
          [
            "releases",
            version.releases?.length ? (
              version.releases.map((release) => (
                <span key={release} class="gap-right">
                  <Subject subject={`release:${release}`} />
                </span>
              ))
            ) : (
              <span class="quiet">never released</span>
            ),
          ],
          ["source", version.source ? <code>{version.source}</code> : <span class="quiet">its run</span>],
          ["environment", <Value value={version.environment} />],
        ]}
      />
      <section>
        <h2>Tags</h2>
        <PlainFacts facts={version.tags} empty="No tags." />
      </section>
    </div>
  );
}

function Files({ files }: { files: Version["files"] }) {
  const kept = Object.entries(files ?? {}).map(([path, file]) =>
    typeof file === "string" ? { path, digest: file } : { path, ...file },
  );
  if (!kept.length) return <Empty title="No file is recorded" />;
  return <FileTree files={kept} />;
}

/** What a reader must know before relying on the version. */
function Marks({ version }: { version: Version }) {
  return (
    <>
      {version.is_reference && (
        <p class="mark">
          <Sign tone="unknown" label="reference" /> Only a reference: its bytes are at{" "}
          <code>{version.source || "another place"}</code> and not here, so it can be looked up and never released.
        </p>
      )}
      {version.needs_pickle && (
        <p class="mark">
          <Sign tone="watch" label="needs unpickling" /> Loading it means unpickling, which runs whatever code its bytes hold.{" "}
          {version.permission ? (
            <>
              Allowed by <Person name={version.permission.actor} /> <When at={version.permission.at} />:{" "}
              {version.permission.reason}
            </>
          ) : (
            "Until an admin allows it, with a reason, it cannot be released."
          )}
        </p>
      )}
    </>
  );
}

function AllowPickle({ name, number }: { name: string; number: string }) {
  return (
    <Act
      label="Allow unpickling"
      title={`Allow ${name}/${number} to be unpickled`}
      tone="danger"
      path={at("/api/models", name, "permissions")}
      body={{ permission: "allow_pickle", version: Number(number) }}
      preview={
        <p>
          Gateways and workers may then load this version's bytes, and whatever code is in them runs there. The permission, your
          name and the reason are on record and shown with each release.
        </p>
      }
    />
  );
}

function Card({ name, number }: { name: string; number: string }) {
  const { data, error } = useGet<{ markdown?: string }>(at("/api/models", name, "versions", number, "card"));
  if (error) return <ErrorNote error={error} />;
  if (!data) return <Skeleton rows={8} />;
  return (
    <>
      <p class="quiet">A draft from the record; what only people know is left to be written.</p>
      <Markdown text={data.markdown ?? ""} />
      <Command text={`mainstay models card ${name}/${number}`} />
    </>
  );
}

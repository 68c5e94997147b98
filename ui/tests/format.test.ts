// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  ago,
  alike,
  bytes,
  count,
  decimal,
  duration,
  figure,
  interval,
  percent,
  period,
  plain,
  reading,
  releaseHref,
  releaseId,
  share,
  shortId,
  shortPeriod,
  signed,
  subjectHref,
  subjectName,
  toneOf,
  versionId,
  worst,
} from "../src/format.ts";

test("a missing number is said to be unknown and never shown as 0", () => {
  for (const write of [count, decimal, percent, bytes, duration, figure]) {
    assert.equal(write(null), "unknown");
    assert.equal(write(undefined), "unknown");
    assert.equal(write(Number.NaN), write === figure ? "NaN" : "unknown");
  }
  assert.equal(interval(null, 0.1, 0.2), "unknown");
});

test("an interval is shown only when both ends are known", () => {
  assert.equal(interval(0.7031, 0.69, 0.716), "0.703 [0.690, 0.716]");
  assert.equal(interval(0.7031, 0.69, null), "0.703");
});

test("small shares keep a digit more than large ones", () => {
  assert.equal(percent(0.62), "62 %");
  assert.equal(percent(0.004), "0.4 %");
  assert.equal(percent(0), "0 %");
});

test("a share of traffic reads the same as part, percent and basis points", () => {
  assert.equal(share(0.1), "10 %");
  assert.equal(share(10), "10 %");
  assert.equal(share(1000), "10 %");
  assert.equal(share(1), "100 %");
});

test("durations use the unit that a person would", () => {
  assert.equal(duration(0.0384), "38 ms");
  assert.equal(duration(2.44), "2.4 s");
  assert.equal(duration(185), "3 min 5 s");
  assert.equal(duration(7800), "2 h 10 min");
  assert.equal(duration(12 * 86_400), "12 d");
});

test("past and future moments are told apart", () => {
  const now = Date.parse("2013-06-12T12:00:00Z");
  assert.equal(ago("2013-06-12T11:56:00Z", now), "4 min ago");
  assert.equal(ago("2013-06-15T12:00:00Z", now), "in 3 d");
  assert.equal(ago("not a time", now), "unknown");
});

test("a whole calendar month is called by its name, whichever way its end is written", () => {
  assert.equal(period("2013-03-01T00:00:00Z", "2013-04-01T00:00:00Z"), "Mar 2013");
  assert.equal(period("2013-03-01T00:00:00Z", "2013-03-31T23:59:59.999Z"), "Mar 2013");
  assert.equal(period("2013-03-04T00:00:00Z", "2013-03-05T00:00:00Z"), "4 Mar 2013");
  assert.equal(period("2013-03-04T00:00:00Z", "2013-03-11T00:00:00Z"), "4 Mar – 10 Mar 2013");
  assert.equal(shortPeriod("2013-12-01T00:00:00Z", "2014-01-01T00:00:00Z"), "Dec");
});

test("two ids made in the same second are still told apart when shortened", () => {
  const one = "0193a2b4aaaa7bbb8ccccccccccc1111";
  const other = "0193a2b4aaaa7bbb8ccccccccccc2222";
  assert.notEqual(shortId(one), shortId(other));
  assert.equal(shortId("flights#7"), "flights#7");
});

test("every kind of subject leads to its page", () => {
  assert.equal(subjectHref("release:flights#7"), "/releases/flights/7");
  assert.equal(subjectHref("version:flights-late/3"), "/models/flights-late/3");
  assert.equal(subjectHref("snapshot:flights@3"), "/snapshots/flights@3");
  assert.equal(subjectHref("person:ana"), "/people");
  assert.equal(subjectHref("nonsense"), null);
  assert.equal(subjectHref(null), null);
  assert.equal(releaseHref("flights#12"), "/releases/flights/12");
  assert.equal(subjectName("version:flights-late/3"), "flights-late/3");
});

test("a version or release is named whole, whether the API gives its id or its number", () => {
  assert.equal(versionId(3, "flights-late"), "flights-late/3");
  assert.equal(versionId("flights-late/3", "other"), "flights-late/3");
  assert.equal(releaseId(2, "flights"), "flights#2");
  assert.equal(releaseId(null, "flights"), null);
});

test("unknown is worse than ok and less than a sign of trouble", () => {
  assert.equal(worst(["ok", "unknown"]), "unknown");
  assert.equal(worst(["unknown", "watch"]), "watch");
  assert.equal(worst(["ok", "ok"]), "ok");
  assert.equal(worst([]), "unknown");
});

test("insufficient data is never drawn as ok, and a new state word stays neutral", () => {
  assert.equal(toneOf("insufficient"), "unknown");
  assert.equal(toneOf(undefined), "unknown");
  assert.equal(toneOf("some_new_state"), "plain");
});

test("the numbers of a column get the same number of digits", () => {
  const write = alike([0.69, 0.7061]);
  assert.equal(write(0.69), "0.690");
  assert.equal(write(null), "–");
  assert.equal(alike([12_000, 5])(12_000), "12,000");
});

test("facts are written plainly", () => {
  assert.equal(plain(true), "yes");
  assert.equal(plain([]), "none");
  assert.equal(plain(["a", "b"]), "a, b");
  assert.equal(plain("2013-12-01T00:00:00Z"), "1 Dec 2013 00:00:00 UTC");
  assert.equal(signed(0.0237), "+0.024");
  assert.equal(signed(-0.1, 1), "−0.1");
  assert.equal(bytes(812_331), "812 kB");
});

test("a metric that is no number says so, and an infinite one has its sign", () => {
  assert.deepEqual(
    [null, "Infinity", "-Infinity", undefined, 0.25].map((value) => reading(value)),
    ["not a number", "∞", "−∞", "–", "0.25"],
  );
});

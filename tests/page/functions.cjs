// SPDX-License-Identifier: Apache-2.0
// What the console's page makes of a decision, without a browser. Expected values are worked by hand.
"use strict";
const assert = require("node:assert/strict");
const page = require("../../console/page/page.js");

const weights = { locality: 30, devices: 25, fragmentation: 15, network: 10, compute: 10, interference: 5, freshness: 5 };
const admitted = (name, terms) => ({ name, verdict: "Admitted", reason: "", containers: [], terms, weights });
const rejected = (name, reason, message) => ({ name, verdict: "Rejected", reason, ...(message && { message, containers: [] }) });

const tests = {
  "a score is the sum of its parts"() {
    // locality 1000 * 30, fragmentation 677 * 15, interference 1000 * 5, freshness 500 * 5, over 55: 866.5
    const node = admitted("a", { locality: 1000, fragmentation: 677, interference: 1000, freshness: 500 });
    const parts = page.partsOf(node, { nodes: [node] });
    assert.deepEqual(parts.map((p) => p.term), ["locality", "fragmentation", "interference", "freshness"]);
    assert.equal(parts.reduce((s, p) => s + p.percent, 0).toFixed(2), "86.65");
    assert.equal(parts[0].percent.toFixed(2), "54.55");
  },
  "a term that only another node has counts 500, one of a rejected node does not count"() {
    const a = admitted("a", { locality: 1000 }), b = admitted("b", { locality: 400, devices: 100 });
    const c = { ...rejected("c", "TopologyAffinityError"), terms: { network: 3 } };
    const parts = page.partsOf(a, { nodes: [a, b, c] });
    assert.deepEqual(parts.map((p) => [p.term, p.permille, p.lacking]), [["locality", 1000, false], ["devices", 500, true]]);
    assert.deepEqual(page.partsOf(c, { nodes: [a, b, c] }), []);
  },
  "reasons are counted, the most frequent first, with one message each"() {
    const nodes = [rejected("a", "NumaExclusive"), rejected("b", "TopologyAffinityError"),
      rejected("c", "TopologyAffinityError", "zone 0: cpu needs 8, free 6 of 16"), admitted("d", {}),
      { name: "e", verdict: "Unknown", reason: "" }];
    assert.deepEqual(page.reasonsOf({ nodes }), [
      { reason: "TopologyAffinityError", verdict: "Rejected", nodes: 2, message: "zone 0: cpu needs 8, free 6 of 16" },
      { reason: "NumaExclusive", verdict: "Rejected", nodes: 1, message: "" },
      { reason: "not judged", verdict: "Unknown", nodes: 1, message: "" }]);
    assert.deepEqual(page.bareGroups({ nodes }), [
      { verdict: "Rejected", reason: "NumaExclusive", names: ["a"] },
      { verdict: "Rejected", reason: "TopologyAffinityError", names: ["b"] },
      { verdict: "Unknown", reason: "", names: ["e"] }]);
  },
  "one sentence says what came of it"() {
    const d = (best, a, r, u) => page.sentenceOf({ best, admitted: a, rejected: r, unknown: u });
    assert.equal(d("n", 1, 0, 0), "n is best. 1 of 1 node admits it.");
    assert.equal(d("n", 6, 1, 0), "n is best. 6 of 7 nodes admit it, 1 rejects it.");
    assert.equal(d(null, 0, 7, 2), "None of 9 nodes admits it: 7 reject it, 2 are unknown.");
  },
  "devices are told by zone"() {
    assert.equal(page.devicesText({ "nvidia.com/gpu": { 0: 2, 1: 1 }, "a/b": { any: 3 } }),
      "nvidia.com/gpu: 2 in zone 0, 1 in zone 1; a/b: 3");
    assert.equal(page.devicesText(undefined), "");
  },
  "a page bears two hundred names"() {
    const names = Array.from({ length: 203 }, (_, i) => `n${i}`);
    assert.ok(page.namesText(names).endsWith("n199 and 3 more"));
    assert.equal(page.namesText(["a", "b"]), "a, b");
  },
  "a metric is read where it stands alone in its line"() {
    const text = "# HELP a_total b\na_total 7\na_total_more 8\nb{x=\"y\"} 9\n";
    assert.equal(page.metric(text, "a_total"), 7);
    assert.equal(page.metric(text, "b"), null);
  },
};

let failed = 0;
for (const [name, test] of Object.entries(tests)) {
  try {
    test();
    console.log(`ok    ${name}`);
  } catch (e) {
    failed++;
    console.log(`FAIL  ${name}: ${e.message}`);
  }
}
process.exit(failed ? 1 : 0);

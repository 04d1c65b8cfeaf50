// SPDX-License-Identifier: Apache-2.0
// The console's page: what kube-scheduler asked, what it was told, and why. It reads the console's own
// JSON (docs/reference/explain.schema.json) and writes nothing. Text from the cluster reaches the page
// as text nodes only.
"use strict";

const terms = ["locality", "devices", "network", "compute", "fragmentation", "interference", "freshness"];
const everyMs = 2000;

/* ---- what is shown, from what was read: no document here ---- */

/** Reasons of nodes that are not admitted, most frequent first: {reason, verdict, nodes, message}. */
function reasonsOf(decision) {
  const byReason = new Map();
  for (const node of decision.nodes) {
    if (node.verdict === "Admitted") continue;
    const key = `${node.verdict} ${node.reason}`;
    const seen = byReason.get(key) || { reason: node.reason || "not judged", verdict: node.verdict, nodes: 0, message: "" };
    seen.nodes++;
    seen.message = seen.message || node.message || "";
    byReason.set(key, seen);
  }
  return [...byReason.values()].sort((a, b) => b.nodes - a.nodes || (a.reason < b.reason ? -1 : 1));
}

/**
 * The parts of a node's score in percent of the whole bar: {term, permille, weight, percent, lacking}.
 * As docs/scoring.md has it: a term that no admitted node has is dropped, one that only this node
 * lacks counts 500.
 */
function partsOf(node, decision) {
  if (node.verdict !== "Admitted" || !node.weights) return [];
  const known = (n, term) => n.verdict === "Admitted" && n.terms && term in n.terms;
  const counted = terms.filter((t) => node.weights[t] > 0 && decision.nodes.some((n) => known(n, t)));
  const sum = counted.reduce((s, t) => s + node.weights[t], 0);
  return counted.map((term) => {
    const lacking = !known(node, term);
    const permille = lacking ? 500 : node.terms[term];
    return { term, permille, weight: node.weights[term], percent: (node.weights[term] * permille) / sum / 10, lacking };
  });
}

/** One sentence about the whole. */
function sentenceOf(d) {
  const all = d.admitted + d.rejected + d.unknown;
  const nodes = `${all} ${all === 1 ? "node" : "nodes"}`;
  const others = [d.rejected && `${d.rejected} ${d.rejected === 1 ? "rejects" : "reject"} it`,
    d.unknown && `${d.unknown} ${d.unknown === 1 ? "is" : "are"} unknown`].filter(Boolean).join(", ");
  if (d.best === null) return `None of ${nodes} admits it${others && `: ${others}`}.`;
  return `${d.best} is best. ${d.admitted} of ${nodes} ${d.admitted === 1 ? "admits" : "admit"} it${others && `, ${others}`}.`;
}

/** What more than a verdict is kept of. */
function isDetailed(node) {
  return node.containers !== undefined;
}

/** The nodes of which a verdict alone is kept, by verdict and reason: {verdict, reason, names}. */
function bareGroups(decision) {
  const groups = new Map();
  for (const node of decision.nodes.filter((n) => !isDetailed(n))) {
    const key = `${node.verdict} ${node.reason}`;
    if (!groups.has(key)) groups.set(key, { verdict: node.verdict, reason: node.reason, names: [] });
    groups.get(key).names.push(node.name);
  }
  return [...groups.values()];
}

/** {"nvidia.com/gpu": {"0": 2}} as "nvidia.com/gpu: 2 in zone 0". */
function devicesText(devices) {
  return Object.entries(devices || {})
    .map(([name, zones]) =>
      `${name}: ` + Object.entries(zones).map(([z, n]) => (z === "any" ? `${n}` : `${n} in zone ${z}`)).join(", "))
    .join("; ");
}

/** At most so many names that a page can bear. */
function namesText(names) {
  const most = 200;
  return names.slice(0, most).join(", ") + (names.length > most ? ` and ${names.length - most} more` : "");
}

/** The value of a metric without labels in Prometheus' text, null when it is not there. */
function metric(text, name) {
  const found = new RegExp(`^${name} (\\S+)$`, "m").exec(text);
  return found ? Number(found[1]) : null;
}

function clock(time) {
  const d = new Date(time);
  return isNaN(d) ? time : d.toLocaleTimeString();
}

/* ---- the document ---- */

/** An element; text and other children as they are, false and null left out. */
function el(name, attributes, ...children) {
  const e = document.createElement(name);
  for (const [key, value] of Object.entries(attributes || {})) {
    if (value !== false && value !== null && value !== undefined) e.setAttribute(key, value === true ? "" : String(value));
  }
  e.append(...children.flat().filter((c) => c !== false && c !== null && c !== undefined));
  return e;
}

const verdictClass = { Admitted: "yes", Rejected: "no", Unknown: "maybe" };

function splitBar(d) {
  const bar = el("span", { class: "split", "aria-hidden": "true" });
  for (const [n, fill] of [[d.admitted, "fill-yes"], [d.unknown, "fill-maybe"], [d.rejected, "fill-no"]]) {
    if (n === 0) continue;
    const part = el("span", { class: fill });
    part.style.flexGrow = n;
    bar.append(part);
  }
  return bar;
}

function listItem(d, chosen) {
  return el("li", null,
    el("a", { href: `#${d.decision}`, "aria-current": d.decision === chosen },
      el("span", { class: "pod" }, d.pod),
      el("span", { class: "under" },
        el("span", { class: d.best === null ? "no" : "" }, d.best === null ? "no node" : d.best),
        el("span", { class: "number", title: "admitted, rejected, unknown" }, `${d.admitted} / ${d.rejected} / ${d.unknown}`)),
      el("span", { class: "under" }, el("span", null, clock(d.time)),
        el("span", null, d.mode === "Shadow" ? "Shadow" : "", d.contradicted ? " the kubelet refused it" : "")),
      splitBar(d)));
}

function scoreBar(node, decision) {
  const parts = partsOf(node, decision);
  const words = parts.map((p) => `${p.term} ${p.permille} (weight ${p.weight})${p.lacking ? ", not known here" : ""}`).join("; ");
  const bar = el("span", { class: "bar", role: "img", "aria-label": words, title: words });
  for (const p of parts) {
    const part = el("span", { class: `t-${p.term}` });
    part.style.width = `${p.percent}%`;
    bar.append(part);
  }
  return bar;
}

function table(head, rows) {
  return el("div", { class: "wide" }, el("table", null,
    el("thead", null, el("tr", null, head.map((h) => el("th", { scope: "col" }, h)))),
    el("tbody", null, rows.map((row) => el("tr", null, row.map((cell) => el("td", null, cell)))))));
}

function containersTable(node) {
  return table(["container", "zones", "CPUs", "memory zones", "devices"], node.containers.map((c) => [
    c.name + (c.init ? " (init)" : ""),
    el("code", null, c.zones.length ? c.zones.join(", ") : "any"),
    el("code", null, c.cpus || "shared"),
    el("code", null, c.memoryZones.join(", ") || "any"),
    devicesText(c.devices) || "none"]));
}

function termsTable(node, decision) {
  return table(["term", "permille", "weight", "from"], partsOf(node, decision).map((p) => [
    p.term, el("span", { class: "number" }, p.lacking ? "500 (not known here)" : p.permille),
    el("span", { class: "number" }, p.weight), (node.weightSource || {})[p.term] || ""]));
}

/** What else there is to say of a node, a sentence each. */
function remarksOf(node) {
  const list = (what, names) => (names && names.length ? `${what}: ${names.join(", ")}` : null);
  return [
    node.message || null,
    list("It would be admitted without", node.wouldFitWithout),
    list("Taken for granted, as the node does not say it", node.assumed),
    list("Pods whose zones nobody knows", node.unplacedPods),
    list("Signals too old to count", node.staleSignals),
    node.offered === false ? `kube-scheduler does not offer it: ${node.notOffered}` : null,
    node.refusedByPolicy ? "It is not known, and the policy rejects what is not." : null,
    node.heldFor ? `The score is lowered for ${node.heldFor} other pods on their way here.` : null,
    node.doubted ? "The score is the lowest: its kubelet has lately refused a pod that it was to admit." : null,
    node.decided ? "This node alone got a score: extender.decide is on." : null,
  ].filter(Boolean);
}

function nodeBox(node, decision, open) {
  const remarks = remarksOf(node);
  const containers = node.containers && node.containers.length > 0;
  const parts = partsOf(node, decision);
  const more = remarks.length > 0 || containers || parts.length > 0;
  const verdict = node.verdict + (node.reason ? ` ${node.reason}` : "");
  const summary = el("summary", { class: more ? null : "flat" },
    el("span", null, node.name),
    el("span", { class: verdictClass[node.verdict] }, verdict,
      node.certainty && node.certainty !== "Exact" ? el("span", { class: "facts" }, ` (${node.certainty})`) : null),
    parts.length ? scoreBar(node, decision) : el("span", { class: "facts cut" }, node.message || ""),
    el("span", { class: "number right", title: "permille, and what went over the wire" },
      node.verdict === "Admitted" ? `${node.score} / ${node.wireScore}` : ""));
  return el("details", { class: "node", open: open && more },
    summary,
    more && el("div", null,
      remarks.map((r) => el("p", { class: "warn" }, r)),
      containers && containersTable(node),
      parts.length > 0 && termsTable(node, decision)));
}

function decisionView(d, opened) {
  const reasons = reasonsOf(d);
  return [
    el("h2", null, d.pod),
    el("p", { class: "facts" }, [d.qosClass, `class ${d.class}`, d.policy ? `policy ${d.policy}` : "no policy",
      `snapshot ${d.snapshot}`, d.time, d.verbs.join(" and ")].join(" · ")),
    el("p", { class: "said" }, sentenceOf(d)),
    d.mode === "Shadow" && el("p", { class: "warn" }, "Shadow: nothing was refused, only counted."),
    d.note && el("p", { class: "warn" }, d.note),
    d.contradicted && el("p", { class: "warn" },
      `The kubelet of ${d.contradicted.node} has refused the pod since: ${d.contradicted.reason}.`),
    d.ignoredHints.map((h) => el("p", { class: "warn" }, `The hint ${h.annotation}: ${h.value} is not followed: ${h.why}.`)),
    reasons.length > 0 && [el("h3", null, "Why not"),
      table(["nodes", "reason", "for example"], reasons.map((r) => [
        el("span", { class: "number" }, r.nodes),
        el("span", { class: verdictClass[r.verdict] }, r.reason), r.message]))],
    el("h3", null, "Nodes"),
    el("ul", { class: "key" }, terms.filter((t) => d.nodes.some((n) => n.terms && t in n.terms))
      .map((t) => el("li", null, el("i", { class: `t-${t}` }), t))),
    d.nodes.filter(isDetailed).map((node, i) => nodeBox(node, d, opened ? opened.has(node.name) : i === 0)),
    bareGroups(d).map((g) => el("p", null,
      el("span", { class: verdictClass[g.verdict] }, `${g.verdict} ${g.reason}`.trim()),
      el("span", { class: "facts" }, `, verdict alone kept of ${g.names.length}: `), namesText(g.names))),
    d.nodesLeftOut > 0 && el("p", { class: "facts" }, `${d.nodesLeftOut} more nodes had no room in decisions.maxBytes.`),
    el("p", { class: "facts" }, "The same in a terminal: ",
      el("code", null, `numawise explain --decision ${d.decision} --server ${location.origin}`), ". ",
      el("a", { href: `v1/decisions/${d.decision}/bundle`, download: "" }, "What replays it")),
  ].flat(2).filter(Boolean);
}

/* ---- reading it again and again ---- */

const at = (id) => document.getElementById(id);
const shown = { list: "", one: "", paused: false };

async function read(path) {
  const answer = await fetch(path, { cache: "no-store" });
  if (!answer.ok) throw Object.assign(new Error(`${path}: ${answer.status}`), { status: answer.status });
  return answer.text();
}

function showList(decisions) {
  const wanted = at("find").value.trim();
  const some = decisions.filter((d) => d.pod.includes(wanted));
  at("decisions").replaceChildren(...some.map((d) => listItem(d, location.hash.slice(1))));
  at("none").hidden = some.length > 0;
  at("none").textContent = decisions.length ? "No pod has this in its name."
    : "Nothing was decided yet: kube-scheduler has not asked since the start.";
}

async function refreshOne() {
  const id = location.hash.slice(1);
  if (!/^[0-9A-Za-z]+$/.test(id)) return;
  let text;
  try {
    text = await read(`v1/decisions/${id}`);
  } catch (e) {
    if (e.status !== 404 && e.status !== 400) throw e;
    shown.one = "";
    at("one").replaceChildren(el("p", { class: "warn" }, "This decision is no longer kept: decisions.maxBytes says how many are."));
    return;
  }
  if (text === shown.one) return;
  const decision = JSON.parse(text);
  const same = shown.one && JSON.parse(shown.one).decision === decision.decision;
  const opened = same && new Set([...document.querySelectorAll("details.node[open] > summary > :first-child")].map((e) => e.textContent));
  shown.one = text;
  at("one").replaceChildren(...decisionView(decision, opened));
}

async function refresh() {
  const text = await read("v1/decisions");
  const { decisions } = JSON.parse(text);
  if (!location.hash && decisions.length) history.replaceState(null, "", `#${decisions[0].decision}`);
  const key = text + location.hash + at("find").value;
  if (key !== shown.list) {
    shown.list = key;
    showList(decisions);
  }
  await refreshOne();
  const metrics = await read("metrics");
  at("state").textContent = `${metric(metrics, "numawise_snapshot_nodes")} nodes, ${decisions.length} decisions` +
    (metric(metrics, "numawise_state_synced") === 1 ? "" : ", not synced yet");
  at("state").className = "";
}

async function turn() {
  try {
    await refresh();
  } catch (e) {
    at("state").textContent = `No answer since ${new Date().toLocaleTimeString()}: ${e.message}`;
    at("state").className = "lost";
  }
}

function start() {
  at("find").addEventListener("input", turn);
  window.addEventListener("hashchange", async () => {
    await turn();
    at("one").focus({ preventScroll: true });
  });
  at("pause").addEventListener("click", () => {
    shown.paused = !shown.paused;
    at("pause").setAttribute("aria-pressed", String(shown.paused));
    at("pause").textContent = shown.paused ? "Go on" : "Pause";
  });
  setInterval(() => shown.paused || document.hidden || turn(), everyMs);
  turn();
}

if (typeof document !== "undefined") start();
else module.exports = { bareGroups, namesText, reasonsOf, partsOf, sentenceOf, devicesText, metric };
